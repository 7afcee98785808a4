"""What goes in and, from `mmrec.results`, what comes out: frozen values, validated at birth."""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from mmrec.config import spelling
from mmrec.errors import DataError, Rejection
from mmrec.results import RUNGS as RUNGS
from mmrec.results import IngestReport as IngestReport
from mmrec.results import Reason as Reason
from mmrec.results import Recommendation as Recommendation
from mmrec.results import RecordReport as RecordReport
from mmrec.results import Rung as Rung

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageSource = str | Path | bytes | Image
else:
    ImageSource = Any
AttributeValue = str | int | float | bool | datetime | list[str]
AudioSource = str | Path | bytes
Images = ImageSource | Sequence[ImageSource] | None
Sounds = AudioSource | Sequence[AudioSource] | None
IMAGE = "image"  # the field of an item's pictures; no text field or attribute may take the name
AUDIO = "audio"  # that of its sounds
NOUNS = {IMAGE: "picture", AUDIO: "sound"}
LABELS = "_labels"  # the field of an item's categories as words
WORDS = "words"  # the space of all words of an item
RESERVED = frozenset({*NOUNS, LABELS, WORDS, "item_id", "added_at", "content", "behaviour", "vector"})
MAX_ID = 512  # characters
MAX_TEXT = 1_000_000  # characters of one field
MAX_CATEGORY = 10_000  # characters of an attribute, or of one string of its list
MAX_IMAGES = 32  # pictures of one item, and sounds
MAX_DIM = 8_192  # numbers of a given embedding
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


def _check_sources(field: str, given: object) -> tuple[Any, ...]:
    """The pictures or sounds of an item, always as a tuple."""
    sources = () if given in (None, "", b"") else (*given,) if isinstance(given, list | tuple) else (given,)
    if len(sources) > MAX_IMAGES:
        raise DataError(f"an item may have {MAX_IMAGES} {NOUNS[field]}s, got {len(sources)}", field=field)
    for source in sources:
        check_source(field, source)
    return sources


def check_source(field: str, source: object) -> None:
    """DataError if this is nothing that a picture, or a sound, may be given as."""
    if not (isinstance(source, str | Path | bytes) or (field == IMAGE and hasattr(source, "convert"))):
        may = "path, URL, bytes or PIL image" if field == IMAGE else "path or bytes"
        raise DataError(
            f"{field} must be a {may}, got {type(source).__name__}: {source!r}"[:300], field=field
        )


def _check_embeddings(embeddings: object) -> Mapping[str, array[float]]:
    if not isinstance(embeddings, Mapping):
        got = type(embeddings).__name__
        raise DataError(f"embeddings must map fields to vectors, got {got}", field="embeddings")
    return MappingProxyType({
        name if name in NOUNS else _check_name(name, "embedding"): _check_embedding(name, vector)
        for name, vector in embeddings.items() if vector is not None
    })


def _check_embedding(name: str, vector: Any) -> array[float]:
    try:
        kept = array("f", [] if isinstance(vector, bytes | bytearray) else vector)
    except (TypeError, OverflowError):  # OverflowError: a number beyond what 32 bits hold
        kept = array("f")
    if 1 <= len(kept) <= MAX_DIM and all(map(math.isfinite, kept)) and any(kept):
        return kept
    raise DataError(
        f"the embedding of {name!r} must be a list of 1 to {MAX_DIM:,} finite numbers, not all of them 0,"
        f" got {vector!r}"[:300], field=name,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing of the catalogue.

    Attributes:
        item_id: the caller's own id, 1 to 512 printable characters, as `normal_id` writes it.
        text: named text fields (`{"title": ..., "description": ...}`); blank ones count as absent.
        image: no, one or several pictures: path, `https://` URL, encoded bytes or PIL image.
        audio: no, one or several sounds: path or encoded bytes (WAV, FLAC, OGG or MP3).
        embeddings: vectors by field that somebody else's model made, such as `{"audio": [...]}`: no encoder
            reads such a field. A store keeps them at norm 1, and `get` leaves them out.
        attributes: typed values for filters and content: category, number, bool, date, list of strings.
        added_at: when it joined the catalogue (UTC); `None` means at ingest, and keeps what is stored.
        lost: what its source holds and the item lacks, as it cannot be used; `row` is whole.

    Raises:
        DataError: a part of the item cannot be used; `.field` names it.
    """

    item_id: str
    text: Mapping[str, str] = field(default_factory=dict)
    image: Images = None
    audio: Sounds = None
    embeddings: Mapping[str, Iterable[float]] = field(default_factory=dict)
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    added_at: datetime | None = None
    line: int | None = field(default=None, compare=False, repr=False)
    lost: Rejection | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        settle = object.__setattr__  # the one moment a frozen value may still be settled
        settle(self, "item_id", check_id(self.item_id, "item_id"))
        settle(self, "text", _check_text(self.text))
        settle(self, "image", _check_sources(IMAGE, self.image))
        settle(self, "audio", _check_sources(AUDIO, self.audio))
        settle(self, "embeddings", _check_embeddings(self.embeddings))
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
    def sounds(self) -> tuple[AudioSource, ...]:
        """The sounds, always as a tuple."""
        return self.audio  # type: ignore[return-value]  # settled in __post_init__

    @property
    def vectors(self) -> Mapping[str, array[float]]:
        """The given embeddings, as they are kept."""
        return self.embeddings  # type: ignore[return-value]  # settled in __post_init__

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
