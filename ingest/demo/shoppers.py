"""Shoppers of the demo shop: what they like, and the clicks that follow from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ingest.demo.dice import Dice
from ingest.demo.kinds import KINDS, Kind
from ingest.demo.products import LOG_END, OPENED, Product
from ingest.demo.styles import COLOURS, STYLES
from mmrec.types import Interaction

PRICE_BANDS = ((0.0, 30.0), (0.0, 50.0), (20.0, 80.0), (40.0, 300.0))
NOISE = 0.005  # clicks without any liking, and likings without a click
FAR = 0.05  # a product clicked less often than this is far from the taste
NEW_SHARE = 0.2  # shoppers who joined in the last weeks of the log
MOST = 60  # interactions of one shopper
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shopper:
    """A shopper and the taste behind the clicks.

    Attributes:
        kinds: categories that the shopper looks for.
        price_band: lowest and highest price that the shopper likes to pay.
        joined: no interaction is earlier.
        new: joined in the log's last weeks, and has a short history.
    """

    user_id: str
    styles: tuple[str, ...]
    colours: tuple[str, ...]
    kinds: tuple[str, ...]
    price_band: tuple[float, float]
    joined: datetime
    new: bool

    @property
    def taste(self) -> str:
        """The taste in words: "nordic style, blue and grey, mugs and lamps, under 30"."""
        low, high = self.price_band
        price = f"{low:.0f} to {high:.0f}" if low else f"under {high:.0f}"
        kinds = [f"{kind}s" for kind in self.kinds]
        return f"{_listed(self.styles)} style, {_listed(self.colours)}, {_listed(kinds)}, {price}"

    def affinity(self, *, kind: str, style: str, colour: str, price: float) -> float:
        """Probability that the shopper clicks on such a product when it is shown."""
        low, high = self.price_band
        liking = (
            -5.4 + 2.6 * (kind in self.kinds) + 2.6 * (style in self.styles)
            + 1.8 * (colour in self.colours) - 2.0 * (not low <= price <= high)
        )
        return NOISE + (1 - 2 * NOISE) / (1 + math.exp(-liking))


def make_shoppers(count: int, dice: Dice) -> list[Shopper]:
    """Shoppers with tastes of their own."""
    return [_make(f"user-{number + 1:03d}", dice) for number in range(count)]


def affinities(shopper: Shopper, products: Sequence[Product]) -> Floats:
    """Click probability of each product, [n]."""
    return np.array([
        shopper.affinity(kind=p.kind, style=p.style, colour=p.colour, price=p.price) for p in products
    ])


def shop_around(shopper: Shopper, products: Sequence[Product], dice: Dice) -> Iterator[Interaction]:
    """One shopper's interactions: what was seen and liked, and some dislikes of what is far from the taste.

    A product is seen in proportion to its popularity and to the time that it shared with the shopper.
    """
    likes = affinities(shopper, products)
    seen = np.array([p.popularity * shared_days(shopper, p) for p in products])
    wanted = min(_appetite(shopper, dice), max(1, int(np.sum(seen > 0)) // 5))
    clicked = dice.sample(seen * likes, wanted)
    for i in clicked:
        yield _interaction(shopper, products[i], _warmth(likes[i], dice), dice)
    far = seen * (likes < FAR)
    far[clicked] = 0  # nobody clicks and dislikes the same product
    for i in dice.sample(far, 0 if shopper.new else dice.whole(0, wanted // 4)):
        yield _interaction(shopper, products[i], "dislike", dice)


def would_click(shopper: Shopper, products: Sequence[Product], dice: Dice) -> frozenset[str]:
    """The cold products that the shopper clicks when each is shown once."""
    likes = affinities(shopper, products)
    return frozenset(
        p.item_id for p, like in zip(products, likes, strict=True) if p.cold and dice.unit() < like
    )


def _make(user_id: str, dice: Dice) -> Shopper:
    styles = dice.shuffled(tuple(STYLES))[: dice.whole(1, 2)]
    near = [colour for style in styles for colour in STYLES[style].colours]
    palette = near if dice.unit() < 0.8 else tuple(COLOURS)  # some like a colour that their style lacks
    band = dice.pick(PRICE_BANDS)
    kinds = dice.shuffled([kind.name for kind in KINDS if _affordable(kind, band)])
    new = dice.unit() < NEW_SHARE
    days = (LOG_END - OPENED).days
    return Shopper(
        user_id=user_id, styles=tuple(styles),
        colours=tuple(dict.fromkeys(dice.shuffled(palette)))[: dice.whole(1, 2)],
        kinds=tuple(kinds[: dice.whole(2, 4)]), price_band=band, new=new,
        joined=OPENED + timedelta(days=days - dice.whole(7, 30) if new else dice.whole(0, days - 60)),
    )


def _affordable(kind: Kind, band: tuple[float, float]) -> bool:
    return band[0] <= kind.typical_price <= band[1]


def _appetite(shopper: Shopper, dice: Dice) -> int:
    """How many products a shopper clicks: a handful for most, many for a few."""
    u = dice.unit()
    return dice.whole(1, 5) if shopper.new else min(MOST, 2 + int(12 * u / (1.02 - u)))


def _warmth(like: float, dice: Dice) -> str:
    """What a click grows into; the more it suits, the more often a like or a purchase."""
    u = dice.unit()
    return "purchase" if u < 0.35 * like else "like" if u < 0.7 * like else "click"


def shared_days(shopper: Shopper, product: Product) -> float:
    """Days of the log in which both were there; 0 for a cold product."""
    return max(0.0, (LOG_END - max(shopper.joined, product.added_at)) / timedelta(days=1))


def _interaction(shopper: Shopper, product: Product, kind: str, dice: Dice) -> Interaction:
    start = max(shopper.joined, product.added_at)
    seconds = int((LOG_END - start).total_seconds() * dice.unit())
    return Interaction(
        user_id=shopper.user_id, item_id=product.item_id, kind=kind, time=start + timedelta(seconds=seconds)
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
