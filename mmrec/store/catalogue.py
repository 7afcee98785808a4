"""The items of a store and how they are embedded: encoders, content plan, and the column that is searched."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from mmrec.config import Config
from mmrec.encoders.base import Encoder, Vectors
from mmrec.errors import StoreError
from mmrec.model import saved
from mmrec.model.content import ENOUGH, ContentPlan, Fields
from mmrec.model.saved import Head
from mmrec.model.towers import Towers
from mmrec.store import schema
from mmrec.store.open import Store
from mmrec.store.tables import KeyedTable
from mmrec.store.where import Where
from mmrec.types import Item


class Stored(NamedTuple):
    """What tells whether an item changed."""

    digest: str
    digests: str
    added_at: datetime


class Draft(NamedTuple):
    """An item on its way into the store.

    Attributes:
        digest: of all that was given.
        digests: of each field that an encoder reads.
        before: what the store holds under its id.
    """

    item: Item
    digest: str
    digests: Mapping[str, str]
    before: Stored | None


class Serving(NamedTuple):
    """What makes and reads the vectors, all of one moment: content plan, vector column, towers."""

    plan: ContentPlan
    column: str
    towers: Towers

    def rows(self, fields: Fields, item_ids: Sequence[str]) -> Vectors:
        """Rows [n, w] to store for items of these fields."""
        return self.towers.items((self.towers.plan or self.plan).embed(fields), item_ids)


class Catalogue:
    """The items table with what makes its vectors.

    Args:
        store: where it lives.
        config: weights of the fields.
        encoders: by modality; a modality without one is stored, not embedded.
        towers: content -> vector, before any training.
    """

    def __init__(
        self, store: Store, config: Config, encoders: Mapping[str, Encoder], towers: Towers
    ) -> None:
        self.store, self.config, self.encoders, self.towers = store, config, encoders, towers
        self.table: KeyedTable = store.table("items", schema.BASE)
        self._plans: dict[int, ContentPlan] = {}
        self._trained: dict[int, Towers] = {}

    @property
    def serial(self) -> int:
        """Number of the vector column and content plan that serve; 0 before the first."""
        return int(self.store.facts.get("serial", 0))

    @property
    def vector_column(self) -> str:
        """The column that is searched."""
        return f"vector_{self.serial}"

    @property
    def plan(self) -> ContentPlan:
        """The content plan that serves."""
        return self._plan_of(self.serial)

    def serving(self) -> Serving:
        """What serves now, also after another process trained or rebuilt."""
        facts = self.store.facts
        serial, head = int(facts.get("serial", 0)), int(facts.get("head", 0))
        return Serving(self._plan_of(serial), f"vector_{serial}", self._towers_of(head))

    def head(self) -> Head | None:
        """The trained head that serves, if any, with all that training can go on from."""
        head = int(self.store.facts.get("head", 0))
        return saved.load(self._head_path(head)) if head else None

    def _plan_of(self, serial: int) -> ContentPlan:
        if not serial:
            return ContentPlan()
        if serial not in self._plans:
            self._plans = {serial: ContentPlan.load(self._plan_path(serial))}
        return self._plans[serial]

    def _towers_of(self, head: int) -> Towers:
        """Those of a trained head, or what serves without one."""
        if not head:
            return self.towers
        if head not in self._trained:
            self._trained = {head: saved.load(self._head_path(head)).towers}
        return self._trained[head]

    def lookup(self, item_ids: Sequence[str]) -> dict[str, Stored]:
        """What is stored of these items, those that are."""
        found = self.table.read(item_ids, ["item_id", "digest", "digests", "added_at"])
        return {r["item_id"]: Stored(r["digest"], r["digests"], r["added_at"]) for r in found.to_pylist()}

    def get(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """The items of these ids that are in the catalogue."""
        found = self.table.read(item_ids, ["item_id", "record", "added_at"]).to_pylist()
        return {row["item_id"]: schema.item_of(row["record"], row["added_at"]) for row in found}

    def match(self, words: str, k: int, where: Where | None) -> list[str]:
        """Ids of the k best items for any of these words (BM25), best first."""
        condition = where.sql(schema.stored_name) if where else None
        if not self.table.indexed("document"):  # after an ingest that was cut off
            with self.store.writer():
                self.table.index_text("document")
        return [item_id for item_id, _ in self.table.match(words, "document", k, condition)]

    def vectors_of(self, fields: Fields, item_ids: Sequence[str] | None = None) -> Vectors:
        """Vectors [n, w] of fields: what is, or would be, stored for such items; without ids for new ones."""
        return self.serving().rows(fields, item_ids or [""] * fields.n)

    def write(self, drafts: Sequence[Draft], fields: Fields, now: datetime) -> None:
        """Upserts embedded items in one step; makes room for fields seen for the first time."""
        times = [d.item.added_at or (d.before.added_at if d.before else now) for d in drafts]
        items, digests = [d.item for d in drafts], [(d.digest, d.digests) for d in drafts]
        with self.store.writer():
            covered = self.serial > 0 and self.plan.covers(fields, self.config)
            ids = [item.item_id for item in items]
            vectors = self.vectors_of(fields, ids) if covered and self.plan.dim else None
            rows = schema.rows(items, times, digests, fields, vectors, self.vector_column)
            rows = _with_nulls(rows, self.table.schema)
            self.table.add_columns([rows.schema.field(n) for n in rows.schema.names])
            if not covered:
                self.store.save_facts(stale=True)  # a killed process leaves rows without vectors: see `mend`
            self.table.upsert(rows)
            if not covered:
                self.rebuild()

    def rebuild(self, *, anew: bool = False) -> None:
        """Estimates the content plan again and rewrites every vector; nothing is encoded.

        The new column is complete before `store.json` names it: killed at any point, the old one serves.

        Args:
            anew: whether to start from no plan, as the one that serves cannot be read.
        """
        with self.store.writer():
            columns = schema.field_columns(self.table.schema)
            sample = schema.fields_of(self.table.scan(["item_id", *columns], last=ENOUGH))
            plan, serial = ContentPlan() if anew else self.plan, self.serial + 1
            plan = plan.fitted(sample, self.config)
            self._drop_unused()  # of a rebuild that was killed
            self._fill(serial, plan, self._towers_of(int(self.store.facts.get("head", 0))))
            plan.save(self._plan_path(serial))
            self.store.save_facts(serial=serial, stale=False)
            self._drop_unused()

    def adopt(self, head: Head | None, **facts: Any) -> None:
        """Lets a trained head serve, or none: rewrites every vector in one pass, then swaps.

        Killed at any point, what served before serves on.

        Args:
            facts: to keep with it.
        """
        with self.store.writer():
            serial, plan = self.serial + 1, self.plan
            self._drop_unused()
            if head is not None:
                saved.save(self._head_path(serial), head)
            self._fill(serial, plan, head.towers if head else self.towers)
            plan.save(self._plan_path(serial))
            self.store.save_facts(serial=serial, stale=False, head=serial if head else 0, **facts)
            self._drop_unused()

    def mend(self) -> bool:
        """Rebuilds the vectors if a killed process left some out; says whether it did."""
        if not self.store.refresh().get("stale"):
            return False
        with self.store.writer():
            if self.store.facts.get("stale"):  # else the process that left them out was only not done yet
                self.rebuild()
        return True

    def settle(self, before: Config) -> None:
        """Keeps new settings; rewrites the vectors if the fields' weights are others than before."""
        was, now = ((c.weights, c.attribute_weight) for c in (before, self.config))
        changes = {"stale": True} if was != now and self.table.count() else {}
        with self.store.writer():
            self.store.save_facts(config=self.config.model_dump(mode="json"), **changes)
            self.mend()

    def finish(self) -> None:
        """After a change of many rows: better estimates, full-text index, compaction - each when it pays."""
        with self.store.writer():
            n = self.table.count()
            if n and self.plan.outgrown(n):
                self.rebuild()
            if n:
                self.table.index_text("document")
            self.table.tidy()

    def _fill(self, serial: int, plan: ContentPlan, towers: Towers) -> None:
        if not plan.dim:
            return  # no item has a field that weighs anything: there is nothing to search, and no column
        column, columns = f"vector_{serial}", schema.field_columns(self.table.schema)
        serving = Serving(plan, column, towers)
        dim = serving.rows(Fields(0), []).shape[1]
        self.table.add_columns([schema.vector_field(column, dim)])
        filled = 0
        for batch in self.table.batches(["item_id", *columns]):
            ids = batch["item_id"].to_pylist()
            rows = schema.vector_rows(ids, serving.rows(schema.fields_of(batch), ids), column)
            filled += self.table.upsert(rows, update_only=True)[1]
        if filled != self.table.count():
            raise StoreError(
                f"{filled} of {self.table.count()} vectors were rewritten; those of before serve on. Run"
                " `mmrec doctor` on the store"
            )

    def _drop_unused(self) -> None:
        """Drops vector columns, plans and heads that do not serve: the ones before, and of killed writes."""
        vectors = [n for n in self.table.schema.names if n.startswith("vector_")]
        self.table.drop_columns([n for n in vectors if n != self.vector_column])
        for path in self.store.path.glob("content-*.safetensors"):
            if path != self._plan_path(self.serial):
                path.unlink(missing_ok=True)
        head = self._head_path(int(self.store.facts.get("head", 0)))
        for folder in (*self.store.path.glob("head-*"), *self.store.path.glob(".head-*")):
            if folder != head:
                shutil.rmtree(folder, ignore_errors=True)

    def _head_path(self, head: int) -> Path:
        return self.store.path / f"head-{head}"

    def _plan_path(self, serial: int) -> Path:
        return self.store.path / f"content-{serial}.safetensors"


def _with_nulls(rows: pa.Table, wanted: pa.Schema) -> pa.Table:
    """The rows with a null column for each field of the table that none of them has (vectors apart)."""
    for field in wanted:
        if field.name not in rows.schema.names and not field.name.startswith("vector_"):
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows
