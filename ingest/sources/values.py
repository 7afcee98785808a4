"""Kinds of attributes: a column has one, decided from its first rows, and its later cells are held to it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal

from mmrec.types import as_utc

Kind = Literal["bool", "number", "date", "list", "category"]
EXPECTED: Mapping[Kind, str] = {
    "bool": "true or false",
    "number": "a plain number up to 2**53 such as 12.5",
    "date": "an ISO 8601 date such as 2024-05-01 or 2024-05-01T12:30:00Z",
    "list": "a list of strings",
    "category": "a string",
}
# Not "007" or "02134": codes with zeros in front would lose them.
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].*)?")
_NOTHING = frozenset({"", "-", "na", "n/a", "nan", "null", "none"})  # in a column of numbers, dates or bools


@dataclass(frozen=True)
class Dialect:
    """How values of each kind are written: a reader raises ValueError where a cell is of another kind."""

    readers: Mapping[Kind, Callable[[Any], Any]]
    is_list: Callable[[Any], bool]

    def read(self, kind: Kind | None, cell: Any) -> Any:
        """The value of a cell; None where it is blank; without a kind, by the cell alone.

        Raises:
            ValueError: the cell is not of the kind.
        """
        if is_blank(cell):
            return None
        return self.readers[kind or self.infer([cell]) or "category"](cell)

    def infer(self, cells: Sequence[Any]) -> Kind | None:
        """The first kind that fits all cells; None for objects and the like, which fit none."""
        cells = [cell for cell in cells if not (isinstance(cell, float) and math.isinf(cell))]
        for kind, reader in self.readers.items():
            if kind == "list" and not any(map(self.is_list, cells)):
                continue
            try:
                values = [reader(cell) for cell in cells]
            except ValueError:
                continue
            if any(value is not None for value in values):
                return kind
        return None


def is_blank(cell: Any) -> bool:
    """Whether a cell says nothing: None, NaN, an empty list, white space."""
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or cell == [] or (isinstance(cell, float) and math.isnan(cell))


def parts(text: str) -> list[str]:
    """The values of one cell: a JSON list, or separated by `|`."""
    if text.lstrip().startswith("["):
        try:
            return _listed(json.loads(text))
        except (ValueError, RecursionError):
            pass
    return [part.strip() for part in text.split("|") if part.strip()]


def moment(cell: Any) -> datetime:
    """A date or time, as object or in ISO 8601, in UTC.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(cell, str) and _DATE.fullmatch(cell.strip()):
        cell = datetime.fromisoformat(cell.strip())
    if isinstance(cell, date) and not isinstance(cell, datetime):
        cell = datetime.combine(cell, time())
    if not isinstance(cell, datetime):
        raise ValueError(cell)
    try:
        return as_utc(cell)
    except OverflowError as error:  # year 1 or 9999, and a zone
        raise ValueError(cell) from error


def _bounded(number: float) -> float:
    if not abs(number) <= 2**53:  # also for NaN
        raise ValueError(number)
    return number


def _number(cell: Any) -> float:
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        raise ValueError(cell)
    return _bounded(float(cell) if isinstance(cell, Decimal) else cell)


def _bool(cell: Any) -> bool:
    if not isinstance(cell, bool):
        raise ValueError(cell)
    return cell


def _listed(cell: Any) -> list[str]:
    if not isinstance(cell, list | tuple):
        raise ValueError(cell)
    return [_category(value) for value in cell if not is_blank(value)]


def _category(cell: Any) -> str:
    if not isinstance(cell, str | int | float | Decimal | date):
        raise ValueError(cell)
    return str(cell).strip()


def _unless_nothing(reader: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda cell: None if cell.strip().lower() in _NOTHING else reader(cell.strip())


def _written_number(text: str) -> float:
    if len(text) > 400 or not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return _bounded(int(text) if text.lstrip("+-").isdigit() else float(text))


def _written_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


TYPED = Dialect(
    readers={
        "bool": _bool,
        "number": _number,
        "date": moment,
        "list": lambda cell: _listed([cell] if isinstance(cell, str) else cell),
        "category": _category,
    },
    is_list=lambda cell: isinstance(cell, list | tuple),
)
"""Formats with types of their own (JSON, Parquet, frames): `"12"` is a string there."""

WRITTEN = Dialect(
    readers={
        "bool": _unless_nothing(_written_bool),
        "number": _unless_nothing(_written_number),
        "date": _unless_nothing(moment),
        "list": parts,
        "category": _category,
    },
    is_list=lambda cell: "|" in cell or (cell.lstrip().startswith("[") and len(parts(cell)) > 1),
)
"""Formats of strings alone (CSV)."""
