"""The files of a store: synced once, never taken for older than they are, and all behind one seam."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import lancedb
import pyarrow as pa
import pytest
from lancedb.table import LanceTable

from mmrec import Item
from mmrec.config import Config
from mmrec.encoders.base import ToyText
from mmrec.errors import StoreBusy, StoreError
from mmrec.model import saved
from mmrec.model.saved import Head
from mmrec.model.towers import IdentityTowers
from mmrec.store import files
from mmrec.store.catalogue import Catalogue
from mmrec.store.files import COARSE, FINE, HINT, LocalFiles
from mmrec.store.ingest import Intake
from mmrec.store.open import Store
from mmrec.store.tables import KeyedTable

SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False)])
SECOND = 1_000_000_000  # nanoseconds
VERSIONS = "things.lance/_versions"


# plain files

def test_files_are_written_found_and_removed(tmp_path):
    place = LocalFiles(tmp_path / "shop.mmrec")
    assert place.names() == place.names("head-1") == set()
    place.make()
    for content in (b"old", b"new"):
        place.write("facts.json", content)
        place.write("head-1/ids.json", content + b"!")
    assert (place.names(), place.names("head-1")) == ({"facts.json", "head-1"}, {"ids.json"})
    with place.open("head-1/ids.json") as file:
        assert file.read() == b"new!"
    assert (place.size("facts.json"), place.size("head-1"), place.size("gone")) == (3, 4, 0)
    for name in ("facts.json", "head-1", "gone"):
        place.remove(name)
    assert place.names() == set()
    with pytest.raises(FileNotFoundError):
        place.open("facts.json")


# what is forced to the disk

@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the paths that were passed to fsync since the list was cleared."""
    names: list[str] = []
    name = lambda handle: Path(f"/proc/self/fd/{handle}").readlink().name  # noqa: E731
    monkeypatch.setattr(os, "fsync", lambda handle: names.append(name(handle)))
    return names


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"rows")


def test_new_files_and_their_folders_are_synced_once(tmp_path, synced):
    folder, disk = tmp_path / "table", LocalFiles(tmp_path)
    put(folder / "data" / "a")
    disk.sync("table")
    assert sorted(synced) == sorted(["a", "data", "table", tmp_path.name])
    synced.clear()
    disk.sync("table")
    assert synced == []
    put(folder / "data" / "deep" / "b")
    synced.clear()
    disk.sync("table")
    assert sorted(synced) == ["b", "data", "deep"]


def test_the_hint_of_the_newest_version_is_synced_each_time(tmp_path, synced):
    put(tmp_path / "table" / "_versions" / HINT)
    disk = LocalFiles(tmp_path)
    disk.sync("table")
    synced.clear()
    disk.sync("table")
    assert synced == [HINT]


def test_what_is_gone_is_forgotten_and_synced_when_it_comes_again(tmp_path, synced):
    folder, disk = tmp_path / "table", LocalFiles(tmp_path)
    put(folder / "index" / "a")
    disk.sync("table")
    (folder / "index" / "a").unlink()
    (folder / "index").rmdir()
    disk.sync("table")
    synced.clear()
    put(folder / "index" / "a")
    disk.sync("table")
    assert {"a", "index"} <= set(synced)


def test_a_file_that_vanishes_meanwhile_is_no_fault(tmp_path, synced):
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    LocalFiles(tmp_path).sync("table")
    assert "gone" not in synced
    assert "table" in synced


# a table's version from a look at its folder: never an old one

@pytest.fixture
def table(tmp_path):
    return KeyedTable(LocalFiles(tmp_path), "things", SCHEMA)


@pytest.fixture
def asked(monkeypatch):
    """Versions that LanceDB was asked for since the list was cleared."""
    told, version = [], LanceTable.version.fget

    def watched(table):
        told.append(version(table))
        return told[-1]

    monkeypatch.setattr(LanceTable, "version", property(watched))
    return told


def newest(folder):
    """The version that a new handle of LanceDB's own finds."""
    return lancedb.connect(folder).open_table("things").version


@pytest.fixture
def clock(monkeypatch):
    """What time it is, for whoever looks at a stamp."""
    clock = SimpleNamespace(now=time.time_ns())
    monkeypatch.setattr(files, "time", SimpleNamespace(time_ns=lambda: clock.now))
    return clock


def write(table, key):
    table.upsert(pa.table([[key]], schema=SCHEMA))


def date(folder, moment):
    """Gives the last change of the table in a folder a time, in nanoseconds."""
    os.utime(folder / VERSIONS, ns=(moment, moment))


def test_what_has_not_changed_for_a_while_is_asked_for_once(table, tmp_path, asked):
    write(table, "a")
    date(tmp_path, time.time_ns() - 3 * FINE - COARSE)
    now = newest(tmp_path)
    asked.clear()
    assert {table.version for _ in range(5)} == {now}
    assert asked == [now]


def test_every_write_by_any_handle_is_seen_at_once(table, tmp_path):
    other = KeyedTable(LocalFiles(tmp_path), "things", SCHEMA)
    for n in range(20):
        write(other if n % 2 else table, f"k{n}")
        assert table.version == newest(tmp_path)
    other.delete(["k3"])
    assert table.version == newest(tmp_path)


def test_a_frozen_table_keeps_its_version(table):
    still = table.frozen()
    before = still.version
    write(table, "a")
    assert (still.version, table.version > before) == (before, True)


@pytest.mark.parametrize(("stamp", "later"), [
    (1_700_000_000 * SECOND + 123_456_789, FINE // 2), (1_700_000_000 * SECOND, 15 * SECOND // 10),
    (1_700_000_000 * SECOND + 120_000_000, SECOND), (1_700_000_000 * SECOND, -SECOND),
], ids=["fine", "whole seconds", "hundredths", "a clock that goes ahead"])
def test_a_change_that_bears_the_time_of_the_one_before_is_seen(
    table, tmp_path, clock, asked, stamp, later
):
    noted = tmp_path / VERSIONS / HINT
    clock.now, hint = stamp + later, noted.read_bytes()
    date(tmp_path, stamp)
    before = table.version
    assert asked == [before]
    write(table, "a")
    noted.write_bytes(hint)  # the time alone shall tell
    date(tmp_path, stamp)  # as a disk of coarse steps would have it
    clock.now = stamp + later + 1
    asked.clear()
    now = table.version
    assert asked == [now]
    assert now == newest(tmp_path) > before
    asked.clear()
    clock.now = stamp + COARSE + 1
    assert [table.version for _ in range(3)] == 3 * [now]
    assert asked == [now]


def test_the_version_that_is_noted_tells_changes_of_one_time_apart(table, tmp_path, clock):
    stamp = time.time_ns()
    date(tmp_path, stamp)
    clock.now = stamp + 2 * COARSE  # a clock of this machine that is far ahead
    before = table.version
    write(table, "a")
    date(tmp_path, stamp)
    assert table.version == newest(tmp_path) > before


def test_a_folder_that_is_gone_has_no_stamp(table, tmp_path):
    assert LocalFiles(tmp_path / "nowhere").stamp(VERSIONS) is None


# another place

class MemoryLock:
    """A lock of this process alone."""

    def __init__(self):
        self.lock = threading.RLock()

    def acquire(self, timeout):
        if not self.lock.acquire(timeout=timeout):
            raise TimeoutError

    def release(self):
        self.lock.release()


class MemoryFiles(LocalFiles):
    """Plain files in a dict, tables in a folder."""

    def __init__(self, path):
        super().__init__(path)
        self.kept, self.locks = {}, {}

    def names(self, folder=""):
        if ".lance" in folder:
            return super().names(folder)
        start = f"{folder}/" if folder else ""
        return {name[len(start):].split("/")[0] for name in self.kept if name.startswith(start)}

    def open(self, name):
        if name not in self.kept:
            raise FileNotFoundError(name)
        return io.BytesIO(self.kept[name])

    def write(self, name, content):
        self.kept[name] = content

    def remove(self, name):
        if ".lance" in name:
            super().remove(name)
        for known in [known for known in self.kept if known == name or known.startswith(f"{name}/")]:
            del self.kept[known]

    def lock(self, name):
        return self.locks.setdefault(name, MemoryLock())


def catalogue_of(place):
    config = Config(text_encoder="toy", image_encoder="none")
    facts = {"config": config.model_dump(), "encoders": {}}
    return Catalogue(Store.create(place, facts, 0.05), config, {"text": ToyText()}, IdentityTowers(0.5))


@pytest.fixture
def any_head(monkeypatch):
    """A head whose one file says its name."""
    monkeypatch.setattr(saved, "save", lambda head: {"config.json": head.report["name"].encode()})
    monkeypatch.setattr(saved, "load", lambda parts, _: Head(
        IdentityTowers(0.5), None, {"name": parts["config.json"].decode()}
    ))
    return lambda name: Head(IdentityTowers(0.5), None, {"name": name})


def test_facts_plans_and_heads_may_lie_in_another_place(tmp_path, any_head):
    place = MemoryFiles(tmp_path / "shop.mmrec")
    catalogue = catalogue_of(place)
    Intake(catalogue).run([Item(item_id=i, text={"title": f"red mug {i}"}) for i in "abc"])
    assert json.loads(place.kept["store.json"])["serial"] == 1
    assert place.kept.keys() == {"store.json", "content-1.safetensors"}
    catalogue.adopt(any_head("first"))
    catalogue.adopt(any_head("second"), fitted_at="today")
    assert place.kept.keys() == {"store.json", "content-3.safetensors", "head-3/config.json"}
    again = catalogue_of(place)
    assert (again.head().report, again.plan.seen) == ({"name": "second"}, 3)
    assert again.lookup(["a", "d"]).keys() == {"a"}
    assert [path.name for path in (tmp_path / "shop.mmrec").iterdir()] == ["items.lance"]


def test_what_is_damaged_in_another_place_is_named(tmp_path):
    place = MemoryFiles(tmp_path / "shop.mmrec")
    catalogue = catalogue_of(place)
    Intake(catalogue).run([Item(item_id="a", text={"title": "red mug"})])
    del place.kept["content-1.safetensors"]
    with pytest.raises(StoreError, match=r"shop\.mmrec/content-1\.safetensors"):
        catalogue_of(place).serving()


def test_the_locks_of_another_place_are_kept(tmp_path):
    place = MemoryFiles(tmp_path / "shop.mmrec")
    store, busy = catalogue_of(place).store, []

    def write_too():
        for holding in (Store.open(place, 0.05).writer, Store.open(place, 0.05).rewriting):
            try:
                with holding():
                    pass
            except StoreBusy as error:
                busy.append(str(error))

    with store.rewriting(), store.writer():
        thread = threading.Thread(target=write_too)
        thread.start()
        thread.join()
    assert ["writing to" in busy[0], "rewriting the vectors" in busy[1]] == [True, True]
