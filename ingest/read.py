"""Any source as Items: opened by its format, each row cleaned or rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ingest.clean import clean
from ingest.sources import Columns, Source, detect, open_source
from mmrec.data.files import count_rows, read_items
from mmrec.data.rows import found, json_ready
from mmrec.errors import DataError
from mmrec.types import Item, Rejection


class Opened(NamedTuple):
    """A source that is about to be read.

    Attributes:
        rows: each row as an Item or a Rejection.
        total: counts the rows, roughly; it may have to read the file for it.
    """

    rows: Iterator[Item | Rejection]
    total: Callable[[], int | None]


def read_source(
    path: str | Path, *, format: str = "auto", columns: Columns | None = None, table: str | Path | None = None
) -> Iterator[Item | Rejection]:
    """Items of a file or folder: `shop.ingest(read_source("catalogue.csv", columns=Columns(id="sku")))`.

    Args:
        path: canonical file, table, folder of pictures, or a data set that `ingest.sources` knows.
        format: "items", "table", "images", "movielens", "fashion", or "auto" to find out.
        columns: what the columns of a table mean; what it leaves open is guessed.
        table: for a folder of pictures, the table that says more about them.

    Raises:
        DataError: the path cannot be read as that format, or an option has no meaning for it.
    """
    return open_rows(path, format=format, columns=columns, table=table).rows


def open_rows(
    path: str | Path, *, format: str = "auto", columns: Columns | None = None, table: str | Path | None = None
) -> Opened:
    """As `read_source`, with the number of rows for a progress bar.

    Raises:
        DataError: the path cannot be read as that format, or an option has no meaning for it.
    """
    if format == "auto" and table is None:
        format = detect(path, columns)
    if format == "items":
        if columns is not None or table is not None:
            raise DataError("a canonical file has no columns to choose: leave them out, or say 'table'")
        return Opened(read_items(path), lambda: count_rows(path))
    source = open_source(path, format=format, columns=columns, table=None if table is None else Path(table))
    return Opened(cleaned(source), lambda: source.total)


def cleaned(source: Source) -> Iterator[Item | Rejection]:
    """The rows of an open source (a table in memory: `ingest.sources.from_frame`) as Items."""
    for row in source:
        if isinstance(row, Rejection):
            yield _movable(row, source.folder)
        else:
            raw = {name: value for name, value in row.items() if name != "line"}
            yield clean(raw, line=row.get("line"), folder=source.folder)


def _movable(rejection: Rejection, folder: Path) -> Rejection:
    """With pictures that are found from anywhere, as the quarantine needs them."""
    if rejection.row is None:
        return rejection
    return replace(rejection, row=json_ready(found(rejection.row, folder)))
