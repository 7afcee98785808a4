"""Examples of what a Recommender shows, as a gallery page: to users, near items, and for queries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from mmrec.recommender import Recommender
from mmrec.service.gallery import Card, GalleryPage, Neighbourhood, Profile, Shelf
from mmrec.types import RUNGS, Item, Recommendation, as_utc

RECENT = 10  # interactions of a history that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
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
        searches=[gallery.search(words) for words in queries],
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
        kinds = self.shop.config.kind_weights
        disliked = frozenset(act.item_id for act in acts if kinds.get(act.kind, 1.0) < 0)
        shelves = [self._recommended("From the whole catalogue", visitor, None, disliked)]
        if self.new_since is not None:
            new = f"added_at > '{self.new_since.isoformat()}'"
            shelves.append(self._recommended("New arrivals only", visitor, new, disliked))
        lines = [f"Says: “{visitor.taste}”"] if visitor.taste else []
        return Profile(
            name=visitor.name, about=[*lines, *visitor.about],
            history=[self._card(item, badge=act.kind) for item, act in zip(items, latest, strict=True)],
            earlier=len(acts) - len(latest), shelves=shelves,
        )

    def neighbourhood(self, item: Item, by: Sequence[str]) -> Neighbourhood:
        """An item and its neighbours in each space."""
        shelves = [
            self._shelf(f"by {space}", self.shop.similar(item.item_id, by=space, k=self.k)) for space in by
        ]
        return Neighbourhood(card=self._card(item), shelves=shelves)

    def search(self, words: str) -> Shelf:
        """What is found for words."""
        return self._shelf(words, self.shop.search(words, k=self.k))

    def _recommended(
        self, title: str, visitor: Visitor, where: str | None, disliked: Collection[str]
    ) -> Shelf:
        found = self.shop.recommend(user=visitor.user, taste=visitor.taste, k=self.k, where=where)
        return self._shelf(title, found, disliked)

    def _shelf(
        self, title: str, found: Sequence[Recommendation], disliked: Collection[str] = ()
    ) -> Shelf:
        items = self.shop.get([result.item_id for result in found])
        names = self._names(found)
        return Shelf(title=title, cards=[
            self._card(
                item, score=_score(result), badge=result.rung if result.rung in RUNGS else "",
                why=self._why(result, names, disliked),
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

    def _names(self, found: Sequence[Recommendation]) -> dict[str, str]:
        """Titles of the items of the history that are reasons of these results."""
        helped = dict.fromkeys(r.name for result in found for r in result.reasons if r.source == "item")
        return {item.item_id: item.title for item in self.shop.get(list(helped))}

    def _why(self, result: Recommendation, names: Mapping[str, str], disliked: Collection[str]) -> str:
        """The main reason of a result, in words."""
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
        liked = [r.name for r in helped if r.source == "item" and r.name not in disliked]
        spurned = [r.name for r in helped if r.source == "item" and r.name in disliked]
        if liked:  # a dislike may help more, but says less
            return f"because of {names[liked[0]]}"
        if spurned:
            return f"unlike {names[spurned[0]]}"
        return "fits the words" if any(r.source == "words" for r in helped) else ""


def _score(result: Recommendation) -> str:
    """A score with the digits that tell results apart; that of the newest is an age in days."""
    if result.rung == "newest":
        return f"{abs(result.score):.0f} d"
    return f"{result.score:.4f}" if result.rung == "search" else f"{result.score:.2f}"
