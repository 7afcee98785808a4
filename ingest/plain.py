"""Parts of rows in which nothing is odd, at once as an `Item` keeps them.

Most cells of a catalogue are plain, and many come again: brands, categories, dates. They are read once and
remembered. What is not plain is `Odd`, and its row takes the careful road: `ingest.clean`, which mends, tells
and rejects. By both roads a row is the same Item.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NoReturn

from ingest.clean import clean, plain_text
from mmrec.data.cleaning import BLANKS, tidied
from mmrec.data.image_paths import ImagePaths
from mmrec.data.rows import ITEM_KEYS
from mmrec.errors import DataError
from mmrec.types import AUDIO, MAX_CATEGORY, MAX_IMAGES, MAX_TEXT, Item, as_utc

_NONE: Mapping[str, Any] = MappingProxyType({})
REMEMBERED = 8_192  # values of a column
LIKE_THEMSELVES = frozenset({str, int, bool, date})  # types whose equal values are the same value
_ID = re.compile(r"[\w.:/-]{1,512}", re.ASCII)
_PICTURE = re.compile(r"https?://[\w./%()@=~!?&-]+|(?!//|(?i:www\.))[\w./%()@=~!-]+\.\w{2,5}")


class Odd(Exception):
    """Something about a row wants a closer look."""


def odd(what: str) -> NoReturn:
    """What is mended or left out must be told, which is not done here."""
    raise Odd(what)


def remembering(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of a cell of `LIKE_THEMSELVES` that keeps what it found for cells that come again."""
    return lru_cache(REMEMBERED, typed=True)(read)


def plain_id(cell: Any) -> str:
    """An id of ASCII letters and digits, or a whole number."""
    text = str(cell) if type(cell) is int else cell
    if type(text) is not str or not _ID.fullmatch(text) or text in BLANKS:
        raise Odd(cell)
    return text


def plain_words(cell: Any) -> str:
    """A text as people read it, "" if it says nothing."""
    if type(cell) is not str or len(cell) > MAX_TEXT:
        raise Odd(cell)
    text = plain_text(cell, odd)
    if len(text) > MAX_TEXT:
        raise Odd(cell)
    return "" if len(text) < 9 and text in BLANKS else text


def plain_value(value: Any) -> Any:
    """The value of an attribute; None if it says nothing."""
    kind = type(value)
    if kind is str:
        return _string(value) or None
    if kind is datetime:
        return _utc(value)
    if kind is bool or (kind in (int, float) and abs(value) <= 2**53):
        return value
    if kind is list and all(type(part) is str for part in value):
        return [part for part in map(_string, value) if part is not None] or None
    return _carefully(attributes={"one": value}).attributes.get("one")


def plain_picture(cell: Any, paths: ImagePaths | None) -> str:
    """A picture that is given by its path or address."""
    if type(cell) is not str or not _PICTURE.fullmatch(cell):
        raise Odd(cell)
    try:
        return cell if paths is None or ":" in cell else paths.absolute(cell)
    except DataError as error:
        raise Odd(cell) from error


def plain_time(value: Any) -> datetime | None:
    """The time at which an item was added."""
    if type(value) is datetime:
        return _utc(value)
    return _time(value) if type(value) in LIKE_THEMSELVES else _carefully(added_at=value).added_at


def plain_item(
    item_id: str, text: dict[str, str], images: Sequence[str], attributes: dict[str, Any],
    added_at: datetime | None, line: int | None,
) -> Item:
    """The Item of plain parts, which are not checked again."""
    if len(images) > MAX_IMAGES:
        raise Odd(images)
    return Item.settled(
        item_id=item_id, text=MappingProxyType(text), image=tuple(images), audio=(), embeddings=_NONE,
        attributes=MappingProxyType(attributes), added_at=added_at, line=line,
    )


def canonical_item(row: Mapping[str, Any], paths: ImagePaths | None, line: int | None) -> Item:
    """The Item of a row of mmrec's own format.

    Raises:
        Odd: something about it wants a closer look.
    """
    text, attributes, images = (
        empty if (part := row.get(name)) is None else part
        for name, empty in (("text", {}), ("attributes", {}), ("image", []))
    )
    mappings = type(text) is dict and type(attributes) is dict
    if row.get(AUDIO) is not None or row.get("embeddings") is not None:
        raise Odd(row)
    if not (mappings and _are_names((*row,), (*text, *attributes))):
        raise Odd(row)
    return plain_item(
        plain_id(row.get("item_id")),
        {name: words for name, cell in text.items() if cell is not None and (words := plain_words(cell))},
        [plain_picture(image, paths) for image in (images if type(images) is list else [images])],
        {name: value for name, cell in attributes.items() if (value := plain_value(cell)) is not None},
        None if (added_at := row.get("added_at")) is None else plain_time(added_at),
        line,
    )


@lru_cache(1_024)
def _are_names(parts: tuple[str, ...], fields: tuple[str, ...]) -> bool:
    """Whether the parts of a row are canonical, and its fields and attributes may be called so."""
    try:
        text = _carefully(text=dict.fromkeys(fields, "a")).text
    except Odd:
        return False
    return set(ITEM_KEYS).issuperset(parts) and set(text) == set(fields)


@lru_cache(REMEMBERED)
def _string(value: str) -> str | None:
    tidy: str | None = tidied({"attributes": {"one": value}}, odd)["attributes"]["one"]
    if tidy is not None and len(tidy) > MAX_CATEGORY:
        raise Odd(value)
    return tidy


@remembering
def _time(value: Any) -> datetime | None:
    return _carefully(added_at=value).added_at


def _utc(value: datetime) -> datetime:
    try:
        return as_utc(value)
    except OverflowError as error:
        raise Odd(value) from error


def _carefully(**parts: Any) -> Item:
    """An Item of a part, made by the careful road."""
    item = clean({"item_id": "one", **parts}, told=odd)
    if not isinstance(item, Item) or item.lost:
        raise Odd(parts)
    return item
