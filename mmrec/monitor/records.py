"""What the two logs hold: a row for each item of each answer, and a row for each click on one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mmrec.exploration import Exploration
from mmrec.monitor.coldness import Coldness, micros
from mmrec.monitor.log import read
from mmrec.types import IMAGE, Recommendation

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
