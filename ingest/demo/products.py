"""What a product of the demo shop is, before it has words and a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest.demo.dice import Dice
from ingest.demo.kinds import KINDS, Kind
from ingest.demo.styles import BRANDS, STYLES, accents_for

OPENED = datetime(2024, 7, 1, tzinfo=UTC)  # the first product arrives
LOG_END = datetime(2025, 4, 30, tzinfo=UTC)  # the last interaction; what arrives later is cold
TODAY = datetime(2025, 7, 1, tzinfo=UTC)  # the last product arrives; 17% of the year are after LOG_END


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """All that is drawn by lot for one product.

    Attributes:
        accent: second colour, of the pattern and the trims.
        popularity: how often it is seen, relative to others; a few products get most of it.
    """

    item_id: str
    kind: str
    form: str
    style: str
    colour: str
    accent: str
    pattern: str
    material: str
    price: float
    popularity: float
    added_at: datetime

    @property
    def cold(self) -> bool:
        """Whether it came after the end of the log."""
        return self.added_at > LOG_END


def make_products(count: int, dice: Dice) -> Iterator[Product]:
    """Products in order of arrival, spread evenly over the year and over the kinds."""
    kinds: list[Kind] = []
    for number in range(count):
        if not kinds:
            kinds = dice.shuffled(KINDS)
        day = (TODAY - OPENED) * (number + dice.unit()) / count
        arrival = OPENED + timedelta(seconds=int(day.total_seconds()))
        yield _make(number, kinds.pop(), arrival, dice)


def brand_of(product: Product, dice: Dice) -> str:
    """One of the five brands of the product's style: the first with a chance of 37%, the last with 13%."""
    brands = BRANDS[product.style]
    return brands[int(len(brands) * dice.unit() ** 1.6)]


def _make(number: int, kind: Kind, added_at: datetime, dice: Dice) -> Product:
    style = dice.pick(tuple(STYLES))
    look = STYLES[style]
    colour = dice.pick(look.colours)
    return Product(
        item_id=f"{kind.name}-{number + 1:04d}", kind=kind.name, form=dice.pick(kind.forms), style=style,
        colour=colour, accent=dice.pick(accents_for(style, colour)), pattern=dice.pick(look.patterns),
        material=dice.pick(kind.materials), price=_price(kind, dice), added_at=added_at,
        popularity=1 / (0.04 + dice.unit()),
    )


def _price(kind: Kind, dice: Dice) -> float:
    """A price that ends like prices do; low ones are more frequent."""
    low, high = kind.price
    whole = int(low + (high - low) * dice.unit() * (0.4 + 0.6 * dice.unit()))
    return whole + dice.pick((0.0, 0.5, 0.9, 0.95))
