"""Popularity carried on from version to version is that of all interactions together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec import Interaction
from mmrec.config import Config
from mmrec.store.interactions import Interactions, Popularity
from mmrec.store.open import Store
from mmrec.store.tables import KeyedTable

MAY = datetime(2024, 5, 1, tzinfo=UTC)
HALF_LIFE = 30.0


def act(item_id: str, user_id: str = "u", days: float = 0, **more: object) -> Interaction:
    return Interaction(user_id=user_id, item_id=item_id, time=MAY + timedelta(days=days), **more)


@pytest.fixture
def behaviour(tmp_path) -> Interactions:
    return Interactions(Store.create(tmp_path / "s", {}, 5.0), Config())


def counted(behaviour: Interactions, before: Popularity) -> Popularity:
    return before.at(behaviour.table.frozen(), behaviour.weights_of, HALF_LIFE)


@settings(max_examples=10)
@given(batches=st.lists(st.lists(st.builds(
    act, st.sampled_from("abc"), st.sampled_from("uv"), st.integers(-90, 90),
    kind=st.sampled_from(["view", "purchase", "dislike"]),
), max_size=4), max_size=4))
def test_batch_by_batch_it_is_what_one_count_of_all_gives(tmp_path_factory, batches):
    behaviour = Interactions(Store.create(tmp_path_factory.mktemp("j") / "s", {}, 5.0), Config())
    popularity = Popularity()
    for batch in batches:
        behaviour.record(batch)
        popularity = counted(behaviour, popularity)
        whole = counted(behaviour, Popularity())
        assert popularity.counts == pytest.approx(dict(whole.counts))
        assert (popularity.rows, popularity.newest) == (whole.rows, whole.newest)
        assert popularity.rows == behaviour.table.count()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("between", [True, False])
def test_a_wrong_clock_does_not_rule(behaviour, first, between):
    fair = [act("best", user) for user in "uvw"] + [act("good", "u")]
    wrong = [Interaction(user_id="x", item_id="odd", time=datetime(9999, 12, 31, tzinfo=UTC))]
    popularity = Popularity()
    for batch in (wrong, fair) if first else (fair, wrong):
        behaviour.record(batch)
        popularity = counted(behaviour, popularity) if between else popularity
    assert counted(behaviour, popularity).counts == pytest.approx({"best": 3.0, "good": 1.0})
    behaviour.record([act("good", "v", days=HALF_LIFE)])
    later = counted(behaviour, popularity)
    assert later.counts == pytest.approx({"best": 1.5, "good": 1.5})
    assert later.rows == behaviour.table.count()


def test_only_what_came_since_is_read(behaviour, monkeypatch):
    behaviour.record([act(item_id, user_id) for item_id in "abc" for user_id in "uvw"])
    before = counted(behaviour, Popularity())
    behaviour.record([act("a", "new", days=30)])
    rows, scan = [], KeyedTable.scan

    def watched(*arguments, **options):
        found = scan(*arguments, **options)
        rows.append(found.num_rows)
        return found

    monkeypatch.setattr(KeyedTable, "scan", watched)
    assert counted(behaviour, before).counts == pytest.approx({"a": 2.5, "b": 1.5, "c": 1.5})
    assert rows == [1]


def test_all_is_counted_again_when_some_is_gone(behaviour):
    behaviour.record([act("a"), act("b")])
    before = counted(behaviour, Popularity())
    gone = behaviour.table.scan(["key"], "item_id = 'a'")["key"].to_pylist()
    behaviour.table.delete(gone)
    assert counted(behaviour, before).counts == {"b": 1.0}
    behaviour.table.delete(behaviour.table.scan(["key"])["key"].to_pylist())
    assert counted(behaviour, before).counts == {}
