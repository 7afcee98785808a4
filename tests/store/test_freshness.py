"""A table's version from a look at its folder: never an old one."""

import os
import time

import pyarrow as pa
import pytest

from mmrec.store.files import SETTLED, Freshness
from mmrec.store.tables import KeyedTable, connect

SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False)])


class Asked:
    """A table that counts how often its version is asked for."""

    def __init__(self, table):
        self.folder, self.table, self.times = table.folder, table, 0

    @property
    def version(self):
        self.times += 1
        return self.table.version


@pytest.fixture
def table(tmp_path):
    return KeyedTable(connect(tmp_path), tmp_path, "things", SCHEMA)


def write(table, key):
    table.upsert(pa.table([[key]], schema=SCHEMA))


def settle(table, age=3 * SETTLED):
    """Lets the last write lie some time back."""
    long_ago = time.time_ns() - age
    os.utime(table.folder / "_versions", ns=(long_ago, long_ago))


def test_what_has_not_changed_for_a_while_is_asked_for_once(table):
    write(table, "a")
    settle(table)
    asked = Asked(table)
    freshness = Freshness(asked)
    assert {freshness.version() for _ in range(5)} == {table.version}
    assert asked.times == 1


def test_every_write_by_any_handle_is_seen_at_once(table, tmp_path):
    freshness, other = Freshness(table), KeyedTable(connect(tmp_path), tmp_path, "things", SCHEMA)
    for n in range(20):
        write(other if n % 2 else table, f"k{n}")
        assert freshness.version() == table.version
    other.delete(["k3"])
    assert freshness.version() == table.version


def test_a_change_that_bears_the_time_of_the_one_before_is_seen(table):
    asked = Asked(table)
    freshness = Freshness(asked)
    settle(table, age=0)
    stamp = (table.folder / "_versions").stat().st_mtime_ns
    before = freshness.version()
    write(table, "a")
    os.utime(table.folder / "_versions", ns=(stamp, stamp))  # as a clock of coarse steps would have it
    assert freshness.version() == table.version > before
    assert asked.times == 2
