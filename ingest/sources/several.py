"""Several files: parts of one table in a folder, files and patterns given together, and standard input."""

from __future__ import annotations

import atexit
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

from ingest.sources.columns import Columns
from ingest.sources.containers import PACKED, TABLES
from ingest.sources.layout import table
from ingest.sources.records import Record, Rows
from ingest.sources.sniffing import ReadOptions
from ingest.sources.tables import TableFile, table_file
from mmrec.errors import DataError
from mmrec.types import is_url

STDIN = "-"
PAGES = (".html", ".htm")  # saved ones, which lie in a folder
Unread = dict[str, str]  # why a source cannot be read, by its name
_ABSENT = "__HIVE_DEFAULT_PARTITION__"
_ALIKE = 0.5  # share of the columns of two files that they have in common, from which they are one table
_PEEKED = 100  # first rows that tell the columns of a file


class Given(NamedTuple):
    """A source as it was given, and where its bytes lie.

    Attributes:
        name: a path, an address or "-".
        path: of the file or folder.
        folder: where its pictures begin; None if it has none, as an address.
    """

    name: str
    path: Path
    folder: Path | None

    @property
    def pictures(self) -> Path:
        """Where its pictures are looked for."""
        return self.folder or self.path.parent


class Line(int):
    """A line of one of several files; in a sentence it names its file: "line 7 of b.csv".

    Attributes:
        given: its file.
    """

    given: Given

    def __new__(cls, number: int | None, given: Given) -> Self:  # noqa: D102
        line = super().__new__(cls, number or 0)
        line.given = given
        return line

    def __format__(self, spec: str) -> str:
        return f"{int(self):{spec}} of {Path(self.given.name).name}"


def temporary() -> Path:
    """A new folder that is there until the program ends."""
    folder = Path(tempfile.mkdtemp(prefix="mmrec-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def piped() -> Path:
    """What comes by standard input, as a file that is there until the program ends."""
    path = temporary() / "standard-input"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 2**20)
    return path


def local(name: str | Path) -> Given:
    """What lies on this machine: a path, or "-" for standard input, whose pictures begin where one works."""
    if str(name) == STDIN:
        return Given(STDIN, piped(), Path.cwd())
    path = Path(name)
    return Given(str(name), path, path if path.is_dir() else hive(path)[1])


@contextmanager
def noted(unread: Unread | None, *names: str) -> Iterator[None]:
    """Goes on where a source cannot be read, if that may be noted."""
    try:
        yield
    except DataError as error:
        if unread is None:
            raise
        unread |= dict.fromkeys(names, str(error))


def expanded(name: str) -> list[str]:
    """The path itself, or the paths that a pattern fits, in their order.

    Raises:
        DataError: a pattern fits nothing.
    """
    if name == STDIN or Path(name).exists() or not glob.has_magic(name):
        return [name]
    if found := sorted(glob.glob(name, recursive=True)):  # noqa: PTH207 - the path may be absolute
        return found
    raise DataError(f"no file fits the pattern {name}: check it, and that it is quoted for the shell")


def sources_of(
    names: Sequence[str], *, allow_urls: bool = False, unread: Unread | None = None
) -> list[Given]:
    """The sources that paths, patterns, addresses and "-" name, each once.

    Args:
        names: as they were given.
        allow_urls: whether to download what lies behind `https://` addresses.
        unread: gets the names of which nothing can be had, and why; None raises that.

    Raises:
        DataError: a pattern fits nothing, or an address may not be followed or cannot be had.
    """
    found: list[Given] = []
    for name in names:
        with noted(unread, name):
            found += [_fetched(name, allow_urls)] if is_url(name) else map(local, expanded(name))
    return list(dict.fromkeys(found))


def _fetched(address: str, allow_urls: bool) -> Given:
    if not allow_urls:
        raise DataError(f"{address[:300]} is an address: allow its download by --allow-urls, or give a file")
    from ingest.fetch import fetch_feed  # which takes a while to import

    return fetch_feed(address)


def parts_of(folder: Path, *, pictures: bool = False) -> list[Path]:
    """The files in a folder that are parts of one table, as Spark and Hive write them; else none.

    Parts without a byte, which Spark writes too, are none where others have some.

    Args:
        folder: of `part-0000.parquet`, `colour=red/part-0.csv` and the like.
        pictures: whether it holds pictures too: then its files must be named as parts.
    """
    files = [
        Path(parent) / name
        for parent, folders, names in os.walk(folder)
        if not folders.sort() for name in sorted(names)
        if not name.startswith((".", "_")) and _suffix(name) in (*TABLES, *PAGES)
    ]
    if len({_suffix(file.name) for file in files}) != 1:
        return []
    files = [file for file in files if not (file.is_file() and file.stat().st_size == 0)] or files
    named = all(file.name.startswith("part-") or "=" in file.parent.name for file in files)
    whole = not pictures and _suffix(files[0].name) in (".parquet", *PAGES)
    return files if named or whole else []


def hive(path: Path) -> tuple[dict[str, Any], Path]:
    """Columns that the folders right above a file name (`colour=red`), and the folder above them."""
    columns: dict[str, Any] = {}
    folder = path.absolute().parent
    while "=" in folder.name:
        name, _, value = folder.name.partition("=")
        columns = {unquote(name): None if value == _ABSENT else unquote(value)} | columns
        folder = folder.parent
    return columns, folder


def alike(
    several: Sequence[Given], delimiter: str | None, options: ReadOptions | None, unread: Unread | None = None
) -> list[dict[Given, TableFile]]:
    """Table files in groups that are one table each: written alike, with most of their columns the same."""
    groups: list[tuple[set[str], tuple[str, ...], dict[Given, TableFile]]] = []
    for given in several:
        with noted(unread, given.name):
            file = table_file(given.path, delimiter, options)
            alone = [given.name] if file.content.pictures else []  # which are of its own archive
            form = (file.kind, *file.notes, *alone)
            names = {name for record in islice(file.records(), _PEEKED) for name in record.cells}
            for known, written, members in groups:
                few = min(len(names), len(known))  # none in a part without rows
                if form == written and (not few or len(names & known) >= _ALIKE * len(names | known)):
                    members[given] = file
                    known |= names if not known else set()
                    break
            else:
                groups.append((names, form, {given: file}))
    return [members for _, _, members in groups]


def joined(files: Mapping[Given, TableFile], unread: Unread | None = None) -> TableFile:
    """Table files that are written alike as one, one after another; the line of a record is a `Line`.

    Args:
        files: to be read.
        unread: gets the files that cannot be read to their end, and why; None raises that.
    """
    first = next(iter(files.values()))
    alike, notes = list(first.notes), list(first.notes)

    def records() -> Iterator[Record]:
        for given, file in files.items():
            partitions = hive(given.path)[0]
            with noted(unread, given.name):
                for record in file.records():
                    yield replace(
                        record, cells={**partitions, **record.cells}, line=Line(record.line, given)
                    )
            told = [f"{given.path.name}: {note}" for note in file.notes if note not in alike]
            notes.extend(note for note in told if note not in notes)

    sizes = [file.size for file in files.values()]
    size = None if None in sizes else sum(filter(None, sizes))
    return replace(first, records=records, size=size, notes=notes)


def open_tables(
    several: Sequence[Given], columns: Columns | None, options: ReadOptions | None
) -> Rows:
    """Files as one table, one after another; what the columns mean is guessed from all of them.

    Raises:
        DataError: there are none, one of them cannot be read, or the mapping does not fit.
    """
    if not several:
        raise DataError(f"the folder holds no tables: files with one of {', '.join(TABLES)} were expected")
    delimiter = columns.delimiter if columns else None
    return table_of({one: table_file(one.path, delimiter, options) for one in several}, columns)


def table_of(
    files: Mapping[Given, TableFile], columns: Columns | None, unread: Unread | None = None
) -> Rows:
    """As `open_tables`, of files that are open.

    Args:
        files: that are read.
        columns: what the columns mean.
        unread: as of `joined`.
    """
    file, (first, *more) = joined(files, unread), files
    rows = table(
        "table", first.path.parent, file.records, columns=columns, size=file.size, notes=file.notes,
        origin=f"{first.name} and {len(more)} more" if more else first.name,
    )
    return replace(rows, kind=file.kind)


def _suffix(name: str) -> str:
    lower = name.lower()
    plain = next((lower.removesuffix(suffix) for suffix in PACKED if lower.endswith(suffix)), lower)
    return Path(plain).suffix
