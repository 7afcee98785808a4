"""The demo shop put together: products with words and pictures, shoppers, their log, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ingest.demo.chimes import chime, chiming
from ingest.demo.dice import Dice
from ingest.demo.draw import draw
from ingest.demo.products import Product, brand_of, make_products
from ingest.demo.shoppers import Shopper, make_shoppers, shop_around, would_click
from ingest.demo.words import description, title
from mmrec.errors import ConfigError
from mmrec.types import Interaction, Item

if TYPE_CHECKING:
    from PIL.Image import Image

FEWEST_PRODUCTS = 24  # two of a kind
PRODUCTS, WORDS, PICTURES, SHOPPERS, LOG, TRUTH, BRANDS, CHIMES = range(8)  # streams of draws


@dataclass(frozen=True)
class DemoShop:
    """A small shop whose right answers are known.

    Attributes:
        items: the catalogue, oldest first.
        interactions: the log, oldest first; no cold item is in it.
        shoppers: the users behind the log, with their tastes.
        cold: ids of the items that came after the end of the log.
        held_out: for each user id the cold items that this shopper would click (may be none).
    """

    items: list[Item]
    interactions: list[Interaction]
    shoppers: list[Shopper]
    cold: frozenset[str]
    held_out: Mapping[str, frozenset[str]]

    def affinity(self, shopper: Shopper, item_id: str) -> float:
        """The truth: probability that the shopper clicks on the item when it is shown.

        Raises:
            KeyError: the item is not in the shop.
        """
        about: Mapping[str, Any] = self._attributes[item_id]
        return shopper.affinity(
            kind=about["category"], style=about["style"], colour=about["colour"], price=about["price"]
        )

    @cached_property
    def _attributes(self) -> dict[str, Mapping[str, Any]]:
        return {item.item_id: item.attributes for item in self.items}


def make_shop(
    folder: Path | None = None,
    *,
    seed: int = 7,
    products: int = 600,
    shoppers: int = 400,
    brands: bool = False,
    sounds: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> DemoShop:
    """Make the demo shop; the same arguments give the same shop on every machine.

    Args:
        folder: where to write `images/*.png`, `sounds/*.wav`, `items.jsonl` and `interactions.jsonl`; items
            then carry the paths of their files, otherwise pictures and sounds themselves.
        seed: of all draws.
        products: how many, about 17% of them cold.
        shoppers: how many, about 20% of them new.
        sounds: whether a dozen clocks chime, alike if they are of one style.
        brands: whether products have one of 30 brands, which no taste depends on, as an attribute.
        progress: called with (drawn, products) after each picture.

    Raises:
        ConfigError: a number is out of range.
    """
    _check(seed, products, shoppers)
    catalogue = list(make_products(products, Dice(seed, PRODUCTS)))
    people = make_shoppers(shoppers, Dice(seed, SHOPPERS))
    log = [act for n, who in enumerate(people) for act in shop_around(who, catalogue, Dice(seed, LOG, n))]
    shop = DemoShop(
        items=_make_items(catalogue, seed, folder, progress, brands=brands, sounds=sounds),
        interactions=sorted(log, key=lambda act: (act.time, act.user_id, act.item_id)),
        shoppers=people,
        cold=frozenset(product.item_id for product in catalogue if product.cold),
        held_out=MappingProxyType({
            who.user_id: would_click(who, catalogue, Dice(seed, TRUTH, n)) for n, who in enumerate(people)
        }),
    )
    if folder is not None:
        _write_tables(shop, folder)
    return shop


def _check(seed: int, products: int, shoppers: int) -> None:
    for name, value, least in (
        ("seed", seed, 0), ("products", products, FEWEST_PRODUCTS), ("shoppers", shoppers, 1)
    ):
        if value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")


def _make_items(
    products: list[Product], seed: int, folder: Path | None, progress: Callable[[int, int], None] | None, *,
    brands: bool, sounds: bool,
) -> list[Item]:
    items, heard = [], chiming(products) if sounds else set()
    for n, product in enumerate(products):
        picture = draw(product, Dice(seed, PICTURES, n))
        image = picture if folder is None else _write_picture(picture, folder / "images", product.item_id)
        brand = {"brand": brand_of(product, Dice(seed, BRANDS, n))} if brands else {}
        audio: bytes | Path | None = None
        if product.item_id in heard:
            audio = chime(product.style, Dice(seed, CHIMES, n))
            audio = audio if folder is None else _write_sound(audio, folder / "sounds", product.item_id)
        items.append(_make_item(product, image, audio, Dice(seed, WORDS, n), brand))
        if progress is not None:
            progress(n + 1, len(products))
    return items


def _make_item(
    product: Product, image: Image | str, audio: bytes | Path | None, dice: Dice, more: Mapping[str, str]
) -> Item:
    return Item(
        item_id=product.item_id,
        text={"title": title(product, dice), "description": description(product, dice)},
        image=image,
        audio=audio,
        attributes={
            "price": product.price, "category": product.kind, "colour": product.colour,
            "style": product.style, "pattern": product.pattern, **more,
        },
        added_at=product.added_at,
    )


def _write_picture(picture: Image, folder: Path, item_id: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{item_id}.png"
    picture.save(path, compress_level=1)  # fast; flat colours stay small anyway
    return str(path)


def _write_sound(sound: bytes, folder: Path, item_id: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{item_id}.wav"
    path.write_bytes(sound)
    return path


def _write_tables(shop: DemoShop, folder: Path) -> None:
    from mmrec.data.files import write_interactions, write_items

    write_items(folder / "items.jsonl", shop.items)
    write_interactions(folder / "interactions.jsonl", shop.interactions)
