"""Rows of logs as flat records of single acts: objects opened, baskets taken apart, dates joined to times."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingest.sources.log_columns import names_item
from ingest.sources.moments import moment, orders
from ingest.sources.records import Record
from ingest.sources.values import is_blank, list_parts

_DEPTH = 4  # levels of objects that are opened
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[aApP][mM])?")
_DAY = re.compile(r"(?:.*[\W_])?(?:date|datum|dato|fecha|day|tag|jour|日付|日期|дата)", re.IGNORECASE)
_SEVERAL = re.compile(r"(?i)(?:items|products|skus|articles|basket|(?:item|product|article|sku)_?ids)")
Records = Callable[[], Iterator[Record]]


def opened(records: Records, sample: Sequence[Record]) -> Records:
    """A walk through records whose objects and lists are opened, if the first ones have any."""
    columns = frozenset(
        name for record in sample for name, cell in record.cells.items() if _is_nested(_read(cell))
    )
    if not columns:
        return records
    opening = _Opening(columns)
    opening = _Opening(columns, frozenset(name for record in sample for name, _ in opening.parts(record)))
    return lambda: (act for record in records() for act in opening.acts(record))


@dataclass(frozen=True)
class _Opening:
    """Which columns are opened, and those that others then have in their place."""

    columns: frozenset[str]
    known: frozenset[str] = frozenset()

    def parts(self, record: Record) -> Iterator[tuple[str, Any]]:
        """The cells of a record, its objects opened."""
        for name, cell in record.cells.items():
            yield from _flat(name, _read(cell), _DEPTH) if name in self.columns else [(name, cell)]

    def acts(self, record: Record) -> Iterator[Record]:
        """The record with a column for each part of its objects; one for each object in a list of items."""
        cells = dict(self.parts(record))
        several = [(column, value) for column, value in cells.items() if _is_list_of_objects(value)]
        if record.problem or not several:
            yield replace(record, cells=cells)
            return
        column, items = max(several, key=lambda pair: (names_item(pair[0], pair[1][0]), len(pair[1])))
        del cells[column]
        around = column.rpartition(".")[0]
        for one in items:
            inner = {self._called(name, column, around): cell for name, cell in _flat(column, one, _DEPTH)}
            yield replace(record, cells={**cells, **inner})

    def _called(self, name: str, column: str, around: str) -> str:
        """The name of a part of an item; that which it has in acts on one item alone, if there are such."""
        alone = f"{around}{name.removeprefix(column)}".lstrip(".")
        return alone if alone in self.known and names_item("", {alone: None}) else name


def each_item(column: str, records: Iterator[Record]) -> Iterator[Record]:
    """Records with one item each, where a cell holds a list of ids."""
    several = _SEVERAL.fullmatch(column.rpartition(".")[2]) is not None
    for record in records:
        cell = _read(record.cells.get(column))
        if several and isinstance(cell, str) and (mark := next((one for one in "|;," if one in cell), None)):
            cell = [part.strip() for part in cell.split(mark) if part.strip()]
        if record.problem or not isinstance(cell, list | tuple):
            yield record
        else:
            yield from (replace(record, cells={**record.cells, column: one}) for one in cell)


def dated(records: Records, sample: Sequence[Record], notes: list[str]) -> Records:
    """A walk through records whose times of the day have the date that stands in another column."""
    cells: dict[str, list[str]] = {}
    for record in sample:
        for name, cell in record.cells.items():
            if not is_blank(cell):
                cells.setdefault(name, []).append(str(cell).strip())
    clock = next((name for name, texts in cells.items() if all(map(_CLOCK.fullmatch, texts))), None)
    day = next((name for name, texts in cells.items() if _DAY.fullmatch(name) and _are_dates(texts)), None)
    if clock is None or day is None:
        return records
    notes.append(f"times are those of {clock!r} on the date of {day!r}")

    def joined(record: Record) -> Record:
        date, time = (record.cells.get(name) for name in (day, clock))
        if is_blank(date) or is_blank(time):
            return record
        return replace(record, cells={**record.cells, clock: f"{str(date).strip()} {str(time).strip()}"})

    return lambda: map(joined, records())


def _are_dates(texts: Sequence[str]) -> bool:
    try:
        return bool(orders(texts)) or all(map(moment, texts))
    except ValueError:
        return False


def _read(cell: Any) -> Any:
    """A cell, as the object or list that it writes if it writes one."""
    if not isinstance(cell, str) or cell[:1] not in ("[", "{"):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell if (parts := list_parts(cell)) is None else parts


def _flat(name: str, cell: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth and isinstance(cell, Mapping) and set(cell) != {"datetime"}:
        for key, value in cell.items():
            yield from _flat(f"{name}.{key}", value, depth - 1)
    else:
        yield name, cell


def _is_nested(cell: Any) -> bool:
    return (isinstance(cell, Mapping) and set(cell) != {"datetime"}) or _is_list_of_objects(cell)


def _is_list_of_objects(cell: Any) -> bool:
    return isinstance(cell, list | tuple) and bool(cell) and all(isinstance(one, Mapping) for one in cell)
