"""Where a store's files lie: whatever reads, writes, lists, locks or syncs them goes through `StoreFiles`.

A store in another place than a local folder takes one more class with these methods.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Hashable
from pathlib import Path
from typing import BinaryIO, Protocol

from mmrec.data.files import replacing

log = logging.getLogger(__name__)

HINT = "latest_version_hint.json"  # LanceDB's only file that is written again under its name
FINE, COARSE = 100_000_000, 4_000_000_000  # nanoseconds within which two changes may bear one time
TICK = 10_000_000  # nanoseconds; a time that is a multiple of these comes from a clock of coarse steps


class FileLock(Protocol):
    """A lock of all processes, which its holder may take again."""

    def acquire(self, timeout: float) -> object:
        """Takes the lock; raises TimeoutError if another has it for so many seconds."""

    def release(self) -> None:
        """Gives it back."""


class StoreFiles(Protocol):
    """The files of one store, by names relative to it, with `/` between folders."""

    @property
    def uri(self) -> str:
        """Where LanceDB finds the tables."""

    def make(self) -> None:
        """Makes the place of a new store, if it is not there."""

    def names(self, folder: str = "") -> set[str]:
        """Names of the files and folders in a folder; none if there is no such folder."""

    def size(self, name: str) -> int:
        """Bytes of a file, or of all files in a folder."""

    def open(self, name: str) -> BinaryIO:
        """A file to be read; raises FileNotFoundError if there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Puts a whole file in the place of an older one, durably; raises DataError if that fails."""

    def remove(self, name: str) -> None:
        """Removes a file or folder, if it is there."""

    def lock(self, name: str) -> FileLock:
        """A lock of this name, not yet taken."""

    def sync(self, folder: str) -> None:
        """Forces to the disk what others have written into a folder."""

    def stamp(self, folder: str) -> Hashable | None:
        """Something that differs after the next change of a folder; None if that cannot be told yet."""


class LocalFiles:
    """A store in a folder of this machine, or of a network disk that can lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._syncing: dict[str, Syncing] = {}

    @property
    def uri(self) -> str:  # noqa: D102
        return str(self.path)

    def make(self) -> None:  # noqa: D102
        self.path.mkdir(parents=True, exist_ok=True)

    def names(self, folder: str = "") -> set[str]:  # noqa: D102
        try:
            with os.scandir(self.path / folder) as entries:
                return {entry.name for entry in entries}
        except FileNotFoundError:
            return set()

    def size(self, name: str) -> int:  # noqa: D102
        path = self.path / name
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        return sum(file.stat().st_size for file in files)

    def open(self, name: str) -> BinaryIO:  # noqa: D102
        return (self.path / name).open("rb")

    def write(self, name: str, content: bytes) -> None:  # noqa: D102
        path = self.path / name
        if path.parent != self.path:
            path.parent.mkdir(exist_ok=True)
        with replacing(path) as file:
            file.write(content)

    def remove(self, name: str) -> None:  # noqa: D102
        path = self.path / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def lock(self, name: str) -> FileLock:  # noqa: D102
        import filelock

        return filelock.FileLock(self.path / name, thread_local=False)

    def sync(self, folder: str) -> None:  # noqa: D102
        self._syncing.setdefault(folder, Syncing(self.path / folder)).sync()

    def stamp(self, folder: str) -> Hashable | None:
        """The folder's time of change, unless it is so recent that a later change may bear it as well.

        How recent that is depends on the disk: some have times of whole seconds. The version that LanceDB
        notes in the folder tells changes of one time apart, too.
        """
        now = time.time_ns()
        try:
            changed = (self.path / folder).stat().st_mtime_ns
            noted = (self.path / folder / HINT).read_bytes()
        except OSError:
            return None
        settled = COARSE if changed % TICK == 0 else FINE
        return (changed, noted) if now - changed > settled else None


class Syncing:
    """Syncs the new files of a folder, however deep, and of a folder that keeps thousands those alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[Path, set[str]] = {}  # in each folder, by the last time
        self._inner: dict[Path, set[Path]] = {}  # folders in each

    def sync(self) -> None:
        """Forces to the disk what came since the last time; at the first, all there is."""
        first = not self._names
        self._sync(self._folder)
        if first:
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
        for name in new | (names & {HINT}):
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


class Versioned(Protocol):
    """A table whose version grows with every change."""

    @property
    def version(self) -> int: ...  # noqa: D102

    def stamp(self) -> Hashable | None: ...  # noqa: D102


class Freshness:
    """The version of a table, asked of LanceDB only when something has been written since, by any process."""

    def __init__(self, table: Versioned) -> None:
        self.table = table
        self._known: tuple[Hashable, int] | None = None  # stamp, version

    def version(self) -> int:
        """The version of the table as it is now."""
        stamp, known = self.table.stamp(), self._known  # the stamp first: a change after it has another one
        if stamp is not None and known is not None and known[0] == stamp:
            return known[1]
        version = self.table.version
        self._known = None if stamp is None else (stamp, version)
        return version
