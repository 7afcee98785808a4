"""The files of a table: forced to the disk after a write, and looked at to tell whether another came."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Protocol

log = logging.getLogger(__name__)

REWRITTEN = frozenset({"latest_version_hint.json"})  # the only file that is written again under its name


class Syncing:
    """Syncs the new files of a folder, however deep, and of a folder that keeps thousands those alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[Path, set[str]] = {}  # in each folder, by the last time
        self._inner: dict[Path, set[Path]] = {}  # folders in each

    def sync(self) -> None:
        """Forces to the disk what came since the last time; at the first, all there is."""
        self._sync(self._folder)
        _fsync(self._folder.parent)

    def _sync(self, folder: Path) -> None:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries}
        new = names - self._names.get(folder, set())
        known = self._inner.get(folder, set())
        for path in known:
            if path.name not in names:
                self._forget(path)
        inner = {path for path in known if path.name in names}
        inner |= {folder / name for name in new if (folder / name).is_dir()}
        for name in new | (names & REWRITTEN):
            if folder / name not in inner:
                _fsync(folder / name)
        for path in inner:
            self._sync(path)
        if new:
            _fsync(folder)
        self._names[folder], self._inner[folder] = names, inner

    def _forget(self, folder: Path) -> None:
        self._names.pop(folder, None)
        for path in self._inner.pop(folder, set()):
            self._forget(path)


def _fsync(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # cleaned up by now: what is gone need not be kept
        return
    try:
        os.fsync(handle)
    except OSError as error:  # some network disks cannot sync a folder; the files are what matters
        log.debug("cannot sync %s: %s", path, error)
    finally:
        os.close(handle)


SETTLED = 100_000_000  # nanoseconds; file systems stamp two changes within a few milliseconds alike


class Versioned(Protocol):
    """A table in a folder, whose version grows with every change."""

    @property
    def folder(self) -> Path: ...  # noqa: D102

    @property
    def version(self) -> int: ...  # noqa: D102


class Freshness:
    """The version of a table, asked of LanceDB only when something has been written since.

    Every write, by any process, puts a file into the folder of the table's versions, whose time of change
    tells. A time so recent that a later change may bear it as well is not trusted, and LanceDB is asked.
    """

    def __init__(self, table: Versioned) -> None:
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
