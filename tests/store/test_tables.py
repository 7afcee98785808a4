"""Keyed tables: counts that are true, keys of every kind, indices that lose nothing, and what bites."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.errors import StoreError
from mmrec.store import tables
from mmrec.store.files import LocalFiles
from mmrec.store.tables import BLOCK, MOST_FRAGMENTS, KeyedTable, literals

SCHEMA = pa.schema([
    pa.field("key", pa.string(), nullable=False), pa.field("n", pa.int64()), pa.field("words", pa.string()),
    pa.field("v", pa.list_(pa.float32(), 2)),
])
ODD = [
    "it's", "''", "100%", "a_b", "日本", "é", "e\u0301", "\\", '"', "--", "'; --", "a\u200bb", "😀", " ",
    "NULL",
]
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


def open_table(folder: Path) -> KeyedTable:
    return KeyedTable(LocalFiles(folder), "rows", SCHEMA)


@pytest.fixture
def table(tmp_path: Path) -> KeyedTable:
    return open_table(tmp_path)


def rows(values: dict[str, int | None], words: str = "red mug") -> pa.Table:
    n = len(values)
    return pa.table([[*values], [*values.values()], [words] * n, [[1.0, 2.0]] * n], schema=SCHEMA)


def contents(table: KeyedTable) -> dict[str, int | None]:
    found = table.scan(["key", "n"]).to_pydict()
    assert len(found["key"]) == len(set(found["key"])) == table.count()
    return dict(zip(found["key"], found["n"], strict=True))


def test_an_upsert_says_how_many_rows_were_new(table):
    assert table.upsert(rows({"a": 1, "b": 2})) == (2, 0)
    assert table.upsert(rows({"b": 3, "c": 4})) == (1, 1)
    assert contents(table) == {"a": 1, "b": 3, "c": 4}


def test_insert_only_leaves_what_is_there(table):
    table.upsert(rows({"a": 1}))
    assert table.upsert(rows({"a": 2, "b": 2}), insert_only=True) == (1, 0)
    assert contents(table) == {"a": 1, "b": 2}


def test_update_only_brings_nothing_new(table):
    table.upsert(rows({"a": 1}))
    assert table.upsert(rows({"a": 2, "b": 2}), update_only=True) == (0, 1)
    assert contents(table) == {"a": 2}


def test_some_columns_alone_can_be_updated(table):
    table.upsert(rows({"a": 1, "b": 2}))
    part = pa.table([["a"], ["new"]], schema=pa.schema([SCHEMA.field("key"), SCHEMA.field("words")]))
    assert table.upsert(part, update_only=True) == (0, 1)
    found = table.scan(["key", "n", "words"]).sort_by("key").to_pydict()
    assert found == {"key": ["a", "b"], "n": [1, 2], "words": ["new", "red mug"]}


def test_rows_written_since_a_version_are_told_unless_they_are_not_stamped(tmp_path):
    table = KeyedTable(LocalFiles(tmp_path), "rows", SCHEMA.append(tables.WRITTEN))
    table.upsert(rows({"a": 1, "b": 2}))
    before = table.version
    table.upsert(rows({"b": 3, "c": 4}))
    part = pa.table([["a"], ["new"]], schema=pa.schema([SCHEMA.field("key"), SCHEMA.field("words")]))
    assert table.upsert(part, update_only=True, stamp=False) == (0, 1)
    assert sorted(table.scan(["key"], table.written_since(before))["key"].to_pylist()) == ["b", "c"]
    assert (table.count(), table.count("n > 3"), table.count("words = 'new'")) == (3, 1, 1)
    with pytest.raises(StoreError, match="could not count rows"):
        table.count("no such column = 1")


def test_parts_of_rows_are_updated_after_compaction_with_an_index_on_the_key(table):
    table.upsert(rows({f"k{n}": 0 for n in range(200)}))
    table.index_key("key")
    for turn in range(3):
        table.tidy(force=True)
        table.upsert(rows({f"late {turn}": 0}))  # which the index does not know yet
        keys = [*contents(table)]
        two = pa.schema([SCHEMA.field("key"), SCHEMA.field("words")])
        part = pa.table([keys, [f"turn {turn}"] * len(keys)], schema=two)
        assert table.upsert(part, update_only=True) == (0, len(keys))
        assert set(table.scan(["words"])["words"].to_pylist()) == {f"turn {turn}"}
        assert table.read([f"late {turn}"], ["words"])["words"].to_pylist() == [f"turn {turn}"]


class Forgetful:
    """A table that leaves out the last row of every write."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __getattr__(self, name: str) -> Any:
        return getattr(self.table, name)

    def merge_insert(self, key: str) -> Any:
        merge = self.table.merge_insert(key)
        execute = merge.execute
        merge.execute = lambda rows, **more: execute(rows.slice(0, rows.num_rows - 1), **more)
        return merge


def test_a_write_whose_counts_do_not_add_up_is_taken_back(table, monkeypatch):
    table.upsert(rows({"a": 1}))
    monkeypatch.setattr(table, "_table", Forgetful(table._table))
    with pytest.raises(StoreError, match="3 rows went in, 1 were inserted and 1 updated"):
        table.upsert(rows({"a": 2, "b": 3, "c": 4}))
    monkeypatch.undo()
    assert contents(table) == {"a": 1}
    assert table.upsert(rows({"a": 2, "b": 3})) == (1, 1)


def test_rows_that_lancedb_refuses_are_an_error_of_ours(table):
    table.upsert(rows({"a": 1}))
    for bad in (pa.concat_tables([rows({"a": 1}), rows({"a": 2})]), rows({"b": 1}).drop(["key"])):
        with pytest.raises(StoreError, match="could not write rows"):
            table.upsert(bad)
    assert contents(table) == {"a": 1}


def test_null_vectors_are_taken_and_come_back_null(table):
    absent = pa.table([["a", "b"], [1, 2], ["x", "y"], [None, [1.0, 2.0]]], schema=SCHEMA)
    table.upsert(absent)
    table.upsert(absent)
    found = table.scan(["key", "v"]).sort_by("key")["v"].to_pylist()
    assert found == [None, [1.0, 2.0]]


def test_odd_keys_are_keys_like_others(table):
    table.upsert(rows({key: n for n, key in enumerate(ODD)}))
    assert contents(table) == {key: n for n, key in enumerate(ODD)}
    for n, key in enumerate(ODD):
        assert table.read([key], ["n"]).to_pydict() == {"key": [key], "n": [n]}
    assert table.upsert(rows(dict.fromkeys(ODD, 0))) == (0, len(ODD))
    assert table.delete(ODD[::2]) == len(ODD[::2])
    assert sorted(contents(table)) == sorted(ODD[1::2])


@settings(max_examples=15)
@given(written=st.dictionaries(KEYS, st.integers(0, 9), min_size=1, max_size=6),
       asked=st.lists(KEYS | st.sampled_from(ODD), max_size=6))
def test_only_the_keys_that_are_asked_for_are_read_and_deleted(table, written, asked):
    table.delete([*contents(table)])
    table.upsert(rows(written))
    asked += list(written)[::2]
    expected = {key: n for key, n in written.items() if key in asked}
    found = table.read(asked, ["n"]).to_pydict()
    assert dict(zip(found["key"], found["n"], strict=True)) == expected
    assert table.delete(asked) == len(expected)
    assert contents(table) == {key: n for key, n in written.items() if key not in asked}


def test_more_keys_than_one_condition_holds(table):
    many = {f"k{n}": n for n in range(2 * BLOCK + 7)}
    table.upsert(rows(many))
    found = table.read(list(many), ["n"])
    assert dict(zip(found["key"].to_pylist(), found["n"].to_pylist(), strict=True)) == many
    assert table.delete(list(many)[:-1]) == 2 * BLOCK + 6
    assert contents(table) == {f"k{2 * BLOCK + 6}": 2 * BLOCK + 6}


def test_reading_and_deleting_nothing_is_nothing(table):
    table.upsert(rows({"a": 1}))
    assert table.read([], ["n"]).to_pydict() == {"key": [], "n": []}
    assert table.read(["b"], ["key", "n"]).num_rows == 0
    assert table.delete([]) == table.delete(["b"]) == 0


def test_a_scan_keeps_what_its_condition_keeps(table):
    table.upsert(rows({"a": 1, "b": 2, "c": None}))
    assert sorted(table.scan(["key"], "n >= 1")["key"].to_pylist()) == ["a", "b"]
    assert table.scan(["key"], "n IS NULL")["key"].to_pylist() == ["c"]
    with pytest.raises(StoreError, match="could not read rows"):
        table.scan(["key"], "no such column = 1")


def test_the_last_rows_are_those_written_last(table):
    table.upsert(rows({f"k{n}": n for n in range(10)}))
    table.upsert(rows({"k0": 100, "new": 101}))
    assert sorted(table.scan(["key"], last=2)["key"].to_pylist()) == ["k0", "new"]
    assert table.scan(["key"], last=1000).num_rows == 11


def test_a_stream_is_of_one_version_whatever_is_written_meanwhile(table, monkeypatch):
    monkeypatch.setattr(tables, "STREAM", 8)
    table.upsert(rows({f"k{n}": n for n in range(100)}))
    seen: list[int] = []
    for batch in table.batches(["key", "n"]):
        assert batch.num_rows <= 8
        seen += batch["n"].to_pylist()
        table.upsert(rows(dict.fromkeys(batch["key"].to_pylist(), -1)))
        table.upsert(rows({f"new {len(seen)}": -2}))
    assert sorted(seen) == list(range(100))


def test_a_frozen_table_stays_as_it_was(table):
    table.upsert(rows({"a": 1, "b": 2}))
    table.index_key("words")
    still = table.frozen()
    table.upsert(rows({"a": 9, "c": 3}))
    table.delete(["b"])
    table.add_columns([pa.field("x", pa.int64())])
    table.drop_columns(["n"])
    table.tidy(force=True)
    assert contents(still) == {"a": 1, "b": 2}
    assert still.version < table.version
    assert still.schema.names == SCHEMA.names
    assert sorted(table.scan(["key"])["key"].to_pylist()) == ["a", "c"]
    assert table.upsert(rows({"d": 4}).drop(["n"])) == (1, 0)  # the other handle may still write


def test_an_empty_table_has_nothing_to_say(table):
    assert (table.count(), table.scan(["key"]).num_rows, list(table.batches(["key"]))) == (0, 0, [])
    assert table.scan(["key"], last=5).num_rows == 0
    table.index_key("key")
    table.drop_index("words")
    table.tidy(force=True)
    table.upsert(rows({"a": 1}))
    assert table.read(["a"], ["n"])["n"].to_pylist() == [1]


def test_columns_come_and_go(table):
    table.upsert(rows({"a": 1}))
    extra = [pa.field("price", pa.float64()), pa.field("w", pa.list_(pa.float32(), 3)), SCHEMA.field("n")]
    table.add_columns(extra)
    table.add_columns(extra)  # those that are there stay
    assert table.schema.names == [*SCHEMA.names, "price", "w"]
    assert table.scan(["n", "price", "w"]).to_pylist() == [{"n": 1, "price": None, "w": None}]
    table.drop_columns(["w", "never there"])
    table.drop_columns([])
    assert table.schema.names == [*SCHEMA.names, "price"]


def test_an_index_goes_when_it_is_not_wanted(table):
    table.upsert(rows({"a": 1}))
    table.index_key("words")
    assert table.indexed("words")
    table.drop_index("words")
    assert not table.indexed("words")
    assert table.health()["indices"] == {}
    assert contents(table) == {"a": 1}


def test_updates_after_compaction_with_an_index_on_the_key_happen(table):
    table.upsert(rows({f"k{n}": 0 for n in range(200)}))
    table.index_key("key")
    expected = dict(contents(table))
    for turn in range(1, 4):
        for half in (0, 1):
            changes = {f"k{n}": turn for n in range(half, 200, 2)} | {f"new {turn} {half}": turn}
            assert table.upsert(rows(changes)) == (1, 100)
            table.tidy(force=True)
            expected |= changes
            assert contents(table) == expected
            assert table.read([f"k{half}"], ["n"])["n"].to_pylist() == [turn]


def test_a_table_is_tidied_when_there_is_enough_to_gain(table):
    assert not table.tidy()
    for n in range(MOST_FRAGMENTS + 1):
        table.upsert(rows({f"k{n}": n}))
    assert table.health()["fragments"] == MOST_FRAGMENTS + 1
    assert table.tidy()
    assert table.health()["fragments"] == 1
    assert not table.tidy()
    assert contents(table) == {f"k{n}": n for n in range(MOST_FRAGMENTS + 1)}


def test_an_index_that_lags_behind_is_reason_enough_to_tidy(table):
    table.upsert(rows({"a": 1}))
    table.index_key("key")
    table.upsert(rows({f"k{n}": n for n in range(1_001)}))
    index, = table.health()["indices"].values()
    assert index["waiting"] == 1_001
    assert table.tidy()
    index, = table.health()["indices"].values()
    assert index == {"indexed": 1_002, "waiting": 0}


def test_old_versions_go_when_nobody_can_be_reading_them(table, monkeypatch):
    for n in range(5):
        table.upsert(rows({f"k{n}": n}))
    table.tidy(force=True)
    kept, bytes_ = table.health()["versions"], table.health()["bytes"]
    assert kept > 5
    monkeypatch.setattr(tables, "KEEP_VERSIONS", timedelta(milliseconds=1))
    table.upsert(rows({"k0": 9}))
    table.tidy(force=True)
    assert table.health()["versions"] <= 3
    assert table.health()["bytes"] < bytes_
    assert contents(table) == {"k0": 9, "k1": 1, "k2": 2, "k3": 3, "k4": 4}


def test_the_version_grows_with_every_change(table):
    versions = [table.version]
    for change in (
        lambda: table.upsert(rows({"a": 1})), lambda: table.upsert(rows({"a": 1})),
        lambda: table.delete(["a"]), lambda: table.add_columns([pa.field("x", pa.int64())]),
        lambda: table.drop_columns(["x"]),
    ):
        change()
        versions.append(table.version)
    assert versions == sorted(set(versions))
    table.scan(["key"])
    assert table.version == versions[-1]


def test_another_handle_sees_what_was_written(table, tmp_path):
    other = open_table(tmp_path)
    table.upsert(rows({"a": 1}))
    assert (contents(other), other.version) == ({"a": 1}, table.version)
    other.add_columns([pa.field("x", pa.int64())])
    other.upsert(rows({"a": 2}))
    assert contents(table) == {"a": 2}
    assert "x" in table.schema.names


WRITER = """
import sys
from pathlib import Path
import pyarrow as pa
from mmrec.store.files import LocalFiles
from mmrec.store.tables import KeyedTable

folder = Path(sys.argv[1])
schema = pa.schema([pa.field("key", pa.string(), nullable=False), ("n", pa.int64())])
table = KeyedTable(LocalFiles(folder), "rows", schema)
table.upsert(pa.table([["a", "b"], [5, 6]], schema=schema))
"""


def test_another_process_is_seen_too(table, tmp_path):
    table.upsert(rows({"a": 1}))
    before = table.version
    subprocess.run([sys.executable, "-c", WRITER, tmp_path], check=True)
    assert contents(table) == {"a": 5, "b": 6}
    assert table.version > before


def test_literals_are_quoted():
    assert literals(["a", "it's", "''"]) == "'a', 'it''s', ''''''"
    assert literals([]) == ""


@pytest.fixture
def synced(monkeypatch) -> set[Path]:
    """Paths that were passed to fsync; the real one is still called."""
    paths: set[Path] = set()
    fsync = os.fsync

    def observed(handle: int) -> None:
        paths.add(Path(f"/proc/self/fd/{handle}").readlink())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", observed)
    return paths


def test_what_is_acknowledged_has_been_synced(tmp_path, synced):
    table = open_table(tmp_path)
    for change in (
        lambda: table.upsert(rows({"a": 1, "b": 2})), lambda: table.upsert(rows({"a": 2})),
        lambda: table.delete(["b"]), lambda: table.add_columns([pa.field("x", pa.int64())]),
        lambda: table.index_key("key"), lambda: table.drop_index("key"),
        lambda: (table.upsert(rows({"c": 1})), table.tidy(force=True)), lambda: table.drop_columns(["x"]),
    ):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        synced.clear()
        change()
        written = {p for p in tmp_path.rglob("*") if before.get(p) != p.stat().st_mtime_ns and p.is_file()}
        made = {path for path in tmp_path.rglob("*") if path not in before}
        assert written
        assert written <= synced
        assert {path.parent for path in made} <= synced
