"""What goes in and what comes out: frozen values, validated at birth."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from mmrec.config import spelling
from mmrec.errors import DataError, Rejection

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageSource = str | Path | bytes | Image
else:
    ImageSource = Any
AttributeValue = str | int | float | bool | datetime | list[str]
Rung = Literal["history", "taste", "popular", "newest"]
RUNGS: tuple[Rung, ...] = get_args(Rung)
IMAGE = "image"  # the field of an item's pictures; no text field or attribute may take the name
LABELS = "_labels"  # the field of an item's categories as words
WORDS = "words"  # the space of all words of an item
RESERVED = frozenset({IMAGE, LABELS, WORDS, "item_id", "added_at", "content", "behaviour", "vector"})
MAX_ID = 512  # characters
MAX_TEXT = 1_000_000  # characters of one field
MAX_CATEGORY = 10_000  # characters of an attribute, or of one string of its list
MAX_IMAGES = 32  # pictures of one item
MAX_NAME = 64  # characters of a field's or attribute's name
_INVISIBLE = re.compile(r"[\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SURROGATE_OR_NUL = re.compile(r"[\ud800-\udfff\x00]")
_TITLE = re.compile(r"""(?ix) (produ[ck]t|prod|item|artikel|data)?_? (title|name|titel|titre|t[ií]tulo
    |titolo|nome?|nombre|naam|nazwa|namn|navn|bezeichnung|название|商品名称?|标题|タイトル) (_[a-z]{2})?""")


def as_utc(value: datetime) -> datetime:
    """The same moment in UTC; a time without a zone is taken as UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC), so that a letter with an accent is spelt in one way."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normal_id(value: Any) -> Any:
    """An id as it is kept and looked up: composed (NFC), without invisible characters and outer blanks."""
    if not isinstance(value, str):
        return value
    return (value if value.isascii() else composed(_INVISIBLE.sub("", value))).strip()


def is_url(image: object) -> bool:
    """Whether an image source is an address on the web rather than a local file."""
    return isinstance(image, str) and re.match(r"[a-z][a-z0-9+.-]*://", image, re.IGNORECASE) is not None


def check_id(value: object, what: str) -> str:
    """The id as it is kept; DataError, which says `what` it is, if it is none."""
    value = normal_id(value)
    if not isinstance(value, str):
        raise DataError(f"{what} must be a string, got {type(value).__name__} {value!r}", field=what)
    if 1 <= len(value) <= MAX_ID and not _UNPRINTABLE.search(value):
        return value
    raise DataError(f"{what} must be 1 to {MAX_ID} printable characters, got {value[:80]!r}", field=what)


@lru_cache(maxsize=4_096)  # names come again with every item
def _check_name(name: object, what: str) -> str:
    name = composed(name) if isinstance(name, str) else name
    if not isinstance(name, str) or len(name) > MAX_NAME or not name.isidentifier():
        rule = f"1 to {MAX_NAME} letters, digits and '_', no digit first: rename it"
        raise DataError(f"{what} name {name!r:.200} must be {rule}", field=str(name))
    if name in RESERVED:
        raise DataError(f"{what} name {name!r} is taken by mmrec itself: rename it", field=name)
    return name


def _check_kind(kind: object) -> str:
    name = spelling(kind) if isinstance(kind, str) else ""
    if 1 <= len(name) <= MAX_NAME:
        return name
    raise DataError(f"kind must be a name of 1 to {MAX_NAME} letters, got {kind!r:.200}", field="kind")


def _check_text(text: object) -> Mapping[str, str]:
    if not isinstance(text, Mapping):
        raise DataError(f"text must map field names to strings, got {type(text).__name__}", field="text")
    clean = {}
    for name, value in text.items():
        name, words = _check_name(name, "text field"), "" if value is None else value
        if not isinstance(words, str):
            raise DataError(f"text field {name!r} must be a string, got {type(words).__name__}", field=name)
        if _check_string("text field", name, words, MAX_TEXT).strip():
            clean[name] = words
    return MappingProxyType(clean)


def _check_string(what: str, name: str, value: str, most: int) -> str:
    if len(value) <= most and not _SURROGATE_OR_NUL.search(value):
        return value
    limit = f"at most {most:,} characters of valid Unicode without NUL"
    raise DataError(f"{what} {name!r} must be {limit}", field=name)


def _check_time(name: str, value: object) -> datetime:
    if not isinstance(value, datetime):
        raise DataError(f"{name} must be a datetime, got {value!r}"[:300], field=name)
    try:
        return as_utc(value)
    except OverflowError:
        raise DataError(f"{name} must lie in the years 1 to 9999 in UTC, got {value}", field=name) from None


def _check_attribute(name: str, value: object) -> AttributeValue:
    if isinstance(value, datetime):
        return _check_time(name, value)
    if isinstance(value, int | float):
        if not abs(value) <= 2**53:  # also false for NaN; math.isfinite would overflow on a huge int
            raise DataError(f"attribute {name!r} must be a finite number up to 2**53", field=name)
        return value
    if isinstance(value, str):
        return composed(_check_string("attribute", name, value, MAX_CATEGORY))
    if isinstance(value, Sequence) and all(isinstance(v, str) for v in value):
        return [composed(_check_string("attribute", name, v, MAX_CATEGORY)) for v in value]
    what = f"attribute {name!r} must be a string, number, bool, datetime or list of strings"
    raise DataError(f"{what}, got {type(value).__name__} {value!r}"[:300], field=name)


def _check_attributes(attributes: object) -> Mapping[str, AttributeValue]:
    if not isinstance(attributes, Mapping):
        raise DataError(f"attributes must be a mapping, got {type(attributes).__name__}", field="attributes")
    return MappingProxyType({
        _check_name(name, "attribute"): _check_attribute(name, value) for name, value in attributes.items()
        if value is not None and value != "" and value != []
    })


def _check_images(image: object) -> tuple[ImageSource, ...]:
    sources = () if image in (None, "", b"") else (*image,) if isinstance(image, list | tuple) else (image,)
    if len(sources) > MAX_IMAGES:
        raise DataError(f"an item may have {MAX_IMAGES} pictures, got {len(sources)}", field=IMAGE)
    for source in sources:
        if not (isinstance(source, str | Path | bytes) or hasattr(source, "convert")):
            raise DataError(f"image must be a path, URL, bytes or PIL image, got {type(source)}", field=IMAGE)
    return sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing of the catalogue.

    Attributes:
        item_id: the caller's own id, 1 to 512 printable characters, as `normal_id` writes it.
        text: named text fields (`{"title": ..., "description": ...}`); blank ones count as absent.
        image: no, one or several pictures: path, `https://` URL, encoded bytes or PIL image.
        attributes: typed values for filters and content: category, number, bool, date, list of strings.
        added_at: when it joined the catalogue (UTC); `None` means at ingest, and keeps what is stored.
        lost: what its source holds and the item lacks, as it cannot be used; `row` is whole.

    Raises:
        DataError: a part of the item cannot be used; `.field` names it.
    """

    item_id: str
    text: Mapping[str, str] = field(default_factory=dict)
    image: ImageSource | Sequence[ImageSource] | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    added_at: datetime | None = None
    line: int | None = field(default=None, compare=False, repr=False)
    lost: Rejection | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        settle = object.__setattr__  # the one moment a frozen value may still be settled
        settle(self, "item_id", check_id(self.item_id, "item_id"))
        settle(self, "text", _check_text(self.text))
        settle(self, "image", _check_images(self.image))
        settle(self, "attributes", _check_attributes(self.attributes))
        if self.added_at is not None:
            settle(self, "added_at", _check_time("added_at", self.added_at))

    @classmethod
    def settled(cls, **parts: Any) -> Self:
        """An item of parts that are as a new item keeps them: none is checked or settled again."""
        item, settle, given = object.__new__(cls), object.__setattr__, parts.get
        for name in cls.__slots__:
            settle(item, name, given(name))
        return item

    @property
    def images(self) -> tuple[ImageSource, ...]:
        """The pictures, always as a tuple."""
        return self.image  # type: ignore[return-value]  # settled in __post_init__

    @property
    def title(self) -> str:
        """What people call it: its title, else its name, else the first text that it has, else its id."""
        by_name = sorted(self.text, key=lambda name: (name != "title", not _TITLE.fullmatch(name)))
        return self.text[by_name[0]] if by_name else self.item_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One act of one user on one item.

    Attributes:
        kind: what was done, in any spelling; kept as `add_to_cart` and weighed by `Config.kind_weights`.
        weight: what the kind's weight is multiplied by.
        undated: whether `time` is not known; the same user, item and kind are then recorded once.

    Raises:
        DataError: an id, the weight or the time cannot be used.
    """

    user_id: str
    item_id: str
    kind: str = "click"
    weight: float = 1.0
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    undated: bool = field(default=False, compare=False, repr=False)
    line: int | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        settle = object.__setattr__
        settle(self, "user_id", check_id(self.user_id, "user_id"))
        settle(self, "item_id", check_id(self.item_id, "item_id"))
        settle(self, "kind", _check_kind(self.kind))
        number = isinstance(self.weight, int | float) and not isinstance(self.weight, bool)
        if not (number and 0 <= self.weight <= 2**53):
            raise DataError("weight must be a number from 0 to 2**53", field="weight")
        settle(self, "weight", float(self.weight))
        settle(self, "time", _check_time("time", self.time))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One contribution to a score: the parts of one recommendation's reasons sum to its score."""

    source: Literal["item", "field", "words", "other"]
    name: str
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One result, from `recommend`, `similar` and `search` alike; the best comes first.

    Attributes:
        reasons: contributions that sum to the score.
        propensity: the chance that its slot showed it, given those above; below 1 with exploration.
    """

    item_id: str
    score: float
    rung: Rung | Literal["similar", "search"]
    reasons: tuple[Reason, ...] = ()
    propensity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What became of every row: `rows == added + updated + unchanged + rejected`.

    Attributes:
        encoder_calls: inputs given to encoders (texts and pictures), not batches.
        without_picture: items that were taken without a picture that they name, as it cannot be used.
        rejections, incomplete: why, of each rejected row, and of each item taken without a part.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    encoder_calls: int = 0
    seconds: float = 0.0
    without_picture: int = 0
    rejections: tuple[Rejection, ...] = field(default=(), repr=False)
    incomplete: tuple[Rejection, ...] = field(default=(), repr=False)

    @property
    def rows(self) -> int:
        """Rows read."""
        return self.added + self.updated + self.unchanged + self.rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReport:
    """What became of every interaction: added, already known, or rejected."""

    added: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejections: tuple[Rejection, ...] = field(default=(), repr=False)
