"""The catalogue at one version: one matrix for each space, loaded when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors
from mmrec.encoders.modality import MODALITIES
from mmrec.errors import DataError, NotFitted, StoreError, UnknownItem, named
from mmrec.model.content import ContentPlan
from mmrec.search.hits import Hits, Mask, Positions, SortedKeys
from mmrec.search.recall import gated
from mmrec.search.rows import Rows, norms
from mmrec.search.text import FullText
from mmrec.search.topk import Scorer
from mmrec.search.vectors import (
    BEHAVIOUR,
    CONTENT,
    DOCUMENTS,
    REMEMBERED,
    SEARCHED,
    STORED,
    Changes,
    Held,
    Part,
    VectorReader,
)
from mmrec.store import schema
from mmrec.store.catalogue import Catalogue
from mmrec.store.tables import literals
from mmrec.store.where import parse
from mmrec.types import WORDS

FORGOTTEN = 1_000  # versions of the table after which a space that nobody asked for is no longer held
MOST_MASKS = 64  # expressions whose masks are kept for the next call
Kept = Scorer | Rows | FullText


class Snapshot:
    """The catalogue at one version, its n items in the order of their ids.

    Args:
        before: an earlier snapshot, of which only what has changed is read again.

    Attributes:
        ids: ids of all items, sorted, so that equal scores rank by id.
        position: position of each id.
        facts: table of the attributes, `item_id` and `added_at` [n], for `where`.
        plan: what makes content of the items' fields.
        towers: what made the vectors.
        serving: the space that users are searched in.
        text_fields: fields that a text encoder embedded.
        asked: spaces that somebody has asked for.
    """

    def __init__(self, catalogue: Catalogue, before: Snapshot | None = None) -> None:
        catalogue.store.refresh()
        self.catalogue = catalogue
        made_by = catalogue.serving()  # before the table, whose column is then complete
        self.plan, column, self.towers = made_by
        self.language = catalogue.language
        self.table = catalogue.table.frozen()
        self.version = self.table.version
        if self.plan.dim and column not in self.table.schema.names:
            raise StoreError("the vectors were rewritten while they were read: ask again")
        self._reader = VectorReader(self.table, made_by, catalogue.given)
        self.text_fields = self._reader.text_fields
        self.serving = SEARCHED if self.towers.trained else CONTENT
        self.asked: set[str] = set()
        self._held: dict[str, Kept] = {}
        self._earlier: dict[str, Held] = {}
        self._loading = threading.RLock()  # two threads shall not hold the same vectors twice
        self._masks: dict[str, Mask] = {}
        self._popular: tuple[Mapping[str, float], Vectors] | None = None
        self._changes: dict[int, Changes | None] = {}  # since an earlier version
        alike = before and before.plan is self.plan and before.towers is self.towers
        same_columns = before and before.table.schema == self.table.schema
        changes = self._since(before) if before and alike and same_columns else None
        if before and changes:
            self._earlier = before._handed_on()
            self.facts: pa.Table = changes.merged_table(before.facts, self._reader.facts(changes.part.where))
            self.ids: list[str] = changes.keys
        else:
            self.facts = self._reader.facts()
            self.ids = self.facts["item_id"].to_pylist()
        self.position = SortedKeys(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the spaces that `by=` may choose."""
        fields = [slot.name for slot in self.plan.slots]
        words = [WORDS] if self.text_fields else []
        return (CONTENT, *fields, *words, *([BEHAVIOUR] if self.towers.trained else []))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the items' attributes."""
        return tuple(name for name in self.facts.column_names if name not in ("item_id", "added_at"))

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the attributes whose values are labels: a string, or a list of strings."""
        types = {name: self.facts.schema.field(name).type for name in self.attributes}
        return tuple(n for n, type_ in types.items() if pa.types.is_string(type_) or pa.types.is_list(type_))

    @property
    def text_slots(self) -> tuple[str, ...]:
        """Text fields of the content."""
        return tuple(s.name for s in self.plan.slots if s.name in self.text_fields)

    @property
    def readable(self) -> tuple[str, ...]:
        """Spaces that plain words can be compared in."""
        spaces, encoders = set(self.spaces) - self.catalogue.given.keys(), self.catalogue.encoders
        pairs = [(m.name, field) for m in MODALITIES.values() for field in sorted(m.fields & spaces)]
        return (*({WORDS} & spaces), *(field for name, field in pairs if encoders[name].words))

    def space(self, name: str) -> Rows:
        """Vectors [n, d] of every item in a space, at norm 1; zeros where an item has none.

        Raises:
            DataError: there is no such space.
            NotFitted: the space is `behaviour`, and no head was trained.
        """
        return self.scorer(name).rows

    def scorer(self, name: str) -> Scorer:
        """What searches a space; raises as `space` does."""
        if name == BEHAVIOUR and not self.towers.trained:
            raise NotFitted("by='behaviour' needs a trained head: use by='content' or a field's name")
        if name not in self._held and name not in (*self.spaces, self.serving):
            raise DataError(
                f"by={name!r} is no field of this catalogue: choose {', '.join(self.spaces)}", field="by"
            )
        return cast(Scorer, self._loaded(name))

    @property
    def remembered(self) -> Rows:
        """Rows [n, m] of the items from which user vectors are made."""
        return cast(Rows, self._loaded(REMEMBERED)) if self.towers.trained else self.space(CONTENT)

    def content_by(self, plan: ContentPlan) -> Vectors:
        """Content [n, c] that a plan makes of the stored fields."""
        return self._reader.content_by(plan, Part(None, self.ids))

    def content_of(self, positions: Sequence[int]) -> Vectors:
        """Content [k, c] of the items at k positions, before it is made compact."""
        if self.plan.directions is None:
            return self.space(CONTENT)[positions]
        ids = [self.ids[position] for position in positions]
        return self._reader.content_by(self.plan, Part(f"item_id IN ({literals(ids)})", ids))

    @cached_property
    def ages(self) -> NDArray[np.float64]:
        """Days [n] by which each item is older than the newest; one of the future is as old as the oldest."""
        if not len(self):
            return np.zeros(0)
        micros = self.facts["added_at"].cast("int64").to_numpy()
        past = micros <= (datetime.now(UTC) + schema.AHEAD).timestamp() * 1e6  # else a clock is wrong
        past |= not past.any()
        return (micros[past].max() - np.where(past, micros, micros[past].min())) / 86_400e6  # in days

    def popular(self, popularity: Mapping[str, float]) -> Vectors:
        """Popularity [n] as a share of the most popular item's; 0 for those without interactions."""
        if self._popular is None or self._popular[0] is not popularity:
            top = max(popularity.values(), default=0.0) or 1.0
            shares = np.zeros(len(self), np.float32)
            known = [item_id for item_id in popularity if item_id in self.position]
            shares[self.positions_of(known)] = [popularity[item_id] / top for item_id in known]
            self._popular = popularity, shares
        return self._popular[1]

    def mask(self, expression: str | None) -> Mask | None:
        """Which items [n] a `where` expression keeps; None, which keeps all, for no expression."""
        if expression is None:
            return None
        if (mask := self._masks.get(expression)) is None:  # another thread may clear them
            types = {field.name: field.type for field in self.facts.schema}
            mask = parse(expression, types).mask(self.facts)
            if len(self._masks) >= MOST_MASKS:
                self._masks.clear()
            self._masks[expression] = mask
        return mask

    def matching(self, expression: str | None) -> Positions:
        """Positions of the items that a `where` expression keeps, ascending."""
        mask = self.mask(expression)
        return np.arange(len(self)) if mask is None else np.flatnonzero(mask)

    def positions_of(self, item_ids: Sequence[str]) -> Positions:
        """Positions of items.

        Raises:
            UnknownItem: one of them is not in the catalogue.
        """
        if unknown := [i for i in item_ids if i not in self.position]:
            raise UnknownItem(f"{named(unknown)} not in the catalogue: ingest first, or check the id")
        return np.array([self.position[i] for i in item_ids], np.intp)

    def known(self, item_ids: Iterable[str]) -> set[int]:
        """Positions of those of the items that are in the catalogue."""
        return {self.position[i] for i in item_ids if i in self.position}

    def search(
        self, space: str, query: Vectors, k: int, *, exclude: ArrayLike = (), mask: Mask | None = None
    ) -> Hits:
        """The k items of a mask [n] nearest to a query [d] of a space, but for excluded positions."""
        return self.scorer(space).top(query, k, allowed=mask, exclude=exclude)

    @property
    def full_text(self) -> FullText:
        """The words and product numbers of all items."""
        return cast(FullText, self._loaded(DOCUMENTS))

    def match(self, words: str, k: int, *, where: str | None = None) -> list[int]:
        """Positions of the k best items for any of these words (BM25), best first, ties by id."""
        return cast(list[int], self.full_text.top(words, k, self.mask(where)).positions.tolist())

    def load_as(self, before: Snapshot) -> None:
        """Loads what was asked of the snapshot before, also if another head serves by now."""
        serving = {self.serving, REMEMBERED} if self.towers.trained else {self.serving}
        wanted = before.asked | serving if before.serving in before.asked else before.asked
        for name in wanted.intersection((*self.spaces, *serving, DOCUMENTS)):
            self._value(name)

    def _loaded(self, name: str) -> Kept:
        self.asked.add(name)
        return self._value(name)

    def _value(self, name: str) -> Kept:
        if name not in self._held:
            with self._loading:
                if name not in self._held:
                    self._held[name] = self._read(name)
        return self._held[name]

    def _read(self, name: str) -> Kept:
        """A space or the documents: what an earlier snapshot held with the changed rows, or all rows."""
        earlier = self._earlier.pop(name, None)
        changes = self._since(earlier) if earlier else None
        held = earlier.value if earlier else None
        part = changes.part if changes else Part(None, self.ids)
        if name == DOCUMENTS:
            if changes is None or cast(FullText, held).language != self.language:
                return FullText.of(self._reader.documents(Part(None, self.ids)), self.language)
            return cast(FullText, held).changed(changes, self._reader.documents(part))
        rows = self._rows(name, changes, held)
        if name in (STORED, REMEMBERED):
            return rows
        try:
            room = max(0, self.catalogue.store.memory - self.nbytes)
            made = Scorer(rows, room) if changes is None else cast(Scorer, held).changed(changes, rows)
        except DataError:
            found = (part.start + np.flatnonzero(~np.isfinite(norms(x))) for part, x in rows.blocks())
            ids = [self.ids[row] for row in np.concatenate([*found]).tolist()]
            what = f"{named(ids)} without finite vectors"
            raise StoreError(f"{what}: run `mmrec doctor` on the store, then ingest again") from None
        return gated(made, self, name)

    def _rows(self, name: str, changes: Changes | None, held: Kept | None) -> Rows:
        """The rows of a space: part of what is stored, or made of it for this space."""
        if self.plan.dim and name in (spans := self._reader.spans()):
            return cast(Rows, self._value(STORED)).part(spans[name])
        if changes is not None:
            rows = held if isinstance(held, Rows) else cast(Scorer, held).rows
            return rows.changed(changes, self._reader.read(name, changes.part))
        store = self.catalogue.store
        return self._reader.all(name, Part(None, self.ids), store.files, store.memory - self.nbytes)

    @property
    def nbytes(self) -> int:
        """Bytes of vectors and codes in memory."""
        scorers = [x for x in self._held.values() if isinstance(x, Scorer)]
        rows = [x.rows for x in scorers] + [x for x in self._held.values() if isinstance(x, Rows)]
        stored = {x.storage for x in rows if x.in_memory}  # that several spaces may share
        return sum(x.array.nbytes for x in stored) + sum(x.nbytes for x in scorers)

    def _handed_on(self) -> dict[str, Held]:
        """What the next snapshot needs not read as a whole."""
        known = {name: one for name, one in self._earlier.items() if self.version - one.version < FORGOTTEN}
        return known | {n: Held(self.version, self.ids, x) for n, x in self._held.items()}

    def _since(self, earlier: Snapshot | Held) -> Changes | None:
        """What has changed since an earlier version; worked out once for all that was held of it."""
        version = earlier.version
        if version not in self._changes:
            self._changes[version] = Changes.between(earlier.ids, self.table, version)
        return self._changes[version]
