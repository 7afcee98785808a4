"""Exact scoring in memory: one contiguous matrix for each space, as fresh as the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from mmrec import schema, where
from mmrec.catalogue import Catalogue
from mmrec.content import ContentPlan
from mmrec.encoders.base import Vectors, unit
from mmrec.errors import DataError, NotFitted, StoreError, UnknownItem
from mmrec.freshness import Freshness
from mmrec.hits import Hits, Mask, Places
from mmrec.scoring import Scorer
from mmrec.types import IMAGE, WORDS

log = logging.getLogger(__name__)

CONTENT = "content"
BEHAVIOUR = "behaviour"  # what a trained head remembers of items, at norm 1
SEARCHED = "searched"  # what a trained head scores; not for `by=`, as its rows have norms that matter
PATIENCE = 5  # attempts at a snapshot while another thread or process rewrites the vectors
MOST_MASKS = 64  # expressions whose answer is kept for the next call


class Snapshot:
    """The catalogue at one version, its items in the order of their ids.

    Attributes:
        ids: of all items, sorted, so that equal scores rank by id.
        position: of each id.
        facts: attributes, `item_id` and `added_at` in the same order, for `where`.
        towers: what made its vectors.
        serving: the space that users are searched in.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        catalogue.store.refresh()
        self.catalogue = catalogue
        # before the table, whose column is then complete
        self.plan, self._column, self.towers = catalogue.serving()
        self.table = catalogue.table.frozen()
        self.version = self.table.version
        if self.plan.dim and self._column not in self.table.schema.names:
            raise StoreError("the vectors were rewritten while they were read: ask again")
        names = list(schema.attribute_types(self.table.schema))
        table = self.table.scan(["item_id", "added_at", *(schema.ATTRIBUTE + n for n in names)])
        self.facts = table.rename_columns(["item_id", "added_at", *names]).sort_by("item_id")
        self.ids: list[str] = self.facts["item_id"].to_pylist()
        self.position = {item_id: i for i, item_id in enumerate(self.ids)}
        self.serving = SEARCHED if self.towers.trained else CONTENT
        self._scorers: dict[str, Scorer] = {}
        self._loading = threading.RLock()  # two threads shall not hold the same vectors twice
        self._masks: dict[str, Mask] = {}
        self._popular: tuple[Mapping[str, float], Vectors] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def spaces(self) -> tuple[str, ...]:
        """What `by=` may name."""
        fields = [slot.name for slot in self.plan.slots]
        words = [WORDS] if self.text_fields else []
        return (CONTENT, *fields, *words, *([BEHAVIOUR] if self.towers.trained else []))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the items' attributes."""
        return tuple(name for name in self.facts.column_names if name not in ("item_id", "added_at"))

    @cached_property
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
        """Vectors [n, d] of every item in a space, at norm 1; zeros where an item has nothing there.

        Raises:
            DataError: there is no such space.
            NotFitted: it is that of behaviour, and no head was trained.
        """
        return self.scorer(name).matrix

    def scorer(self, name: str) -> Scorer:
        """What searches a space; its vectors are loaded when they are first asked for."""
        if name not in self._scorers:
            with self._loading:
                if name not in self._scorers:
                    self._scorers[name] = self._scored(self._load(name))
        return self._scorers[name]

    @cached_property
    def remembered(self) -> Vectors:
        """What histories are read from [n, m]."""
        rows = self.space(CONTENT) if self.serving == CONTENT else self._rows()
        return np.ascontiguousarray(self.towers.remembered(rows))

    @cached_property
    def ages(self) -> NDArray[np.float64]:
        """Days [n] by which each item is older than the newest."""
        if not len(self):
            return np.zeros(0)
        micros = self.facts["added_at"].cast("int64").to_numpy()
        return (micros.max() - micros) / 86_400e6  # microseconds -> days

    def popular(self, popularity: Mapping[str, float]) -> Vectors:
        """Share [n] of each item in the most popular one's worth; 0 for those without interactions."""
        if self._popular is None or self._popular[0] is not popularity:
            top = max(popularity.values(), default=0.0) or 1.0
            shares = np.zeros(len(self), np.float32)
            for item_id in popularity.keys() & self.position.keys():
                shares[self.position[item_id]] = popularity[item_id] / top
            self._popular = popularity, shares
        return self._popular[1]

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

    def places(self, item_ids: Sequence[str]) -> Places:
        """Positions of items.

        Raises:
            UnknownItem: one of them is not in the catalogue.
        """
        unknown = [i for i in item_ids if i not in self.position]
        if unknown:
            raise UnknownItem(f"{_named(unknown)} not in the catalogue: ingest first, or check the id")
        return np.array([self.position[i] for i in item_ids], np.intp)

    def known(self, item_ids: Iterable[str]) -> set[int]:
        """Positions of those of the items that are in the catalogue."""
        return {self.position[i] for i in item_ids if i in self.position}

    def search(
        self, space: str, query: Vectors, k: int, *, exclude: ArrayLike = (), mask: Mask | None = None
    ) -> Hits:
        """The k items nearest to a query [d] of a space, ties by id, without excluded and masked items.

        An item without content (a row of zeros) is near nothing and is never found, nor does it find any.
        """
        return self.scorer(space).top(query, k, allowed=mask, exclude=exclude)

    def _load(self, name: str) -> Vectors:
        if name == BEHAVIOUR and not self.towers.trained:
            raise NotFitted("by='behaviour' needs a trained head: use by='content' or a field's name")
        if name not in (*self.spaces, self.serving):
            raise DataError(
                f"by={name!r} is no field of this catalogue: choose {', '.join(self.spaces)}", field="by"
            )
        own: dict[str, Callable[[], Vectors]] = {
            CONTENT: self._content, WORDS: self._words, BEHAVIOUR: lambda: unit(self.remembered),
            SEARCHED: lambda: self.towers.searched(self._rows()),
        }
        return own.get(name, partial(self._field, name))()

    def _scored(self, x: Vectors) -> Scorer:
        try:
            return Scorer(x)
        except DataError:
            broken = [self.ids[row] for row in np.flatnonzero(~np.isfinite(x).all(axis=1))]
            raise StoreError(
                f"{_named(broken)} without finite vectors: run `mmrec doctor` on the store, then"
                " ingest again"
            ) from None

    def _content(self) -> Vectors:
        """Content [n, c]: what is stored, unless a trained head stores something else."""
        if not self.plan.dim:
            return np.zeros((len(self), 1), np.float32)  # one number, as there is no matrix without any
        return self.content_by(self.plan) if self.towers.trained else self._rows()

    def _rows(self) -> Vectors:
        """What the towers stored of each item [n, w]."""
        table = self.table.scan(["item_id", self._column])
        return self._ordered(table, schema.matrix(table[self._column], _width(table, self._column)).values)

    def content_by(self, plan: ContentPlan) -> Vectors:
        """Content [n, c] that a plan makes of the stored fields, a batch at a time as they are wide."""
        content = np.zeros((len(self), plan.dim), np.float32)
        for batch in self.table.batches(["item_id", *schema.field_columns(self.table.schema)]):
            rows = [self.position[item_id] for item_id in batch["item_id"].to_pylist()]
            content[rows] = plan.embed(schema.fields_of(batch))
        return content

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
        order = pc.sort_indices(table["item_id"]).to_numpy()
        sorted_already = bool((order[:-1] < order[1:]).all())
        return np.ascontiguousarray(x if sorted_already else x[order])


class Index:
    """Hands out the newest snapshot of a catalogue; loads one only when the table has changed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._freshness = Freshness(catalogue.table)
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None

    def now(self) -> Snapshot:
        """The catalogue as it is now, also after a write by another process."""
        with self._lock:
            if self._snapshot is None or self._snapshot.version != self._freshness.version():
                self._snapshot = self._taken()
            return self._snapshot

    def _taken(self) -> Snapshot:
        for _ in range(PATIENCE):
            try:
                return Snapshot(self.catalogue)
            except StoreError as error:  # a writer swapped the vectors in between, so take the new ones
                log.debug("%s", error)
        return Snapshot(self.catalogue)


def _width(table: pa.Table, column: str) -> int:
    return int(table.schema.field(column).type.list_size)


def _named(item_ids: Sequence[str]) -> str:
    shown = ", ".join(repr(i) for i in item_ids[:5])
    more = f" and {len(item_ids) - 5} more" if len(item_ids) > 5 else ""
    return f"{shown}{more} {'is' if len(item_ids) == 1 else 'are'}"
