"""The static gallery: one HTML file, pictures included, of what a recommender shows to whom.

`gallery_of` makes its contents, a `GalleryPage`, from a Recommender; `write_gallery` writes the file.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Hashable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmrec.data import images
from mmrec.data.files import replacing
from mmrec.errors import DataError
from mmrec.recommender import Recommender
from mmrec.types import RUNGS, ImageSource, Item, Recommendation, as_utc

SIDE = 160  # pixels of a thumbnail's longest side
QUALITY = 82  # of its JPEG; some 5 kB each
RECENT = 10  # interactions of a history that are shown
TEMPLATES = Environment(
    loader=PackageLoader("mmrec", "service"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)


class Card(NamedTuple):
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


class Shelf(NamedTuple):
    """Items in a row, best first."""

    title: str
    cards: Sequence[Card]


class Profile(NamedTuple):
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


class Neighbourhood(NamedTuple):
    """One item, and the items near it in several spaces."""

    card: Card
    shelves: Sequence[Shelf]


class Bar(NamedTuple):
    """One measured value from 0 to 1 with its interval; `ours` is drawn in colour."""

    name: str
    value: float
    low: float
    high: float
    ours: bool = False


class Chart(NamedTuple):
    """Bars that may be compared with each other."""

    title: str
    bars: Sequence[Bar]


class GalleryPage(NamedTuple):
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


class Visitor(NamedTuple):
    """A user, or somebody unknown, for whom the shop recommends.

    Attributes:
        user: id of the user whose recorded interactions are the history.
        taste: what the visitor likes, in words.
        about: lines for the reader of the page; the shop does not use them.
    """

    name: str
    user: str | None = None
    taste: str | None = None
    about: Sequence[str] = ()


def gallery_of(
    shop: Recommender, *, title: str, visitors: Sequence[Visitor] = (), item_ids: Sequence[str] = (),
    queries: Sequence[str] = (), by: Sequence[str] | None = None, new_since: datetime | None = None,
    k: int = 6,
) -> GalleryPage:
    """What a shop recommends to some visitors, finds like some items, and finds for some queries.

    Args:
        by: spaces of `similar`; None takes the content and every embedded field.
        new_since: items that came later are marked as cold, and shown on a shelf of their own.
        k: number of items on a shelf.

    Raises:
        UnknownItem: one of `item_ids` is not in the catalogue.
        DataError: an argument cannot be used.
    """
    stats = shop.stats()
    if by is None:
        by = ("content", *(name for name, slot in stats["fields"].items() if slot["kind"] == "embedding"))
    gallery = _Gallery(shop, None if new_since is None else as_utc(new_since), k)
    encoders = [(f"{modality} encoder", name) for modality, name in stats["encoders"].items()]
    return GalleryPage(
        title=title,
        facts=(("items", f"{stats['items']:,}"), ("interactions", f"{stats['interactions']:,}"), *encoders),
        profiles=[gallery.profile(visitor) for visitor in visitors],
        neighbourhoods=[gallery.neighbourhood(item, by) for item in shop.get(item_ids)],
        searches=[gallery.shelf(words, shop.search(words, k=k)) for words in queries],
    )


class _Gallery:
    """Turns results of a shop into cards."""

    def __init__(self, shop: Recommender, new_since: datetime | None, k: int) -> None:
        self.shop, self.new_since, self.k = shop, new_since, k

    def profile(self, visitor: Visitor) -> Profile:
        """A visitor's history, and what is recommended from the whole catalogue and among new items."""
        acts = [] if visitor.user is None else self.shop.interactions(visitor.user)
        latest = list(islice((act for act in reversed(acts) if act.item_id in self.shop), RECENT))
        items = self.shop.get([act.item_id for act in latest])
        disliked = frozenset(act.item_id for act in acts if self.shop.behaviour.weight_of(act.kind) < 0)
        wanted: dict[str, str | None] = {"From the whole catalogue": None}
        if self.new_since is not None:
            wanted["New arrivals only"] = f"added_at > '{self.new_since.isoformat()}'"
        shelves = []
        for title, where in wanted.items():
            found = self.shop.recommend(user=visitor.user, taste=visitor.taste, k=self.k, where=where)
            shelves.append(self.shelf(title, found, disliked))
        lines = [f"Says: “{visitor.taste}”"] if visitor.taste else []
        return Profile(
            name=visitor.name, about=[*lines, *visitor.about],
            history=[self._card(item, badge=act.kind) for item, act in zip(items, latest, strict=True)],
            earlier=len(acts) - len(latest), shelves=shelves,
        )

    def neighbourhood(self, item: Item, by: Sequence[str]) -> Neighbourhood:
        found = {f"by {space}": self.shop.similar(item.item_id, by=space, k=self.k) for space in by}
        return Neighbourhood(card=self._card(item), shelves=[self.shelf(*one) for one in found.items()])

    def shelf(self, title: str, found: Sequence[Recommendation], disliked: Collection[str] = ()) -> Shelf:
        items = self.shop.get([result.item_id for result in found])
        helped = {r.name for result in found for r in result.reasons if r.source == "item"}
        names = {item.item_id: item.title for item in self.shop.get(list(helped))}
        return Shelf(title=title, cards=[
            self._card(
                item, score=_score(result), badge=result.rung if result.rung in RUNGS else "",
                why=_why(result, names, disliked),
            )
            for item, result in zip(items, found, strict=True)
        ])

    def _card(self, item: Item, *, score: str = "", badge: str = "", why: str = "") -> Card:
        price = item.attributes.get("price")
        cold = self.new_since is not None and item.added_at is not None and item.added_at > self.new_since
        return Card(
            title=item.title, image=next(iter(item.images), None), score=score, badge=badge, cold=cold,
            why=why, detail=f"{price:,.2f}" if isinstance(price, int | float) else "",
        )


def _why(result: Recommendation, names: Mapping[str, str], disliked: Collection[str]) -> str:
    """The main reason of a result, in words; `names` are the titles of the items of the history."""
    helped = [r for r in result.reasons if r.contribution > 0]
    match result.rung:
        case "popular":
            return "much chosen lately"
        case "newest":
            return "among the newest"
        case "search":
            return " · ".join(f"{r.name} {r.contribution / result.score:.0%}" for r in helped)
        case "similar":
            fields = [r for r in helped if r.source == "field"]
            return " · ".join(f"{r.name} {r.contribution:.2f}" for r in fields[:2] if len(fields) > 1)
    items = [r.name for r in helped if r.source == "item"]
    items.sort(key=disliked.__contains__)  # a dislike may help more, but says less
    if items:
        return f"{'unlike' if items[0] in disliked else 'because of'} {names[items[0]]}"
    return "fits the words" if any(r.source == "words" for r in helped) else ""


def _score(result: Recommendation) -> str:
    """A score with the digits that tell results apart; that of the newest is an age in days."""
    if result.rung == "newest":
        return f"{abs(result.score):.0f} d"
    return f"{result.score:.4f}" if result.rung == "search" else f"{result.score:.2f}"


def write_gallery(path: str | Path, page: GalleryPage) -> None:
    """Writes the page, whole or not at all; it needs no network and no other file.

    A picture that cannot be read (a URL, a lost file) is left blank.

    Raises:
        DataError: the file cannot be written.
    """
    known: dict[object, str] = {}  # each picture is decoded once

    def thumbnail(source: ImageSource) -> str:
        key = source if isinstance(source, Hashable) else id(source)  # a PIL image cannot be hashed
        return known.get(key) or known.setdefault(key, _data_uri(source))

    html = TEMPLATES.get_template("gallery.html").render(page=page, thumbnail=thumbnail)
    with replacing(path) as file:
        file.write(html.encode())


def _data_uri(source: ImageSource) -> str:
    """A small JPEG of a picture; an empty string if it cannot be read."""
    try:
        picture, file = images.decode(source, SIDE), io.BytesIO()
    except DataError:
        return ""
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
