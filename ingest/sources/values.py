"""Values of cells: their kinds, and how cells of a kind are read."""

from __future__ import annotations

import ast
import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, get_args
from uuid import UUID

from ingest.sources.amounts import Decimals, plain_number
from ingest.sources.moments import ZERO, Order, moment
from mmrec.data.cleaning import BLANKS, unescaped

Kind = Literal["bool", "number", "date", "list", "category"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NOUNS: Mapping[Kind, str] = {
    "bool": "yes or no", "number": "a number up to 2**53", "date": "a date", "list": "a list of strings",
    "category": "a string",
}
_NOTHING = frozenset({"", "-", "–", "—", "na", "n/a", "nan", "null", "none", "nil", "#n/a", "<na>", "nat"})
_DASHES = ("-", "–", "—")  # whole cells of labels that say nothing
_PLAIN = frozenset({str, int, float, bool})
MAX_LIST = 1_000_000  # characters of a cell that is read as a list of JSON or Python
_BINARY = re.compile(rb"[\0-\x08\x0e-\x1f]")
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_PARTED = re.compile(r"(?<=['\"])\s+(?=['\"])|(?<=[\d.])\s+(?=[-\d.])")


@dataclass(frozen=True)
class Reading:
    """How the cells of a column are read.

    Attributes:
        kind: what they are.
        read: a cell's value, None if it says nothing; raises ValueError where it is of another kind.
        beside: the currency of a cell, where it may hold one.
        note: what was guessed, and the option that says it better.
    """

    kind: Kind
    read: Callable[[Any], Any]
    beside: Callable[[Any], str | None] | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What the caller says of values; what is None is found out.

    Attributes:
        dates: order of day, month and year in dates such as 01.02.2024.
        decimals: what stands before the decimals of numbers.
        types: kinds of columns, by name.
        known: kinds of columns, by name, if their cells can be read so.
    """

    dates: Order | None = None
    decimals: Decimals | None = None
    types: Mapping[str, Kind] | None = None
    known: Mapping[str, Kind] | None = None


@dataclass(frozen=True)
class Dialect:
    """How the values of a format are written."""

    typed: bool


TYPED = Dialect(typed=True)
"""Formats with types of their own (JSON, Parquet, frames)."""

WRITTEN = Dialect(typed=False)
"""Formats of strings alone (CSV)."""


def is_blank(cell: Any) -> bool:
    """Whether a cell says nothing: None, NaN, an empty list or object, white space."""
    if isinstance(cell, str):
        return not cell or cell.isspace()
    return cell is None or cell == [] or cell == {} or (isinstance(cell, float) and math.isnan(cell))


def natural(cell: Any) -> Any:
    """A cell as a plain value: ids, members of enumerations, intervals, bytes of a text as strings."""
    if type(cell) in _PLAIN:
        return cell
    if isinstance(cell, Enum):
        return natural(cell.value)
    if isinstance(cell, timedelta):
        return cell.total_seconds()
    if isinstance(cell, set | frozenset):
        return sorted(cell, key=str)
    if isinstance(cell, UUID | time) or type(cell).__name__ in ("Interval", "Period", "MonthDayNano"):
        return str(cell)
    if isinstance(cell, bytes) and not _BINARY.search(cell):
        with suppress(UnicodeDecodeError):
            return cell.decode()  # as old writers of Parquet hold strings
    if isinstance(cell, str | int | float | Decimal | date | list | tuple | dict | bytes | None):
        return cell
    return cell.tolist() if hasattr(cell, "tolist") else cell


def list_parts(text: str) -> list[Any] | None:
    """The values of a list of JSON, Python, NumPy or Postgres: `["a"]`, `('a', 'b')`, `['a' 'b']`, `{a,b}`.

    None if it is none.
    """
    text = text.strip()
    if len(text) > MAX_LIST or _BRACKETS.get(text[:1]) != text[-1:]:
        return None
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        parts = _python_list(text)
    if parts is None and text[0] == "{" and ":" not in text:
        parts = next(csv.reader([text[1:-1]], skipinitialspace=True), [])
        return [part for part in parts if part != "NULL"]
    return parts if isinstance(parts, list) else None


def _python_list(text: str) -> list[Any] | None:
    if "," not in text and text[0] == "[":  # as NumPy prints it; Python would join the strings
        text = _PARTED.sub(", ", text)
    try:
        parts = ast.literal_eval(text) if text.count("[") + text.count("(") < 50 else None
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    parts = sorted(parts, key=str) if isinstance(parts, set) else parts
    return list(parts) if isinstance(parts, list | tuple) else None


def says_nothing(cell: Any) -> bool:
    """Whether a cell is blank, or a word for it where numbers, dates and the like are expected."""
    if isinstance(cell, str):
        return cell.strip() in BLANKS or cell.strip().lower() in _NOTHING
    return is_blank(cell)


def is_zero(cell: Any) -> bool:
    """Whether a cell is MySQL's date for none, 0000-00-00."""
    return isinstance(cell, str) and ZERO.fullmatch(cell.strip()) is not None


def reader(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader that finds nothing in cells such as "-" and 0000-00-00 where they are of no kind."""

    def value(cell: Any) -> Any:
        try:
            return read(cell if type(cell) in _PLAIN else natural(cell))
        except ValueError:
            if says_nothing(cell) or is_zero(cell):
                return None
            raise

    return value


def _bool(cell: Any) -> bool:
    if isinstance(cell, bool):
        return cell
    return one_of(cell, yes=frozenset({"true", "yes", "1"}), no=frozenset({"false", "no", "0"}))


def one_of(cell: Any, *, yes: frozenset[str], no: frozenset[str]) -> bool:
    """True or false, as object or in one of these words."""
    if isinstance(cell, bool):
        return cell
    word = cell.strip().lower() if isinstance(cell, str) else cell
    if word in yes or word in no:
        return word in yes
    raise ValueError(cell)


def listed(cell: Any) -> list[str]:
    """A list as one of strings, blanks left out."""
    if not isinstance(cell, list | tuple):
        raise ValueError(cell)
    flat = [one for value in cell for one in (value if isinstance(value, list | tuple) else [value])]
    return [category(value) for value in map(natural, flat) if not is_blank(value)]


def bracketed(cell: Any) -> list[str]:
    """A list as object, as `list_parts` reads it, or of one value."""
    if isinstance(cell, str):
        parts = list_parts(cell)
        if parts is None and cell.lstrip().startswith(("[", "{")):
            raise ValueError(cell)
        return listed([cell] if parts is None else parts)
    return listed(cell)


def cut(cell: Any, *, mark: str) -> list[str]:
    """A list, also of a string that is cut at a mark."""
    if not isinstance(cell, str):
        return listed([cell] if isinstance(cell, int | float) else cell)
    return listed(list_parts(cell) or pieces(unescaped(cell), mark))


def pieces(cell: str, mark: str) -> list[str]:
    """What a string is cut into at a mark, which may stand in quotes."""
    if '"' in cell and mark + '"' in f"{mark}{cell}".replace(" ", ""):
        with suppress(csv.Error, StopIteration):
            return [part.strip() for part in next(csv.reader([cell], delimiter=mark, skipinitialspace=True))]
    return [part.strip() for part in cell.split(mark)]


def category(cell: Any) -> str:
    """A single value as a string; raises ValueError for lists and objects."""
    if type(cell) is str and cell not in _DASHES:
        return cell.strip()
    infinite = isinstance(cell, float) and math.isinf(cell)
    if infinite or not isinstance(cell, str | int | float | Decimal | date) or cell in _DASHES:
        raise ValueError(cell)
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).strip()


FIXED: Mapping[Kind, Reading] = {
    "bool": Reading("bool", reader(_bool)), "number": Reading("number", reader(plain_number)),
    "date": Reading("date", reader(moment)), "list": Reading("list", reader(bracketed)),
    "category": Reading("category", reader(category)),
}
"""How cells of a kind are read where nothing has to be found out."""


def readings(kinds: Mapping[str, Kind]) -> dict[str, Reading]:
    """How columns of known kinds are read."""
    return {name: FIXED[kind] for name, kind in kinds.items()}


def only_strings(cells: Iterable[Any]) -> list[str]:
    """The strings among cells, those in lists too."""
    flat = (one for cell in cells for one in (cell if isinstance(cell, list | tuple) else [cell]))
    return [one for one in flat if isinstance(one, str)]
