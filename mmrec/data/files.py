"""Canonical files of items and interactions: JSON lines (`.jsonl`, `.ndjson`, also `.gz`) and Parquet.

One item or interaction is one object a line; parts that are absent are left out::

    {"item_id": "B07", "text": {"title": "Wool blanket"}, "image": "photos/b07.jpg",
     "attributes": {"price": 9.5, "tags": ["a", "b"], "released": {"datetime": "2024-05-01T00:00:00+00:00"}},
     "added_at": "2024-05-01T00:00:00+00:00"}
    {"user_id": "u1", "item_id": "B07", "kind": "click", "weight": 1.0, "time": "2024-05-02T10:00:00+00:00"}

`image` is one picture or a list; a path is relative to the file's folder and stays in it, unless its reader
allows more; a picture without a file is `{"base64": ...}`. A time is ISO 8601, or seconds since 1970. Parquet
has columns of the same names::

    item_id string, text map<string, string>, image list<struct<bytes, path>> (as in Hugging Face datasets),
    attributes string (the JSON object above: its types may differ by item), added_at timestamp[us, UTC]
    user_id string, item_id string, kind string, weight double, time timestamp[us, UTC]

and, read, takes structs for text and attributes too, and strings or bytes for images. Reading and writing
stream, in memory bounded by a batch. A row that cannot be used becomes a `Rejection` and stops nothing.
"""

from __future__ import annotations

import codecs
import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, TypeVar, cast

import pyarrow as pa

from mmrec.data import parquet
from mmrec.data.image_paths import ImagePaths
from mmrec.data.rows import (
    BAD,
    INTERACTION_KEYS,
    ITEM_KEYS,
    Row,
    dump_row,
    interaction_as_dict,
    interaction_from_dict,
    item_as_dict,
    item_from_dict,
    json_ready,
    parse_row,
    rejected,
)
from mmrec.errors import DataError
from mmrec.types import Interaction, Item, Rejection

__all__ = [
    "SUFFIXES", "count_rows", "interaction_as_dict", "interaction_from_dict", "item_as_dict",
    "item_from_dict", "json_ready", "read_interactions", "read_items", "replacing",
    "write_interactions", "write_items",
]

T = TypeVar("T")

SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".parquet")
MAX_LINE = 64 * 2**20  # bytes


def read_items(
    path: str | Path, *, image_root: str | Path | None = None, allow_outside: bool = False
) -> Iterator[Item | Rejection]:
    """Items of a canonical file; each row gives one Item or one Rejection (a blank line gives nothing).

    Args:
        image_root: a folder in which pictures may lie besides the file's own; a relative path that leads to
            nothing in the file's folder begins there.
        allow_outside: whether pictures may lie anywhere on this machine: only for a file that you trust.

    Raises:
        DataError: the file as a whole cannot be read: absent, of an unknown kind, damaged.
    """
    paths = ImagePaths.of(Path(path).parent, image_root, allow_outside)

    def take(row: Row, line: int) -> Item | Rejection:
        try:
            return item_from_dict(row, line=line, paths=paths)
        except BAD as error:
            return rejected(error, row, line=line, paths=paths)

    return _read(path, ITEM_KEYS, take)


def read_interactions(path: str | Path) -> Iterator[Interaction | Rejection]:
    """Interactions of a canonical file, as `read_items`; one without a time happened just now.

    Raises:
        DataError: the file as a whole cannot be read: absent, of an unknown kind, damaged.
    """

    def take(row: Row, line: int) -> Interaction | Rejection:
        try:
            return interaction_from_dict(row, line=line)
        except BAD as error:
            return rejected(error, row, line=line)

    return _read(path, INTERACTION_KEYS, take)


def write_items(path: str | Path, items: Iterable[Item]) -> int:
    """Write a canonical file, whole or not at all; returns the number of items.

    Paths of pictures inside the file's folder are written relative to it, others absolute; to read the latter
    back takes `allow_outside`.

    Raises:
        DataError: the file cannot be written, or its suffix is unknown.
    """
    folder = Path(path).absolute().parent
    if _kind(Path(path)) == ".parquet":
        with replacing(path) as file:
            return parquet.write(file, (parquet.item_record(item, folder) for item in items), parquet.ITEMS)
    return _write_json(path, (item_as_dict(item, folder=folder) for item in items))


def write_interactions(path: str | Path, interactions: Iterable[Interaction]) -> int:
    """Write a canonical file, whole or not at all; returns the number of interactions.

    Raises:
        DataError: the file cannot be written, or its suffix is unknown.
    """
    if _kind(Path(path)) == ".parquet":
        with replacing(path) as file:
            return parquet.write(file, map(parquet.interaction_record, interactions), parquet.INTERACTIONS)
    return _write_json(path, map(interaction_as_dict, interactions))


def count_rows(path: str | Path) -> int:
    """Rows of a canonical file: Parquet says it, JSON lines are counted (blank ones too) but not parsed.

    Raises:
        DataError: the file cannot be read.
    """
    path = Path(path)
    count = parquet.count if _kind(path) == ".parquet" else _count_lines
    with _readable(path):
        return count(path)


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well: complete and synced, or not at all.

    Raises:
        DataError: the disk refuses.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(6).hex()}.tmp")  # each writer's own
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error}. Check the folder, its rights and the disk") from error
    finally:
        beside.unlink(missing_ok=True)


def _kind(path: Path) -> str:
    name = path.name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise DataError(
        f"{path} has none of the suffixes of a canonical file ({', '.join(SUFFIXES)}): rename it, or take it"
        " in as what it is with `mmrec ingest --format`"
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: check the path") from None
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise DataError(
            f"cannot read {path}: {error}. It may be damaged, or not what its suffix says: make it again"
        ) from error


def _read(path: str | Path, keys: Sequence[str], take: Callable[[Row, int], T]) -> Iterator[T | Rejection]:
    path = Path(path)
    rows = parquet.rows(path, keys) if _kind(path) == ".parquet" else _json_rows(path)
    with _readable(path), path.open("rb"):  # an absent file is an error of this call, not of the first row
        pass
    return _taken(path, rows, take)


def _taken(
    path: Path, rows: Iterator[tuple[int, Row | Rejection]], take: Callable[[Row, int], T]
) -> Iterator[T | Rejection]:
    with _readable(path):
        for line, row in rows:
            yield row if isinstance(row, Rejection) else take(row, line)


def _json_rows(path: Path) -> Iterator[tuple[int, Row | Rejection]]:
    with _opened(path) as file:
        for line, data in enumerate(_lines(file), 1):
            if data is None:
                reason = f"the line is longer than {MAX_LINE:,} bytes: split it"
                yield line, Rejection(reason=reason, line=line)
            elif data.strip():
                yield line, _parsed(data.removeprefix(codecs.BOM_UTF8) if line == 1 else data, line)


def _count_lines(path: Path) -> int:
    last, count = b"\n", 0
    with _opened(path) as file:
        while data := file.read(2**20):
            count += data.count(b"\n")
            last = data
    return count + (not last.endswith(b"\n"))


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if _packed(path) else path.open("rb")


def _packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """Lines of a file, None for one that is too long to be held."""
    while data := file.readline(MAX_LINE + 1):
        if len(data) <= MAX_LINE:
            yield data
            continue
        while data and not data.endswith(b"\n"):
            data = file.readline(MAX_LINE)
        yield None


def _parsed(data: bytes, line: int) -> Row | Rejection:
    try:
        return parse_row(data)
    except DataError as error:
        return rejected(error, {"unparsed": data.decode("utf-8", "replace").strip()}, line=line)


def _write_json(path: str | Path, rows: Iterable[Row]) -> int:
    count = 0
    with replacing(path) as file, ExitStack() as closing:
        if _packed(Path(path)):
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            file = cast(BinaryIO, closing.enter_context(packed))
        for row in rows:
            file.write(dump_row(row))
            count += 1
    return count
