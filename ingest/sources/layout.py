"""From the records of a table, frame or data set to rows in canonical shape: the one way for all."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ingest.sources.columns import Columns, Sample, settle, valid_names
from ingest.sources.exported import Exported
from ingest.sources.extras import Extras
from ingest.sources.guesses import infer
from ingest.sources.objects import Flattening, flattening
from ingest.sources.records import Record, Rows
from ingest.sources.shapes import FLOAT_ID, Layout
from ingest.sources.shop_systems import recognised
from ingest.sources.values import FIXED, TYPED, Dialect, Hints, is_blank, natural
from ingest.sources.variants import Variants, variants
from mmrec.errors import DataError

__all__ = ["SAMPLED", "Layout", "known", "table"]

SAMPLED = 1_000  # first rows that decide what the columns hold


def table(
    format: str, folder: Path, records: Callable[[], Iterator[Record]], *, origin: str,
    columns: Columns | None = None, size: int | None = None, notes: list[str] | None = None,
    dialect: Dialect = TYPED,  # noqa: ARG001 - strings are read alike in all formats
) -> Rows:
    """A source of records whose columns are mapped as `columns` says, or as their first rows suggest.

    Args:
        notes: the list in which the source tells what it guessed; a new one if None.

    Raises:
        DataError: there are no rows in `origin` (the table's name), or the mapping does not fit them.
    """
    notes, columns = [] if notes is None else notes, columns or Columns()
    first = _first(records(), origin)
    told, exported = list[str](), _exported(records, first, columns)
    if exported:
        records, columns, size = exported.records, exported.columns, None if exported.grouped else size
        first, told = _first(records(), origin), exported.notes()
    flattened = flattening(first, columns.image)
    told += flattened.notes
    if flattened.columns:
        records, first = partial(_flat, flattened, records), list(map(flattened.flat, first))
    part, called = (exported.part, exported.name_of) if exported else _own_form(first)
    kinds = exported.kinds(first) if exported else {}
    hints = replace(columns.hints, types={**kinds, **(columns.hints.types or {})})
    sample = _sample(first, origin, hints, called)
    guesses = list[str]()
    chosen = settle(columns, sample, guesses, part)
    if exported is None and (joined := variants(first, chosen, sample)):
        told.append(joined.note)
        records, size = partial(_joined, joined, records), None
        sample, guesses = _sample(list(joined.records(first)), origin, columns.hints, called), []
        chosen = settle(columns, sample, guesses)
    told += guesses
    layout = _layout(chosen, sample, columns, told, called)
    notes += told
    return Rows(
        format, folder, lambda: layout.walk(records(), notes), layout.shape, columns=chosen, size=size,
        notes=notes, plain=layout.plain,
    )


def _exported(
    records: Callable[[], Iterator[Record]], first: list[Record], columns: Columns
) -> Exported | None:
    """The records as those of a shop system's export, if their columns are."""
    export = recognised(frozenset(name for record in first for name in record.cells))
    return Exported(export, records, first, columns) if export else None


def _own_form(first: Sequence[Record]) -> tuple[Callable[[str], str | None], Callable[[str], str]]:
    """Which part columns are and what they are called, where rows have mmrec's own form and more."""
    if not all("item_id" in record.cells for record in first):
        return (lambda _: None), str
    parts = {"text": "text", "attributes": "attribute"}
    return (
        lambda column: parts.get(column.partition(".")[0]),
        lambda column: column.partition(".")[2] if column.startswith(("text.", "attributes.")) else column,
    )


def _flat(flattened: Flattening, records: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    return map(flattened.flat, records())


def _joined(joined: Variants, records: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    return joined.records(records())


def known(
    format: str, folder: Path, layout: Layout, records: Callable[[], Iterator[Record]], *, origin: str
) -> Rows:
    """A source of records whose columns are fixed.

    Raises:
        DataError: there are no rows in `origin`, or none that can be read.
    """
    _first(records(), origin)
    notes: list[str] = []
    return Rows(
        format, folder, lambda: layout.walk(records(), notes), layout.shape, notes=notes, plain=layout.plain
    )


def _layout(
    chosen: Columns, sample: Sample, columns: Columns, told: list[str], called: Callable[[str], str]
) -> Layout:
    names = valid_names(sample.cells, called)
    used = [*(chosen.attributes or ()), *([chosen.added_at] if chosen.added_at else [])]
    readings = {column: reading for column in used if (reading := sample.readings.get(column)) is not None}
    if chosen.added_at and readings.get(chosen.added_at, FIXED["date"]).kind != "date":
        readings[chosen.added_at] = FIXED["date"]  # it was named: what is no date is left out
    notes: dict[str, list[str]] = {}
    for column, reading in readings.items():
        if reading.note:
            notes.setdefault(reading.note, []).append(column)
    told += [
        f"{', '.join(map(repr, named))}: {_named(note, named[0], names)}" for note, named in notes.items()
    ]
    alike = [column for column, base in names.items() if base != valid_names([column], called)[column]]
    told += [f"column {column!r} is called {names[column]!r}, for another has its name" for column in alike]
    ids = [str(natural(cell)).strip() for cell in sample.cells.get(chosen.id or "", ())]
    written = [one for one in ids if FLOAT_ID.fullmatch(one)]
    floats = bool(written) and all(one.isdigit() or FLOAT_ID.fullmatch(one) for one in ids)
    if floats := floats and (columns.types or {}).get(chosen.id or "") != "category":
        told.append(f"ids such as {written[0]} are whole numbers (--types {chosen.id}=category keeps them)")
    return Layout(
        id=chosen.id or "",
        text={names[column]: column for column in chosen.text or ()},
        attributes={names[column]: column for column in chosen.attributes or ()},
        readings=readings,
        image=chosen.image or (),
        extras=Extras(chosen.audio or (), chosen.embeddings or {}),
        added_at=chosen.added_at,
        seen=dict.fromkeys(sample.cells) if columns.attributes is None else None,
        floats=floats,
        called=called,
    )


def _named(note: str, column: str, names: Mapping[str, str]) -> str:
    """A note with the name of a column, as its flag or its attribute has it, where it says NAME."""
    for part, name in (("NAME_currency", f"{names[column]}_currency"), ("NAME=", f"{shlex.quote(column)}=")):
        note = note.replace(part, name)
    return note


def _first(records: Iterator[Record], origin: str) -> list[Record]:
    """The sound ones of the first records."""
    first = list(islice(records, SAMPLED))
    if not first:
        raise DataError(f"{origin} has no rows: it is empty, or a header alone")
    sound = [record for record in first if record.problem is None]
    if not sound:
        raise DataError(f"{origin}: no row can be read; the first, line {first[0].line}: {first[0].problem}")
    return sound


def _sample(
    first: Sequence[Record], origin: str, hints: Hints, called: Callable[[str], str]
) -> Sample:
    cells: dict[str, list[Any]] = {}
    for record in first:
        for name, cell in record.cells.items():
            column = cells.setdefault(name, [])
            if not (is_blank(cell) or isinstance(cell, Exception)):  # which stands for what cannot be read
                column.append(cell)
    known, names = hints.known or {}, valid_names(cells, called)
    hints = replace(hints, known={name: known[names[name]] for name in cells if names[name] in known})
    readings = {name: infer(name, column, hints) for name, column in cells.items() if column}
    return Sample(origin, len(first), cells, readings)
