"""Several files of one table: parts in a folder, files given together, and standard input."""

from __future__ import annotations

import atexit
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ingest.sources.columns import Columns
from ingest.sources.containers import PACKED, TABLES
from ingest.sources.layout import table
from ingest.sources.records import Record, Row, Rows
from ingest.sources.sniffing import ReadOptions
from ingest.sources.tables import table_file
from mmrec.errors import DataError, Rejection
from mmrec.types import is_url

STDIN = "-"
_ABSENT = "__HIVE_DEFAULT_PARTITION__"


@cache
def piped() -> Path:
    """What comes by standard input, as a file that is there until the program ends."""
    folder = Path(tempfile.mkdtemp(prefix="mmrec-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "standard-input"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 2**20)
    return path


def expanded(paths: Sequence[str | Path]) -> list[Path]:
    """The files that paths and patterns name, each once, those of a pattern in the order of their names.

    Raises:
        DataError: no path is given, or a pattern fits nothing.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if Path(path).exists() or str(path) == STDIN or not glob.has_magic(str(path)):
            found[Path(path)] = None
            continue
        fitting = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - the path may be absolute
        if not fitting:
            raise DataError(f"no file fits the pattern {path}: check it, and that it is quoted for the shell")
        found |= dict.fromkeys(map(Path, fitting))
    if not found:
        raise DataError("no file is given: a path or a pattern such as 'part-*.parquet' was expected")
    return list(found)


def parts_of(folder: Path, *, pictures: bool = False) -> list[Path]:
    """The files in a folder that are parts of one table, as Spark and Hive write them; else none.

    Args:
        folder: of `part-0000.parquet`, `colour=red/part-0.csv` and the like.
        pictures: whether it holds pictures too: then its files must be named as parts.
    """
    files = [
        Path(parent) / name
        for parent, folders, names in os.walk(folder)
        if not folders.sort() for name in sorted(names)
        if not name.startswith((".", "_")) and _suffix(name) in TABLES
    ]
    if len({_suffix(file.name) for file in files}) != 1:
        return []
    named = all(file.name.startswith("part-") or _partitions(file, folder) for file in files)
    whole = not pictures and _suffix(files[0].name) == ".parquet"
    return files if named or whole else []


def open_tables(
    paths: Sequence[Path], folder: Path | None, columns: Columns | None, options: ReadOptions | None
) -> Rows:
    """Files as one table, one after another; rejections name the file.

    Args:
        paths: of the files.
        folder: that they are parts of; the names of folders below it (`colour=red`) are columns. None for
            files on their own.
        columns: what the columns mean; what it leaves open is guessed from all of them.
        options: how the files are written.

    Raises:
        DataError: there are none, one cannot be read, or they are of several kinds.
    """
    files = [table_file(path, columns.delimiter if columns else None, options) for path in paths]
    if not files:
        raise DataError(f"{folder} holds no tables: files with one of {', '.join(TABLES)} were expected")
    kinds = {file.kind: file.content.origin for file in files}
    if len({id(file.dialect) for file in files}) > 1:
        raise DataError(f"files of several kinds ({', '.join(kinds.values())}): give one kind at a time")
    root = folder or Path(os.path.commonpath([path.absolute().parent for path in paths]))
    notes = [f"{path.name}: {note}" for path, file in zip(paths, files, strict=True) for note in file.notes]

    def records() -> Iterator[Record]:
        number = 0
        for path, file in zip(paths, files, strict=True):
            partitions = _partitions(path, root) if folder else {}
            for record in file.records():
                number += 1
                cells, place = {**partitions, **record.cells}, (path, record.line)
                yield replace(record, cells=cells, line=number, place=place)
            notes.extend(
                told for note in file.notes if (told := f"{path.name}: {note}") not in notes
            )

    sizes = [file.size for file in files]
    rows = table(
        "table", root, records, origin=f"{paths[0]} and {len(paths) - 1} more", columns=columns,
        dialect=files[0].dialect, size=None if None in sizes else sum(filter(None, sizes)), notes=notes,
    )
    start = None if folder else root
    return replace(rows, shape=lambda record: _placed(rows.shape(record), record.place, start))


def _placed(
    row: Row | Rejection, place: tuple[Path, int | None] | None, root: Path | None
) -> Row | Rejection:
    """The row with its file named in a rejection; with `root`, pictures begin at the folder of its file."""
    if place is None:
        return row
    path, line = place
    if isinstance(row, Rejection):
        return replace(row, reason=f"{path.name}, line {line}: {row.reason}")
    folder = "." if root is None else os.path.relpath(path.absolute().parent, root.absolute())
    if folder != "." and row["image"] is not None:
        images = row["image"] if isinstance(row["image"], list) else [row["image"]]
        moved: list[Any] = [
            one if not isinstance(one, str) or is_url(one) or Path(one).is_absolute() else f"{folder}/{one}"
            for one in images
        ]
        return row | {"image": moved if len(moved) > 1 else moved[0]}
    return row


def _partitions(path: Path, root: Path) -> dict[str, Any]:
    """Columns that the folders above a file name: `colour=red`."""
    pairs = [part.partition("=") for part in path.relative_to(root).parent.parts if "=" in part]
    return {unquote(name): None if value == _ABSENT else unquote(value) for name, _, value in pairs}


def _suffix(name: str) -> str:
    lower = name.lower()
    plain = next((lower.removesuffix(suffix) for suffix in PACKED if lower.endswith(suffix)), lower)
    return Path(plain).suffix
