"""From a record of columns to a row in canonical shape: the one way for tables, frames and data sets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ingest.sources.columns import Columns, Sample, settle, valid_names
from ingest.sources.records import Record, Row, Rows
from ingest.sources.values import EXPECTED, TYPED, Dialect, Kind, is_blank, parts
from mmrec.data.rows import rejected
from mmrec.errors import DataError
from mmrec.types import Rejection

_ADDED_AT = "added_at"
SAMPLED = 1_000  # first rows that decide what the columns hold


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where each part of an item stands.

    Attributes:
        id: column of the item's id.
        text: column by text field.
        attributes: column by attribute.
        kinds: kind by column; a cell of another kind rejects the row, one of a column without a kind
            speaks for itself.
        image: columns of pictures.
        added_at: column of the date.
        dialect: how values are written.
        seen: if given, all columns there were; one that turns up later becomes an attribute too.
    """

    id: str
    text: Mapping[str, str]
    attributes: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    image: tuple[str, ...] = ()
    added_at: str | None = None
    dialect: Dialect = TYPED
    seen: Collection[str] | None = None

    def shape(self, record: Record) -> Row | Rejection:
        """The record in canonical shape; a Rejection holds it in that shape too, to be mended."""
        cells = record.cells
        typed, wrong = self._typed(cells)
        row: Row = {
            "item_id": identifier(cells.get(self.id)),
            "text": {name: _text(cells[column]) for name, column in self.text.items() if _has(cells, column)},
            "image": _images([cells.get(column) for column in self.image]),
            "attributes": {name: value for name, value in typed.items() if name != _ADDED_AT},
        }
        if _ADDED_AT in typed:
            row[_ADDED_AT] = typed[_ADDED_AT]
        if record.problem or wrong:
            error = DataError(record.problem or "; ".join(wrong.values()), field=next(iter(wrong), None))
            return rejected(error, row if cells else None, line=record.line)
        return row | {"line": record.line}

    def _typed(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Attributes and `added_at`, which none of them is called; and complaints about cells by name."""
        values, wrong = {}, {}
        for name, column, kind in self._parts(cells):
            try:
                value = self.dialect.read(kind, cells[column])
            except ValueError:
                value = cells[column]
                wrong[name] = (
                    f"column {column!r} holds {value!r:.100}, expected {EXPECTED[kind or 'category']} as in"
                    " the column's first rows: mend the cell"
                )
            if value is not None:
                values[name] = value
        return values, wrong

    def _parts(self, cells: Mapping[str, Any]) -> Iterator[tuple[str, str, Kind | None]]:
        for name, column in self.attributes.items():
            if _has(cells, column):
                yield name, column, self.kinds.get(column)
        if self.added_at and _has(cells, self.added_at):
            yield _ADDED_AT, self.added_at, "date"
        late = [] if self.seen is None else [column for column in cells if column not in self.seen]
        if late:
            names = valid_names((*(self.seen or ()), *late))
            fit = (column for column in late if self.dialect.infer([cells[column]]))
            yield from ((names[column], column, None) for column in fit)


def table(
    format: str,
    folder: Path,
    records: Callable[[], Iterator[Record]],
    *,
    origin: str,
    columns: Columns | None = None,
    dialect: Dialect = TYPED,
    size: int | None = None,
    notes: list[str] | None = None,
) -> Rows:
    """A source of records whose columns are mapped as `columns` says, or as their first rows suggest.

    Args:
        notes: the list in which the source tells what it guessed; a new one if None.

    Raises:
        DataError: there are no rows in `origin` (the table's name), or the mapping does not fit them.
    """
    sample = _sample(records(), dialect, origin)
    columns = columns or Columns()
    chosen = settle(columns, sample)
    names = valid_names(sample.cells)
    layout = Layout(
        id=chosen.id or "",
        text={names[column]: column for column in chosen.text or ()},
        attributes={names[column]: column for column in chosen.attributes or ()},
        kinds={column: kind for column, kind in sample.kinds.items() if kind is not None},
        image=chosen.image or (),
        added_at=chosen.added_at,
        dialect=dialect,
        seen=dict.fromkeys(sample.cells) if columns.attributes is None else None,
    )
    return Rows(
        format, folder, records, layout.shape, columns=chosen, size=size, notes=[] if notes is None else notes
    )


def known(
    format: str, folder: Path, layout: Layout, records: Callable[[], Iterator[Record]], *, origin: str
) -> Rows:
    """A source of records whose columns are fixed.

    Raises:
        DataError: there are no rows in `origin`, or none that can be read.
    """
    _first(records(), origin)
    return Rows(format, folder, records, layout.shape)


def _first(records: Iterator[Record], origin: str) -> list[Record]:
    """The sound ones of the first records."""
    first = list(islice(records, SAMPLED))
    if not first:
        raise DataError(f"{origin} has no rows: it is empty, or a header alone")
    sound = [record for record in first if record.problem is None]
    if not sound:
        raise DataError(f"{origin}: no row can be read; the first, line {first[0].line}: {first[0].problem}")
    return sound


def _sample(records: Iterator[Record], dialect: Dialect, origin: str) -> Sample:
    cells: dict[str, list[Any]] = {}
    for record in _first(records, origin):
        for name, cell in record.cells.items():
            column = cells.setdefault(name, [])
            if not is_blank(cell):
                column.append(cell)
    return Sample(origin, cells, {name: dialect.infer(column) for name, column in cells.items() if column})


def _has(cells: Mapping[str, Any], column: str) -> bool:
    return not is_blank(cells.get(column))


def identifier(cell: Any) -> Any:
    """A whole number as string; anything else as it is, for whoever makes the Item to judge."""
    whole = isinstance(cell, int) or (isinstance(cell, float) and cell.is_integer())
    return str(int(cell)) if whole and not isinstance(cell, bool) else cell


def _text(cell: Any) -> Any:
    """Strings as they are, lists joined; what is neither goes on as it is, for its row to be rejected."""
    if isinstance(cell, list | tuple):
        return ", ".join(str(part) for part in cell if not is_blank(part))
    return str(cell) if isinstance(cell, int | float) else cell


def _images(cells: list[Any]) -> Any:
    found: list[Any] = []
    for cell in cells:
        for image in cell if isinstance(cell, list | tuple) else [cell]:
            found += _pictures(image)
    return found if len(found) > 1 else found[0] if found else None


def _pictures(cell: Any) -> list[Any]:
    if isinstance(cell, Mapping) and cell.keys() <= {"bytes", "path"}:  # as Hugging Face data sets have them
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, str):
        return parts(cell)
    return [] if is_blank(cell) else [cell]
