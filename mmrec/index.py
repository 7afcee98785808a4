"""Exact scoring in memory: one contiguous matrix for each space, as fresh as the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec import schema, where
from mmrec.catalogue import Catalogue
from mmrec.encoders.base import Vectors, unit
from mmrec.errors import DataError, StoreError, UnknownItem
from mmrec.types import IMAGE, WORDS

log = logging.getLogger(__name__)

CONTENT = "content"
PATIENCE = 5  # attempts at a snapshot while another thread or process rewrites the vectors
Mask = NDArray[np.bool_]
MOST_MASKS = 64  # expressions whose answer is kept for the next call


@dataclass(frozen=True, slots=True)
class Hits:
    """The best of one search, best first: positions in the catalogue [k] and their scores [k]."""

    positions: NDArray[np.intp]
    scores: Vectors


class Snapshot:
    """The catalogue at one version, its items in the order of their ids.

    Attributes:
        ids: of all items, sorted, so that equal scores rank by id.
        position: of each id.
        facts: attributes, `item_id` and `added_at` in the same order, for `where`.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        catalogue.store.refresh()
        self.catalogue = catalogue
        self.plan, self._column = catalogue.serving()  # before the table, whose column is then complete
        self.table = catalogue.table.frozen()
        self.version = self.table.version
        if self.plan.dim and self._column not in self.table.schema.names:
            raise StoreError("the vectors were rewritten while they were read: ask again")
        names = list(schema.attribute_types(self.table.schema))
        table = self.table.scan(["item_id", "added_at", *(schema.ATTRIBUTE + n for n in names)])
        self.facts = table.rename_columns(["item_id", "added_at", *names]).sort_by("item_id")
        self.ids: list[str] = self.facts["item_id"].to_pylist()
        self.position = {item_id: i for i, item_id in enumerate(self.ids)}
        self._spaces: dict[str, Vectors] = {}
        self._filled: dict[str, Mask] = {}
        self._masks: dict[str, Mask] = {}

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def spaces(self) -> tuple[str, ...]:
        """What `by=` may name."""
        fields = tuple(slot.name for slot in self.plan.slots)
        return (CONTENT, *fields, WORDS) if self.text_fields else (CONTENT, *fields)

    @property
    def text_fields(self) -> tuple[str, ...]:
        """Fields that a text encoder embedded, categories among them."""
        return tuple(n for n in schema.embedding_dims(self.table.schema) if n != IMAGE)

    @property
    def text_slots(self) -> tuple[str, ...]:
        """Text fields of the content."""
        return tuple(s.name for s in self.plan.slots if s.name in self.text_fields)

    @property
    def readable(self) -> tuple[str, ...]:
        """Spaces that plain words can be compared in."""
        image = self.catalogue.encoders[IMAGE] if IMAGE in self.spaces else None
        return tuple(
            name for name, can in ((WORDS, WORDS in self.spaces), (IMAGE, image and image.words)) if can
        )

    def space(self, name: str) -> Vectors:
        """Unit vectors [n, d] of every item in a space; zeros where an item has nothing there.

        Raises:
            DataError: there is no such space.
        """
        if name not in self._spaces:
            if name not in self.spaces:
                raise DataError(
                    f"by={name!r} is no field of this catalogue: choose {', '.join(self.spaces)}", field="by"
                )
            load = {CONTENT: self._vectors, WORDS: self._words}.get(name) or partial(self._field, name)
            self._spaces[name] = load()
        return self._spaces[name]

    def mask(self, expression: str | None) -> Mask | None:
        """Which items [n] a `where` expression keeps; None keeps all."""
        if expression is None:
            return None
        mask = self._masks.get(expression)
        if mask is None:
            mask = self.parse(expression).mask(self.facts)
            if len(self._masks) >= MOST_MASKS:  # another thread may do so too, hence the local name
                self._masks.clear()
            self._masks[expression] = mask
        return mask

    def parse(self, expression: str) -> where.Where:
        """The expression, checked against the columns of this catalogue."""
        return where.parse(expression, {field.name: field.type for field in self.facts.schema})

    def places(self, item_ids: Sequence[str]) -> NDArray[np.intp]:
        """Positions of items.

        Raises:
            UnknownItem: one of them is not in the catalogue.
        """
        unknown = [i for i in item_ids if i not in self.position]
        if unknown:
            raise UnknownItem(f"{_named(unknown)} not in the catalogue: ingest first, or check the id")
        return np.array([self.position[i] for i in item_ids], np.intp)

    def search(
        self, space: str, query: Vectors, k: int, *, exclude: Sequence[int] = (), mask: Mask | None = None
    ) -> Hits:
        """The k items nearest to a query [d] of a space, ties by id, without excluded and masked items.

        An item without content (a row of zeros) is near nothing and is never found, nor does it find any.
        """
        scores: Vectors = self.space(space) @ query  # [n, d] @ [d] -> [n]
        allowed = self._having(space) & bool(query.any())
        if mask is not None:
            allowed &= mask
        allowed[list(exclude)] = False
        return best(scores, k, allowed)

    def _having(self, space: str) -> Mask:
        """Which items [n] have something in a space; found once, as it reads the whole matrix."""
        if space not in self._filled:
            self._filled[space] = np.asarray(self.space(space).any(axis=1))
        return self._filled[space]

    def _vectors(self) -> Vectors:
        if not self.plan.dim:
            return np.zeros((len(self), 0), np.float32)
        table = self.table.scan(["item_id", self._column])
        return self._ordered(table, schema.matrix(table[self._column], _width(table, self._column)).values)

    def _field(self, name: str) -> Vectors:
        names = [n for n in (schema.EMBEDDING + name, schema.ATTRIBUTE + name)
                 if n in self.table.schema.names]
        table = self.table.scan(["item_id", *names])
        return self._ordered(table, self.plan.part(name, schema.fields_of(table)))

    def _words(self) -> Vectors:
        """Mean [n, e] of the embeddings of all texts and categories of each item, at norm 1.

        Not centred, unlike content: a query is one more text, and has no mean of its own.
        """
        names = [schema.EMBEDDING + name for name in self.text_fields]
        table = self.table.scan(["item_id", *names])
        parts = schema.fields_of(table).embeddings.values()
        return self._ordered(table, unit(np.sum([part.values for part in parts], axis=0)))

    @staticmethod
    def _ordered(table: pa.Table, x: Vectors) -> Vectors:
        """Rows in the order of the ids, contiguous."""
        order = pc.sort_indices(table["item_id"])
        return np.ascontiguousarray(x[order.to_numpy()])


class Index:
    """Hands out the newest snapshot of a catalogue; loads one only when the table has changed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None

    def now(self) -> Snapshot:
        """The catalogue as it is now, also after a write by another process."""
        with self._lock:
            if self._snapshot is None or self._snapshot.version != self.catalogue.table.version:
                self._snapshot = self._taken()
            return self._snapshot

    def _taken(self) -> Snapshot:
        for _ in range(PATIENCE):
            try:
                return Snapshot(self.catalogue)
            except StoreError as error:  # a writer swapped the vectors in between, so take the new ones
                log.debug("%s", error)
        return Snapshot(self.catalogue)


def best(scores: Vectors, k: int, allowed: Mask) -> Hits:
    """The k highest of scores [n] among the allowed, ties by position."""
    open_places = np.flatnonzero(allowed)
    s = scores[open_places]
    if len(s) > k:
        threshold = np.partition(s, len(s) - k)[len(s) - k]
        keep = np.flatnonzero(s >= threshold)  # more than k when scores tie at the threshold
        open_places, s = open_places[keep], s[keep]
    order = np.argsort(-s, kind="stable")[:k]
    return Hits(open_places[order], s[order])


def _width(table: pa.Table, column: str) -> int:
    return int(table.schema.field(column).type.list_size)


def _named(item_ids: Sequence[str]) -> str:
    shown = ", ".join(repr(i) for i in item_ids[:5])
    more = f" and {len(item_ids) - 5} more" if len(item_ids) > 5 else ""
    return f"{shown}{more} {'is' if len(item_ids) == 1 else 'are'}"
