"""Histories that are kept are those of the table, whoever writes to it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mmrec import Interaction
from mmrec.config import Config
from mmrec.store.interactions import Histories, Interactions, Rows
from mmrec.store.open import Store
from mmrec.store.tables import KeyedTable

MAY = datetime(2024, 5, 1, tzinfo=UTC)


def act(item_id: str, user_id: str = "u", days: float = 0) -> Interaction:
    return Interaction(user_id=user_id, item_id=item_id, time=MAY + timedelta(days=days))


@pytest.fixture
def behaviour(tmp_path: Path) -> Interactions:
    return Interactions(Store.create(tmp_path / "s", {}, 5.0), Config())


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Users whose rows were read from the table."""
    users: list[str] = []
    read = Histories._read

    def watched(self: Histories, user: str) -> Rows:
        users.append(user)
        return read(self, user)

    monkeypatch.setattr(Histories, "_read", watched)
    return users


def ids(found: Histories, user: str) -> list[str]:
    return [row["item_id"] for row in found.of(user)]


def test_a_user_is_read_once_and_again_after_acting(behaviour, reads):
    behaviour.record([act("a"), act("x", "v")])
    found = Histories(behaviour.table)
    assert [ids(found, user) for user in "uvu"] == [["a"], ["x"], ["a"]]
    assert reads == ["u", "v"]
    behaviour.record([act("b", days=1)])
    assert [ids(found, user) for user in "uvw"] == [["a", "b"], ["x"], []]
    assert reads == ["u", "v", "u", "w"]
    assert ids(found, "w") == []
    behaviour.record([act("c", "w")])
    assert ids(found, "w") == ["c"]


def test_what_another_process_wrote_is_seen(behaviour, tmp_path):
    found = Histories(behaviour.table)
    assert ids(found, "u") == []
    Interactions(Store.open(tmp_path / "s", 5.0), Config()).record([act("a")])
    assert ids(found, "u") == ["a"]


def test_all_are_read_again_when_rows_are_gone(behaviour):
    behaviour.record([act("a"), act("b", days=1), act("x", "v")])
    found = Histories(behaviour.table)
    assert ids(found, "u") == ["a", "b"]
    gone = behaviour.table.scan(["key"], "item_id = 'a'")["key"].to_pylist()
    behaviour.table.delete(gone)
    assert ids(found, "u") == ["b"]


def test_no_more_is_kept_than_there_is_room_for(behaviour, reads, monkeypatch):
    monkeypatch.setattr("mmrec.store.interactions.MOST", 5)
    behaviour.record([act("a", user) for user in "uvw"] + [act(f"i{n}", "many", n) for n in range(9)])
    found = Histories(behaviour.table)
    for user in "uvuwuv":  # v goes for w, as u was asked for since; then w goes for v
        assert ids(found, user) == ["a"]
    assert reads == ["u", "v", "w", "v"]
    assert len(ids(found, "many")) == len(ids(found, "many")) == 9
    assert reads[4:] == ["many", "many"]


def test_a_read_that_a_write_overtook_is_not_kept(behaviour, monkeypatch):
    behaviour.record([act("a")])
    found, read = Histories(behaviour.table), Histories._read

    def overtaken(self: Histories, user: str) -> Rows:
        rows = read(self, user)
        if user == "u":
            behaviour.record([act("b", days=1)])
            self.of("v")  # another request, which brings all up to date
        return rows

    monkeypatch.setattr(Histories, "_read", overtaken)
    assert ids(found, "u") == ["a"]
    monkeypatch.setattr(Histories, "_read", read)
    assert ids(found, "u") == ["a", "b"]


@pytest.mark.slow
def test_readers_beside_a_writer_never_miss_what_was_acknowledged(behaviour):
    found, done, errors = Histories(behaviour.table), threading.Event(), []
    acknowledged = dict.fromkeys("uvw", 0)

    def ask() -> None:
        while not done.is_set():
            for user in "uvw":
                least = acknowledged[user]
                if len(found.of(user)) < least:
                    errors.append(user)

    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(60):
        user = "uvw"[n % 3]
        behaviour.record([act(f"i{n}", user, days=n)])
        acknowledged[user] += 1
    done.set()
    for reader in readers:
        reader.join()
    assert not errors
    assert behaviour.table.count() == 60


def test_only_users_who_acted_are_looked_up(behaviour, monkeypatch):
    behaviour.record([act("a", f"u{n}") for n in range(30)])
    found = Histories(behaviour.table)
    found.of("u3")
    rows, scan = [], KeyedTable.scan

    def counted(*arguments, **options):
        table = scan(*arguments, **options)
        rows.append(table.num_rows)
        return table

    behaviour.record([act("b", "u5", days=1)])
    monkeypatch.setattr(KeyedTable, "scan", counted)
    assert ids(found, "u3") == ["a"]
    assert rows == [1]
