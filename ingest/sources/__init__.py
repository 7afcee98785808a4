"""From outside formats to rows in canonical shape.

A row is a dict::

    {"item_id": str, "text": {field: str}, "image": path, URL, bytes, a list of them or None,
     "audio": the same of sounds, "embeddings": {field: [float]} (either may be absent),
     "attributes": {name: value}, "added_at": datetime (if known), "line": line or number of the row, or None}

Values that a source cannot judge stay as the file has them, and are checked when the `Item` is made. A row
that cannot be brought into this shape is a `Rejection`, which never stops the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from ingest.plain import Odd, canonical_item
from ingest.sources import fashion, grouplens, movielens
from ingest.sources.columns import Columns
from ingest.sources.containers import PACKED, TABLES, Content
from ingest.sources.fashion import open_fashion
from ingest.sources.folders import open_folder, walk
from ingest.sources.frames import from_frame
from ingest.sources.log_columns import LogColumns
from ingest.sources.logs import Log, open_log
from ingest.sources.movielens import open_movielens, open_ratings
from ingest.sources.records import Record, Row, Rows
from ingest.sources.several import Given, Unread, alike, hive, joined, local, noted, open_tables, parts_of
from ingest.sources.sniffing import ReadOptions
from ingest.sources.tables import TableFile, open_table, parquet_file, table_file
from mmrec.data.formats import parquet_rows
from mmrec.data.image_paths import ImagePaths
from mmrec.data.rows import ITEM_KEYS, rejected
from mmrec.errors import DataError, Rejection
from mmrec.types import Item

__all__ = [
    "Columns", "Format", "LogColumns", "ReadOptions", "Source", "detect", "from_frame", "open_canonical",
    "open_interactions", "open_logs", "open_source",
]

Format = Literal["items", "table", "images", "movielens", "fashion"]
FORMATS: tuple[Format, ...] = get_args(Format)
_READABLE = (
    "a table (CSV, TSV, Excel, JSON, JSON lines, XML, HTML, Parquet; also packed by gzip, zip, zstd, bzip2 or"
    " xz), a folder of pictures, or a MovieLens folder or zip"
)
_PEEKED = 100  # first rows in which a sound one must be found


class Source(Protocol):
    """Rows of one origin; it may be walked through several times, in the same order."""

    @property
    def format(self) -> str:
        """The kind of source, as `detect` names it; "frame" for a table in memory."""

    @property
    def folder(self) -> Path:
        """Where relative paths of pictures begin."""

    @property
    def total(self) -> int | None:
        """Rows to come, rejections among them, if it can be known."""

    @property
    def columns(self) -> Columns | None:
        """The mapping in use, said or guessed; None where the format leaves nothing open."""

    @property
    def notes(self) -> list[str]:
        """What was guessed, mended or left out, a sentence each; complete once the rows have been read."""

    def __iter__(self) -> Iterator[dict[str, Any] | Rejection]:
        """The rows."""


def detect(
    path: str | Path, columns: Columns | None = None, options: ReadOptions | None = None
) -> Format:
    """The kind of source at a path, by its content: "items" is mmrec's own file, read by `mmrec.read_items`.

    With `columns`, a file is a table whatever it looks like.

    Args:
        path: a file, a folder, or "-" for standard input.
        columns: as of `open_source`.
        options: as of `open_source`.

    Raises:
        DataError: nothing is there, or nothing fits it.
    """
    path = local(path).path
    if path.is_dir():
        return _detect_folder(path)
    if not path.is_file():
        raise DataError(f"{path} is not there: check the path. Readable are {_READABLE}")
    if path.name in ("u.item", "movies.dat") or (path.suffix == ".zip" and grouplens.holds(path)):
        return "movielens"
    if columns is not None:
        return "table"
    return _detect_table(table_file(path, options=options), path.name)


def open_source(
    path: str | Path, *, format: str = "auto", columns: Columns | None = None, table: Path | None = None,
    options: ReadOptions | None = None,
) -> Source:
    """A source of any kind but "items", which `mmrec.read_items` reads.

    Args:
        path: a file or folder, or "-" for standard input.
        format: a kind as `detect` names it, or "auto" to find out.
        columns: what the columns of a table mean; what it leaves open is guessed.
        table: for a folder of pictures, the table that says more about them.
        options: how the file of a table is written; what it leaves open is found out.

    Raises:
        DataError: the path cannot be read as that format, or an option has no meaning for it.
    """
    path = local(path).path
    if format == "auto":
        format = "images" if table is not None else detect(path, columns, options)
    if table is not None and format != "images":
        raise DataError(f"a table beside the source is for format 'images', not {format!r}: leave it out")
    if columns is not None and format != "table" and table is None:
        raise DataError(f"columns are for tables, {format!r} has none to choose: leave them out")
    if format == "table":
        parts = parts_of(path) if path.is_dir() else [path] if hive(path)[0] else []
        if parts or path.is_dir():
            return open_tables([local(part) for part in parts], columns, options)
        return open_table(path, columns, options)
    if format == "images":
        return open_folder(path, table=table, columns=columns)
    if format == "movielens":
        return open_movielens(path)
    if format == "fashion":
        return open_fashion(path)
    hint = "read it with mmrec.read_items" if format == "items" else f"use one of {', '.join(FORMATS[1:])}"
    raise DataError(f"there is no source of format {format!r}: {hint}")


def open_canonical(path: str | Path, options: ReadOptions | None = None) -> Rows | None:
    """The rows of mmrec's own file, as they are; None for what is neither JSON nor Parquet.

    Raises:
        DataError: the path cannot be read.
    """
    path = local(path).path
    file = table_file(path, options=options)
    if file.kind not in ("json", "parquet"):
        return None
    records = file.records if file.kind == "json" else partial(_canonical_records, file.content)
    return Rows("items", path.parent, records, _as_it_is, size=file.size, notes=file.notes, plain=_canonical)


def _canonical_records(content: Content) -> Iterator[Record]:
    with parquet_file(content) as file:
        for number, row in parquet_rows(file, ITEM_KEYS):
            problem = row.reason if isinstance(row, Rejection) else None
            yield Record((row.row or {}) if isinstance(row, Rejection) else row, number, problem)


def _canonical(record: Record, paths: ImagePaths | None, line: int | None) -> Item:
    if record.problem is not None:
        raise Odd(record.problem)
    return canonical_item(record.cells, paths, line)


def _as_it_is(record: Record) -> Row | Rejection:
    if record.problem is None:
        return {**record.cells, "line": record.line}
    row = record.cells or ({} if record.raw is None else {"unparsed": record.raw})
    return rejected(DataError(record.problem), row or None, line=record.line)


def open_interactions(
    path: str | Path, *, format: str = "auto", columns: LogColumns | None = None,
    options: ReadOptions | None = None, weighed: Collection[str] = (),
) -> Log:
    """Interactions of a file of any columns ("interactions"), or ratings of "movielens"; "auto" finds out.

    Args:
        path: a file, a folder of parts or of MovieLens; "-" for standard input.
        format: see above.
        columns: what the columns mean; what it leaves open is guessed.
        options: how the file is written; what it leaves open is found out.
        weighed: kinds to which the settings of the store give a weight.

    Raises:
        DataError: the path cannot be read as that format.
    """
    path = local(path).path
    if path.is_dir() and format != "movielens" and (parts := parts_of(path, pictures=True)):
        delimiter = columns.delimiter if columns else None
        files = {local(part): table_file(part, delimiter, options) for part in parts}
        return open_log(joined(files), columns, options, weighed=weighed)
    if format == "auto":
        format = "movielens" if columns is None and _are_ratings(path) else "interactions"
    if format == "movielens":
        return Log(LogColumns(), open_ratings(path), [])
    if format == "interactions":
        return open_log(path, columns, options, weighed=weighed)
    raise DataError(f"no interactions are of format {format!r}: use 'interactions', 'movielens' or 'auto'")


def open_logs(
    several: Sequence[Given], *, format: str = "auto", columns: LogColumns | None = None,
    options: ReadOptions | None = None, weighed: Collection[str] = (), unread: Unread | None = None,
) -> list[Log]:
    """As `open_interactions`, of several: like tables are one log.

    Args:
        unread: gets what cannot be read, and why; None raises that.
    """
    logs: list[Log] = []
    tables: list[Given] = []
    for given in several:
        with noted(unread, given.name):
            alone = given.path.is_dir() or format == "movielens"
            if alone or (format == "auto" and columns is None and _are_ratings(given.path)):
                logs.append(open_interactions(
                    given.path, format=format, columns=columns, options=options, weighed=weighed
                ))
            else:
                tables.append(given)
    for files in alike(tables, columns.delimiter if columns else None, options, unread):
        with noted(unread, *(given.name for given in files)):
            logs.append(open_log(joined(files, unread), columns, options, weighed=weighed))
    return logs


def _detect_folder(folder: Path) -> Format:
    known = [folder / name for name in (movielens.ITEMS, fashion.ARTICLES) if (folder / name).is_file()]
    for file in known:
        if (found := _detect_table(table_file(file), file.name)) in ("movielens", "fashion"):
            return found
    if grouplens.holds(folder):
        return "movielens"
    packed = tuple(f"{table}{pack}" for table in TABLES for pack in ("", *PACKED))
    tables = sorted(file.name for file in folder.iterdir() if file.name.lower().endswith(packed))
    pictures = any(True for _ in walk(folder))
    if parts_of(folder, pictures=pictures):
        return "table"
    if tables:
        also = ", or say format 'images' for the pictures alone" if pictures else ""
        raise DataError(
            f"{folder} holds {', '.join(tables)[:200]}: give the path of the table itself, or several{also}"
        )
    if pictures:
        return "images"
    raise DataError(f"{folder} holds neither pictures nor a known data set. Readable are {_READABLE}")


def _detect_table(file: TableFile, name: str) -> Format:
    if file.kind == "json" and b"item_id" not in file.content.head().replace(b"\0", b""):
        return "table"  # known without parsing a long document
    cells = _peek(file)
    columns = cells.keys()
    if file.kind == "csv":
        if name == "movies.csv" and columns == movielens.FILM_COLUMNS:
            return "movielens"
        return "fashion" if name.endswith(".csv") and columns >= fashion.ARTICLE_KEYS else "table"
    if file.kind not in ("json", "parquet"):
        return "table"
    if "item_id" in cells and columns <= set(ITEM_KEYS) and not isinstance(cells.get("text"), str):
        return "items"
    if name.endswith(".jsonl"):
        return "movielens" if columns >= movielens.KEYS else "fashion" if columns >= fashion.KEYS else "table"
    return "table"


def _peek(file: TableFile) -> Mapping[str, Any]:
    """Cells of the first row that can be read."""
    first = islice(file.records(), _PEEKED)
    return next((record.cells for record in first if record.problem is None), {})


def _are_ratings(path: Path) -> bool:
    if path.is_dir() or path.name in grouplens.FILES or (path.suffix == ".zip" and grouplens.holds(path)):
        return True
    if path.suffix != ".parquet" or not path.is_file():
        return False
    with parquet_file(path) as file:
        return set(movielens.RATING_COLUMNS) <= set(file.schema_arrow.names)
