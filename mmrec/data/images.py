"""The gate for pictures: bounded, safe decoding from a path, encoded bytes or a PIL image.

Bytes come in through `read`, and become pixels in `decode`. What bounds it:

- bytes: counted before and while reading; devices, pipes and folders are never opened.
- pixels and memory: reckoned from the header, before a pixel is decoded (`Format.bytes_per_pixel`).
- frames: the first is decoded, the others are not even counted.
- time: Pillow pulls bytes through `_Clocked`, which stops giving at the deadline; a progressive JPEG, whose
  every byte may cost a pass over the picture, gets them in small portions. WebP, AVIF and compressed TIFF
  take all their bytes at once: there the work is bounded by the pixels.
"""

from __future__ import annotations

import hashlib
import io
import math
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps

from mmrec.data.image_formats import MAX_BYTES, MAX_EXIF, check_cost, check_size, checked_format
from mmrec.data.media import Encoded, Refused, encoded, label
from mmrec.errors import DataError
from mmrec.types import IMAGE, ImageSource

MAX_SECONDS = 10.0  # until the decoder is cut off
SIDE = 1_024  # pixels of the longest side of what `decode` returns
_EXIF_ORIENTATION = 0x0112
_EXPECTED = "is no picture: expected a path, encoded bytes or a PIL image"
_URL = "fetch it first, with `mmrec ingest --allow-urls` or `ingest.fetch.fetch_images`"


Picture = ImageSource | Encoded  # what `digest`, `check` and `decode` take


def read(source: Picture) -> Encoded | Image.Image:
    """A picture whose bytes are in memory, so that `digest` and `decode` do not read the file again.

    A PIL image is returned as it is, loaded by Pillow itself, which knows no limit of time.

    Raises:
        DataError: it was refused before, there is no such file, it cannot be read, is too big or not an
            ordinary file.
    """
    if isinstance(source, Refused):
        raise DataError(source.reason, field=IMAGE)
    with _gate(source):
        if isinstance(source, Image.Image):
            check_size(source.size)
            with _LOADING:
                source.load()
            return source
        return encoded(source, MAX_BYTES, expected=_EXPECTED, url=_URL)


def digest(source: Picture) -> str:
    """The sha256, in hex, of what the caller gave: encoded bytes, or the pixels and look of a PIL image.

    Raises:
        DataError: as `read`.
    """
    picture = read(source)
    if isinstance(picture, Encoded):
        return picture.sha256
    with _gate(source):
        palette = picture.getpalette("RGBA") if picture.mode in ("P", "PA") else None
        clear, turned = picture.info.get("transparency"), picture.getexif().get(_EXIF_ORIENTATION)
        look = f"{picture.mode} {picture.size} {palette} {clear} {turned}"
        return hashlib.sha256(look.encode() + b"\0" + picture.tobytes()).hexdigest()


def check(source: Picture) -> None:
    """Refuses what its bytes and its header betray, without decoding a pixel; damage beyond is not found.

    Raises:
        DataError: as `decode`.
    """
    picture = read(source)
    with _gate(source), _opened(picture, SIDE):
        pass


def decode(source: Picture, side: int = SIDE) -> Image.Image:
    """A picture in RGB: its first frame, upright, over white, reduced to at most `side` pixels.

    A PIL image is read but never changed or closed.

    Raises:
        DataError: the picture is missing, damaged, of a kind that is not taken, over a limit, or
            needs more memory than there is.
    """
    picture = read(source)
    with _gate(source), _opened(picture, side) as opened:
        opened.load()
        return _upright(_shrunk(opened, side), opened)


@contextmanager
def _gate(source: Picture) -> Iterator[None]:
    """Every way in which a picture can fail, as one DataError that names the picture."""
    try:
        with _HUSH:
            yield
    except Exception as error:  # broken bytes lead decoders into every error there is
        cause = error.__cause__ if isinstance(error, DataError) else error
        raise DataError(f"picture {label(source)} {_fault(error)}", field=IMAGE) from cause


def _fault(error: Exception) -> str:
    """What is wrong with a picture that raised this, and what to do."""
    why = str(error)
    if isinstance(error, DataError):
        return why
    if isinstance(error, TimeoutError):
        return "takes too long to decode: save it anew as a plain JPEG or PNG"
    if isinstance(error, Image.DecompressionBombError):
        return "claims far too many pixels: save it smaller"
    if isinstance(error, MemoryError) or "out of memory" in why.lower():  # as some decoders say it
        return "needs more memory than there is: end other programs and try again, or save it smaller"
    # The decoder's own words are left out, as some hold bytes of the file.
    return "is damaged or cut off: get it again, or save it anew as JPEG or PNG"


@contextmanager
def _opened(picture: Encoded | Image.Image, side: int) -> Iterator[Image.Image]:
    """The picture as Pillow opens it, its header checked and no pixel decoded yet."""
    if isinstance(picture, Image.Image):
        yield picture
        return
    data = picture.data
    kind = checked_format(data)
    clocked = _Clocked(data, time.monotonic() + MAX_SECONDS)
    with Image.open(clocked, formats=[kind.name]) as opened:
        check_cost(opened, data, kind, side)
        yield opened


class _Clocked(io.BytesIO):
    """Encoded bytes that cannot be read any more after the deadline."""

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self._deadline = deadline

    def read(self, size: int | None = -1, /) -> bytes:
        if time.monotonic() > self._deadline:
            raise TimeoutError
        return super().read(size)


class _Hush:
    """Silences Pillow's warnings about odd pictures while any thread decodes: we judge them ourselves.

    `warnings.catch_warnings` changes the whole process, so overlapping uses by threads would leave the
    filters of one to the other; here the first one in sets the filter and the last one out restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


_HUSH = _Hush()
_LOADING = threading.Lock()  # the caller's image may be lazy, and in use by several threads


def _shrunk(picture: Image.Image, side: int) -> Image.Image:
    """The picture in RGB, its longest side at most `side`; made band by band, so no big copy is needed."""
    factor = max(1, max(picture.size) // (2 * side))
    width, height = picture.size
    small = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    top = _top_value(picture)
    rows = factor * max(1, 2**20 // (width * factor))
    for y in range(0, height, rows):
        band = _flat(picture.crop((0, y, width, min(y + rows, height))), top)
        small.paste(band.reduce(factor) if factor > 1 else band, (0, y // factor))
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def _flat(band: Image.Image, top: float | None) -> Image.Image:
    """A band in RGB: deep greys scaled to 8 bits, transparent parts over white."""
    if top is not None:
        grey = np.nan_to_num(np.asarray(band, np.float32)) * (255 / top)  # [h, w]
        return Image.fromarray(np.rint(grey.clip(0, 255)).astype(np.uint8)).convert("RGB")
    if band.mode in ("La", "RGBa"):  # premultiplied; there is no direct way to RGBA
        band = band.convert(band.mode.upper())
    if band.has_transparency_data:
        band = Image.alpha_composite(Image.new("RGBA", band.size, "white"), band.convert("RGBA"))
    return band.convert("RGB")


def _top_value(picture: Image.Image) -> float | None:
    """White in a deep grey picture; None for 8-bit modes. The 32-bit modes do not say: it is guessed."""
    if picture.mode.startswith("I;16"):
        return 65_535
    if picture.mode not in ("I", "F"):
        return None
    highest = float(picture.getextrema()[1])  # type: ignore[arg-type]  # one band, so no pairs
    if not math.isfinite(highest):
        raise DataError("has pixels that are not finite numbers: save it with 8 or 16 bits")
    levels = (1, 255, 65_535, 2**32) if picture.mode == "F" else (255, 65_535, 2**31)
    return next((level for level in levels if highest <= level), levels[-1])


def _upright(small: Image.Image, original: Image.Image) -> Image.Image:
    """Turned as the original's EXIF says."""
    if len(original.info.get("exif") or b"") > MAX_EXIF * 2**16:
        raise DataError("has EXIF metadata of more than 512 kB: save it without metadata")
    small.getexif()[_EXIF_ORIENTATION] = original.getexif().get(_EXIF_ORIENTATION, 1)
    ImageOps.exif_transpose(small, in_place=True)
    return small
