"""The gallery: one HTML file, pictures included, of what a recommender shows to whom.

`GalleryPage` describes its contents; `mmrec.service.examples` makes one from a Recommender.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmrec.data import images
from mmrec.data.files import replacing
from mmrec.errors import DataError
from mmrec.types import ImageSource

SIDE = 160  # pixels of a thumbnail's longest side
QUALITY = 82  # of its JPEG; some 5 kB each


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One item as it is shown.

    Attributes:
        detail: another line, such as its price.
        badge: the rung that found it, or in a history the kind of the interaction.
        cold: whether it came after the last recorded interaction.
        why: the main reason of the result, in words.
    """

    title: str
    image: ImageSource | None = None
    detail: str = ""
    score: str = ""
    badge: str = ""
    cold: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Items in a row, best first."""

    title: str
    cards: Sequence[Card]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One visitor: what is known, and what is shown.

    Attributes:
        about: lines that help a person to judge, such as a taste in words.
        history: the latest interactions, the last one first; `badge` is the kind.
        earlier: number of interactions before these.
    """

    name: str
    about: Sequence[str] = ()
    history: Sequence[Card] = ()
    earlier: int = 0
    shelves: Sequence[Shelf] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """One item, and the items near it in several spaces."""

    card: Card
    shelves: Sequence[Shelf]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One measured value from 0 to 1 with its interval; `ours` is drawn in colour."""

    name: str
    value: float
    low: float
    high: float
    ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars that may be compared with each other."""

    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPage:
    """The contents of the page; empty parts are left out.

    Attributes:
        facts: names and values at the top.
        note: how the charts were measured.
    """

    title: str
    lead: str = ""
    facts: Sequence[tuple[str, str]] = ()
    charts: Sequence[Chart] = ()
    note: str = ""
    profiles: Sequence[Profile] = ()
    neighbourhoods: Sequence[Neighbourhood] = ()
    searches: Sequence[Shelf] = ()


def write_gallery(path: str | Path, page: GalleryPage) -> None:
    """Writes the page, whole or not at all; it needs no network and no other file.

    A picture that cannot be read (a URL, a lost file) is left blank.

    Raises:
        DataError: the file cannot be written.
    """
    templates = Environment(
        loader=PackageLoader("mmrec", "service"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    html = templates.get_template("gallery.html").render(page=page, thumbnail=_Thumbnails().uri)
    with replacing(path) as file:
        file.write(html.encode())


class _Thumbnails:
    """Pictures as data URIs; each is decoded once."""

    def __init__(self) -> None:
        self._known: dict[object, str] = {}

    def uri(self, source: ImageSource) -> str:
        """A small JPEG of a picture; an empty string if it cannot be read."""
        key = source if isinstance(source, str | Path | bytes) else id(source)
        if key not in self._known:
            try:
                self._known[key] = _encoded(source)
            except DataError:
                self._known[key] = ""
        return self._known[key]


def _encoded(source: ImageSource) -> str:
    picture, file = images.decode(source), io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
