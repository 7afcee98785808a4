"""The records of a shop system's export: a record for each product, or for each of its variants.

The rows of a product may lie anywhere in the file. It is read through once to see which belong together and
how many they are; then a product goes out as soon as its last row has come, and memory holds no more than
the products that are under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from ingest.sources.columns import Columns
from ingest.sources.exports import HIDDEN, Cells, Export, Part, first_of, pairs
from ingest.sources.guesses import infer
from ingest.sources.names import roles
from ingest.sources.records import Record
from ingest.sources.values import Kind, Reading, is_blank
from ingest.sources.variants import Family, Joining, differing, distinct, shared

_SHOWN = 8  # columns named in a note


@dataclass
class _Index:
    """Which rows belong to which product, and what there is in the whole file.

    Attributes:
        rows: number of rows by product.
        variants: number of rows of variants by product, or by another name of it.
        aliases: a product's id by any other name that it has.
        parents: the product of a variant, where the product names its variants.
        options: names of what tells variants apart.
        owners: the product by the id of a variant.
        unclear: ids of variants that several products have.
        several: whether a product has more than one variant.
    """

    rows: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    aliases: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    options: dict[str, None] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    unclear: set[str] = field(default_factory=set)
    several: bool = False

    @classmethod
    def of(cls, rows: Iterable[Cells], export: Export, taken: Collection[str]) -> _Index:
        """The index of rows, their cells as `Export.keys` gives them; `taken` as of `Export.options_of`."""
        index = cls()
        said = (index._product_of(cells, export, taken) for cells in rows)
        products = [product for product in said if product is not None]
        index.rows.update(map(index.product, products))
        index.several = bool(index.parents) or max(index.variants.values(), default=0) > 1
        return index

    def product(self, name: str) -> str:
        """The product that a row names, or belongs to; WooCommerce writes `id:44` beside product numbers."""
        name = name.removeprefix("id:") if name.startswith("id:") else self.aliases.get(name, name)
        return self.parents.get(name, name)

    def _product_of(self, cells: Cells, export: Export, taken: Collection[str]) -> str | None:
        """The product that a row names; what it says besides is added."""
        own, group = first_of(cells, export.id), first_of(cells, export.group)
        product = group or own
        if product is None:
            return None
        self.options |= {name: None for name, _ in export.options_of(cells, {}, taken)}
        variant = first_of(cells, export.own) if group or first_of(cells, export.variant) else None
        if variant and self.owners.setdefault(variant, product) != product:
            self.unclear.add(variant)
        self.variants[product] += bool(group or first_of(cells, export.variant))
        if own and not group:
            self.aliases |= {
                name: own for column in export.id if (name := first_of(cells, (column,))) not in (None, own)
            }
        for child in (first_of(cells, export.children) or "").split("|"):
            said = dict(pairs(child))
            if own and (name := said.pop("sku", None)):
                self.parents[name] = own
                self.options |= dict.fromkeys(said)
        return product


class Exported:
    """The records of an export.

    Args:
        export: which it is.
        records: walks through the file's rows.
        first: its first rows.
        said: what the caller says of the columns.
    """

    def __init__(
        self, export: Export, records: Callable[[], Iterator[Record]], first: Iterable[Record], said: Columns
    ) -> None:
        self._export, self._records, self._said = export, records, said
        self._first = list(self._rows(first))
        self._columns = list(dict.fromkeys(name for record in self._first for name in record.cells))
        self._taken = by_plain = {export.plain(column): column for column in reversed(self._columns)}
        self._id = next(by_plain[name] for name in export.id if name in by_plain)
        self._images, self._own_images = (
            [by_plain[name] for name in names if name in by_plain]
            for names in (export.image, export.own_image)
        )
        self.part = cache(self._part)
        self._blank = dict.fromkeys(name for name in self._columns if self.part(name) not in HIDDEN)
        self.grouped = bool(export.children or export.variant or not by_plain.keys().isdisjoint(export.group))

    @property
    def columns(self) -> Columns:
        """The caller's mapping, with the columns of the id and of pictures that the export has."""
        image = tuple(self._images) or None if self._said.image is None else self._said.image
        return replace(self._said, id=self._said.id or self._id, image=image)

    def _part(self, column: str) -> Part | None:
        """What a column is, where the caller does not say it."""
        found = self._export.part(column)
        wanted = found in HIDDEN and column in self._said.names
        return None if wanted or column in (self._said.types or {}) else found

    def name_of(self, column: str) -> str:
        """What an attribute is called, before a valid name is made of it."""
        new = self._export.name_of(column)
        return column if self._export.plain(new) in self._taken else new

    def kinds(self, first: Iterable[Record]) -> dict[str, Kind]:
        """What columns of labels hold, by the first records that go out: "Ton, Stein" is one brand."""
        cells: dict[str, list[Any]] = {}
        for record in first:
            for name, cell in record.cells.items():
                cells.setdefault(name, []).append(cell)
        return {
            name: "category" for name, column in cells.items()
            if name != self._id and not any(isinstance(cell, list) for cell in column) and (
                self.part(name) in ("label", "code") or name in self._varying
                or (name not in self._columns and (found := infer(name, column)) and found.kind == "list")
            )
        }

    def records(self) -> Iterator[Record]:
        """The products, or their variants."""
        for key, group in self._groups(self._rows(self._records())):
            if key is None:
                rows = iter([replace(group[0], cells=self._export.tidy(group[0].cells, self.part))])
            else:
                rows = self._joining.records(self._family(key, group))
            for row in rows:
                row.cells = {**self._blank, **row.cells}
                if len(self._images) > 1 and self._said.image is None:  # which often name one picture twice
                    found = [picture for name in self._images for picture in row.cells.get(name) or ()]
                    row.cells |= {**dict.fromkeys(self._images), self._images[0]: distinct(found)}
                yield row

    def _groups(self, records: Iterable[Record]) -> Iterator[tuple[str | None, list[Record]]]:
        """The rows of each product, as soon as they are all there; those of none alone."""
        under_way: dict[str, list[Record]] = {}
        for record in records:
            key = None if record.problem else self._key(record)
            if key is None:
                yield None, [record]
                continue
            under_way.setdefault(key, []).append(record)
            if not self.grouped or len(under_way[key]) == self._index.rows[key]:
                yield key, under_way.pop(key)
        yield from under_way.items()  # of the first rows alone, or of a file that changes meanwhile

    def notes(self) -> list[str]:
        """What was made of the file, and the options that change it."""
        rows, products = sum(self._index.rows.values()), len(self._index.rows)
        counts = f": {rows:,} rows are {products:,} products" if self.grouped else ""
        told = [f"an export of {self._export.system}{counts}"]
        if self._index.several and self._joining.split:
            told.append("each variant is an item and has its product's texts (--variants merge joins them)")
        elif self._index.several:
            lists = f" and lists of {_listing(map(repr, sorted(self._joining.several)))}"
            told.append(
                f"variants are one item with their lowest price{lists if self._joining.several else ''}"
                " (--variants split makes each an item)"
            )
        new, joins, plain = self._export.called, {*self._export.id, *self._export.group}, self._export.plain
        called = [
            f"{name!r} {new[plain(name)]}" for name in self._columns
            if plain(name) in new and self.name_of(name) != name
        ]
        left_out = [name for name in self._columns if self.part(name) == "left out"]
        shown = _listing(repr(name) for name in left_out if plain(name) not in joins)
        told += [f"columns that get another name: {_listing(called)}"] if called else []
        if shown:
            told.append(f"columns for the running of a shop left out: {shown} (--attributes, --text)")
        return told

    def _rows(self, records: Iterable[Record]) -> Iterator[Record]:
        above: Cells = {}
        for record in records:
            if record.problem or (self._export.rows is None and not self._export.down):
                yield record
                continue
            for cells in self._export.rows(record.cells) if self._export.rows else [dict(record.cells)]:
                if self._export.down:
                    own = {name: cells[name] for name in cells if self._export.plain(name) in self._export.id}
                    above = above if all(map(is_blank, own.values())) else own
                yield replace(record, cells={**cells, **above})

    @cached_property
    def _index(self) -> _Index:
        rows = self._rows(self._records()) if self.grouped else iter(())
        cells = (self._export.keys(row.cells) for row in rows if not row.problem)
        return _Index.of(cells, self._export, self._taken)

    def _key(self, record: Record) -> str | None:
        cells = self._export.keys(record.cells)
        name = first_of(cells, self._export.group) or first_of(cells, self._export.id)
        return None if name is None else self._index.product(name)

    def _family(self, key: str, group: Sequence[Record]) -> Family:
        """What the rows of a product say of it and of its variants."""
        export, names = self._export, dict[str, str]()
        product: list[Cells] = []
        variants: dict[Any, tuple[str | None, Cells]] = {}
        alike = True
        rows = [(record, export.keys(record.cells)) for record in group]
        for record, cells in sorted(rows, key=lambda row: first_of(row[1], export.later) is not None):
            own, options = first_of(cells, export.id), dict(export.options_of(cells, names, self._taken))
            row = {**export.tidy(record.cells, self.part), **options}
            if not (first_of(cells, export.group + export.variant) or own in self._index.parents):
                product.append(row)
                continue
            alike = alike and own == key and not options
            if export.own_image and self._images:
                product.append({name: row.pop(name) for name in self._images if name in row})
                row |= {self._images[0]: [row.pop(name, None) for name in self._own_images]}
            place = len(variants) if own in (None, key) else own
            item_id = first_of(cells, export.own)
            item_id = None if item_id in self._index.unclear else item_id
            _, before = variants.setdefault(place, (item_id, {}))
            before |= row | {name: cell for name, cell in before.items() if not is_blank(cell)}
        if alike:
            return Family(key, [*(row for _, row in variants.values()), *product], [], group[0])
        if not any(self.part(name) == "text" and not is_blank(row[name]) for row in product for name in row):
            product.insert(0, shared(next(iter(variants.values()))[1], self._varying))
        return Family(key, product, list(variants.values()), group[0])

    @cached_property
    def _varying(self) -> frozenset[str]:
        """Columns of what tells variants apart."""
        varying = self._export.varying if self.grouped else ()
        fixed = [name for name in self._columns if self._export.plain(name) in varying]
        return frozenset({*self._index.options, *fixed})

    @cached_property
    def _joining(self) -> Joining:
        groups = self._groups(self._first)
        families = [self._family(key, group) for key, group in groups if key is not None]
        readings = self._readings(families)
        fixed = {self._said.id, self._id, *(self._said.text or ())}
        kinds = {
            name: found.kind for name, found in readings.items()
            if found and name not in fixed and self.part(name) not in ("text", "image", "flag")
        }
        words = [n for n, kind in kinds.items() if kind == "category" or self.part(n) in ("label", "code")]
        codes = {name for name in words if self._index.several and "code" in roles(name)}
        return Joining(
            id=self._id, image=self.columns.image or (),
            several=(differing(families, words) | codes | self._varying) - fixed,
            prices={
                name: found for name, kind in kinds.items()
                if kind == "number" and "price" in roles(name) and (found := readings[name])
            },
            split=self._said.variants == "split", plain=self._export.plain,
        )

    def _readings(self, families: Sequence[Family]) -> Mapping[str, Reading | None]:
        cells: dict[str, list[Any]] = {}
        for family in families:
            for row in (*family.product, *(row for _, row in family.variants)):
                for name, cell in row.items():
                    cells.setdefault(name, []).append(cell)
        return {name: infer(name, column, self._said.hints) for name, column in cells.items()}


def _listing(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
