"""What the last users did, kept in memory until they do something more."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from mmrec.freshness import Freshness
from mmrec.tables import KeyedTable, literals

COLUMNS = ("item_id", "kind", "weight", "time")
MOST = 100_000  # interactions, and users without any, that are kept
Rows = Sequence[Mapping[str, Any]]


class Histories:
    """Interactions by user, of the newest version of their table.

    A shopper asks several times before the next click, and the table is slower to find a user's rows than
    all the rest of a recommendation takes.
    """

    def __init__(self, table: KeyedTable) -> None:
        self.table, self._freshness = table, Freshness(table)
        self._lock = threading.Lock()
        self._version = self._rows = 0  # what is kept is of this version, which had so many rows
        self._room = MOST
        self._kept: OrderedDict[str, Rows] = OrderedDict()

    def of(self, user: str) -> Rows:
        """The user's interactions, oldest first."""
        with self._lock:
            if self._freshness.version() != self._version:
                self._catch_up()
            kept, version = self._kept.get(user), self._version
            if kept is not None:
                self._kept.move_to_end(user)
                return kept
        rows = self._read(user)
        with self._lock:
            if version == self._version:  # else a write may have passed what was just read
                self._keep(user, rows)
        return rows

    def _keep(self, user: str, rows: Rows) -> None:
        self._forget(user)  # which another thread may have read as well
        self._kept[user] = rows
        self._room -= 1 + len(rows)
        while self._room < 0:
            self._forget(next(iter(self._kept)))

    def _forget(self, user: str) -> None:
        if user in self._kept:
            self._room += 1 + len(self._kept.pop(user))

    def _catch_up(self) -> None:
        """Forgets the users who did something since; all of them, if that cannot be told."""
        now = self.table.frozen()
        where, total = now.written_since(self._version), now.count()
        new = now.scan(["user_id"], where)["user_id"].to_pylist() if where and self._kept else []
        known = self._rows + len(new) == total
        for user in new if known else list(self._kept):
            self._forget(user)
        self._version, self._rows = now.version, total

    def _read(self, user: str) -> Rows:
        rows = self.table.scan(COLUMNS, f"user_id = {literals([user])}")
        found: Rows = rows.sort_by([("time", "ascending"), ("item_id", "ascending")]).to_pylist()
        return found
