"""How many of the truly nearest items a search finds for real users: the gate of inexact search."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.search.topk import Scorer
from mmrec.store.interactions import table_of

if TYPE_CHECKING:
    from mmrec.search.snapshot import Snapshot

log = logging.getLogger(__name__)

GATE = 0.97  # recall of the nearest below which an inexact search does not serve
NEAREST = 10
SAMPLED = 100  # queries
GROWN = 1.1  # times the rows of the last measurement, from which on recall is measured again
BLOCK = 65_536  # rows scored at once in float64
ROUNDING = 1e-6
EACH = 10  # interactions read for each user of a sample


def gated(scorer: Scorer, snapshot: Snapshot, space: str) -> Scorer:
    """The scorer of a space if it is exact, or finds enough of the nearest; else one that is exact."""
    if scorer.exact or len(scorer) < GROWN * scorer.measured:
        return scorer
    queries = sample(scorer, snapshot, space)
    found = recall(scorer, queries)
    if found is None or found >= GATE:
        scorer.measured = len(scorer)
        log.info("codes of %d bits search %s: recall@%d %s", scorer.bits, space, NEAREST, found)
        return scorer
    log.warning(
        "codes of %d bits would fit the memory, but find only %.3f of the %d nearest in %r (%.2f wanted, %d"
        " queries): exact ones of 8 bits serve and take more. Allow more memory, or fewer fields",
        scorer.bits, found, NEAREST, space, GATE, len(queries),
    )
    return Scorer(scorer.rows)


def sample(scorer: Scorer, snapshot: Snapshot, space: str) -> Vectors:
    """Queries [q, d] as they come: users of the latest interactions where these are asked for, else items."""
    x, rng = scorer.rows, np.random.default_rng(0)
    if space == snapshot.serving:
        rows = snapshot.remembered if snapshot.towers.trained else x
        known = [sorted(snapshot.known(items)) for items in _histories(snapshot)]
        users = [snapshot.towers.user(rows[p], np.ones(len(p), np.float32)) for p in known if p]
        if users:
            return np.array(users, np.float32)
    return x[np.sort(rng.choice(len(x), min(len(x), SAMPLED), replace=False))]


def _histories(snapshot: Snapshot) -> list[list[str]]:
    """Items of each of the users who did something last, as far as it is among the latest interactions."""
    last = table_of(snapshot.catalogue.store).scan(["user_id", "item_id"], last=SAMPLED * EACH)
    found: dict[str, list[str]] = {}
    for user, item in zip(last["user_id"].to_pylist(), last["item_id"].to_pylist(), strict=True):
        found.setdefault(user, []).append(item)
    return [*found.values()][-SAMPLED:]


def recall(scorer: Scorer, queries: Vectors) -> float | None:
    """Mean share of the nearest rows by float64 scores that a search finds for queries [q, d].

    A row that ties with the last of the nearest counts. None if no query is other than zeros.
    """
    Q = queries[queries.any(axis=1)].astype(np.float64)
    k = min(NEAREST, len(scorer))
    if not len(Q) or not k:
        return None
    best, largest = np.zeros((len(Q), 0)), np.zeros(len(Q))
    for _, x in scorer.rows.blocks(BLOCK):
        scores = Q @ x.astype(np.float64).T  # [q, d] @ [d, block] -> [q, block]
        largest = np.maximum(largest, np.abs(scores).max(axis=1))
        best = np.hstack([best, scores])
        best = np.partition(best, -k, axis=1)[:, -k:] if best.shape[1] > k else best  # [q, k]
    least = best.min(axis=1) - ROUNDING * largest
    found = (scorer.rows[scorer.top(q.astype(np.float32), k).positions].astype(np.float64) @ q for q in Q)
    return float(np.mean([np.sum(s >= floor) / k for s, floor in zip(found, least, strict=True)]))
