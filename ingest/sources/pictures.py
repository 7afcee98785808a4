"""Pictures in a cell: one or several, as paths, addresses, bytes or objects that hold these."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ingest.sources.values import is_blank, list_parts
from mmrec.data.image_formats import FORMATS

_SUFFIXES = "|".join(
    map(re.escape, [*(suffix for kind in FORMATS for suffix in kind.suffixes), ".svg", ".heic", ".heif"])
)
_PICTURE = re.compile(rf"[^\r\n]*(?:{_SUFFIXES})(?:[?#][^\r\n]*)?|data:image/.*", re.IGNORECASE | re.DOTALL)
_ADDRESS = r"https?://|//[\w-]+\.|www\.|data:image/"
# Commas and semicolons stand in names and addresses too: they part pictures before what looks like one.
_ENDED = "|".join(rf"(?<={re.escape(suffix)})" for suffix in _SUFFIXES.replace("\\", "").split("|"))
_BETWEEN = re.compile(
    rf"\s*(?:\||[\r\n])\s*|\s*[,;]\s*(?={_ADDRESS})|\s+(?=https?://)|(?:{_ENDED})\s+(?=\S+(?:{_SUFFIXES})\b)"
    rf"|(?:(?<=\.\w\w\w)|(?<=\.\w\w\w\w))\s*[,;]\s*(?=[^,;]*(?:{_SUFFIXES})\b)",
    re.IGNORECASE,
)
# The largest first. What holds neither is looked through for what does.
_LARGEST = (
    "bytes", "hi_res", "hires", "original", "original_src", "full", "full_size", "xlarge", "zoom", "large",
    "big", "src", "url", "source_url", "contenturl", "content_url", "href", "link", "path", "file",
    "filename", "image", "image_url", "base64", "medium", "small", "thumb", "thumbnail",
)
_DEPTH = 4  # of objects in objects
_TYPES = ("type", "media_type", "mediatype", "mediacontenttype", "__typename", "mime_type")
_VIDEO = re.compile(r"\.(?:mp4|webm|mov|m4v|avi)(?:\?|$)|youtube\.com|youtu\.be|vimeo\.com", re.IGNORECASE)
_MARKUP = re.compile(
    r"""<img\b[^>]*?\bsrc\s*=\s*["']?([^"'\s>]+)|!\[[^\]]*\]\(\s*<?([^\s)>]+)""", re.IGNORECASE
)
_BASE64 = re.compile(r"(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR)[A-Za-z0-9+/=_\s-]{30,}")  # PNG, JPEG, GIF, WebP
_NONE = frozenset({"no_selection", "-", "none", "n/a", "na", "null", "nan", "undefined"})


def pictures(cell: Any, depth: int = _DEPTH) -> list[Any]:
    """The pictures of a cell, in its order; of one picture in several sizes the largest."""
    if isinstance(cell, str):
        return _in_string(cell, depth)
    if isinstance(cell, Mapping):
        return _in_object(cell, depth) if depth else []
    if isinstance(cell, list | tuple):
        several = [one for one in cell if not (isinstance(one, str) and _VIDEO.search(one))] or cell
        return [picture for one in several for picture in pictures(one, depth)]
    return [] if is_blank(cell) else [cell]


def in_columns(cells: Mapping[str, Any], columns: Sequence[str]) -> Any:
    """The pictures or sounds of a record, each once: None, one or a list."""
    found: list[Any] = []
    for cell in (cells.get(column) for column in columns if not is_blank(cells.get(column))):
        found += [one for one in pictures(cell) if one not in found]
    return found if len(found) > 1 else found[0] if found else None


def looks_like_picture(cell: Any) -> bool:
    """Whether a cell is a picture's bytes, or is named like one."""
    if isinstance(cell, bytes):
        return any(re.match(kind.magic, cell[:64], re.DOTALL) for kind in FORMATS)
    return isinstance(cell, str) and _PICTURE.fullmatch(cell.strip()) is not None


def _in_string(cell: str, depth: int) -> list[Any]:
    text = cell.strip()
    if text[:5].lower() == "data:":
        return [text]
    if text.lower() in _NONE:
        return []
    if _BASE64.fullmatch(text):
        return [{"base64": text}]
    if found := _MARKUP.findall(text):
        return [address or other for address, other in found]
    if depth and text.startswith(("[", "{")):
        parts = list_parts(text if text.startswith("[") else f"[{text}]") or list_parts(text)
        if parts is not None:
            return pictures(parts, depth - 1)
        text = text[1:-1] if text.endswith("]") else text
    several = (part.strip().strip("\"'") for part in _BETWEEN.split(text.strip(" ,;|")))
    return [part for part in several if part]


def _in_object(cell: Mapping[str, Any], depth: int) -> list[Any]:
    if set(cell) == {"base64"}:
        return [dict(cell)]
    sizes = {str(name).lower(): value for name, value in cell.items()}
    if any("video" in str(sizes.get(name)).lower() for name in _TYPES):
        return []
    kept = [sizes[name] for name in _LARGEST if not is_blank(sizes.get(name))]
    if kept and isinstance(kept[0], Sequence) and not isinstance(kept[0], str | bytes):
        return [picture for several in _abreast(kept) for picture in pictures(several, depth - 1)[:1]]
    if kept:
        return pictures(kept[0], depth - 1)
    inner = [value for value in cell.values() if isinstance(value, Mapping | list | tuple)]
    return [picture for value in inner for picture in pictures(value, depth - 1)]


def _abreast(columns: Sequence[Any]) -> Iterator[list[Any]]:
    """Objects of lists as lists of objects: the sizes of each picture, largest first."""
    lists = [column for column in columns if isinstance(column, list | tuple)]
    for at in range(max(map(len, lists))):
        yield [column[at] for column in lists if at < len(column) and not is_blank(column[at])]
