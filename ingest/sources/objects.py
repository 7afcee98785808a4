"""Objects in cells, made flat: `{"details": {"Color": "red"}}` becomes a column `details.Color`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ingest.sources.amounts import CODES
from ingest.sources.names import joined, roles
from ingest.sources.pictures import looks_like_picture, pictures
from ingest.sources.records import Record
from ingest.sources.values import MAX_LIST, is_blank, list_parts, natural

DEPTH = 6  # levels that are made flat
MOST = 50  # keys of one column that become columns
_NAMES = ("name", "title", "label", "text")  # what stands for an object in a list
_KEYS = ("name", "key", "label", "attribute", "attribute_name", "param_name")  # of pairs
_VALUES = ("value", "values", "option", "options", "val", "attribute_value", "param_value")
_OPENING = ("{", "[")  # of strings that are objects or lists
_AMOUNTS, _CURRENCIES = ("amount", "value", "price"), ("currency", "currencycode", "currencyid", "unit")


@dataclass(frozen=True)
class Flattening:
    """Which columns hold objects, and which of their keys become columns.

    Attributes:
        columns: that hold objects.
        kept: the columns made of them; None if all are.
        notes: what was left out.
    """

    columns: frozenset[str] = frozenset()
    kept: frozenset[str] | None = None
    notes: Sequence[str] = field(default=())

    def flat(self, record: Record) -> Record:
        """The record with a column for each key of its objects."""
        if self.columns.isdisjoint(record.cells):
            return record
        cells: dict[str, Any] = {}
        for name, cell in record.cells.items():
            if name not in self.columns:
                cells[name] = cell
                continue
            for column, value in _flat(name, cell, DEPTH):
                if self.kept is None or column in self.kept:
                    cells.setdefault(column, value)
        return replace(record, cells=cells)


def flattening(records: Sequence[Record], images: Sequence[str] | None) -> Flattening:
    """What the first records say about objects; columns of pictures are not made flat."""
    found = {
        name for record in records for name, cell in record.cells.items()
        if (type(cell) is not str or cell.lstrip()[:1] in _OPENING)
        and (_object(cell) is not None or _names(cell))
    }
    columns = frozenset(
        name for name in found
        if name not in (images or ()) and not (images is None and _pictured(name, records))
    )
    counts: dict[str, Counter[str]] = {name: Counter() for name in columns}
    for record in records:
        for name in columns & record.cells.keys():
            counts[name].update(column for column, _ in _flat(name, record.cells[name], DEPTH))
    notes, kept = [], set[str]()
    for name, keys in counts.items():
        kept |= {column for column, _ in keys.most_common(MOST)}
        if len(keys) > MOST:
            notes.append(
                f"column {name!r} has objects of {len(keys):,} keys: the {MOST} most frequent are taken"
            )
    return Flattening(columns, frozenset(kept) if notes else None, notes)


def _pictured(name: str, records: Sequence[Record]) -> bool:
    cells = [record.cells[name] for record in records if not is_blank(record.cells.get(name))][:20]
    found = [picture for cell in cells for picture in pictures(cell)]
    alike = found and all(map(looks_like_picture, found)) and all(map(_of_pictures, cells))
    return bool(found) and ("image" in roles(name) or bool(alike))


def _of_pictures(cell: Any) -> bool:
    """Whether an object is one of pictures: half of the strings in it are some."""
    if not isinstance(cell, Mapping):
        return True
    strings = list(_strings(cell))
    return 2 * sum(map(looks_like_picture, strings)) >= len(strings)


def _strings(cell: Any) -> Iterator[str]:
    if isinstance(cell, str):
        yield cell
    elif isinstance(cell, Mapping | list | tuple):
        for part in cell.values() if isinstance(cell, Mapping) else cell:
            yield from _strings(part)


def _flat(name: str, cell: Any, depth: int) -> Iterator[tuple[str, Any]]:
    cell = natural(cell)
    if _is_lone(cell) and not any(map(looks_like_picture, pictures(cell))):
        cell = cell[0]  # of a list of one, such as prices
    if money := _money(cell):
        yield name, money[0]
        yield f"{name}_currency", money[1]
    elif depth and (inner := _object(cell)) is not None:
        for key, value in inner.items():
            yield from _flat(f"{name}.{key}", value, depth - 1)
    else:
        yield name, _names(cell) or cell


def _is_lone(cell: Any) -> bool:
    """Whether a cell is a list of one object that nothing names."""
    lone = isinstance(cell, list | tuple) and len(cell) == 1 and isinstance(cell[0], Mapping)
    return lone and pair(cell[0]) is None and not _names(cell)


def _money(cell: Any) -> tuple[Any, Any] | None:
    """Amount and currency of `{"amount": "12.90", "currencyCode": "EUR"}`; None of any other cell."""
    if not isinstance(cell, Mapping) or len(cell) != 2:
        return None
    cells = {joined(str(name)): value for name, value in cell.items()}
    amount = next((cells[name] for name in _AMOUNTS if name in cells), None)
    currency = next((cells[name] for name in _CURRENCIES if name in cells), None)
    coded = isinstance(currency, str) and currency in CODES
    return (amount, currency) if coded and isinstance(amount, str | int | float) else None


def _object(cell: Any) -> Mapping[str, Any] | None:
    """The object of a cell: one itself, one as JSON or Python writes it, or a list of names with values."""
    if isinstance(cell, Mapping):
        return {str(key): value for key, value in cell.items()}
    if isinstance(cell, str) and cell[:1] != "[":
        return _written(cell)
    cell = _listed(cell)
    if not isinstance(cell, list | tuple) or not cell:
        return None
    if all(isinstance(pair, tuple) and len(pair) == 2 for pair in cell):  # a map of Arrow
        return {str(key): value for key, value in cell}
    pairs = [pair(one) for one in cell]
    return None if None in pairs else {str(key): value for key, value in filter(None, pairs)}


def _listed(cell: Any) -> Any:
    """A list of objects that a cell writes; any other cell as it is."""
    return list_parts(cell) if isinstance(cell, str) and re.match(r"\[\s*\{", cell) else cell


def _written(cell: str) -> Mapping[str, Any] | None:
    text = cell.strip()
    if not text.startswith("{") or not text.endswith("}") or len(text) > MAX_LIST:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = (list_parts(f"[{text}]") or [None])[0]
    return _object(value) if isinstance(value, dict) else None


def pair(one: Any) -> tuple[Any, Any] | None:
    """Name and value of an object such as `{"name": "Colour", "value": "red"}`; None of any other."""
    if not isinstance(one, Mapping):
        return None
    one = {str(name).casefold(): cell for name, cell in one.items()}
    key = next((one[name] for name in _KEYS if isinstance(one.get(name), str)), None)
    value = next((one[name] for name in _VALUES if name in one), None)
    return None if key is None or value is None else (key, value)


def _names(cell: Any) -> list[str]:
    """The names of a list of objects: Kitchen of `[{"id": 1, "name": "Kitchen"}]`."""
    cell = _listed(cell)
    if not isinstance(cell, list | tuple) or not cell or not all(isinstance(one, Mapping) for one in cell):
        return []
    names = [next((one[name] for name in _NAMES if isinstance(one.get(name), str)), None) for one in cell]
    return [] if None in names else [name for name in names if name]
