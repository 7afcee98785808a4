"""Products over several rows, as shop systems export variants and further pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingest.sources.columns import Columns, Sample
from ingest.sources.pictures import pictures
from ingest.sources.records import Record
from ingest.sources.values import is_blank


@dataclass(frozen=True)
class Variants:
    """How the rows of one product become one record.

    Attributes:
        columns: the mapping.
        several: columns whose values differ between rows of a product: they become lists.
    """

    columns: Columns
    several: frozenset[str] = frozenset()

    def merged(self, records: Iterable[Record]) -> Iterator[Record]:
        """Records of which those of one product, one after another, are one."""
        group: list[Record] = []
        for record in records:
            if group and not self.continues(group[0], record):
                yield self._one(group)
                group = []
            group.append(record)
        if group:
            yield self._one(group)

    def continues(self, first: Record, record: Record) -> bool:
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

    def _one(self, group: Sequence[Record]) -> Record:
        first = group[0]
        if first.problem:
            return first
        cells: dict[str, Any] = {}
        for name in dict.fromkeys(name for record in group for name in record.cells):
            given = [cell for record in group if not is_blank(cell := record.cells.get(name))]
            if name in (self.columns.image or ()):
                found = [picture for cell in given for picture in pictures(cell)]
                cells[name] = [picture for at, picture in enumerate(found) if picture not in found[:at]]
            elif name in self.several:
                cells[name] = list(dict.fromkeys(given))
            else:
                cells[name] = given[0] if given else first.cells.get(name)
        return replace(first, cells=cells)


def variants(records: Sequence[Record], columns: Columns, sample: Sample) -> Variants | None:
    """How the first records say that products lie over several rows; None if each is a row."""
    found = Variants(columns)
    if not columns.text:
        return None
    groups: list[list[Record]] = []
    for record in records:
        if groups and found.continues(groups[-1][0], record):
            groups[-1].append(record)
        else:
            groups.append([record])
    if all(len(group) == 1 for group in groups):
        return None
    words = [name for name in columns.attributes or () if sample.kind(name) == "category"]
    several = frozenset(
        name for name in words
        if any(
            len({str(cell) for record in group if not is_blank(cell := record.cells.get(name))}) > 1
            for group in groups
        )
    )
    return Variants(columns, several)
