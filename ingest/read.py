"""Any source as Items: opened by its format, each row cleaned or rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ingest.clean import clean
from ingest.sources import Columns, ReadOptions, Source, detect, open_canonical, open_source
from ingest.sources.records import Tally
from mmrec.data.files import count_rows, read_items
from mmrec.data.image_paths import ImagePaths
from mmrec.data.rows import found, json_ready
from mmrec.errors import DataError, Rejection
from mmrec.types import Item


class Opened(NamedTuple):
    """A source that is about to be read.

    Attributes:
        rows: each row as an Item or a Rejection.
        total: counts the rows, roughly; it may have to read the file for it.
        folder: where its pictures lie; None where each row has a folder of its own.
        notes: what was guessed, mended or left out, a sentence each; complete once the rows have been read.
    """

    rows: Iterator[Item | Rejection]
    total: Callable[[], int | None]
    folder: Path | None
    notes: Sequence[str] = ()


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
        path: canonical file, table, folder of pictures, or a data set that `ingest.sources` knows.
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


def open_rows(
    path: str | Path,
    *,
    format: str = "auto",
    columns: Columns | None = None,
    table: str | Path | None = None,
    image_root: str | Path | None = None,
    allow_outside: bool = False,
    options: ReadOptions | None = None,
) -> Opened:
    """As `read_source`, with what a progress bar and the quarantine want to know.

    Raises:
        DataError: the path cannot be read as that format, or an option has no meaning for it.
    """
    if format == "auto" and table is None:
        format = detect(path, columns, options)
    if format == "items":
        if columns is not None or table is not None:
            raise DataError("a canonical file has no columns to choose: leave them out, or say 'table'")
        return _canonical(path, options, image_root, allow_outside)
    source = open_source(
        path, format=format, columns=columns, table=None if table is None else Path(table), options=options
    )
    rows = cleaned(source, image_root=image_root, allow_outside=allow_outside)
    return Opened(rows, lambda: source.total, source.folder, source.notes)


def _canonical(
    path: str | Path, options: ReadOptions | None, image_root: str | Path | None, allow_outside: bool
) -> Opened:
    """The items of a canonical file; of one in JSON whatever its encoding and container."""
    source = open_canonical(path, options)
    if source is None:
        notes: list[str] = []
        items = read_items(path, image_root=image_root, allow_outside=allow_outside, notes=notes)
        return Opened(items, lambda: count_rows(path), Path(path).parent, notes)
    rows = cleaned(source, image_root=image_root, allow_outside=allow_outside)
    return Opened(rows, lambda: source.total, source.folder, source.notes)


def cleaned(
    source: Source, *, image_root: str | Path | None = None, allow_outside: bool = False
) -> Iterator[Item | Rejection]:
    """The rows of an open source (a table in memory: `ingest.sources.from_frame`) as Items.

    Args:
        image_root: as of `read_source`.
        allow_outside: as of `read_source`.
    """
    paths = ImagePaths(source.folder, image_root, allow_outside=allow_outside)
    tally, line = Tally(), None

    def told(what: str) -> None:
        tally.add(what, line or 0)

    for row in source:
        if not isinstance(row, Rejection):
            line = row.pop("line", None)
            yield clean(row, line=line, paths=paths, told=told)
        else:  # the quarantine needs paths that are found from anywhere
            yield row if row.row is None else replace(row, row=json_ready(found(row.row, paths)))
    tally.tell(source.notes)
    source.notes.extend(note for note in paths.notes() if note not in source.notes)
