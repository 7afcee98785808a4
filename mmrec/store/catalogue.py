"""The items of a store and how they are embedded: encoders, content plan, and the column that is searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import pyarrow as pa

from mmrec.config import Config
from mmrec.data.terms import language_of
from mmrec.encoders.base import Encoder
from mmrec.errors import StoreBusy, StoreError
from mmrec.model.content import ENOUGH, ContentPlan, Fields
from mmrec.model.saved import Head
from mmrec.model.towers import Towers
from mmrec.store import schema
from mmrec.store.open import Store
from mmrec.store.schema import Draft, Stored
from mmrec.store.serving import NOTHING, Beside, NewColumn, Serving
from mmrec.store.tables import KeyedTable
from mmrec.types import Item

MANY = 10_000  # items from which on an index of their ids saves more time than it costs


class Catalogue:
    """The items table with what makes its vectors.

    Args:
        store: where it lives.
        config: weights of the fields.
        encoders: by modality; a modality without one is stored, not embedded.
        towers: content -> vector, before any training.
    """

    def __init__(self, store: Store, config: Config, encoders: Mapping[str, Encoder], towers: Towers) -> None:
        self.store, self.config, self.encoders, self.towers = store, config, encoders, towers
        self.table: KeyedTable = store.table("items", schema.BASE)
        if store.facts.get("swap"):
            with store.writer():
                self.settle()

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
        return self.store.models.plan(self.serial)

    @property
    def language(self) -> str:
        """The language of the words in Latin letters: what the settings say, else what the texts told."""
        told, chosen = str(self.store.facts.get("language", "english")), self.config.language
        return told if chosen == "auto" else chosen

    @property
    def given(self) -> dict[str, int]:
        """Fields whose embeddings come with the items, made by no encoder of the store; their dimensions."""
        return dict(self.store.facts.get("given", {}))

    @property
    def encoded_by(self) -> Mapping[str, Any]:
        """The record of the encoders that serve."""
        return dict(self.store.facts["encoders"])

    def serving(self) -> Serving:
        """What serves now, also after another process trained or rebuilt."""
        facts = self.store.facts
        serial, head = int(facts.get("serial", 0)), int(facts.get("head", 0))
        return Serving(self.store.models.plan(serial), f"vector_{serial}", self._towers_of(head))

    def head(self) -> Head | None:
        """The trained head that serves, if any, with all that training can go on from."""
        head = int(self.store.facts.get("head", 0))
        return self.store.models.head(head) if head else None

    def _towers_of(self, head: int) -> Towers:
        return self.store.models.towers(head) if head else self.towers

    def lookup(self, item_ids: Sequence[str]) -> dict[str, Stored]:
        """What is stored of these items, those that are."""
        found = self.table.read(item_ids, ["item_id", "digest", "digests", "added_at"])
        return {r["item_id"]: Stored(r["digest"], r["digests"], r["added_at"]) for r in found.to_pylist()}

    def get(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """The items of these ids that are in the catalogue."""
        found = self.table.read(item_ids, ["item_id", "record", "added_at"]).to_pylist()
        return {row["item_id"]: schema.item_of(row["record"], row["added_at"]) for row in found}

    def write(
        self, drafts: Sequence[Draft], fields: Fields, now: datetime,
        encoded_by: Mapping[str, Any] | None = None,
    ) -> bool:
        """Upserts embedded items in one step; rewrites all vectors if a field is embedded for the first time.

        A new attribute can be filtered by at once; it takes part in vectors when all are next rewritten.
        Nothing is written, which is told by False, if other encoders serve by now than those of `encoded_by`.
        """
        with self.store.writer():
            self.settle()
            if encoded_by is not None and encoded_by != self.encoded_by:
                return False
            serving = self.serving()
            covered = self.serial > 0 and serving.plan.covers(fields, self.config)
            ids = [draft.item.item_id for draft in drafts]
            vectors, known = serving.rows(fields, ids) if serving.plan.dim else None, self.table.schema
            if vectors is not None and serving.column in known.names:  # heads of before stored no content
                vectors = vectors[:, : known.field(serving.column).type.list_size]
            rows = schema.with_nulls(schema.rows(drafts, now, fields, vectors, serving.column), known)
            self.table.add_columns([field for field in rows.schema if field.name not in known.names])
            given = {name: len(vector) for draft in drafts for name, vector in draft.item.vectors.items()}
            if not given.items() <= self.given.items():
                self.store.save_facts(given=given | self.given)
            if not covered:  # should this process be killed, `mend` finishes the work
                self.store.save_facts(stale=self._staler())
            self.table.upsert(rows)
        if not covered:
            self.rebuild()
        return True

    def rebuild(self, *, anew: bool = False, grown: bool = False) -> None:
        """Estimates the content plan again and rewrites every vector; nothing is encoded.

        Others read and write meanwhile. What served before serves until all is done, also if this is killed.

        Args:
            anew: whether to start from no plan, as the one that serves cannot be read.
            grown: whether no stored item has changed, so that what the head has made of it stays.

        Raises:
            StoreBusy: another process is rewriting the vectors.
        """
        with self.store.rewriting():
            stale, serial = self.store.facts.get("stale", 0), self._next_serial()
            plan = self._fitted(ContentPlan() if anew else self.plan)
            texts = self.table.scan(["document"], last=ENOUGH)["document"]
            language = language_of(text.as_py() or "" for text in texts)
            towers = self._towers_of(int(self.store.facts.get("head", 0)))
            self._rewrite(serial, plan, towers, stale, grown=grown, language=language)

    def swap_attribute(self, rows: pa.Table) -> None:
        """Lets an attribute have another type: `rows` are the items that have it, its values under `BESIDE`.

        All are written in one step; should this process be killed after that, whoever comes next finishes it.
        """
        with self.store.rewriting():
            with self.store.writer():
                self.store.save_facts(stale=self._staler())
                self.table.add_columns(list(rows.schema))
                self.table.upsert(rows, update_only=True)
            self.rebuild()

    def swap_encoder(self, beside: Beside, **facts: Any) -> None:
        """Lets embeddings beside take the place of those before, all vectors and facts with them: one step.

        A trained head cannot read them, so plain content serves until the next fit.
        """
        with self.store.rewriting():
            serial = self._next_serial()
            plan = self._fitted(ContentPlan(), beside)
            self._rewrite(serial, plan, self.towers, beside=beside, head=0, **facts)

    def settle(self) -> None:
        """Finishes a swap of embeddings that a process began and was killed in; the writer's lock is held."""
        if swap := self.store.facts.get("swap"):
            columns = swap["columns"]
            if columns.keys() & set(self.table.schema.names):
                gone = {name: schema.FORMER + name[len(schema.EMBEDDING):] for name in columns.values()}
                self.table.rename_columns(gone | columns)
            self.store.save_facts(**swap["facts"], swap=None)

    def adopt(self, head: Head | None, **facts: Any) -> None:
        """Lets a trained head serve, or none, and keeps facts with it: otherwise as `rebuild`.

        The content plan stays as it is, unless attributes wait for their part in it.
        """
        with self.store.rewriting():
            serial, plan = self._next_serial(), self.plan
            plan = self._fitted(plan) if self._attributes_wait() else plan
            if head is not None:
                self.store.models.write_head(serial, head)
                facts["head"] = serial
            self._rewrite(serial, plan, head.serving if head else self.towers, **{"head": 0} | facts)

    def mend(self) -> bool:
        """Rebuilds the vectors if a killed process left a new field or setting out; says whether it did."""
        if not self.store.refresh().get("stale"):
            return False
        with self.store.rewriting():
            if self.store.facts.get("stale"):  # else another process has done so by now
                self.rebuild()
        return True

    def change_settings(self, before: Config) -> None:
        """Keeps new settings; rewrites the vectors if the fields' weights are others than before."""
        was, now = ((c.weights, c.attribute_weight) for c in (before, self.config))
        with self.store.writer():
            changes = {"stale": self._staler()} if was != now and self.table.count() else {}
            self.store.save_facts(config=self.config.model_dump(mode="json"), **changes)
        self.mend()

    def finish(self) -> None:
        """After a change of many rows: better estimates, indices, compaction - each when it pays."""
        n = self.table.count()
        if n:
            with self.store.writer():
                self.table.drop_index("document")  # of full text, in stores of earlier versions
                if n >= MANY:
                    self.table.index_key("item_id")  # else each look-up reads all the ids
        # not beside another's rewrite, which reads a version that tidying might remove
        with suppress(StoreBusy), self.store.rewriting(patient=False):
            if n and self.plan.outgrown(n):
                self.rebuild(grown=True)
            with self.store.writer():
                self.table.tidy()

    def _staler(self) -> int:
        """The next number of `stale`: a rebuild leaves one that came after its beginning to the next."""
        return int(self.store.facts.get("stale", 0)) + 1

    def _attributes_wait(self) -> bool:
        """Whether there are attributes that weigh something and take no part in the content yet."""
        settled, weights = {slot.name for slot in self.plan.slots} | self.plan.unshared, self.config.weights
        names = schema.attribute_types(self.table.schema).keys() - settled
        return any(weights.get(name, self.config.attribute_weight) > 0 for name in names)

    def _fitted(self, plan: ContentPlan, beside: Beside = NOTHING) -> ContentPlan:
        columns = ["item_id", *beside.read(schema.field_columns(self.table.schema))]
        rows = beside.renamed(self.table.scan(columns, last=ENOUGH))
        return plan.fitted(schema.fields_of(rows), self.config)

    def _next_serial(self) -> int:
        with self.store.writer():
            self.settle()
            self._swap_in()
            self._drop_unused()  # of a rewrite that was killed
            return self.serial + 1

    def _swap_in(self) -> None:
        """Puts what `swap_attribute` wrote in its place; columns that it only began are dropped."""
        beside = [n for n in self.table.schema.names if n.startswith(schema.BESIDE)]
        for column in beside:
            if self.table.count(f"`{column}` IS NOT NULL"):
                name = schema.ATTRIBUTE + column.removeprefix(schema.BESIDE)
                self.table.rename_columns({name: schema.BEFORE + name, column: name})
        self.table.drop_columns(
            [n for n in self.table.schema.names if n.startswith((schema.BESIDE, schema.BEFORE))]
        )

    def _rewrite(
        self, serial: int, plan: ContentPlan, towers: Towers, done: int | None = None,
        *, grown: bool = False, beside: Beside = NOTHING, **facts: Any,
    ) -> None:
        """Writes all vectors into a new column while others write rows, then lets it serve.

        Args:
            done: `stale` at the beginning, if nothing that it stands for is left to do.
            beside: columns that the vectors are made from, and that take the place of others with them.
        """
        serving, before = Serving(plan, f"vector_{serial}", towers), self.vector_column if grown else None
        column = NewColumn(self.store, self.table, serving, before, beside)
        left = column.write() if plan.dim else None  # else nothing of an item weighs
        with self.store.writer():
            if self.serial != serial - 1:
                raise StoreBusy("another process rewrote the vectors meanwhile: try again")
            beside.catch_up()
            missing = self.table.count(left) - column.fill(left) if left else 0
            if missing:
                raise StoreError(
                    f"{missing} of {self.table.count()} vectors could not be rewritten; those of before serve"
                    " on. Run `mmrec doctor` on the store"
                )
            self.store.models.write_plan(serial, plan)
            if done is not None and self.store.facts.get("stale", 0) == done:
                facts["stale"] = False
            facts["serial"] = serial
            # Where columns change too, what is written first says how to finish.
            self.store.save_facts(**(
                {"swap": {"columns": dict(beside.columns), "facts": facts}} if beside.columns else facts
            ))
            self.settle()
            self._drop_unused()

    def _drop_unused(self) -> None:
        """Drops vector columns, plans and heads that do not serve: the ones before, and of killed writes."""
        vectors = [n for n in self.table.schema.names if n.startswith("vector_")]
        self.table.drop_columns([n for n in vectors if n != self.vector_column])
        self.store.models.keep_only(self.serial, int(self.store.facts.get("head", 0)))
