"""What all sources are made of: records as their files hold them, and the class that reads them."""

from __future__ import annotations

import gzip
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from ingest.sources.columns import Columns
from mmrec.data.image_paths import ImagePaths
from mmrec.errors import DataError, Rejection
from mmrec.types import Item

Row = dict[str, Any]
MAX_LINE = 64 * 2**20  # characters of one line of a text file
_DAMAGED = (  # what zipfile and gzip raise
    zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error, EOFError,
    NotImplementedError, UnicodeDecodeError,
)
TOO_LONG = "\0too long\n"  # stands for a line of more characters
_UNDECODED = re.compile(r"[\udc80-\udcff]")  # as the error handler surrogateescape leaves them


@dataclass(slots=True)  # not frozen: one is made for every row, and freezing triples its cost
class Record:
    """One row as its file holds it.

    Attributes:
        cells: values by column name; strings alone where the format has no types.
        line: line of the file where the row begins, number of the row in a Parquet file or frame (1-based).
        problem: why the row cannot be read, if it cannot.
        raw: what stands in the file, where no cells could be made of it.
    """

    cells: Mapping[str, Any]
    line: int | None = None
    problem: str | None = None
    raw: str | None = None


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
        notes: what was guessed, mended or left out, a sentence each; complete once the rows have been read.
        kind: of the file, as `table_file` names it; empty where there is none.
        plain: the Item of a record in which nothing is odd, given the line that it shall name; raises
            `ingest.plain.Odd` for others, which are shaped and cleaned. None if all are.
    """

    format: str
    folder: Path
    records: Callable[[], Iterator[Record]]
    shape: Callable[[Record], Row | Rejection]
    columns: Columns | None = None
    size: int | None = None
    notes: list[str] = field(default_factory=list)
    kind: str = ""
    plain: Callable[[Record, ImagePaths, int | None], Item] | None = None

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


class Tally:
    """What was mended on one walk through a file; told once, when the walk has come to its end."""

    def __init__(self) -> None:
        self._seen: dict[str, list[int]] = {}

    def say(self, what: str) -> None:
        """Tell something of the whole file, which is not counted."""
        self._seen.setdefault(what, [0, 0])

    def add(self, what: str, line: int) -> None:
        """Count a mended row: "short rows were filled up" in line 7."""
        count_and_first = self._seen.setdefault(what, [0, line])
        count_and_first[0] += 1

    def count(self) -> int:
        """All that was mended so far."""
        return sum(count for count, _ in self._seen.values())

    def tell(self, notes: list[str]) -> None:
        """Add a sentence for each kind; another walk through the same file adds none."""
        for what, (count, first) in self._seen.items():
            counted = f": {count:,} time{'s' * (count > 1)}, first in line {first:,}" if count else ""
            sentence = f"{what}{counted}"
            if sentence not in notes:
                notes.append(sentence)


def lines(file: TextIO) -> Iterator[str]:
    """Lines with their ends; one of more than `MAX_LINE` characters becomes `TOO_LONG`."""
    while line := file.readline(MAX_LINE):
        if len(line) < MAX_LINE or line.endswith(("\n", "\r")):
            yield line
            continue
        while (rest := file.readline(MAX_LINE)) and not rest.endswith(("\n", "\r")):
            pass
        yield TOO_LONG


def mended(line: str, number: int, tally: Tally) -> tuple[str, str | None]:
    """A line without NULs and without undecoded bytes (lone surrogates); or why it cannot be read."""
    if line == TOO_LONG:
        return "", f"the line has more than {MAX_LINE:,} characters: is this a text file?"
    if "\0" in line:
        tally.add("NUL characters were left out", number)
        line = line.replace("\0", "")
    if not _is_unicode(line) and _UNDECODED.search(line):
        tally.add("bytes that do not fit the encoding were read as Windows-1252 (--encoding)", number)
        line = _UNDECODED.sub(_windows, line)
    return line, None


def _is_unicode(text: str) -> bool:
    """Whether a text is without lone surrogates; faster than to search for one."""
    try:
        return bool(text.encode()) or not text
    except UnicodeEncodeError:
        return False


def _windows(found: re.Match[str]) -> str:
    return bytes([ord(found[0]) - 0xDC00]).decode("cp1252", "replace")
