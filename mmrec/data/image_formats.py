"""Which pictures are taken, and what one of them may cost: known from its bytes and its header alone."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from mmrec.errors import DataError
from mmrec.types import IMAGE

# What one picture may cost:
MAX_BYTES = 32 * 2**20  # encoded
MAX_PIXELS = 50_000_000  # width x height, as the header says
MAX_MEMORY = 256 * 2**20  # bytes held at the peak of decoding
MAX_SIDE = 65_535  # pixels; longer ones exist to exhaust tables of rows and strips
MAX_SCANS = 100  # of a progressive JPEG; cameras and web tools write about 10
MAX_EXIF = 8  # EXIF segments of a JPEG, 64 kB each
MAX_TABLE = 100_000  # numbers under one TIFF tag; Pillow makes a Python object of each
MAX_AVIF = 8 * 2**20  # bytes; Pillow unpacks an AVIF's EXIF on opening, some 20 bytes for one


class Format(NamedTuple):
    """A kind of picture that is taken.

    Attributes:
        name: as Pillow calls it.
        magic: the first bytes, as a regular expression.
        suffixes: of file names, the usual one first.
        bytes_per_pixel: held at the peak of decoding, all copies counted.
    """

    name: str
    magic: bytes
    suffixes: tuple[str, ...]
    bytes_per_pixel: int


FORMATS = (
    Format("JPEG", rb"\xff\xd8\xff", (".jpg", ".jpeg", ".jpe", ".jfif"), 4),
    Format("PNG", rb"\x89PNG\r\n\x1a\n", (".png", ".apng"), 4),
    Format("WEBP", rb"RIFF....WEBP", (".webp",), 16),
    Format("GIF", rb"GIF8[79]a", (".gif",), 4),
    Format("BMP", rb"BM", (".bmp", ".dib"), 4),
    Format("TIFF", rb"II\*\0|MM\0\*", (".tif", ".tiff"), 8),
    Format("AVIF", rb"....ftyp(.{4}){0,12}avi[fs]", (".avif",), 20),
)
_FOREIGN = {  # what is often taken for a picture, by its first bytes
    rb"\s*(<\?xml.*|<!--.*|<!DOCTYPE svg.*)?<svg": "an SVG drawing",
    rb".{0,1000}%PDF-": "a PDF document",
    rb"%!PS|\xc5\xd0\xd3\xc6": "an EPS or PostScript drawing",
    rb"\s*(<!doctype html|<html|<head|<script|<body)": "an HTML page",
    rb"PK\x03\x04": "a ZIP archive",
    rb"\x1f\x8b": "a gzip archive",
    rb"8BPS": "a Photoshop document",
    rb"....ftyp(hei|hev|mif1|msf1)": "a HEIC picture",
    rb"....ftyp": "a video",
    rb"\0\0\0\x0cJXL |\xff\x0a": "a JPEG XL picture",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": "a JPEG 2000 picture",
    rb"\0\0\x01\0": "an icon",
}


def format_of(data: bytes) -> Format:
    """The format of an encoded picture, by its first bytes alone.

    Raises:
        DataError: it is none of `FORMATS`.
    """
    for kind in FORMATS:
        if re.match(kind.magic, data[:64], re.DOTALL):
            return kind
    head = data[:1024].removeprefix(b"\xef\xbb\xbf")
    for magic, what in _FOREIGN.items():
        if re.match(magic, head, re.DOTALL | re.IGNORECASE):
            raise DataError(f"is {what}: convert it to PNG or JPEG", field=IMAGE)
    known = ", ".join(kind.name for kind in FORMATS)
    raise DataError(
        f"is no picture that is known here: expected {known}; convert it to PNG or JPEG", field=IMAGE
    )


def checked_format(data: bytes) -> Format:
    """The format of an encoded picture, by its bytes alone: a file may have any name.

    Refuses what Pillow would not: a missing end, and what costs much in a header.

    Raises:
        DataError: as `format_of`, or one of these.
    """
    kind = format_of(data)
    if kind.name == "JPEG" and len(re.findall(rb"\xff\xe1..Exif\0\0", data, re.DOTALL)) > MAX_EXIF:
        raise DataError(f"has more than {MAX_EXIF} EXIF segments: save it without metadata")
    if kind.name == "PNG" and b"IEND" not in data:  # Pillow would not miss it
        raise DataError("is cut off, its end is missing: get it again")
    if kind.name == "AVIF" and len(data) > MAX_AVIF:
        raise DataError(f"is bigger than {MAX_AVIF:,} bytes, the most for AVIF: save it as JPEG or PNG")
    if kind.name == "TIFF":
        _check_tables(data)
    return kind


def _check_tables(data: bytes) -> None:
    """Walks a TIFF's first directory, and the EXIF ones under it, for oversized tables of numbers."""
    order = "<" if data.startswith(b"II") else ">"
    starts = list(struct.unpack_from(f"{order}L", data, 4))
    for start in starts:  # grows under way
        (entries,) = struct.unpack_from(f"{order}H", data, start)
        for place in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, count, value = struct.unpack_from(f"{order}HHLL", data, place)
            if count > MAX_TABLE and kind not in (1, 2, 7):  # BYTE, ASCII, UNDEFINED stay bytes
                raise DataError(f"has {count:,} numbers under TIFF tag {tag}: save it anew as JPEG or PNG")
            if tag in (34665, 34853, 40965) and value not in starts:  # EXIF, GPS, Interoperability
                if kind not in (4, 13) or len(starts) > 8:
                    raise DataError("has malformed EXIF directories: save it without metadata")
                starts.append(value)


def check_cost(picture: Image.Image, data: bytes, kind: Format, side: int) -> None:
    """Refuses from the header what takes too many pixels or too much memory; sets a JPEG up for its side."""
    check_size(picture.size)
    width, height = picture.size
    cost = width * height * kind.bytes_per_pixel
    if isinstance(picture, JpegImageFile):
        cost = _prepare_jpeg(picture, data, side)
    if isinstance(picture, TiffImageFile):  # a tile may be bigger than its picture
        cost += 8 * picture.tag_v2.get(TILEWIDTH, 0) * picture.tag_v2.get(TILELENGTH, 0)
    if cost > MAX_MEMORY:
        raise DataError(
            f"of {width} x {height} pixels would take {cost:,} bytes of memory as {kind.name}, more than"
            f" {MAX_MEMORY:,}: save it smaller or as a plain JPEG"
        )


def check_size(size: tuple[int, int]) -> None:
    """Refuses a width and height, in pixels, that are over the limits or empty."""
    width, height = size
    if not 0 < width * height <= MAX_PIXELS or max(size) > MAX_SIDE:
        raise DataError(
            f"has {width} x {height} pixels: expected 1 to {MAX_PIXELS:,} pixels and sides up to"
            f" {MAX_SIDE:,}; save it smaller"
        )


def _prepare_jpeg(picture: JpegImageFile, data: bytes, side: int) -> int:
    """Has a JPEG decoded at 1/2, 1/4 or 1/8 where that suffices; returns the bytes it will take."""
    width, height = picture.size
    if width * height / 64 / 8 > len(data):  # a block of 64 pixels takes one bit at the very least
        raise DataError(f"claims {width} x {height} pixels in only {len(data):,} bytes: get it again")
    coefficients = 0
    assert picture.fp is not None  # for mypy: it has just been opened
    more_scans = data.count(b"\xff\xda", picture.fp.tell())
    if more_scans:  # libjpeg then holds the coefficients of the whole picture, two bytes each
        if more_scans > MAX_SCANS:
            raise DataError(f"has {more_scans} progressive scans: save it anew as a plain JPEG")
        finest = max(h for _, h, _, _ in picture.layer) * max(v for _, _, v, _ in picture.layer)
        coefficients = 2 * width * height * sum(h * v for _, h, v, _ in picture.layer) // finest
        picture.decodermaxblock = 1024  # bytes between two looks at the clock
    scale = side / max(width, height)
    if scale < 1:
        picture.draft(None, (int(width * scale) or 1, int(height * scale) or 1))
    return picture.width * picture.height * 4 + coefficients
