"""Behaviour: recorded once, oldest first, and how it fades."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec import Interaction, Rejection, read_interactions
from mmrec.config import Config
from mmrec.data.files import write_interactions
from mmrec.errors import DataError
from mmrec.store.interactions import Interactions
from mmrec.store.open import Store

MAY = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def open_interactions(tmp_path):
    """The behaviour of the test's store, with these settings."""

    def open_(**config):
        path = tmp_path / "shop.mmrec"
        store = Store.open(path, 5.0) if path.exists() else Store.create(path, {}, 5.0)
        return Interactions(store, Config(**config))

    return open_


@pytest.fixture
def behaviour(open_interactions):
    return open_interactions()


def act(item_id="a", user_id="u", days=0.0, **more):
    """An interaction some days before the first of May."""
    return Interaction(user_id=user_id, item_id=item_id, time=MAY - timedelta(days=days), **more)


def counts(report):
    return report.added, report.unchanged, report.rejected


def test_a_file_recorded_twice_adds_nothing(behaviour, tmp_path):
    acts = [act("a"), act("a", days=1), act("b", kind="like"), act("b", "v"), act("b", kind="view")]
    write_interactions(tmp_path / "clicks.jsonl", acts)
    assert counts(behaviour.record(read_interactions(tmp_path / "clicks.jsonl"))) == (5, 0, 0)
    assert counts(behaviour.record(read_interactions(tmp_path / "clicks.jsonl"))) == (0, 5, 0)
    assert behaviour.table.count() == 5
    assert len(behaviour.history("u")) == 4


def test_the_same_act_twice_in_one_call_is_one(behaviour):
    assert counts(behaviour.record([act(), act(), act(kind="like")])) == (2, 1, 0)


def test_rows_that_are_no_interactions_are_rejections(behaviour):
    report = behaviour.record([act(), "click", Rejection(reason="unreadable", line=4)])
    assert counts(report) == (1, 0, 2)
    assert {r.line: r.reason for r in report.rejections} == {
        None: "expected an mmrec.Interaction, got str", 4: "unreadable",
    }


def test_strict_stops_at_the_first_rejection(behaviour):
    with pytest.raises(DataError, match="line 4: unreadable"):
        behaviour.record([act(), Rejection(reason="unreadable", line=4)], strict=True)
    assert behaviour.history("u") == [("a", 1.0)]


def test_progress_counts_every_row(behaviour):
    moved = []
    behaviour.record([act(), "click", act()], progress=moved.append)
    assert sum(moved) == 3
    assert counts(behaviour.record([])) == (0, 0, 0)


def test_a_history_is_oldest_first_weighed_by_kind(behaviour):
    behaviour.record([
        act("new", days=1, kind="purchase"), act("old", days=9), act("mid", days=5, kind="dislike"),
        act("half", days=4, kind="like", weight=0.5), act("odd", days=3, kind="shared"),
        act("none", days=2, weight=0.0), act("theirs", "v"),
    ])
    assert behaviour.history("u") == [
        ("old", 1.0), ("mid", -1.0), ("half", 1.0), ("odd", 1.0), ("none", 0.0), ("new", 3.0),
    ]
    assert [i.item_id for i in behaviour.interactions("u")] == ["old", "mid", "half", "odd", "none", "new"]
    assert behaviour.interactions("u")[0] == act("old", days=9)


def test_histories_of_many_users_are_those_of_each(behaviour):
    behaviour.record([
        act(item, user, days=day, kind=kind) for user in ("v", "u", "it's") for day, (item, kind) in
        enumerate([("a", "view"), ("b", "purchase"), ("a", "dislike")])
    ])
    users = behaviour.users()
    assert users == ["it's", "u", "v"]
    assert behaviour.histories([*users, "nobody"]) == {
        user: behaviour.history(user) for user in [*users, "nobody"]
    }


def test_a_history_follows_the_settings(open_interactions):
    open_interactions().record([act("a", kind="like"), act("b", kind="return", days=1)])
    weighed = open_interactions(kind_weights={"like": 5.0, "return": -2.0})
    assert weighed.history("u") == [("b", -2.0), ("a", 5.0)]


def test_what_is_taken_back_is_no_wish_and_no_dislike(behaviour):
    kinds = ["remove_from_cart", "Refund", "return", "order cancelled", "removeFromCart", "partial-refund"]
    behaviour.record([act(f"i{n}", kind=kind) for n, kind in enumerate(kinds)])
    assert {weight for _, weight in behaviour.history("u")} == {0.0}
    assert set(behaviour.popularity().values()) == {0.0}


def test_kinds_of_other_spellings_weigh_as_what_they_mean(behaviour, open_interactions):
    names = {"transaction": 3.0, "Purchase": 3.0, "add-to-cart": 2.0, "page view": 0.5, "Thumbs Down": -1.0}
    behaviour.record([act(kind, kind=kind) for kind in names])
    assert dict(behaviour.history("u")) == names
    weighed = dict(open_interactions(kind_weights={"Page-View": 0.1, "purchase": 9}).history("u"))
    assert weighed == {**names, "page view": 0.1, "transaction": 9.0, "Purchase": 9.0}


def test_a_row_of_an_earlier_version_is_weighed_by_its_folded_kind(behaviour):
    assert [behaviour.weight_of(kind) for kind in ("Purchase", "add to cart", "zap")] == [3.0, 2.0, 1.0]


def test_the_same_act_of_unknown_time_is_one_whenever_it_is_read(behaviour, tmp_path):
    file = tmp_path / "clicks.jsonl"
    file.write_text('{"user_id": "u", "item_id": "a", "kind": "purchase"}\n' * 2)
    assert counts(behaviour.record(read_interactions(file))) == (1, 1, 0)
    assert counts(behaviour.record(read_interactions(file))) == (0, 2, 0)
    live = [act(kind="purchase", days=day) for day in (0, 1)]
    assert counts(behaviour.record(live)) == (2, 0, 0)


@pytest.mark.parametrize("year", [2999, 9999])
def test_what_is_dated_in_the_future_is_told_once(behaviour, caplog, year):
    late = datetime(year, 12, 31, tzinfo=UTC)
    rows = [Interaction(user_id=user, item_id="a", time=late) for user in "uv"]
    assert counts(behaviour.record([*rows, act()])) == (3, 0, 0)
    assert caplog.text.count("2 interactions are dated in the future") == 1
    assert counts(behaviour.record(rows)) == (0, 2, 0)


@pytest.mark.parametrize("user", ["nobody", "o'neil", "' OR 1=1 --", "ü\u00a0x", "u%"])
def test_a_user_gets_only_their_own_history(behaviour, user):
    behaviour.record([act(), act("b", "other")])
    assert behaviour.history(user) == []
    behaviour.record([act("mine", user)])
    assert behaviour.history(user) == [("mine", 1.0)]


def test_popularity_by_hand(behaviour):
    behaviour.record([
        act("a", "u", days=0), act("a", "v", days=30), act("a", "w", days=60),  # 1 + 1/2 + 1/4
        act("b", "u", days=30, kind="purchase"),  # 3 / 2
        act("c", "u", days=0, weight=0.2),
        act("d", "u", days=0, kind="dislike"), act("d", "v", days=30, kind="view"),  # 0 + 0.5 / 2
    ])
    assert behaviour.popularity() == pytest.approx({"a": 1.75, "b": 1.5, "c": 0.2, "d": 0.25})


def test_the_half_life_is_a_setting(open_interactions):
    open_interactions().record([act("a"), act("b", days=10)])
    assert open_interactions(popularity_half_life=10).popularity()["b"] == pytest.approx(0.5)
    assert open_interactions(popularity_half_life=5).popularity()["b"] == pytest.approx(0.25)


def test_popularity_is_of_now(behaviour, open_interactions):
    assert behaviour.popularity() == {}
    behaviour.record([act("a")])
    assert behaviour.popularity() == {"a": 1.0}
    assert behaviour.popularity() is behaviour.popularity()  # counted once
    open_interactions().record([act("b", days=-30)])  # by another handle: a's act is now 30 days old
    assert behaviour.popularity() == pytest.approx({"a": 0.5, "b": 1.0})


@settings(max_examples=8)
@given(acts=st.lists(st.builds(
    act, st.sampled_from("abc"), st.sampled_from("uv"), st.integers(0, 90),
    kind=st.sampled_from(["view", "click", "like", "purchase", "dislike", "other"]),
    weight=st.sampled_from([0.0, 0.5, 1.0, 4.0]),
), max_size=20))
def test_the_interactions_are_a_set_of_acts(tmp_path_factory, acts):
    config = Config()
    behaviour = Interactions(Store.create(tmp_path_factory.mktemp("j") / "s", {}, 5.0), config)
    known = {}
    for i in acts:
        known.setdefault((i.user_id, i.item_id, i.kind, i.time), i)
    assert counts(behaviour.record(acts)) == (len(known), len(acts) - len(known), 0)
    assert counts(behaviour.record(acts)) == (0, len(acts), 0)
    assert len(behaviour.interactions("u")) == sum(user == "u" for user, *_ in known)
    newest = max((i.time for i in known.values()), default=MAY)
    for item_id, worth in behaviour.popularity().items():
        mine = [i for i in behaviour.interactions("u") + behaviour.interactions("v") if i.item_id == item_id]
        assert worth == pytest.approx(sum(
            max(0.0, config.kind_weights.get(i.kind, 1.0)) * i.weight
            * np.exp2(-(newest - i.time) / timedelta(days=config.popularity_half_life)) for i in mine
        ))


ACTS = st.builds(
    act, st.sampled_from("ab"), st.sampled_from("uv"), st.integers(0, 2), weight=st.sampled_from([1.0, 2.0]),
)
BATCHES = st.lists(st.lists(st.one_of(ACTS, st.just("click")), max_size=4), max_size=4)


@settings(max_examples=15)
@given(before=st.lists(st.builds(act, st.sampled_from("ab")), max_size=1), batches=BATCHES)
def test_batches_in_one_write_come_to_what_they_come_to_one_by_one(tmp_path_factory, before, batches):
    folder = tmp_path_factory.mktemp("j")
    one_by_one, together = (Interactions(Store.create(folder / name, {}, 5.0), Config()) for name in "st")
    for behaviour in (one_by_one, together):
        behaviour.record(before)
    version = together.table.version
    reports = together.record_many(batches)
    assert reports == [one_by_one.record(batch) for batch in batches]
    assert [r.rejections for r in reports] == [tuple(
        Rejection(reason="expected an mmrec.Interaction, got str") for row in batch if row == "click"
    ) for batch in batches]
    rows = [j.table.scan(["key", "time", "weight"]).sort_by("key") for j in (one_by_one, together)]
    assert rows[0].equals(rows[1])
    if len(batches) > 1 and before:  # its indices are made
        assert together.table.version <= version + 1


def test_versions_of_single_clicks_do_not_pile_up(behaviour, monkeypatch):
    monkeypatch.setattr("mmrec.store.interactions.KEEP", timedelta(milliseconds=1))
    for n in range(60):
        behaviour.record([act(f"i{n}")])
    assert behaviour.table.version > 60
    assert behaviour.table.health()["versions"] < 50
    assert len(behaviour.history("u")) == 60
