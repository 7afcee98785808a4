"""Popularity carried on from version to version is that of all interactions together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec import Interaction
from mmrec.config import Config
from mmrec.store.interactions import Journal, Popularity
from mmrec.store.open import Store
from mmrec.store.tables import KeyedTable

MAY = datetime(2024, 5, 1, tzinfo=UTC)
HALF_LIFE = 30.0


def act(item_id: str, user_id: str = "u", days: float = 0, **more: object) -> Interaction:
    return Interaction(user_id=user_id, item_id=item_id, time=MAY + timedelta(days=days), **more)


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(Store.create(tmp_path / "s", {}, 5.0), Config())


def counted(journal: Journal, before: Popularity) -> Popularity:
    return before.at(journal.table.frozen(), journal.worths, HALF_LIFE)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.builds(
    act, st.sampled_from("abc"), st.sampled_from("uv"), st.integers(-90, 90),
    kind=st.sampled_from(["view", "purchase", "dislike"]),
), max_size=4), max_size=4))
def test_batch_by_batch_it_is_what_one_count_of_all_gives(tmp_path_factory, batches):
    journal = Journal(Store.create(tmp_path_factory.mktemp("j") / "s", {}, 5.0), Config())
    popularity = Popularity()
    for batch in batches:
        journal.record(batch)
        popularity = counted(journal, popularity)
        whole = counted(journal, Popularity())
        assert popularity.counts == pytest.approx(dict(whole.counts))
        assert (popularity.rows, popularity.newest) == (whole.rows, whole.newest)
        assert popularity.rows == journal.table.count()


def test_only_what_came_since_is_read(journal, monkeypatch):
    journal.record([act(item_id, user_id) for item_id in "abc" for user_id in "uvw"])
    before = counted(journal, Popularity())
    journal.record([act("a", "new", days=30)])
    rows, scan = [], KeyedTable.scan

    def watched(*arguments, **options):
        found = scan(*arguments, **options)
        rows.append(found.num_rows)
        return found

    monkeypatch.setattr(KeyedTable, "scan", watched)
    assert counted(journal, before).counts == pytest.approx({"a": 2.5, "b": 1.5, "c": 1.5})
    assert rows == [1]


def test_all_is_counted_again_when_some_is_gone(journal):
    journal.record([act("a"), act("b")])
    before = counted(journal, Popularity())
    gone = journal.table.scan(["key"], "item_id = 'a'")["key"].to_pylist()
    journal.table.delete(gone)
    assert counted(journal, before).counts == {"b": 1.0}
    journal.table.delete(journal.table.scan(["key"])["key"].to_pylist())
    assert counted(journal, before).counts == {}
