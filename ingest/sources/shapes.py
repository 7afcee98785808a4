"""One record of columns as a row in canonical shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

from ingest.plain import (
    LIKE_THEMSELVES,
    Odd,
    plain_id,
    plain_item,
    plain_picture,
    plain_time,
    plain_value,
    plain_words,
    remembering,
)
from ingest.sources.columns import valid_names
from ingest.sources.extras import Extras
from ingest.sources.guesses import infer
from ingest.sources.names import is_total
from ingest.sources.pictures import in_columns, pictures
from ingest.sources.records import Record, Row, Tally
from ingest.sources.values import NOUNS, Reading, is_blank, list_parts, natural, says_nothing
from mmrec.data.cleaning import identifier
from mmrec.data.image_paths import ImagePaths
from mmrec.data.rows import rejected
from mmrec.errors import DataError, Rejection
from mmrec.types import Item, normal_id

_ADDED_AT, _NO_EXTRAS = "added_at", Extras()
_COMPARED = 100_000  # ids among which look-alikes are found
_SPOILT = re.compile(r"\d(?:[.,]\d+)?E\+\d+")  # how spreadsheets write long numbers
FLOAT_ID = re.compile(r"(\d+)[.,]0+")
_BEYOND = 2.0**53  # from here on neighbouring integers are one float
_ODD = (ValueError, ArithmeticError, TypeError)  # what a reader may raise for a cell


class _Part(NamedTuple):
    """One attribute: its name, its column, how it is read, and the name for its currency."""

    name: str
    column: str
    reading: Reading
    currency: str | None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where each part of an item stands.

    Attributes:
        id: column of the item's id.
        text: column by text field.
        attributes: column by attribute.
        readings: how cells are read, by column; a cell of another kind is left out and told, one of a column
            without a reading speaks for itself.
        image: columns of pictures.
        extras: those of sounds and embeddings.
        added_at: column of the date.
        seen: if given, all columns there were; one that turns up later becomes an attribute too.
        floats: whether ids such as 101.0 are whole numbers.
        called: what a column is called, before a valid name is made of it.
    """

    id: str
    text: Mapping[str, str]
    attributes: Mapping[str, str] = field(default_factory=dict)
    readings: Mapping[str, Reading] = field(default_factory=dict)
    image: tuple[str, ...] = ()
    extras: Extras = _NO_EXTRAS
    added_at: str | None = None
    seen: Collection[str] | None = None
    floats: bool = False
    called: Callable[[str], str] = str
    _walk: list[_Walk] = field(default_factory=list, repr=False)

    def walk(self, records: Iterator[Record], notes: list[str]) -> Iterator[Record]:
        """The records, to be shaped one by one; what was left out of them is added to `notes` at the end."""
        self._walk[:] = [_Walk()]
        yield from records
        self._walk[0].tally.tell(notes)

    def shape(self, record: Record) -> Row | Rejection:
        """The record in canonical shape; a Rejection holds it in that shape too, to be mended."""
        walk = self._walk[0] if self._walk else _Walk()
        cells, line = record.cells, record.line or 0
        item_id, problem = self._id(cells.get(self.id), walk, line)
        row: Row = {
            "item_id": item_id,
            "text": self._texts(cells, walk, line),
            "image": in_columns(cells, self.image),
            "attributes": self._values(self._parts, cells, walk, line),
            **self.extras.parts(cells),
        }
        if self.seen is not None and not self._seen.issuperset(cells):
            row["attributes"] |= self._values(self._late(cells), cells, walk, line)
        if _ADDED_AT in row["attributes"]:  # which no attribute is called
            row[_ADDED_AT] = row["attributes"].pop(_ADDED_AT)
        if isinstance(item_id, str) and not row["text"] and is_total(item_id):
            problem = f"{item_id!r} without any text looks like a line of totals: take it out of the table"
        if problem := record.problem or problem:
            return rejected(DataError(problem), row if cells else None, line=record.line)
        row["line"] = record.line
        return row

    def plain(self, record: Record, paths: ImagePaths | None, line: int | None) -> Item:
        """The Item of a record in which nothing is odd, as `shape` and `ingest.clean` make it.

        Args:
            record: one of the walk.
            paths: where its pictures may lie.
            line: that the item shall name.

        Raises:
            Odd: something about it wants a closer look.
        """
        cells, known_columns = record.cells, self.seen is None or self._seen.issuperset(record.cells)
        item_id = plain_id(cells.get(self.id))
        odd_id = self.floats and not item_id.isdigit()
        if record.problem or not known_columns or odd_id or self.extras.parts(cells):
            raise Odd(record)
        text, values, images = {}, {}, list[str]()
        for name, column in self.text.items():
            if (cell := cells.get(column)) is not None and (words := plain_words(_text(cell))):
                text[name] = words
        for name, column, known, read, currency in self._plain_parts:
            if (cell := cells.get(column)) is not None:
                value, found = known(cell) if type(cell) in LIKE_THEMSELVES else read(cell)
                if value is not None:
                    values[name] = value
                    if found:
                        values[currency] = found
        for column in self.image:
            if (cell := cells.get(column)) is not None:
                images.extend(one for one in _plain_pictures(cell, paths) if one not in images)
        if not text and is_total(item_id):
            raise Odd(record)
        if walk := self._walk:
            walk[0].compare(item_id, record.line or 0)
        return plain_item(item_id, text, images, values, values.pop(_ADDED_AT, None), line)

    @cached_property
    def _plain_parts(self) -> list[tuple[str, str, Callable[[Any], Any], Callable[[Any], Any], str]]:
        reads = [(part, partial(_plain_cell, part)) for part in self._parts]
        return [(one.name, one.column, remembering(read), read, one.currency or "") for one, read in reads]

    @cached_property
    def _parts(self) -> list[_Part]:
        names = dict(self.attributes)
        if self.added_at:
            names[_ADDED_AT] = self.added_at
        return [
            _Part(name, column, reading, f"{name}_currency" if reading.beside else None)
            for name, column in names.items()
            if (reading := self.readings.get(column) or _BY_CELL)
            and not (reading.beside and f"{name}_currency" in names)
        ]

    @cached_property
    def _seen(self) -> frozenset[str]:
        return frozenset(self.seen or ())

    def _late(self, cells: Mapping[str, Any]) -> list[_Part]:
        late = [column for column in cells if column not in self._seen]
        names = valid_names((*(self.seen or ()), *late), self.called)
        return [_Part(names[column], column, _BY_CELL, None) for column in late]

    def _values(
        self, parts: Sequence[_Part], cells: Mapping[str, Any], walk: _Walk, line: int
    ) -> dict[str, Any]:
        values = {}
        for name, column, reading, currency in parts:
            cell = cells.get(column)
            if is_blank(cell):
                continue
            try:
                value = reading.read(cell)
            except _ODD:
                noun = "a plain value" if reading is _BY_CELL else NOUNS[reading.kind]
                walk.odd(column, f"is not {noun}", cell, line)
                continue
            if value is None:
                if not says_nothing(cell):
                    walk.tally.add(f"column {column!r}: dates like {str(cell)[:20]!r} taken as absent", line)
                continue
            values[name] = value
            if currency is not None and reading.beside is not None and (found := reading.beside(cell)):
                values[currency] = found
        return values

    def _texts(self, cells: Mapping[str, Any], walk: _Walk, line: int) -> dict[str, str]:
        texts = {}
        for name, column in self.text.items():
            cell = cells.get(column)
            if is_blank(cell):
                continue
            text = _text(cell)
            if text is None:
                walk.odd(column, "is not a text", cell, line)
            else:
                texts[name] = text
        return texts

    def _id(self, cell: Any, walk: _Walk, line: int) -> tuple[Any, str | None]:
        """The id of a cell, and what is wrong with it."""
        if isinstance(cell, float) and abs(cell) >= _BEYOND:
            walk.tally.add("ids of 16 digits and more were held as floats, which rounds them", line)
        item_id = normal_id(identifier(natural(cell)))
        if not isinstance(item_id, str):
            return item_id, None
        if item_id[:1] == "'" and item_id[1:].isdigit():  # by which spreadsheets keep zeros in front
            item_id = item_id[1:]
        if _SPOILT.fullmatch(item_id):
            what = f"id {item_id!r} was spoilt by a spreadsheet, which shortened a long number"
            return item_id, f"{what}: format the column as text there, and export again"
        if self.floats and (whole := FLOAT_ID.fullmatch(item_id)):
            item_id = whole[1]
        walk.compare(item_id, line)
        return item_id, None


class _Walk:
    """What one walk through the records has met."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._told: dict[tuple[str, str], str] = {}
        self._ids: dict[str, str] = {}

    def odd(self, column: str, what: str, cell: Any, line: int) -> None:
        """A cell that is left out of its row."""
        key = (column, what)
        if key not in self._told:
            self._told[key] = f"column {column!r}: what {what} was left out, such as {cell!r:.60} (--types)"
        self.tally.add(self._told[key], line)

    def compare(self, item_id: str, line: int) -> None:
        """Ids that differ by case alone are told, both stay; and those that come again."""
        if len(self._ids) >= _COMPARED:
            return
        folded = item_id.casefold()
        before = self._ids.get(folded)
        if before is None:
            self._ids[folded] = item_id
        elif before == item_id:
            self.tally.add("ids stand in more than one row: the last one counts (--id)", line)
        else:
            self.tally.add("ids differ from others by capital letters alone: they are two items", line)


def _plain_cell(part: _Part, cell: Any) -> tuple[Any, Any]:
    """The value of a cell and its currency, None if it says nothing."""
    if is_blank(cell):
        return None, None
    try:
        value = part.reading.read(cell)
    except _ODD as error:
        raise Odd(cell) from error
    if value is None and not says_nothing(cell):
        raise Odd(cell)
    settled = plain_time(value) if part.name == _ADDED_AT else plain_value(value)
    beside = part.reading.beside if part.currency else None
    return settled, None if value is None or beside is None else plain_value(beside(cell))


def _plain_pictures(cell: Any, paths: ImagePaths | None) -> list[str]:
    try:
        return [plain_picture(cell, paths)]
    except Odd:  # several, perhaps
        return [] if is_blank(cell) else [plain_picture(one, paths) for one in pictures(cell)]


def _by_cell(cell: Any) -> Any:
    reading = infer("", [cell])
    if reading is None:
        raise ValueError(cell)
    return reading.read(cell)


_BY_CELL = Reading("category", _by_cell)


def _text(cell: Any) -> str | None:
    """Strings as they are, lists joined; None for what is neither."""
    if type(cell) is str and not cell.startswith("["):
        return cell
    cell = natural(cell)
    if isinstance(cell, str):
        parts = list_parts(cell) if cell.startswith("[") else None
        return cell if parts is None else _text(parts)
    if isinstance(cell, list | tuple):
        return ", ".join(t for part in cell if not is_blank(part) and (t := _text(part)) is not None)
    return str(cell) if isinstance(cell, int | float) else None
