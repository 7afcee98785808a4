"""What the two logs hold: a row for each item of each answer, and a row for each click on one of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmrec.monitor.log import read
from mmrec.ranking.request import Exploration
from mmrec.types import IMAGE, Recommendation, as_utc

if TYPE_CHECKING:
    from mmrec.recommender import Recommender
    from mmrec.search.snapshot import Snapshot

FITTED = "fitted_at"  # the fact of a store that tells when its head was trained, in ISO format
Micros = NDArray[np.int64]  # microseconds since 1970
Coldness = Callable[[Sequence[str], Micros], list[bool | None]]  # (items shown [n], when [n]) -> cold [n]
_DAY = 86_400_000_000  # microseconds


@dataclass
class ShopColdness:
    """An item is cold if it was added after the last `fit`, which then knew nothing of it.

    Before the first `fit`, an item is cold for some days after it was added. Of an item that has left the
    catalogue by the time of asking nobody can tell, and it is None.

    Attributes:
        days: how long an item is cold where nothing was trained.
    """

    shop: Recommender
    days: float = 30.0
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _known: tuple[Snapshot, Micros] | None = field(default=None, repr=False)

    def __call__(self, item_ids: Sequence[str], times: Micros) -> list[bool | None]:
        """Whether each item was cold at its time, [n]."""
        snapshot, added = self._added()
        places = np.array([snapshot.position.get(item_id, -1) for item_id in item_ids], np.intp)
        fitted = self._fitted()
        border = np.asarray(times) - int(self.days * _DAY) if fitted is None else np.full(len(places), fitted)
        known = places >= 0
        cold = np.zeros(len(places), np.bool_)
        cold[known] = added[places[known]] > border[known]
        return [bool(c) if k else None for c, k in zip(cold, known, strict=True)]

    def _added(self) -> tuple[Snapshot, Micros]:
        """The catalogue as it is now, and when each item was added [n]."""
        with self._turn:
            snapshot = self.shop._index.now()
            if self._known is None or self._known[0] is not snapshot:
                self._known = (snapshot, snapshot.facts["added_at"].cast("int64").to_numpy())
            return self._known

    def _fitted(self) -> int | None:
        said: Any = self.shop.store.facts.get(FITTED)
        return None if said is None else micros(datetime.fromisoformat(said))


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of a moment."""
    past = as_utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds


IMPRESSIONS_FOLDER, CLICKS_FOLDER = "impressions", "clicks"  # in the store
MOST_ASKED = 4_096  # characters of a request that is kept
MOST_ID = 64  # characters of a request's id

_TIME = pa.timestamp("us", "UTC")
IMPRESSIONS = pa.schema([
    ("request_id", pa.string()), ("time", _TIME), ("route", pa.string()), ("user", pa.string()),
    ("asked", pa.string()),  # the options as JSON without pictures; null if they are long
    ("explore", pa.float64()),  # share of slots that the request gave to new items
    ("latency_ms", pa.float64()),
    ("slot", pa.int32()), ("item_id", pa.string()),  # slots from 0; both null if nothing was found
    ("rung", pa.string()), ("score", pa.float64()),
    ("propensity", pa.float64()),  # chance that this slot showed this item, given the slots above
    ("cold", pa.bool_()),  # see `ShopColdness`
])
CLICKS = pa.schema([
    ("request_id", pa.string()), ("item_id", pa.string()), ("kind", pa.string()), ("time", _TIME),
])
Slot = tuple[str | None, str | None, float | None, float | None]  # item id, rung, score, propensity
NOTHING: Slot = (None, None, None, None)  # the one slot of an answer that found nothing


class Answer(NamedTuple):
    """One answer on its way into the log."""

    request_id: str
    time: datetime
    route: str
    user: str | None
    asked: str | None
    explore: float
    latency_ms: float | None
    slots: Sequence[Slot]


class Click(NamedTuple):
    """One interaction with an item of an answer; its time is when it was told, by the service's clock."""

    request_id: str
    item_id: str
    kind: str
    time: datetime


def answer_of(
    request_id: str, time: datetime, route: str, asked: Mapping[str, Any], results: Sequence[Recommendation],
    seconds: float | None,
) -> Answer:
    """An answer without what the log does not hold: pictures and reasons."""
    options = {name: value for name, value in asked.items() if name not in ("user", IMAGE)}
    told, user = json.dumps(options, default=str), asked.get("user")
    slots: list[Slot] = [(r.item_id, r.rung, r.score, r.propensity) for r in results]
    return Answer(
        request_id, time, route, None if user is None else _clean(user),
        told if len(told) <= MOST_ASKED else None, _share(asked.get("explore")),
        None if seconds is None else 1_000 * seconds, slots or [NOTHING],
    )


def clicks_of(rows: Sequence[Mapping[str, Any]], time: datetime) -> list[Click]:
    """The clicks among recorded rows of interactions: those that name a request as a service names them."""
    return [
        Click(row["request_id"], row["item_id"], row.get("kind") or "click", time)
        for row in rows if _names_request(row)
    ]


def impressions_table(answers: Sequence[Answer], cold: Coldness) -> pa.Table:
    """Answers as rows of `IMPRESSIONS`."""
    sizes = [len(answer.slots) for answer in answers]
    owner = pa.array(np.repeat(np.arange(len(answers)), sizes))  # answer of each row [rows]
    columns: dict[str, Any] = {
        name: pa.array([getattr(a, name) for a in answers], IMPRESSIONS.field(name).type).take(owner)
        for name in ("request_id", "time", "route", "user", "asked", "explore", "latency_ms")
    }
    slots = [slot for answer in answers for slot in answer.slots]
    columns |= zip(("item_id", "rung", "score", "propensity"), zip(*slots, strict=True), strict=True)
    columns["slot"] = [None if s is NOTHING else n for answer in answers for n, s in enumerate(answer.slots)]
    shown = [item_id or "" for item_id in columns["item_id"]]
    columns["cold"] = cold(shown, np.repeat([micros(answer.time) for answer in answers], sizes))
    return pa.table([columns[name] for name in IMPRESSIONS.names], schema=IMPRESSIONS)


def clicks_table(clicks: Sequence[Click]) -> pa.Table:
    """Clicks as rows of `CLICKS`."""
    return pa.table([list(column) for column in zip(*clicks, strict=True)], schema=CLICKS)


def read_impressions(
    store: Path, since: datetime, until: datetime, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """What a store's services showed in a period; each answer's rows follow one another, by slot."""
    return read(store / IMPRESSIONS_FOLDER, IMPRESSIONS, since, until, columns=columns)


def read_clicks(store: Path, since: datetime, until: datetime) -> pa.Table:
    """What was clicked in a period, whenever it was shown."""
    return read(store / CLICKS_FOLDER, CLICKS, since, until)


def _share(explore: Exploration | float | None) -> float:
    return explore.share if isinstance(explore, Exploration) else float(explore or 0.0)


def _names_request(row: Mapping[str, Any]) -> bool:
    name = row.get("request_id")
    return isinstance(name, str) and 0 < len(name) <= MOST_ID and name.isascii()


def _clean(text: Any) -> str:
    """A text that Parquet can hold: half characters, which JSON may bring, become question marks."""
    return str(text).encode("utf-8", "replace").decode()
