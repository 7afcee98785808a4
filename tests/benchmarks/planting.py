"""Faults planted in the demo shop, by lot: what `mmrec check` has to find, and what it has to leave alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image

from ingest.demo.dice import Dice
from ingest.demo.draw import draw
from ingest.demo.products import LOG_END, make_products
from ingest.demo.shop import PICTURES, PRODUCTS, DemoShop, make_shop
from ingest.demo.styles import COLOURS
from mmrec.types import Interaction, Item

PLANTS = 12  # a stream of draws apart from those of the shop
CHANGES = ("re-encoded", "resized", "cropped", "cropped and resized")
HOUR = datetime(2025, 3, 3, 14, tzinfo=UTC)
WORDS = ("from the second feed", "as before", "seller two", "new in stock", "our choice")


@dataclass
class Planted:
    """A shop with faults, and where they are.

    Attributes:
        shown: the shop without them.
        items, interactions: of the shop, with the faults among them.
        pairs: ids of two items each that the finding of a name has to put together.
        ids: items, users or groups that the finding of a name has to name.
        colours: a design and the same in another colour, which show no one photo.
        changes: how the second picture of a near duplicate was changed, by its id.
        origin: the product that a second item was made of, by its id.
    """

    shown: DemoShop
    items: list[Item] = field(default_factory=list)
    interactions: list[Interaction] = field(default_factory=list)
    pairs: dict[str, set[frozenset[str]]] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=dict)
    colours: set[frozenset[str]] = field(default_factory=set)
    changes: dict[str, str] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)

    def pair(self, name: str, product: str, other: str) -> None:
        """Notes an item that was made of a product."""
        self.pairs.setdefault(name, set()).add(frozenset((product, other)))
        self.origin[other] = product


def plant(
    folder: Path, *, seed: int, products: int = 600, shoppers: int = 400, share: float = 0.05
) -> Planted:
    """The demo shop of a seed, a share of its items with each fault of items, and the faults of a log."""
    dice = Dice(seed, PLANTS)
    planted = Planted(make_shop(folder, seed=seed, products=products, shoppers=shoppers))
    shown = planted.shown
    planted.items, planted.interactions = list(shown.items), list(shown.interactions)
    catalogue = list(make_products(products, Dice(seed, PRODUCTS)))
    order, n = iter(dice.shuffled(range(products))), max(1, int(share * products))
    (folder / "planted").mkdir(exist_ok=True)
    for number in range(4 * n):
        _near_copy(planted, next(order), folder, CHANGES[number % len(CHANGES)], dice)
    for number in (next(order) for _ in range(n)):
        item = shown.items[number]
        planted.items.append(replace(item, item_id=f"again-{number:04d}"))
        planted.pair("same-item", item.item_id, f"again-{number:04d}")
    for number in (next(order) for _ in range(n)):
        item, other = shown.items[number], f"shared-{number:04d}"
        planted.items.append(replace(_reworded(item, dice), item_id=other))
        planted.pair("same-picture", item.item_id, other)
    for number in (next(order) for _ in range(2 * n)):
        _recoloured(planted, catalogue[number], number, folder, seed, dice)
    _faulty_items(planted, [next(order) for _ in range(5 * n)], folder, dice)
    _faulty_log(planted, dice)
    return planted


def change(picture: Image.Image, path: Path, how: str, dice: Dice) -> Path:
    """The picture in another format and of lower quality, resized or cropped as `how` says."""
    width, height = picture.size
    if "cropped" in how:  # up to 5% at each side
        left, top, right, bottom = (dice.between(0, 0.05) for _ in range(4))
        box = left * width, top * height, (1 - right) * width, (1 - bottom) * height
        picture = picture.crop(tuple(map(round, box)))
    if "resized" in how:
        factor = dice.between(0.4, 1.6)
        size = tuple(max(8, round(factor * side)) for side in picture.size)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    path = path.with_suffix(dice.pick((".jpg", ".webp")))
    picture.save(path, quality=dice.whole(50, 92))
    return path


def _reworded(item: Item, dice: Dice) -> Item:
    return replace(item, text={name: f"{text} - {dice.pick(WORDS)}" for name, text in item.text.items()})


def _near_copy(planted: Planted, number: int, folder: Path, how: str, dice: Dice) -> None:
    item, other = planted.shown.items[number], f"copy-{number:04d}"
    with Image.open(item.images[0]) as picture:
        path = change(picture.convert("RGB"), folder / "planted" / other, how, dice)
    planted.items.append(replace(_reworded(item, dice), item_id=other, image=str(path)))
    planted.pair("near-pictures", item.item_id, other)
    planted.changes[other] = how


def _recoloured(planted: Planted, product, number: int, folder: Path, seed: int, dice: Dice) -> None:
    """The same drawing in another colour."""
    colour = dice.pick([name for name in COLOURS if name not in (product.colour, product.accent)])
    item, other = planted.shown.items[number], f"colour-{number:04d}"
    path = folder / "planted" / f"{other}.png"
    draw(replace(product, colour=colour), Dice(seed, PICTURES, number)).save(path)
    planted.items.append(replace(
        item, item_id=other, image=str(path), attributes={**item.attributes, "colour": colour}
    ))
    planted.colours.add(frozenset((item.item_id, other)))


def _faulty_items(planted: Planted, numbers: list[int], folder: Path, dice: Dice) -> None:
    """Placeholders, empty and broken texts, prices in cents, spellings and ids that a spreadsheet rewrote."""
    placeholder = folder / "planted" / "placeholder.png"
    Image.effect_mandelbrot((200, 200), (-2, -1.5, 1, 1.5), 30).convert("RGB").save(placeholder)
    n = len(numbers) // 5
    parts = [iter(numbers[k * n : (k + 1) * n]) for k in range(5)]

    def spoil(name: str, number: int, **changes) -> None:
        item = planted.items[number]
        planted.items[number] = replace(item, **changes)
        planted.ids.setdefault(name, set()).add(item.item_id)

    for number in parts[0]:
        spoil("placeholder-pictures", number, image=str(placeholder))
    for number in parts[1]:
        spoil("empty-texts", number, text={"title": dice.pick(("n/a", "Untitled", "test", "-"))})
    for number in parts[2]:
        text = dict(planted.items[number].text)
        if dice.unit() < 0.5:
            text["description"] = f"<p>{text['description']}</p> &amp; more<br/>"
            spoil("markup", number, text=text)
        else:
            text["description"] += dice.pick((" KÃ¤se fÃ¼r Ã–sterreich", " na\ufffdve caf\ufffd"))
            spoil("encoding", number, text=text)
    for number in parts[3]:
        attributes = dict(planted.items[number].attributes)
        if dice.unit() < 0.5:
            attributes["price"] *= dice.pick((0, -1, 1_000))
            spoil("odd-numbers", number, attributes=attributes)
        else:
            attributes["colour"] = dice.pick((str.upper, str.title))(attributes["colour"])
            spoil("spellings", number, attributes=attributes)
    for number in parts[4]:
        item = planted.items[number]
        other = item.item_id.upper() if dice.unit() < 0.5 else item.item_id.replace("-0", "-")
        if other != item.item_id:
            planted.items.append(replace(_reworded(item, dice), item_id=other, image=()))
            planted.pair("like-ids", item.item_id, other)


def _faulty_log(planted: Planted, dice: Dice) -> None:
    """Bots, an hour that holds a tenth of the log, double clicks, and what cannot have been clicked."""
    log, n = planted.interactions, len(planted.interactions)
    warm = [item for item in planted.shown.items if item.added_at < HOUR - timedelta(days=2)]
    ids, all_ids = [item.item_id for item in warm], {item.item_id for item in planted.items}
    unlike = [item_id.upper() for item_id in ids if item_id.upper() not in all_ids]

    def act(name: str, user: str, item_id: str, time: datetime) -> None:
        log.append(Interaction(user_id=user, item_id=item_id, time=time))
        if name:
            planted.ids.setdefault(name, set()).add(user)

    for _ in range(1_500):
        act("bots", "crawler", dice.pick(ids), LOG_END - timedelta(seconds=dice.whole(0, 40 * 86_400)))
    for k in range(120):
        act("bots", "clockwork", dice.pick(ids), LOG_END - timedelta(days=9, seconds=-47 * k))
    for k in range(int(0.15 * (n + 1_800))):
        act("", f"passer-by-{k}", dice.pick(ids), HOUR + timedelta(seconds=dice.whole(0, 3_599)))
    for _ in range(n // 50):
        one = log[dice.whole(0, n - 1)]
        log.append(replace(one, time=one.time + timedelta(seconds=dice.whole(1, 5))))
    for k in range(n // 20):
        item = dice.pick(warm)
        act("early", f"early-{k}", item.item_id, item.added_at - timedelta(days=dice.whole(2, 60)))
    for k in range(n // 30):
        act("unknown-items", f"visitor-{k}", f"gone-{k % 9}", LOG_END - timedelta(days=dice.whole(1, 100)))
    for k in range(n // 40):
        act("log-ids", f"caller-{k}", dice.pick(unlike), LOG_END - timedelta(days=dice.whole(1, 40)))
