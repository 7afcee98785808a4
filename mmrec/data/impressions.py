"""What was shown to whom: its form, and canonical files of it.

One impression is one object a line, or a row of Parquet with columns of these names::

    {"user_id": "u1", "items": ["B07", "B11", "B03"], "propensities": [1.0, 1.0, 0.2],
     "time": "2024-05-02T10:00:00+00:00"}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmrec.data.cleaning import identifier, plain
from mmrec.data.files import read_rows
from mmrec.data.rows import Row, checked, moment
from mmrec.errors import DataError, Rejection
from mmrec.types import check_id

KEYS = ("user_id", "items", "propensities", "time")
MOST = 1_000  # items of one impression


@dataclass(frozen=True, slots=True, kw_only=True)
class Impression:
    """Items that one user was shown together.

    Attributes:
        user_id: who saw them; a session where the user is not known.
        items: in the order in which they were shown, the first at the top.
        propensities: the chance of each that its place showed it, given those above; empty if not known.
        time: when.

    Raises:
        DataError: there are no items or too many, an id is none, or a propensity is no chance.
    """

    user_id: str
    items: Sequence[str]
    propensities: Sequence[float] = ()
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        settle = object.__setattr__
        items = () if isinstance(self.items, str) else tuple(self.items)
        if not 0 < len(items) <= MOST:
            raise DataError(f"items must be a list of 1 to {MOST:,} ids that were shown", field="items")
        chances = tuple(self.propensities)
        if chances and (len(chances) != len(items) or not all(_is_chance(one) for one in chances)):
            raise DataError(
                "propensities must be one chance above 0 and up to 1 for each item, or none",
                field="propensities",
            )
        settle(self, "user_id", check_id(self.user_id, "user_id"))
        settle(self, "items", tuple(check_id(one, "items") for one in items))
        settle(self, "propensities", tuple(float(one) for one in chances))
        settle(self, "time", moment("time", self.time))


def _is_chance(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def impression_from_dict(row: Row, *, line: int | None = None) -> Impression:  # noqa: ARG001 - as all readers
    """The Impression of a canonical row.

    Raises:
        DataError: the row is none; `.field` names the part at fault.
    """
    given: dict[str, Any] = checked(row, KEYS)
    if isinstance(given.get("items"), Sequence) and not isinstance(given["items"], str):
        given["items"] = [identifier(plain(one)) for one in given["items"]]
    given["user_id"] = identifier(plain(given["user_id"]))
    if "time" in given:
        given["time"] = moment("time", given["time"])
    return Impression(**{"items": ()} | given)


def read_impressions(path: str | Path) -> Iterator[Impression | Rejection]:
    """Impressions of a canonical file: JSON lines or Parquet; a row that is none becomes a Rejection.

    Raises:
        DataError: the file as a whole cannot be read: absent, of an unknown kind, damaged.
    """
    return read_rows(path, KEYS, impression_from_dict)
