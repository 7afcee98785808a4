"""What all sources are made of: records as their files hold them, and the class that reads them."""

from __future__ import annotations

import csv
import gzip
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO, cast

from ingest.sources.columns import Columns
from mmrec.errors import DataError
from mmrec.types import MAX_TEXT, Rejection

Row = dict[str, Any]
MAX_LINE = 16 * 2**20  # characters of one line of a text file
_DAMAGED = (  # what zipfile and gzip raise
    zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error, EOFError, NotImplementedError,
    UnicodeDecodeError,
)
_TOO_LONG = "\0\n"  # stands for a longer line: no row may hold a NUL
_NO_TEXT = re.compile(r"[\ud800-\udfff\0]")
_SAVE_AS_UTF8 = (
    "save the file as UTF-8, for example `iconv -f latin1 -t utf-8 OLD > NEW`"
    " (Latin-1 is the encoding of many older files)"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One row as its file holds it.

    Attributes:
        cells: values by column name; strings alone where the format has no types.
        line: line of the file where the row begins, number of the row in a Parquet file or frame (1-based).
        problem: why the row cannot be read, if it cannot.
    """

    cells: Mapping[str, Any]
    line: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Rows:
    """A source: the records of any origin, each brought into canonical shape or rejected.

    Attributes:
        format: the kind of source, as `detect` names it.
        folder: where relative paths of pictures begin.
        records: a fresh walk through the records; it may be taken several times.
        shape: one record as canonical row.
        columns: the mapping in use, where the format leaves one open.
        size: number of records, where the format says it.
    """

    format: str
    folder: Path
    records: Callable[[], Iterator[Record]]
    shape: Callable[[Record], Row | Rejection]
    columns: Columns | None = None
    size: int | None = None

    @cached_property
    def total(self) -> int:
        """Rows to come, rejections among them; a text file is read through once to count them."""
        return sum(1 for _ in self.records()) if self.size is None else self.size

    def __iter__(self) -> Iterator[Row | Rejection]:
        return map(self.shape, self.records())


@contextmanager
def reading(path: object) -> Iterator[None]:
    """Errors of the disk and of packed files as ours."""
    try:
        yield
    except _DAMAGED as error:
        raise DataError(f"{path} is damaged or not what its name says: {error}. Fetch it again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}. Check path and rights") from error


@contextmanager
def text_file(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text file, plain or `.gz`; bytes that are no UTF-8 become lone surrogates (see `unreadable`).

    Raises:
        DataError: it cannot be read.
    """
    opener = cast(Callable[..., TextIO], gzip.open if path.suffix.lower() == ".gz" else open)
    text = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
    with reading(path), opener(path, "rt", **text) as file:
        yield file


def lines(file: TextIO) -> Iterator[str]:
    """Lines with their ends; one of more than `MAX_LINE` characters becomes a NUL, which no row may hold."""
    while line := file.readline(MAX_LINE):
        if len(line) < MAX_LINE or line.endswith("\n"):
            yield line
            continue
        while (rest := file.readline(MAX_LINE)) and not rest.endswith("\n"):
            pass
        yield _TOO_LONG


def unreadable(text: str) -> str | None:
    """Why a line or cell is no text, if it is not."""
    if (text.isascii() and "\0" not in text) or not (found := _NO_TEXT.search(text)):
        return None
    if found[0] == "\0":
        return f"the row holds a NUL, or a line of more than {MAX_LINE:,} characters: is this a text file?"
    byte = ord(found[0]) - 0xDC00
    return f"the row is not UTF-8 (byte {byte:#04x} after {text[: found.start()][-20:]!r}): {_SAVE_AS_UTF8}"


def csv_rows(file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    """Rows of a CSV file as (line where it begins, cells, problem); blank lines are passed over."""
    # One setting for the whole process; it also bounds what an open quote can swallow.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_TEXT))
    reader = csv.reader(lines(file), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, [], f"the row is not valid CSV: {error}. Check its quotes"
            continue
        if cells:
            yield line, cells, next(filter(None, map(unreadable, cells)), None)
