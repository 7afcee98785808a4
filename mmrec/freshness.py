"""Whether a table has changed, for the price of one look at its folder."""

from __future__ import annotations

import time

from mmrec.tables import KeyedTable

SETTLED = 100_000_000  # nanoseconds; file systems stamp two changes within a few milliseconds alike


class Freshness:
    """The version of a table, asked of LanceDB only when something has been written since.

    Every write, by any process, puts a file into the folder of the table's versions, whose time of change
    tells. A time so recent that a later change may bear it as well is not trusted, and LanceDB is asked.
    """

    def __init__(self, table: KeyedTable) -> None:
        self.table, self._folder = table, table.folder / "_versions"
        self._known: tuple[int, int] | None = None  # time of change, version

    def version(self) -> int:
        """The version of the table as it is now."""
        now = time.time_ns()
        try:
            changed = self._folder.stat().st_mtime_ns
        except OSError:  # of a store that is gone: LanceDB says what is wrong
            return self.table.version
        known = self._known
        if known is not None and known[0] == changed:
            return known[1]
        version = self.table.version
        self._known = (changed, version) if now - changed > SETTLED else None
        return version
