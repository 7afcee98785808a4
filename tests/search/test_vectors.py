"""What a newer version of a table changed: put in place, it is what a reader of the whole table sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.search import vectors
from mmrec.search.vectors import Changes, Part
from mmrec.store.files import LocalFiles
from mmrec.store.tables import WRITTEN, KeyedTable

SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("n", pa.int64()), WRITTEN])
PLAIN = pa.schema([*SCHEMA][:2])
KEYS = st.sampled_from([*"abcdefgh", "日本", "é", "😀"])
VALUES = st.dictionaries(KEYS, st.integers(0, 9), max_size=4)
STEPS = st.lists(st.one_of(VALUES, st.sets(KEYS, max_size=3)), max_size=4)


def open_table(folder: Path, schema: pa.Schema = SCHEMA) -> KeyedTable:
    return KeyedTable(LocalFiles(folder), "rows", schema)


def write(table: KeyedTable, step: dict[str, int] | set[str]) -> None:
    """Upserts values, or deletes keys."""
    if isinstance(step, dict) and step:
        table.upsert(pa.table([[*step], [*step.values()]], schema=PLAIN))
    elif step:
        table.delete(sorted(step))


def read(table: KeyedTable, where: str | None = None) -> pa.Table:
    return table.scan(["key", "n"], where).sort_by("key")


@pytest.fixture(autouse=True)
def all_changes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tables are small, and any share of them may be new."""
    monkeypatch.setattr(vectors, "MOST_CHANGED", 100.0)


@settings(max_examples=40)
@given(start=st.dictionaries(KEYS, st.integers(0, 9), min_size=1), steps=STEPS)
def test_whatever_was_written_and_deleted_the_rows_are_those_of_the_table(tmp_path_factory, start, steps):
    table = open_table(tmp_path_factory.mktemp("rows"))
    write(table, start)
    before, since = read(table), table.version
    for step in steps:
        write(table, step)
    keys = before["key"].to_pylist()
    found = Changes.between(keys, table, since)
    written, now = read(table, found.part.where), read(table)
    assert found.keys == now["key"].to_pylist()
    assert found.part.keys == written["key"].to_pylist()
    assert found.merged_table(before, written).to_pydict() == now.to_pydict()
    numbers = (found.merged(t["n"].to_numpy(), w["n"].to_numpy()) for t, w in [(before, written)])
    assert next(numbers).tolist() == now["n"].to_pylist()


def test_only_what_came_since_is_read_again(tmp_path):
    table = open_table(tmp_path)
    write(table, {"a": 1, "b": 2, "c": 3})
    since = table.version
    write(table, {"b": 5, "d": 4})
    assert read(table, table.written_since(since)).to_pydict() == {"key": ["b", "d"], "n": [5, 4]}
    assert read(table, table.written_since(table.version)).num_rows == 0


def test_compaction_changes_nothing(tmp_path):
    table = open_table(tmp_path)
    write(table, {"a": 1})
    write(table, {"b": 2})
    since = table.version
    table.tidy(force=True)
    assert table.version > since
    found = Changes.between(["a", "b"], table, since)
    assert found.keys == ["a", "b"]
    assert not found.part.keys
    assert found.kept.all()


def test_so_much_that_is_new_is_better_read_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "MOST_CHANGED", 0.5)
    table = open_table(tmp_path)
    write(table, {"a": 1, "b": 2})
    since = table.version
    write(table, {"c": 3})
    assert Changes.between(["a", "b"], table, since) is not None
    write(table, {"d": 3})
    assert Changes.between(["a", "b"], table, since) is None


def test_a_table_of_before_learns_to_tell_with_its_next_write(tmp_path):
    open_table(tmp_path, PLAIN).upsert(pa.table([["a", "b"], [1, 2]], schema=PLAIN))
    table = open_table(tmp_path)
    since = table.version
    assert Changes.between(["a", "b"], table, since) is None
    write(table, {"c": 3})
    found = Changes.between(["a", "b"], table, since)
    assert found.part.keys == ["c"]
    assert table.scan(["key", "written"]).sort_by("key")["written"].to_pylist()[:2] == [None, None]


def test_rows_that_came_without_their_version_have_all_read_again(tmp_path):
    table = open_table(tmp_path)
    write(table, {"a": 1, "b": 2})
    since = table.version
    open_table(tmp_path, PLAIN).upsert(pa.table([["c"], [3]], schema=PLAIN))  # by a program that keeps none
    assert Changes.between(["a", "b"], table, since) is None


def test_rows_of_any_shape_are_merged():
    found = Changes(
        ["a", "b", "c"], Part(None, ["b"]), np.array([True, False, True]),
        np.array([True, False, True]), np.array([1]),
    )
    before = np.array([[[1, 1]], [[9, 9]], [[3, 3]]], np.float32)
    assert found.merged(before, np.array([[[2, 2]]], np.float32)).tolist() == [[[1, 1]], [[2, 2]], [[3, 3]]]
