"""Canonical files of items and interactions: JSON lines (`.jsonl`, `.ndjson`, also `.gz`) and Parquet.

One item or interaction is one object a line; parts that are absent are left out::

    {"item_id": "B07", "text": {"title": "Wool blanket"}, "image": "photos/b07.jpg",
     "audio": "sounds/b07.mp3", "embeddings": {"mood": [0.5, -1.0]},
     "attributes": {"price": 9.5, "tags": ["a", "b"], "released": {"datetime": "2024-05-01T00:00:00+00:00"}},
     "added_at": "2024-05-01T00:00:00+00:00"}
    {"user_id": "u1", "item_id": "B07", "kind": "click", "weight": 1.0, "time": "2024-05-02T10:00:00+00:00"}

`image` is one picture or a list, `audio` one sound or a list; a path is relative to the file's folder and
stays in it, unless its reader allows more; what has no file is `{"base64": ...}`. A time is ISO 8601, or
seconds since 1970. Parquet has columns of the same names::

    item_id string, text map<string, string>, image and audio list<struct<bytes, path>> (as in Hugging Face
    datasets), embeddings map<string, list<float>>, attributes string (the JSON object above: its types may
    differ by item), added_at timestamp[us, UTC]
    user_id string, item_id string, kind string, weight double, time timestamp[us, UTC]

and, read, takes structs for text and attributes too, and strings or bytes for images. Reading and writing
stream, in memory bounded by a batch. A row that cannot be used becomes a `Rejection` and stops nothing.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.data import formats, rows
from mmrec.data.cleaning import tidied
from mmrec.data.image_paths import ImagePaths
from mmrec.errors import DataError, Rejection
from mmrec.types import Interaction, Item

T = TypeVar("T")

SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".parquet")


def read_items(
    path: str | Path, *, image_root: str | Path | None = None, allow_outside: bool = False,
    notes: list[str] | None = None,
) -> Iterator[Item | Rejection]:
    """Items of a canonical file; each row gives one Item or one Rejection (a blank line gives nothing).

    What the rows hold is tidied as everywhere (`mmrec.data.cleaning`): markup, blanks, broken letters.

    Args:
        image_root: a folder in which pictures may lie besides the file's own; a relative path that leads to
            nothing in the file's folder begins there.
        allow_outside: whether pictures may lie anywhere on this machine: only for a file that you trust.
        notes: a list that gets a sentence for each kind of thing that was mended or guessed, at the end.

    Raises:
        DataError: the file as a whole cannot be read: absent, of an unknown kind, damaged.
    """
    paths = ImagePaths(Path(path).parent, image_root, allow_outside=allow_outside)
    mended: Counter[str] = Counter()

    def item(row: rows.Row, line: int) -> Item:
        tidy = tidied(row, lambda what: mended.update([what]))
        return rows.item_from_dict(tidy, line=line, paths=paths)

    def items(found: Iterator[Item | Rejection]) -> Iterator[Item | Rejection]:
        yield from found
        if notes is not None:
            notes.extend(f"{what}: {count:,} times" for what, count in mended.items())
            notes.extend(paths.notes())

    return items(read_rows(path, rows.ITEM_KEYS, item, paths))


def read_interactions(path: str | Path) -> Iterator[Interaction | Rejection]:
    """Interactions of a canonical file, as `read_items`; of one without a time it is not known.

    Such a one gets the present moment, and is recorded once (see `Interaction.undated`). Files of other
    columns are read by `ingest.sources.logs`.

    Raises:
        DataError: the file as a whole cannot be read: absent, of an unknown kind, damaged.
    """
    return read_rows(path, rows.INTERACTION_KEYS, partial(rows.interaction_from_dict, live=False))


def write_items(path: str | Path, items: Iterable[Item]) -> int:
    """Write a canonical file, whole or not at all; returns the number of items.

    Paths of pictures inside the file's folder are written relative to it, others absolute; to read the latter
    back takes `allow_outside`.

    Raises:
        DataError: the file cannot be written, or its suffix is unknown.
    """
    folder = Path(path).absolute().parent
    as_record, as_row = partial(formats.item_record, folder=folder), partial(rows.item_as_dict, folder=folder)
    return _write(path, items, as_row, as_record, formats.ITEMS)


def write_interactions(path: str | Path, interactions: Iterable[Interaction]) -> int:
    """Write a canonical file, whole or not at all; returns the number of interactions.

    Raises:
        DataError: the file cannot be written, or its suffix is unknown.
    """
    return _write(
        path, interactions, rows.interaction_as_dict, formats.interaction_record, formats.INTERACTIONS
    )


def count_rows(path: str | Path) -> int:
    """Rows of a canonical file: Parquet says it, JSON lines are counted (blank ones too) but not parsed.

    Raises:
        DataError: the file cannot be read.
    """
    path = Path(path)
    with _readable(path):
        return pq.read_metadata(path).num_rows if _is_parquet(path) else formats.count_lines(path)


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


def _is_parquet(path: Path) -> bool:
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise DataError(
            f"{path} has none of the suffixes of a canonical file ({', '.join(SUFFIXES)}): rename it, or take"
            " it in as what it is with `mmrec ingest --format`"
        )
    return name.endswith(".parquet")


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


def read_rows(
    path: str | Path, keys: Sequence[str], make: Callable[..., T], paths: ImagePaths | None = None
) -> Iterator[T | Rejection]:
    """What is made of each row of a canonical file with these columns, or why it cannot be."""
    path = Path(path)
    numbered = formats.parquet_rows(path, keys) if _is_parquet(path) else formats.json_rows(path)
    with _readable(path), path.open("rb"):  # an absent file is an error of this call, not of the first row
        pass

    def made() -> Iterator[T | Rejection]:
        with _readable(path):
            for line, row in numbered:
                if isinstance(row, Rejection):
                    yield row
                    continue
                try:
                    value: T | Rejection = make(row, line=line)
                except rows.BAD as error:
                    value = rows.rejected(error, row, line=line, paths=paths)
                yield value

    return made()


def _write(
    path: str | Path, values: Iterable[T], as_row: Callable[[T], rows.Row],
    as_record: Callable[[T], dict[str, Any]], schema: pa.Schema,
) -> int:
    """Writes values as the suffix asks: as rows of JSON lines, or as records of a Parquet file."""
    parquet = _is_parquet(Path(path))
    with replacing(path) as file:
        if parquet:
            return formats.write_parquet(file, map(as_record, values), schema)
        return formats.write_json(file, map(as_row, values), packed=Path(path).suffix.lower() == ".gz")
