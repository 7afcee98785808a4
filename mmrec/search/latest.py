"""The newest snapshot of a catalogue, as fresh as the store."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import MmrecError, StoreError
from mmrec.search.snapshot import Snapshot
from mmrec.search.topk import Scorer
from mmrec.store.catalogue import Catalogue

log = logging.getLogger(__name__)

SAMPLED = 20  # items whose neighbours are searched to measure the recall
NEAREST = 10
BLOCK = 65_536  # rows scored at once in float64
ROUNDING = 1e-6
PATIENCE = 5  # attempts at a snapshot while another thread or process rewrites the vectors


class LatestSnapshot:
    """Hands out the newest snapshot of a catalogue; loads one only when the table has changed.

    Attributes:
        serve_stale: whether readers go on with the snapshot before while another thread makes the next,
            instead of waiting for it. Whoever writes shall then `catch_up` before telling that it is done.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue, self.serve_stale = catalogue, False
        self._lock, self._catching_up = threading.Lock(), False
        self._snapshot: Snapshot | None = None

    def now(self) -> Snapshot:
        """The catalogue as it is now, also after a write by another process."""
        before = self._snapshot if self.serve_stale else None
        # Readers who only look whether it is fresh would keep whoever catches up from the lock.
        if before is not None and (self._catching_up or not self._lock.acquire(blocking=False)):
            return before
        if before is None:
            self._lock.acquire()
        try:
            return self._newest()
        finally:
            self._lock.release()

    def catch_up(self) -> None:
        """Brings what serves up to date, if anything does."""
        self._catching_up = True
        try:
            with self._lock:
                if self._snapshot is not None:
                    self._newest()
        finally:
            self._catching_up = False

    def _newest(self) -> Snapshot:
        before = self._snapshot
        if before is not None and before.version == self.catalogue.table.version:
            return before
        now = self._taken()
        if before is not None and self.serve_stale:
            now.load_as(before)  # before it takes over, else readers would wait for that
        self._snapshot = now
        return now

    def _taken(self) -> Snapshot:
        for _ in range(PATIENCE):
            try:
                return Snapshot(self.catalogue, self._snapshot)
            except StoreError as error:  # a writer swapped the vectors in between, so take the new ones
                log.debug("%s", error)
        return Snapshot(self.catalogue)


def search_health(catalogue: Catalogue) -> dict[str, Any]:
    """How searches are served, and the share of the truly nearest items that they find, for a sample."""
    try:
        snapshot = LatestSnapshot(catalogue).now()
        scorer = snapshot.scorer(snapshot.serving)
    except MmrecError as error:
        return {"road": "none", "why": str(error)}
    x, rng = scorer.rows, np.random.default_rng(0)
    queries = x[rng.integers(0, len(x), SAMPLED)] if len(x) else x[:]
    shares = [_recall(scorer, query) for query in queries if query.any()]
    road = "exact: 8-bit codes name the candidates" if scorer.coded else "exact: one matrix product"
    road += "" if scorer.rows.in_memory else ", the vectors lie in a file"
    recall = float(np.mean(shares)) if shares else None
    return {"road": road, "queries": len(shares), f"recall_at_{NEAREST}": recall}


def _recall(scorer: Scorer, query: Vectors) -> float:
    """Share of the nearest rows by float64 scores that a search finds; one that ties with them counts."""
    scores = np.concatenate([
        x.astype(np.float64) @ query for _, x in scorer.rows.blocks(BLOCK)  # [block, d] @ [d] -> [block]
    ])
    k = min(NEAREST, len(scores))
    least = np.partition(scores, -k)[-k] - ROUNDING * np.abs(scores).max()
    return float((scores[scorer.top(query, k).positions] >= least).sum() / k)
