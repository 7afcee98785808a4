"""Products over several rows, as shop systems export variants and further pictures: joined, or kept apart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ingest.sources.amounts import plain_number
from ingest.sources.columns import Columns, Sample
from ingest.sources.names import plain_name, roles
from ingest.sources.pictures import pictures
from ingest.sources.records import Record
from ingest.sources.values import Reading, is_blank

Cells = dict[str, Any]
GROUP, VARIANTS = "item_group_id", "variant_ids"  # columns that tell of the other items, and of the variants
_STOCK = frozenset({"stock", "qty", "quantity", "variant_inventory_qty", "inventory_quantity"})
_AVAILABLE = frozenset({"available", "availability", "in_stock", "is_in_stock", "stock_status"})
_IN_STOCK = frozenset({"in_stock", "instock", "true", "yes", "1"})


@dataclass(frozen=True)
class Family:
    """The rows of one product.

    Attributes:
        key: the product's id.
        product: what its rows say of the product, the most telling first.
        variants: id and cells of each variant; an id is None where it has none.
        first: the first row.
    """

    key: Any
    product: Sequence[Cells]
    variants: Sequence[tuple[str | None, Cells]]
    first: Record


@dataclass(frozen=True, kw_only=True)
class Joining:
    """How the rows of a product become one record, or one for each variant.

    Attributes:
        id: column in which the ids go out.
        image: columns of pictures.
        several: columns that are lists of what the variants have.
        prices: columns of which the lowest is taken, and how they are read.
        split: whether each variant is an item of its own.
        plain: the plain name by which a column is known.
    """

    id: str
    image: Collection[str] = ()
    several: Collection[str] = ()
    prices: Mapping[str, Reading] = field(default_factory=dict)
    split: bool = False
    plain: Callable[[str], str] = plain_name

    def records(self, family: Family) -> Iterator[Record]:
        """The items of a product."""
        apart = self.split and family.variants
        for cells in self._apart(family) if apart else [self._joined(family)]:
            yield replace(family.first, cells=cells)

    def _joined(self, family: Family) -> Cells:
        variants = [cells for _, cells in family.variants]
        cells: Cells = {}
        for name in _names([*family.product, *variants]):
            own = _filled(name, variants)
            cells[name] = self._one(name, own, [*_filled(name, family.product), *own])
        cells[self.id] = family.key
        ids = distinct(cell for cell in _filled(self.id, variants) if str(cell) != str(family.key))
        return cells | {VARIANTS: ids} if ids else cells

    def _one(self, name: str, own: Sequence[Any], every: Sequence[Any]) -> Any:
        """One cell of those that the variants have, and of all."""
        if name in self.image:
            return distinct(picture for cell in every for picture in pictures(cell))
        if len(own) > 1 and name in self.prices:
            return _lowest(own, self.prices[name].read)
        if len(own) > 1 and self.plain(name) in _STOCK:
            return _total(own)
        if own and self.plain(name) in _AVAILABLE:
            return next((cell for cell in own if plain_name(str(cell)) in _IN_STOCK), own[0])
        if name in self.several and not self.split:
            return distinct(part for cell in every for part in (cell if isinstance(cell, list) else [cell]))
        return every[0] if every else None

    def _apart(self, family: Family) -> Iterator[Cells]:
        """A variant has what its product has, but for codes and pictures if it has its own."""
        common: Cells = {}
        for name in _names(family.product):
            found = _filled(name, family.product)
            if name in self.image:
                common[name] = distinct(picture for cell in found for picture in pictures(cell))
            elif found and "code" not in roles(name):
                common[name] = found[0]
        taken: set[Any] = set()
        for number, (own, cells) in enumerate(family.variants, start=1):
            filled = {name: self._lone(name, cell) for name, cell in cells.items() if not is_blank(cell)}
            pictured = not filled.keys().isdisjoint(self.image)
            base = {name: cell for name, cell in common.items() if not (pictured and name in self.image)}
            item_id = f"{family.key}-{number}" if own is None or own in taken else own
            taken.add(item_id)
            yield {**cells, **base, **filled, self.id: item_id, GROUP: family.key}

    def _lone(self, name: str, cell: Any) -> Any:
        """The one value of what tells variants apart."""
        lone = name in self.several and isinstance(cell, list) and len(cell) == 1
        return cell[0] if lone else cell


def shared(cells: Cells, options: Collection[str] = ()) -> Cells:
    """What the first variant says of its product too: all but prices, codes and what tells it apart."""
    return {
        name: cell for name, cell in cells.items()
        if name not in options and not roles(name) & {"code", "price"}
    }


def differing(families: Iterable[Family], names: Iterable[str]) -> frozenset[str]:
    """Columns of which the variants of a product have several values, which makes lists of them."""
    left, found = {name for name in names if plain_name(name) not in _AVAILABLE}, set[str]()
    for family in families:
        for name in left - found:
            if len({str(cell) for cell in _filled(name, [cells for _, cells in family.variants])}) > 1:
                found.add(name)
    return frozenset(found)


@dataclass(frozen=True)
class Variants:
    """How the rows of one product follow each other in a table of any kind.

    Attributes:
        columns: the mapping.
        joining: how they become records.
    """

    columns: Columns
    joining: Joining

    @property
    def note(self) -> str:
        """What is made of the rows, and the option that changes it."""
        same = f"rows with the same {self.columns.id!r} and no text of their own are"
        if self.joining.split:
            return f"{same} an item each, with the texts of the first (--variants merge makes one of them)"
        lists = ", ".join(map(repr, sorted(self.joining.several)))
        lowest = " with the lowest price" if self.joining.prices else ""
        lists = f", lists of {lists}" if lists else ""
        return f"{same} one item{lowest}{lists} (--variants split makes each an item)"

    def records(self, records: Iterable[Record]) -> Iterator[Record]:
        """Records of which those of one product, one after another, are joined."""
        for group in self.groups(records):
            yield from [group[0]] if group[0].problem else self.joining.records(self.family(group))

    def groups(self, records: Iterable[Record]) -> Iterator[list[Record]]:
        """The rows of each product."""
        group: list[Record] = []
        for record in records:
            if group and not self._continues(group[0], record):
                yield group
                group = []
            group.append(record)
        if group:
            yield group

    def _continues(self, first: Record, record: Record) -> bool:
        """Whether a row says more of the product of an earlier one: the same id, and no text of its own."""
        name = self.columns.id or ""
        item_id = record.cells.get(name)
        return (
            not (first.problem or record.problem or is_blank(item_id)) and item_id == first.cells.get(name)
            and all(
                is_blank(record.cells.get(text)) or record.cells[text] == first.cells.get(text)
                for text in self.columns.text or ()
            )
        )

    def family(self, group: Sequence[Record]) -> Family:
        """What the rows say: one that adds pictures alone is no variant."""
        more = {self.columns.id, *(self.columns.text or ()), *self.joining.image}
        rows = [dict(record.cells) for record in group]
        further = [name for name in _names(rows) if name not in more and "image" not in plain_name(name)]
        variants = [row for row in rows if not all(is_blank(row.get(name)) for name in further)]
        product = [shared(rows[0]), *(row for row in rows if row not in variants)]
        lone = len(variants) < 2
        return Family(
            group[0].cells.get(self.columns.id or ""), rows if lone else product,
            [] if lone else [(None, row) for row in variants], group[0],
        )


def variants(records: Sequence[Record], columns: Columns, sample: Sample) -> Variants | None:
    """How the first records say that products lie over several rows; None if each is a row."""
    joining = Joining(id=columns.id or "", image=columns.image or ())
    found = Variants(columns, joining)
    if not columns.text:
        return None
    groups = [group for group in found.groups(records) if len(group) > 1]
    if not groups:
        return None
    words = [name for name in columns.attributes or () if sample.kind(name) == "category"]
    prices = {
        name: reading for name, reading in sample.readings.items()
        if reading is not None and reading.kind == "number" and "price" in roles(name)
    }
    several = differing(map(found.family, groups), words)
    return Variants(columns, replace(
        joining, several=several, prices=prices, split=columns.variants == "split",
    ))


def _names(rows: Iterable[Cells]) -> dict[str, None]:
    return dict.fromkeys(name for cells in rows for name in cells)


def _filled(name: str, rows: Iterable[Cells]) -> list[Any]:
    return [cell for cells in rows if not is_blank(cell := cells.get(name))]


def distinct(cells: Iterable[Any]) -> list[Any]:
    """Cells each once; they may be objects that have no hash."""
    found: list[Any] = []
    for cell in cells:
        if cell not in found:
            found.append(cell)
    return found


def _lowest(cells: Sequence[Any], read: Callable[[Any], Any]) -> Any:
    """The cell of the lowest number; the first where none can be read."""
    numbers: dict[float, Any] = {}
    for cell in cells:
        with suppress(ValueError):
            if (number := read(cell)) is not None:
                numbers.setdefault(number, cell)
    return numbers[min(numbers)] if numbers else cells[0]


def _total(cells: Sequence[Any]) -> Any:
    try:
        return sum(map(plain_number, cells))
    except ValueError:
        return cells[0]
