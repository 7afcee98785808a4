"""What is forced to the disk: all that is new, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmrec.store.files import Syncing


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the paths that were passed to fsync since the list was cleared."""
    names: list[str] = []
    name = lambda handle: Path(f"/proc/self/fd/{handle}").readlink().name  # noqa: E731
    monkeypatch.setattr(os, "fsync", lambda handle: names.append(name(handle)))
    return names


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"rows")


def test_new_files_and_their_folders_are_synced_once(tmp_path, synced):
    folder = tmp_path / "table"
    write(folder / "data" / "a")
    disk = Syncing(folder)
    disk.sync()
    assert sorted(synced) == sorted(["a", "data", "table", tmp_path.name])
    synced.clear()
    disk.sync()
    assert synced == [tmp_path.name]
    write(folder / "data" / "deep" / "b")
    synced.clear()
    disk.sync()
    assert sorted(synced) == sorted(["b", "deep", "data", tmp_path.name])


def test_the_hint_of_the_newest_version_is_synced_each_time(tmp_path, synced):
    write(tmp_path / "table" / "_versions" / "latest_version_hint.json")
    disk = Syncing(tmp_path / "table")
    disk.sync()
    synced.clear()
    disk.sync()
    assert synced == ["latest_version_hint.json", tmp_path.name]


def test_what_is_gone_is_forgotten_and_synced_when_it_comes_again(tmp_path, synced):
    folder = tmp_path / "table"
    write(folder / "index" / "a")
    disk = Syncing(folder)
    disk.sync()
    (folder / "index" / "a").unlink()
    (folder / "index").rmdir()
    disk.sync()
    synced.clear()
    write(folder / "index" / "a")
    disk.sync()
    assert {"a", "index"} <= set(synced)


def test_a_file_that_vanishes_meanwhile_is_no_fault(tmp_path, synced):
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    Syncing(folder).sync()
    assert "gone" not in synced
    assert "table" in synced
