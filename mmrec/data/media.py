"""Pictures and sounds as they are given and held: paths, encoded bytes, base64, and those that are refused.

Their bytes come in through `encoded`, counted before and while reading; devices, pipes and folders are never
opened. What is in them is for the gates: `mmrec.data.images` and `mmrec.data.sounds`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, unquote_to_bytes

from mmrec.data.image_paths import ImagePaths
from mmrec.errors import DataError
from mmrec.types import IMAGE, is_url


class Refused(str):
    """A picture or sound of a row that may not be followed or could not be had; its item goes on without it.

    Attributes:
        given: what the row holds: an address, or a value that is none.
        reason: what is wrong, what was expected, what to do.
    """

    def __new__(cls, given: Any = "", reason: str = "") -> Self:  # noqa: D102
        address = str(given) if isinstance(given, str | Path) else f"({type(given).__name__})"
        refused = super().__new__(cls, address)
        refused.given, refused.reason = given, reason
        return refused

    given: Any
    reason: str


class Encoded(NamedTuple):
    """The encoded bytes of a picture or sound, and what the caller gave for it."""

    source: Any
    data: bytes

    @property
    def sha256(self) -> str:
        """The hash of the bytes, in hex."""
        return hashlib.sha256(self.data).hexdigest()


def encoded(source: Any, most: int, *, expected: str, url: str) -> Encoded:
    """The bytes of an ordinary file, or those that were given.

    Args:
        most: bytes that are taken.
        expected: what a source may be, for the error.
        url: what to do about an address, for the error.

    Raises:
        DataError: there is no such file, it cannot be read, is empty, too big or not an ordinary file.
    """
    if not isinstance(source, Encoded):
        source = Encoded(source, _bytes_of(source, most, expected, url))
    if len(source.data) > most:
        raise DataError(f"has more than {most:,} bytes: save it smaller")
    if not source.data:
        raise DataError("is empty (0 bytes): get it again")
    return source


def label(source: Any) -> str:
    """A picture or sound in an error."""
    source = source.source if isinstance(source, Encoded) else source
    if isinstance(source, bytes):
        return f"of {len(source):,} bytes"
    return repr(str(source)[:300]) if isinstance(source, str | Path) else f"of type {type(source).__name__}"


def _bytes_of(source: Any, most: int, expected: str, url: str) -> bytes:
    """The bytes; anything but an ordinary file is refused before it is opened, and again after."""
    if isinstance(source, bytes):
        return source
    if is_url(source):
        raise DataError(f"is a URL: {url}")
    if not isinstance(source, str | Path):
        raise DataError(expected)
    path = Path(source)
    try:
        _check_ordinary(path.stat(), most)
        # Without O_NONBLOCK a pipe put there in the meantime would block for ever.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as stream:  # noqa: PTH123
            status = os.fstat(stream.fileno())
            _check_ordinary(status, most)
            return stream.read(min(status.st_size, most) + 1)  # one more tells a file that grew
    except FileNotFoundError:
        raise DataError("does not exist: check the path") from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read ({error}): check the path and its permissions") from error


def _check_ordinary(status: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, pipe or socket"
        raise DataError(f"is {what}: expected an ordinary file")
    if status.st_size > most:
        raise DataError(f"has {status.st_size:,} bytes, more than {most:,}: save it smaller")


def located(source: Any, paths: ImagePaths | None, field: str = IMAGE) -> Any:
    """A picture or sound, base64 decoded and, with `paths`, absolute; DataError if damaged or outside."""
    if isinstance(source, list | tuple):
        return [located(one, paths, field) for one in source if one not in (None, "")]
    if isinstance(source, Mapping) and set(source) == {"base64"}:
        return _decoded(source["base64"], field)
    if isinstance(source, str) and source[:5].lower() == "data:":
        kind, _, data = source.partition(",")
        return _decoded(unquote(data), field) if kind.lower().endswith(";base64") else unquote_to_bytes(data)
    if paths is None or source in (None, "") or not isinstance(source, str | Path):
        return source
    return paths.absolute(source, field)


def _decoded(text: Any, field: str) -> bytes:
    try:
        text = "".join(text.split()).replace("-", "+").replace("_", "/")
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{field} is no base64: {error}", field=field) from None


def portable(source: Any, folder: Path | None = None) -> str | bytes:
    """A picture or sound as a file can hold it: address, path (relative inside `folder`) or bytes."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, Refused):
        return source.given  # made JSON-ready by the caller
    if not isinstance(source, str | Path):
        return png(source)
    if folder is None or is_url(source):
        return str(source)
    path = Path(source).absolute()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def png(picture: Any) -> bytes:
    """A PIL image as an encoded one."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)  # PNG would lose the turn
    if upright.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        upright = upright.convert("RGB")
    file = io.BytesIO()
    upright.save(file, "PNG")
    return file.getvalue()
