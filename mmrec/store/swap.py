"""How another encoder takes the place of one: all embeddings beside the old ones, then one step; and back.

The encoder before serves until all is done, also if this is killed: what is encoded already is not encoded
again by whoever goes on. The embeddings before stay in columns of their own, so that the step can be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmrec.encoders.adapted import FOLDER, map_between
from mmrec.encoders.base import Vectors
from mmrec.encoders.modality import MODALITIES, BoundEncoders, modality_of
from mmrec.errors import StoreError
from mmrec.model.content import Embedded
from mmrec.store import schema
from mmrec.store.catalogue import Catalogue
from mmrec.store.encoding import Encoding
from mmrec.store.schema import Draft
from mmrec.store.serving import Beside
from mmrec.types import LABELS

ADAPTING, FORMER = "adapting", "former"  # facts: the encoder on its way, and the one that can be had back
PASSES = 3  # over what others wrote meanwhile, before the rest is encoded when nobody else can write
SOME = 512  # rows that are encoded before they are written
Progress = Callable[[int], None]


def fields_of(catalogue: Catalogue, modality: str) -> list[str]:
    """The embedded fields that an encoder fills, without those whose embeddings come with the items."""
    names = schema.embedding_dims(catalogue.table.schema)
    return [one for one in names if modality_of(one).name == modality and one not in catalogue.given]


def begin(catalogue: Catalogue, modality: str, record: Mapping[str, Any], **facts: Any) -> None:
    """Says which encoder shall come; another one on its way is thrown away."""
    with catalogue.store.rewriting(), catalogue.store.writer():
        catalogue.settle()
        catalogue.store.save_facts(**{ADAPTING: {"modality": modality, "record": dict(record), **facts}})
        _drop(catalogue, schema.NEXT)


def discard(catalogue: Catalogue, *, former: bool = False) -> None:
    """Throws away the encoder on its way, and `former`, the one that could be had back."""
    with catalogue.store.rewriting(), catalogue.store.writer():
        catalogue.settle()
        catalogue.store.save_facts(**{ADAPTING: None} | ({FORMER: None} if former else {}))
        _drop(catalogue, schema.NEXT, *([schema.FORMER] if former else []))


def rollback(
    catalogue: Catalogue, *, forget: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Lets the encoder from before the last `adapt` serve again, with its own embeddings.

    Only items that came or changed since are encoded; plain content serves until the next `fit`.

    Args:
        forget: rather frees the room that the embeddings of before take, so that nothing can be undone.

    Returns:
        `modality`, `encoder` that serves, `was`, `encoded` items, and `fit_again`, whether a head served.

    Raises:
        StoreError: there is nothing to go back to, or something cannot be encoded.
    """
    facts = catalogue.store.refresh()
    if not (way := facts.get(FORMER) or facts.get(ADAPTING)) or not (facts.get(FORMER) or way.get("back")):
        raise StoreError("no encoder of this store was adapted: there is none to go back to")
    modality, encoded = str(way["modality"]), [0]
    was, fitted = catalogue.encoded_by[modality], bool(facts.get("head"))
    if forget:
        discard(catalogue, former=True)
        return {"modality": modality, "encoder": _name(was), "was": _name(was), "encoded": 0,
                "fit_again": False}
    with catalogue.store.rewriting(), catalogue.store.writer():
        catalogue.settle()
        catalogue.store.save_facts(**{ADAPTING: {**way, "back": True}, FORMER: None})
        if kept := [n for n in catalogue.table.schema.names if n.startswith(schema.FORMER)]:
            _drop(catalogue, schema.NEXT)
            catalogue.table.rename_columns({n: schema.NEXT + n[len(schema.FORMER) :] for n in kept})

    def count(rows: int) -> None:
        encoded[0] += rows
        if progress:
            progress(rows)

    Road(catalogue, count).swap(keep=False)
    discard(catalogue, former=True)
    return {"modality": modality, "encoder": _name(way["record"]), "was": _name(was), "encoded": encoded[0],
            "fit_again": fitted}


class Road:
    """The encoder on its way, and how its embeddings come to be: beside those that serve."""

    def __init__(self, catalogue: Catalogue, progress: Progress | None = None) -> None:
        self.catalogue, self.progress = catalogue, progress
        way = catalogue.store.refresh()[ADAPTING]
        self.modality, self.record = str(way["modality"]), dict(way["record"])
        self.before = dict(catalogue.encoded_by[self.modality])
        self._change = _change(self.before, self.record, catalogue.store.path)

    def encode(self) -> None:
        """Encodes what is not encoded yet, while others write."""
        for _ in range(PASSES):
            if not self._fill():
                break

    def swap(self, *, keep: bool = True) -> None:
        """Lets the encoder serve, with its embeddings and all vectors made of them.

        Args:
            keep: whether the encoder before can be had back.

        Raises:
            StoreError: embeddings are missing that cannot be made; what was before serves on.
        """
        self.encode()
        with self.catalogue.store.writer():
            self.catalogue.store.save_facts(**{FORMER: None})
            _drop(self.catalogue, schema.FORMER)
        fields = fields_of(self.catalogue, self.modality)
        columns = {schema.NEXT + name: schema.EMBEDDING + name for name in fields}
        encoders = dict(self.catalogue.encoded_by) | {self.modality: self.record}
        former = {"modality": self.modality, "record": self.before} if keep else None
        beside = Beside(columns, self._catch_up)
        self.catalogue.swap_encoder(beside, **{"encoders": encoders, FORMER: former, ADAPTING: None})

    def _catch_up(self) -> None:
        while self._fill():
            pass
        for name in fields_of(self.catalogue, self.modality):
            if missing := self.catalogue.table.count(_missing(name)):
                raise StoreError(
                    f"{missing} embeddings of {name} could not be made by the new encoder; the one before"
                    " serves on. Run `mmrec doctor` on the store"
                )

    def _fill(self) -> int:
        """Encodes the rows that lack the new embedding of a field; returns how many it wrote."""
        table, filled = self.catalogue.table, 0
        for name in fields_of(self.catalogue, self.modality):
            with self.catalogue.store.writer():
                table.add_columns([schema.vector_field(schema.NEXT + name, self._dim)])
            columns = ["item_id", "record", "digests", "added_at", schema.EMBEDDING + name]
            for batch in table.batches(columns, _missing(name)):
                filled += sum(self._write(part, name) for part in _parts(batch))
        return filled

    @property
    def _dim(self) -> int:
        return int(self.record["fingerprint"]["dim"])

    def _write(self, rows: pa.Table, name: str) -> int:
        """Writes new embeddings of some rows, unless others have changed these since they were read."""
        values, present = self._made(rows, name)
        with self.catalogue.store.writer():
            ids = rows["item_id"].to_pylist()
            found = self.catalogue.table.read(ids, ["digests"])
            now = dict(zip(found["item_id"].to_pylist(), found["digests"].to_pylist(), strict=True))
            same = [now.get(one) == was for one, was in zip(ids, rows["digests"].to_pylist(), strict=True)]
            good = np.flatnonzero(present & np.array(same))
            if len(good):
                some = schema.vector_rows([ids[row] for row in good], values[good], schema.NEXT + name)
                self.catalogue.table.upsert(some, update_only=True, stamp=False)
        if self.progress and len(good):
            self.progress(len(good))
        return len(good)

    def _made(self, rows: pa.Table, name: str) -> Embedded:
        """New embeddings [n, e] of rows, and which could be made: by a map of the old ones, or encoded."""
        values = schema.matrix(rows[schema.EMBEDDING + name], self.before["fingerprint"]["dim"])
        if self._change and name != LABELS:  # which is a sum of embeddings
            return Embedded(self._change(values.values), values.present)
        told = zip(rows["record"].to_pylist(), rows["added_at"].to_pylist(), strict=True)
        drafts, modality = [], MODALITIES[self.modality]
        for item in (schema.item_of(record, added_at) for record, added_at in told):
            if inputs := modality.inputs(item).get(name):
                drafts.append(Draft(item, inputs={name: inputs}))
        found = self._encoding.embed(drafts)[0]
        made = np.zeros((rows.num_rows, self._dim), np.float32)
        has = np.zeros(rows.num_rows, np.bool_)
        for row, item_id in enumerate(rows["item_id"].to_pylist()):
            if (item_id, name) in found:
                made[row], has[row] = found[item_id, name], True
        return Embedded(made, has)

    @cached_property
    def _encoding(self) -> Encoding:
        beside, encoders = copy(self.catalogue), self.catalogue.encoders
        assert isinstance(encoders, BoundEncoders)
        beside.encoders = {self.modality: encoders.of(self.modality, self.record)}
        return Encoding(beside)


def _parts(batch: pa.Table) -> Iterator[pa.Table]:
    return (batch.slice(start, SOME) for start in range(0, batch.num_rows, SOME))


def _missing(name: str) -> str:
    return f"`{schema.EMBEDDING + name}` IS NOT NULL AND `{schema.NEXT + name}` IS NULL"


def _change(
    before: Mapping[str, Any], after: Mapping[str, Any], folder: Path
) -> Callable[[Vectors], Vectors] | None:
    """How the embeddings of one encoder become those of another, where they are a map of each other."""
    if after.get("parent", {}).get("fingerprint") == before["fingerprint"]:
        return map_between(after, folder)
    if before.get("parent", {}).get("fingerprint") == after["fingerprint"]:
        back = map_between(before, folder)
        return back and back.inverse
    return None


def _name(record: Mapping[str, Any]) -> str:
    return str(record["fingerprint"]["model"])


def _drop(catalogue: Catalogue, *prefixes: str) -> None:
    """Drops columns, and the folders of encoders that nothing needs any more."""
    catalogue.table.drop_columns([n for n in catalogue.table.schema.names if n.startswith(prefixes)])
    facts, used = catalogue.store.facts, set()
    ways = [facts[key]["record"] for key in (ADAPTING, FORMER) if facts.get(key)]
    for record in [*facts["encoders"].values(), *ways]:
        while "adapted" in record:
            used.add(record["adapted"])
            record = record["parent"]
    for name in catalogue.store.files.names(FOLDER) - used:
        catalogue.store.files.remove(f"{FOLDER}/{name}")
