"""Where a store's files lie: whatever reads, writes, lists, locks or syncs them goes through `StoreFiles`.

A store in another place than a local folder takes one more class with these methods.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Hashable
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from mmrec.data.files import replacing

log = logging.getLogger(__name__)

HINT = "latest_version_hint.json"  # LanceDB's only file that is written again under its name
FINE, COARSE = 100_000_000, 4_000_000_000  # nanoseconds within which two changes may bear one time
TICK = 10_000_000  # nanoseconds; a time that is a multiple of these comes from a clock of coarse steps
Tree = dict[str, "Tree | None"]  # what is in a folder, by name; of a file None


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

    def scratch(self) -> BinaryIO:
        """An empty file on this machine that nobody else sees, and that is gone when it is closed."""

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
        self._synced: dict[str, Tree] = {}  # what each folder had the last time

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
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(content)

    def remove(self, name: str) -> None:  # noqa: D102
        path = self.path / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def scratch(self) -> BinaryIO:
        """Beside the store, where there is room for it; in the temporary folder if that cannot be written."""
        try:
            return cast(BinaryIO, tempfile.TemporaryFile(dir=self.path, buffering=0))
        except OSError:
            return cast(BinaryIO, tempfile.TemporaryFile(buffering=0))

    def lock(self, name: str) -> FileLock:  # noqa: D102
        import filelock

        return filelock.FileLock(self.path / name, thread_local=False)

    def sync(self, folder: str) -> None:
        """Syncs what is new in the folder, however deep; at the first time, all there is."""
        before = self._synced.get(folder)
        self._synced[folder] = _sync(self.path / folder, before or {})
        if before is None:
            _fsync((self.path / folder).parent)

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


def _sync(folder: Path, before: Tree) -> Tree:
    """Syncs what a folder has that it did not have before, and that alone; returns what it has."""
    with os.scandir(folder) as entries:
        tree: Tree = {entry.name: {} if entry.is_dir() else None for entry in entries}
    new = tree.keys() - before.keys()
    for name in new | (tree.keys() & {HINT}):
        if tree[name] is None:
            _fsync(folder / name)
    for name in [name for name, inner in tree.items() if inner is not None]:
        tree[name] = _sync(folder / name, before.get(name) or {})
    if new:
        _fsync(folder)
    return tree


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
