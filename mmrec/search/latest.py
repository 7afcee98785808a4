"""Exact search in memory, as fresh as the store."""

from __future__ import annotations

import logging
import threading

from mmrec.errors import StoreError
from mmrec.search.snapshot import Snapshot
from mmrec.store.catalogue import Catalogue
from mmrec.store.files import Freshness

log = logging.getLogger(__name__)

PATIENCE = 5  # attempts at a snapshot while another thread or process rewrites the vectors


class Index:
    """Hands out the newest snapshot of a catalogue; loads one only when the table has changed.

    Attributes:
        hasty: whether readers go on with the snapshot before while another thread makes the next, instead of
            waiting for it. Whoever writes shall then `catch_up` before telling that it is done.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue, self.hasty = catalogue, False
        self._freshness = Freshness(catalogue.table)
        self._lock, self._catching_up = threading.Lock(), False
        self._snapshot: Snapshot | None = None

    def now(self) -> Snapshot:
        """The catalogue as it is now, also after a write by another process."""
        before = self._snapshot if self.hasty else None
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
        if before is not None and before.version == self._freshness.version():
            return before
        now = self._taken()
        if before is not None and self.hasty:
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
