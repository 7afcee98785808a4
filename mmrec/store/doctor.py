"""A store's health: rows against their digests, vectors, indices, versions, disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from mmrec.data.files import item_from_dict
from mmrec.encoders.base import Vectors
from mmrec.errors import MmrecError, StoreError
from mmrec.search.latest import Index
from mmrec.search.snapshot import Snapshot
from mmrec.search.topk import Scorer
from mmrec.store import schema
from mmrec.store.catalogue import Catalogue
from mmrec.store.interactions import Journal
from mmrec.types import IMAGE

SHOWN = 20  # item ids listed for each problem
SAMPLED = 20  # items whose neighbours are searched to measure the recall
NEAREST = 10
BLOCK = 65_536  # rows scored at once in float64
ROUNDING = 1e-6


def examine(catalogue: Catalogue, journal: Journal, *, mend: bool = True) -> dict[str, Any]:
    """Checks a store and mends what can be mended without the items' sources.

    A row whose content is damaged loses its digest, so that the next ingest of that item writes it anew.

    Returns:
        `healthy`, `problems` (what, how many, which items, what was done), and the tables' health.
    """
    problems = []
    if _is_broken(catalogue.head):
        if mend:
            catalogue.adopt(None)
        done = "content serves again: train with `mmrec fit`" if mend else ""
        problems.append(_problem("trained head cannot be read", [], done))
    broken = _is_broken(lambda: catalogue.plan)
    if broken:
        if mend:
            catalogue.rebuild(anew=True)
        done = "made anew, with all vectors" if mend else ""
        problems.append(_problem("content plan cannot be read", [], done))
    if catalogue.store.refresh().get("stale"):
        done = "rebuilt" if mend and catalogue.mend() else ""
        problems.append(_problem("vectors left out by an ingest that was killed", [], done))
    damaged = _damaged(catalogue)
    for what, item_ids in damaged.items():
        action = ""
        if mend:
            _forget(catalogue, item_ids)
            action = "marked: the next ingest of these items writes them anew"
        problems.append(_problem(what, item_ids, action))
    if mend:
        with catalogue.store.writer():
            for table in (catalogue.table, journal.table):
                table.tidy(force=True)
    return {
        "healthy": not problems, "problems": problems,
        "items": catalogue.table.health(), "interactions": journal.table.health(),
        "vector_column": catalogue.vector_column, "search": _search(catalogue),
        "dim": None if broken and not mend else catalogue.plan.dim,
    }


def census(snapshot: Snapshot, journal: Journal) -> dict[str, Any]:
    """Counts, fields, encoders and sizes, JSON-ready."""
    catalogue, slots = snapshot.catalogue, snapshot.plan.slots
    return {
        "items": len(snapshot), "interactions": journal.table.count(), "fitted": snapshot.towers.trained,
        "fields": {slot.name: {"kind": slot.kind, "dim": slot.dim, "weight": slot.weight} for slot in slots},
        "spaces": list(snapshot.spaces), "dim": snapshot.plan.dim,
        "encoders": {m: r["fingerprint"]["model"] for m, r in catalogue.store.facts["encoders"].items()},
        "bytes": catalogue.table.health()["bytes"],
    }


def _search(catalogue: Catalogue) -> dict[str, Any]:
    """Which road serves searches, and the share of the true nearest that it finds for some items."""
    try:
        snapshot = Index(catalogue).now()
        scorer = snapshot.scorer(snapshot.serving)
    except MmrecError as error:
        return {"road": "none", "why": str(error)}
    x, rng = scorer.matrix, np.random.default_rng(0)
    queries = x[rng.integers(0, len(x), SAMPLED)] if len(x) else x
    shares = [_recall(scorer, query) for query in queries if query.any()]
    road = "exact: 8-bit codes name the candidates" if scorer.coded else "exact: one matrix product"
    return {
        "road": road, "queries": len(shares),
        f"recall_at_{NEAREST}": float(np.mean(shares)) if shares else None,
    }


def _recall(scorer: Scorer, query: Vectors) -> float:
    """Share of the nearest rows by float64 scores that a search finds; one that ties with them counts."""
    scores = np.concatenate([
        scorer.matrix[start : start + BLOCK].astype(np.float64) @ query  # [block, d] @ [d] -> [block]
        for start in range(0, len(scorer), BLOCK)
    ])
    k = min(NEAREST, len(scores))
    least = np.partition(scores, -k)[-k] - ROUNDING * np.abs(scores).max()
    return float((scores[scorer.top(query, k).positions] >= least).sum() / k)


def _is_broken(read: Callable[[], object]) -> bool:
    try:
        read()
    except StoreError:
        return True
    return False


def _damaged(catalogue: Catalogue) -> dict[str, list[str]]:
    """Ids of damaged rows, by what is wrong."""
    found: dict[str, list[str]] = {}
    columns = ["item_id", "record", "digest", "digests", *schema.field_columns(catalogue.table.schema)]
    if catalogue.vector_column in catalogue.table.schema.names:
        columns.append(catalogue.vector_column)
    for batch in catalogue.table.batches(columns):
        fields = schema.fields_of(batch)
        embedded = {name: part.present for name, part in fields.embeddings.items()}
        broken = _broken_vectors(batch, catalogue)
        for row, facts in enumerate(batch.select(["item_id", "record", "digest", "digests"]).to_pylist()):
            what = _fault(facts, {name for name, present in embedded.items() if present[row]}, catalogue)
            if what is None and broken[row]:
                what = "vector missing or not finite"
            if what is not None:
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
    wanted = {n for n in digests if (IMAGE if n == IMAGE else "text") in catalogue.encoders}
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


def _problem(what: str, item_ids: list[str], done: str) -> dict[str, Any]:
    return {"what": what, "count": len(item_ids) or 1, "items": item_ids[:SHOWN], "done": done or "nothing"}
