"""What a file is, by its content: packed or not, and which kind of table lies in it. Its name is a hint only.

Nothing is unpacked to disk but for formats that must be read from their end (Parquet and workbooks inside an
archive), and nothing is read that unpacks to many times its size.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from ingest.sources.records import reading
from mmrec.data.image_formats import FORMATS
from mmrec.errors import DataError

HEAD = 2**18  # bytes by which a file is judged
MAX_RATIO = 250  # of unpacked and packed size; text has about 5
ALWAYS = 64 * 2**20  # bytes that may come of any file, however small
TABLES = (
    ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx", ".xls", ".ods", ".xml", ".tab", ".psv",
)
PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")
_PICTURES = tuple(suffix for kind in FORMATS for suffix in kind.suffixes)
_ENCRYPTED = 1  # bit of an entry's flags
_OTHERS: Mapping[bytes, str] = {
    b"%PDF": "a PDF document", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture", b"GIF8": "a picture",
    b"SQLite format 3\0": "a SQLite database", b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7-Zip archive",
    b"ARROW1": "an Arrow (Feather) file", b"ORC": "an ORC file", b"Obj\x01": "an Avro file",
    b"\x80\x04": "a Python pickle", b"\x80\x05": "a Python pickle", b"\x93NUMPY": "a NumPy array",
    b"\x7fELF": "a program", b"create table": "a dump of a database", b"insert into": "a dump of a database",
    b"-- mysql dump": "a dump of a database", b"-- phpmyadmin": "a dump of a database",
    b"--\n-- postgresql": "a dump of a database",
}


@dataclass(frozen=True)
class Content:
    """The bytes of a table, wherever they lie.

    Attributes:
        origin: for messages: the path, and the name inside an archive.
        name: of the file itself: `products.csv` for `products.csv.gz`.
        open: opens the unpacked bytes.
        path: the file on disk that holds exactly these bytes, if there is one.
        pictures: names of pictures in the same archive, as they may be written in the table.
        archive: the archive that holds them.
        notes: what was found on the way here.
    """

    origin: str
    name: str
    open: Callable[[], BinaryIO]
    path: Path | None = None
    pictures: Mapping[str, str] = field(default_factory=dict)
    archive: Content | None = None
    notes: tuple[str, ...] = ()

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The unpacked bytes, to be read once from the start.

        Raises:
            DataError: they cannot be read, or are suspiciously many.
        """
        with reading(self.origin), self.open() as file:
            yield file

    @contextmanager
    def seekable(self) -> Iterator[BinaryIO]:
        """The unpacked bytes, to be read in any order; a temporary file where they are packed."""
        with self.opened() as file:
            if self.path is not None:
                yield file
                return
            with tempfile.TemporaryFile() as spooled:
                shutil.copyfileobj(file, spooled, 2**20)
                spooled.seek(0)
                yield cast(BinaryIO, spooled)

    def head(self) -> bytes:
        """The first bytes."""
        with self.opened() as file:
            return file.read(HEAD)

    def picture(self, name: str) -> bytes | None:
        """A picture of the same archive by the name that the table gives it."""
        key = PurePosixPath(name.strip().replace("\\", "/").removeprefix("./")).as_posix().casefold()
        if self.archive is None or (member := self.pictures.get(key)) is None:
            return None
        with self.archive.seekable() as file, zipfile.ZipFile(file) as archive:
            return archive.read(member)


def unpacked(path: Path) -> Content:
    """The content of a file, taken out of gzip, zip, zstd, bzip2 and xz, one inside another too.

    Raises:
        DataError: the file is absent, empty, damaged or no table, or unpacks to suspiciously much.
    """
    if not path.is_file():
        raise DataError(f"{path} is {'a folder' if path.is_dir() else 'not there'}: give the path of a file")
    with reading(path):
        size = path.stat().st_size
    if not size:
        raise DataError(f"{path} is empty: a table with a header, or rows, was expected")
    content = Content(str(path), path.name, lambda: path.open("rb"), path)
    most = max(ALWAYS, MAX_RATIO * size)
    for _ in range(3):
        inner = _inside(content, most)
        if inner is None:
            return _checked(content)
        content = inner
    raise DataError(f"{path} is packed more than three times: unpack it")


def _inside(content: Content, most: int) -> Content | None:
    """What is packed in a content, None if it is not packed."""
    magic = content.head()[:8]
    for name, start, suffixes, opener in _STREAMS:
        if magic.startswith(start):
            plain = _without(content.name, suffixes)
            told = [] if plain != content.name else [f"read as {name}, which its name does not say"]
            return replace(
                content, name=plain, path=None, notes=(*content.notes, *told),
                open=partial(_bounded, content, opener, most),
            )
    if magic.startswith(b"PK\x03\x04") or magic.startswith(b"PK\x05\x06"):
        return _member(content, most)
    for suffix in PACKED:
        if content.name.lower().endswith(suffix):
            note = f"not packed, though its name ends in {suffix}: read as it stands"
            return replace(content, name=_without(content.name, (suffix,)), notes=(*content.notes, note))
    return None


def _without(name: str, suffixes: tuple[str, ...]) -> str:
    return next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix)), name)


def _zstd(file: BinaryIO) -> BinaryIO:
    import pyarrow as pa

    return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"))


_STREAMS: tuple[tuple[str, bytes, tuple[str, ...], Callable[[BinaryIO], Any]], ...] = (
    ("gzip", b"\x1f\x8b", (".gz", ".gzip"), lambda file: gzip.GzipFile(fileobj=file)),
    ("zstd", b"\x28\xb5\x2f\xfd", (".zst", ".zstd"), _zstd),
    ("bzip2", b"BZh", (".bz2",), bz2.BZ2File),
    ("xz", b"\xfd7zXZ\0", (".xz",), lzma.LZMAFile),
)


class _Bounded(io.RawIOBase):
    """A stream that ends with an error beyond a number of bytes; it closes what it reads from."""

    def __init__(self, origin: str, most: int, inner: BinaryIO, *outer: BinaryIO) -> None:
        self._origin, self._left = origin, most
        self._inner, self._files = inner, (inner, *outer)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"{self._origin} unpacks to more than {MAX_RATIO} times its size: it is not read. If it is"
                " sound, unpack it and give the file inside"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        for file in self._files if not self.closed else ():
            file.close()
        super().close()


def _bounded(content: Content, opener: Callable[[BinaryIO], Any], most: int) -> BinaryIO:
    file = content.open()
    try:
        return io.BufferedReader(_Bounded(content.origin, most, opener(file), file), 2**17)
    except BaseException:
        file.close()
        raise


def _member(content: Content, most: int) -> Content | None:
    """The one table in a zip; None for a workbook, which is a zip itself."""
    with content.seekable() as file, zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
    if {"[Content_Types].xml", "mimetype"} & entries.keys():  # of Office
        return None
    names = [name for name in entries if not any(part[:1] in "._" for part in PurePosixPath(name).parts)]
    pictures = [name for name in names if name.lower().endswith(_PICTURES)]
    tables = [name for name in names if _plain_name(name).endswith(TABLES)]
    tables = tables or [name for name in names if name not in pictures]
    if len(tables) != 1:
        what = f"several: {', '.join(sorted(tables))[:200]}" if tables else "none"
        raise DataError(
            f"{content.origin} should hold one table, and holds {what}. Unpack it and give one of them"
        )
    (name,) = tables
    if entries[name].flag_bits & _ENCRYPTED:
        raise DataError(f"{content.origin} is encrypted: unpack it with its password, give the file inside")
    folder = PurePosixPath(name).parent
    found = {picture.casefold(): picture for picture in pictures}
    found |= {
        PurePosixPath(picture).relative_to(folder).as_posix().casefold(): picture
        for picture in pictures if PurePosixPath(picture).is_relative_to(folder)
    }
    told = [f"the table is {name} in {content.name}"]
    if pictures:
        told.append(f"pictures are read from {content.name}: unpack it to see them in a gallery")
    return Content(
        f"{content.origin} ({name})", PurePosixPath(name).name, lambda: _open_member(content, name, most),
        pictures=found, archive=content, notes=(*content.notes, *told),
    )


def _open_member(content: Content, name: str, most: int) -> BinaryIO:
    if content.path is None:
        with content.seekable() as file, zipfile.ZipFile(file) as archive:
            data = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its reader
            shutil.copyfileobj(_Bounded(content.origin, most, cast(BinaryIO, archive.open(name))), data)
        data.seek(0)
        return cast(BinaryIO, data)
    archive = zipfile.ZipFile(content.path)
    try:
        inner = cast(BinaryIO, archive.open(name))
        return io.BufferedReader(_Bounded(content.origin, most, inner, cast(BinaryIO, archive)), 2**17)
    except BaseException:
        archive.close()
        raise


def _plain_name(name: str) -> str:
    return _without(name.lower(), PACKED)


def _checked(content: Content) -> Content:
    """The content, unless it is a known kind of file that is no table."""
    head = content.head()
    if not head.strip(b" \t\r\n\0"):
        raise DataError(f"{content.origin} is empty: a table with a header, or rows, was expected")
    if head[257:262] == b"ustar":
        raise DataError(f"{content.origin} is a tar archive: unpack it and give the table inside")
    if b"urn:schemas-microsoft-com:office:spreadsheet" in head[:2_000]:
        raise DataError(f"{content.origin} is a workbook of Excel 2003 in XML: save it as .xlsx, or as CSV")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:16]
    for magic, what in _OTHERS.items():
        if start.startswith(magic) or start.lower().startswith(magic):
            raise DataError(
                f"{content.origin} is {what}, not a table: give a CSV, TSV, Excel, JSON, XML or Parquet file"
            )
    return content
