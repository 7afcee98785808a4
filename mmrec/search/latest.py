"""The newest snapshot of a catalogue, as fresh as the store."""

from __future__ import annotations

import logging
import threading
from typing import Any

from mmrec.errors import MmrecError, StoreError
from mmrec.search.recall import NEAREST, recall, sample
from mmrec.search.snapshot import Snapshot
from mmrec.store.catalogue import Catalogue

log = logging.getLogger(__name__)

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
    queries = sample(scorer, snapshot, snapshot.serving)
    road = f"{scorer.bits}-bit codes name the candidates" if scorer.coded else "one matrix product"
    road = f"exact: {road}" if scorer.exact else f"{road}, not all of them"
    road += "" if scorer.rows.in_memory else ", the vectors lie in a file"
    return {"road": road, "queries": len(queries), f"recall_at_{NEAREST}": recall(scorer, queries)}
