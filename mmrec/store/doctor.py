"""A store's health: rows against their digests, vectors, indices, versions, disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mmrec.data.rows import item_from_dict
from mmrec.encoders.modality import modality_of
from mmrec.errors import MmrecError, StoreError
from mmrec.store import schema
from mmrec.store.catalogue import Catalogue
from mmrec.store.interactions import Interactions

SHOWN = 20  # item ids listed for each problem


def examine(catalogue: Catalogue, behaviour: Interactions, *, mend: bool = True) -> dict[str, Any]:
    """Checks a store and mends what can be mended without the items' sources.

    A row whose content is damaged loses its digest, so that the next ingest of that item writes it anew.

    Returns:
        `healthy`, `problems` (what, how many, which items, what was done), and the tables' health.
    """
    problems = []

    def found(what: str, done: str, item_ids: Sequence[str] = ()) -> None:
        problems.append({
            "what": what, "count": len(item_ids) or 1, "items": list(item_ids[:SHOWN]),
            "done": done if mend and done else "nothing",
        })

    if _is_broken(catalogue.head):
        if mend:
            catalogue.adopt(None)
        found("trained head cannot be read", "content serves again: train with `mmrec fit`")
    broken = _is_broken(lambda: catalogue.plan)
    if broken:
        if mend:
            catalogue.rebuild(anew=True)
        found("content plan cannot be read", "made anew, with all vectors")
    if catalogue.store.refresh().get("stale"):
        done = "rebuilt" if mend and catalogue.mend() else ""
        found("vectors left out by an ingest that was killed", done)
    for what, item_ids in _damaged(catalogue).items():
        if mend:
            _forget(catalogue, item_ids)
        found(what, "marked: the next ingest of these items writes them anew", item_ids)
    if mend:
        with catalogue.store.rewriting(), catalogue.store.writer():
            for table in (catalogue.table, behaviour.table):
                table.tidy(force=True)
    return {
        "healthy": not problems, "problems": problems,
        "items": catalogue.table.health(), "interactions": behaviour.table.health(),
        "vector_column": catalogue.vector_column,
        "dim": None if broken and not mend else catalogue.plan.dim,
    }


def census(catalogue: Catalogue, behaviour: Interactions) -> dict[str, Any]:
    """Counts, fields, encoders and sizes, JSON-ready."""
    serving = catalogue.serving()
    slots = serving.plan.slots
    return {
        "items": catalogue.table.count(), "interactions": behaviour.table.count(),
        "fitted": serving.towers.trained,
        "fields": {slot.name: {"kind": slot.kind, "dim": slot.dim, "weight": slot.weight} for slot in slots},
        "dim": serving.plan.dim,
        "encoders": {m: r["fingerprint"]["model"] for m, r in catalogue.store.facts["encoders"].items()},
        "bytes": catalogue.table.health()["bytes"],
    }


def _is_broken(read: Callable[[], object]) -> bool:
    try:
        read()
    except StoreError:
        return True
    return False


def _damaged(catalogue: Catalogue) -> dict[str, list[str]]:
    """Ids of damaged rows, by what is wrong."""
    found: dict[str, list[str]] = {}
    told, now = ["item_id", "record", "digest", "digests"], catalogue.table.schema
    vectors = {catalogue.vector_column} & set(now.names)
    for batch in catalogue.table.batches([*told, *schema.field_columns(now), *vectors]):
        embedded = schema.fields_of(batch).embeddings
        broken = _broken_vectors(batch, catalogue)
        for row, facts in enumerate(batch.select(told).to_pylist()):
            what = _fault(facts, {name for name, part in embedded.items() if part.present[row]}, catalogue)
            if what is None and broken[row]:
                what = "vector missing or not finite"
            if what:
                found.setdefault(what, []).append(facts["item_id"])
    return found


def _fault(facts: dict[str, Any], embedded: set[str], catalogue: Catalogue) -> str | None:
    """What is wrong with one row's record, or None."""
    if facts["digest"] == "":
        return "damaged, as an earlier visit found"
    try:
        item = item_from_dict(json.loads(facts["record"]))
        digests = dict(json.loads(facts["digests"]))
    except (ValueError, TypeError, MmrecError):
        return "record cannot be read"
    if any(digests.get(name) != schema.digest(text) for name, text in item.text.items()):
        return "text differs from its digest"
    wanted = {name for name in digests if modality_of(name).name in catalogue.encoders}
    return "embedding missing" if wanted - embedded else None


def _broken_vectors(batch: pa.Table, catalogue: Catalogue) -> Any:
    """Which rows [n] have no finite vector."""
    if catalogue.vector_column not in batch.schema.names:  # which is right where no item has any field
        return np.full(batch.num_rows, catalogue.plan.dim > 0)
    column = batch[catalogue.vector_column]
    values, present = schema.matrix(column, column.type.list_size)
    return ~present | ~np.isfinite(values).all(axis=1)


def _forget(catalogue: Catalogue, item_ids: list[str]) -> None:
    """Blanks the digests of rows, so that no later ingest takes them for unchanged."""
    with catalogue.store.writer():
        names, n = ["item_id", "digest", "digests"], len(item_ids)
        blank = pa.table(
            [item_ids, [""] * n, ["{}"] * n], schema=pa.schema([schema.BASE.field(name) for name in names])
        )
        catalogue.table.upsert(blank, update_only=True)
