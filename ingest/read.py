"""Any source as Items, or several together: opened by its format, each row cleaned or rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ingest.clean import clean
from ingest.plain import Odd
from ingest.sources import Columns, ReadOptions, Source, detect, open_canonical, open_source
from ingest.sources.records import Row, Rows, Tally
from ingest.sources.several import Given, Line, Unread, alike, local, noted, table_of
from ingest.sources.values import Kind
from mmrec.data.files import count_rows, read_items
from mmrec.data.image_paths import ImagePaths
from mmrec.data.rows import found, json_ready
from mmrec.errors import DataError, Rejection
from mmrec.types import Item

_SHOWN = 6  # columns of a kind named in a sentence
_FORMATS = {
    "items": "mmrec's own format", "images": "a folder of pictures", "movielens": "MovieLens",
    "fashion": "articles of H&M",
}
_KINDS = {
    "csv": "CSV", "json": "JSON", "xml": "XML", "page": "HTML", "workbook": "Excel", "parquet": "Parquet",
}


class Opened(NamedTuple):
    """A source that is about to be read.

    Attributes:
        rows: each row as an Item or a Rejection.
        total: counts the rows, roughly; it may have to read the file for it.
        folder: where its pictures lie; None where each row has a folder of its own.
        notes: what was guessed, mended or left out, a sentence each; complete once the rows have been read.
        how: a sentence for each table or data set in it: as what it is read.
    """

    rows: Iterator[Item | Rejection]
    total: Callable[[], int | None]
    folder: Path | None
    notes: list[str]
    how: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a source is to be read; `read_source` explains all but `known`.

    Attributes:
        known: kinds of attributes in the store that the rows go to, by name.
    """

    format: str = "auto"
    columns: Columns | None = None
    table: str | Path | None = None
    image_root: str | Path | None = None
    allow_outside: bool = False
    options: ReadOptions | None = None
    known: Mapping[str, Kind] | None = None

    @property
    def of_tables(self) -> Columns:
        """What the columns of a table mean, and what the store has them hold."""
        return replace(self.columns or Columns(), known=self.known)


def read_source(
    path: str | Path,
    *,
    format: str = "auto",
    columns: Columns | None = None,
    table: str | Path | None = None,
    image_root: str | Path | None = None,
    allow_outside: bool = False,
    options: ReadOptions | None = None,
) -> Iterator[Item | Rejection]:
    """Items of a file or folder: `shop.ingest(read_source("catalogue.csv", columns=Columns(id="sku")))`.

    Args:
        path: canonical file, table, folder of pictures, or a data set that `ingest.sources` knows; "-" is
            standard input.
        format: "items", "table", "images", "movielens", "fashion", or "auto" to find out.
        columns: what the columns of a table mean; what it leaves open is guessed.
        table: for a folder of pictures, the table that says more about them.
        image_root: a folder in which pictures may lie besides the source's own; a relative path that leads to
            nothing in the source's folder begins there.
        allow_outside: whether pictures may lie anywhere on this machine: only for a source that you trust.
        options: how the file of a table is written; what it leaves open is found out.

    Raises:
        DataError: the path cannot be read as that format, or an option has no meaning for it.
    """
    return open_rows(
        path, format=format, columns=columns, table=table, image_root=image_root, allow_outside=allow_outside,
        options=options,
    ).rows


def open_rows(path: str | Path, **manner: Any) -> Opened:
    """As `read_source`, with what a progress bar and the quarantine want to know.

    Raises:
        DataError: the path cannot be read as that format, or an option has no meaning for it.
    """
    return open_given(local(path), Manner(**manner))


def open_several(several: Sequence[Given], manner: Manner, unread: Unread | None) -> Opened:
    """Sources one after another; tables with like columns are one. The line of each row is a `Line`.

    Args:
        several: to be read.
        manner: how; columns that are named must be in each table.
        unread: gets the sources that cannot be read, some of them only at their end, and why; None raises it.

    Raises:
        DataError: none of them can be read.
    """
    opened: dict[str, Opened] = {}
    tables: list[Given] = []
    for given in several:
        with noted(unread, given.name):
            format = detect(given.path, manner.columns, manner.options) if _is_open(manner) else manner.format
            if format == "table" and given.path.is_file():
                tables.append(given)
            else:
                opened[given.name] = open_given(given, replace(manner, format=format), lined=True)
    delimiter = manner.columns.delimiter if manner.columns else None
    for files in alike(tables, delimiter, manner.options, unread):
        first, *more = (given.name for given in files)
        with noted(unread, first, *more):
            name = f"{first} and {len(more)} more" if more else first
            opened[name] = _opened(name, table_of(files, manner.of_tables, unread), manner)
    if not opened:
        raise DataError("; ".join((unread or {"": "no source is given"}).values()))
    notes: list[str] = []
    how = [sentence for one in opened.values() for sentence in one.how]
    return Opened(_chained(opened, notes, unread), lambda: _counted(opened, unread), None, notes, how)


def _chained(
    opened: Mapping[str, Opened], notes: list[str], unread: Unread | None
) -> Iterator[Item | Rejection]:
    for name, one in opened.items():
        with noted(unread, name):
            yield from one.rows
        notes += one.notes if len(opened) == 1 else [f"{name}: {note}" for note in one.notes]


def _counted(opened: Mapping[str, Opened], unread: Unread | None) -> int:
    count = 0
    for name, one in opened.items():
        with noted(unread, name):
            count += one.total() or 0
    return count


def _is_open(manner: Manner) -> bool:
    return manner.format == "auto" and manner.table is None


def open_given(given: Given, manner: Manner, *, lined: bool = False) -> Opened:
    """One source.

    Args:
        given: where it lies.
        manner: how it is read.
        lined: whether the line of a row shall be a `Line`.

    Raises:
        DataError: as `open_rows`.
    """
    format = detect(given.path, manner.columns, manner.options) if _is_open(manner) else manner.format
    source: Source | None
    if format == "items":
        if manner.columns is not None or manner.table is not None:
            raise DataError("a canonical file has no columns to choose: leave them out, or say 'table'")
        source = open_canonical(given.path, manner.options)
    else:
        source = open_source(
            given.path, format=format, columns=manner.of_tables if format == "table" else manner.columns,
            table=None if manner.table is None else Path(manner.table), options=manner.options,
        )
    if source is None:
        return _canonical(given, manner, lined)
    if given.name == str(given.path):
        return _opened(given.name, source, manner, given if lined else None)
    if isinstance(source, Rows):
        source = replace(source, folder=given.folder or source.folder)
    return _opened(given.name, source, manner, given if lined else None)._replace(folder=given.folder)


def _opened(name: str, source: Source, manner: Manner, given: Given | None = None) -> Opened:
    rows = cleaned(source, image_root=manner.image_root, allow_outside=manner.allow_outside, given=given)
    return Opened(rows, lambda: source.total, source.folder, source.notes, [_how(name, source)])


def _canonical(given: Given, manner: Manner, lined: bool) -> Opened:
    """A canonical file of JSON so damaged that it does not look like it."""
    notes: list[str] = []
    items = read_items(
        given.path, image_root=manner.image_root, allow_outside=manner.allow_outside, notes=notes
    )
    rows = (replace(row, line=Line(row.line, given)) for row in items) if lined else items
    how = f"read {given.name} as {_FORMATS['items']}"
    return Opened(rows, lambda: count_rows(given.path), given.folder, notes, [how])


def _how(name: str, source: Source) -> str:
    """As what a source is read."""
    what = _FORMATS.get(source.format, f"a table ({_KINDS.get(getattr(source, 'kind', ''), 'frame')})")
    if (columns := source.columns) is None:
        return f"read {name} as {what}"
    parts = {
        "id": (columns.id,), "text": columns.text, "pictures": columns.image, "sounds": columns.audio,
        "embeddings": [*(columns.embeddings or ())],
        "attributes": columns.attributes, "date": (columns.added_at,),
    }
    told = [f"{part} {_listing(names)}" for part, names in parts.items() if names and any(names)]
    return f"read {name} as {what}: {'; '.join(told)}"


def _listing(names: Sequence[str | None]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"{name!r}" for name in names[:_SHOWN]) + more


def cleaned(
    source: Source, *, image_root: str | Path | None = None, allow_outside: bool = False,
    given: Given | None = None,
) -> Iterator[Item | Rejection]:
    """The rows of an open source (a table in memory: `ingest.sources.from_frame`) as Items.

    Args:
        source: the rows; those of several files have pictures in the folders of these.
        image_root: as of `read_source`.
        allow_outside: as of `read_source`.
        given: where the source lies, if the lines of its rows shall say so.
    """
    cleaner = _Cleaner(source, image_root, allow_outside, given)
    plain = source.plain if isinstance(source, Rows) else None
    if plain is None or not isinstance(source, Rows):
        yield from map(cleaner, source)
    else:
        for record in source.records():
            line = record.line if given is None else Line(record.line, given)
            try:
                item: Item | Rejection = plain(record, cleaner.paths(line), line)
            except Odd:
                item = cleaner(source.shape(record))
            yield item
    cleaner.tell()


class _Cleaner:
    """Makes Items of rows, and keeps count of what it mended."""

    def __init__(
        self, source: Source, image_root: str | Path | None, allow_outside: bool, given: Given | None
    ) -> None:
        self.source, self.given = source, given
        self._allowed = partial(ImagePaths, allow_outside=allow_outside)
        self._root, self._line, self._tally = image_root, 0, Tally()
        self._places: dict[Path, ImagePaths] = {}
        self._place: tuple[Path, ImagePaths] | None = None  # the last

    def __call__(self, row: Row | Rejection) -> Item | Rejection:
        line = row.line if isinstance(row, Rejection) else row.pop("line", None)
        line = line if self.given is None else Line(line, self.given)
        if isinstance(row, Rejection):  # the quarantine needs paths that are found from anywhere
            raw = None if row.row is None else json_ready(found(row.row, self.paths(line)))
            return replace(row, line=line, row=raw)
        self._line = line or 0
        return clean(row, line=line, paths=self.paths(line), told=self._told)

    def paths(self, line: int | None) -> ImagePaths:
        """Where the pictures of a row may lie."""
        folder = self.source.folder
        if self.given is None and isinstance(line, Line):
            folder = line.given.pictures
        if self._place is None or self._place[0] is not folder:
            if folder not in self._places:
                self._places[folder] = self._allowed(folder, self._root)
            self._place = folder, self._places[folder]
        return self._place[1]

    def tell(self) -> None:
        """Adds what was mended to the notes of the source."""
        self._tally.tell(self.source.notes)
        notes = [note for place in self._places.values() for note in place.notes()]
        self.source.notes.extend(note for note in notes if note not in self.source.notes)

    def _told(self, what: str) -> None:
        self._tally.add(what, self._line)
