"""What a service showed, from its own log, as impressions that a fit learns from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from mmrec.data.impressions import Impression
from mmrec.monitor.impressions import IMPRESSIONS, IMPRESSIONS_FOLDER, KEEP, read
from mmrec.types import RecordReport

if TYPE_CHECKING:
    from mmrec.recommender import Recommender

COLUMNS = ("request_id", "time", "user", "slot", "item_id", "propensity")
ORDER = [("request_id", "ascending"), ("slot", "ascending")]


def keep_shown(shop: Recommender) -> RecordReport:
    """Records what a service of this store has shown to users whom it knew; known rows stay as they are."""
    return shop.record(_shown(shop))


def _shown(shop: Recommender) -> Iterator[Impression]:
    now = datetime.now(UTC)
    folder = shop.path / IMPRESSIONS_FOLDER
    rows = read(folder, IMPRESSIONS, now - KEEP, now + timedelta(hours=1), columns=COLUMNS)
    rows = rows.filter(pc.and_(pc.is_valid(rows["user"]), pc.is_valid(rows["item_id"]))).sort_by(ORDER)
    for _, page in groupby(rows.to_pylist(), key=itemgetter("request_id")):
        slots = list(page)
        chances = [one["propensity"] for one in slots]
        yield Impression(
            user_id=slots[0]["user"], items=[one["item_id"] for one in slots], time=slots[0]["time"],
            propensities=() if None in chances else chances,
        )
