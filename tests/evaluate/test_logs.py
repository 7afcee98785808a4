from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from mmrec import Interaction, Item, Recommender
from mmrec.errors import DataError
from mmrec.evaluate.logs import (
    Log,
    Setting,
    Split,
    bounded,
    check,
    check_setting,
    log_of_positions,
    log_of_shop,
    usual_most,
)

DAY = datetime(2024, 1, 1, tzinfo=UTC)


def act(user: str, item: str, day: int, kind: str = "click", weight: float = 1.0) -> Interaction:
    return Interaction(
        user_id=user, item_id=item, kind=kind, weight=weight, time=DAY + timedelta(days=day)
    )


def pairs(log) -> list[tuple[str, str]]:
    return [(log.user_ids[u], log.item_ids[i]) for u, i in zip(log.users, log.items, strict=True)]


@pytest.fixture
def logged(tmp_path):
    """The log of what a shop recorded."""

    def log_of(acts: list[Interaction], item_ids: list[str], **config: object) -> Log:
        with Recommender.open(
            tmp_path / "shop.mmrec", {"text_encoder": "toy", "image_encoder": "none", **config}
        ) as shop:
            shop.record(acts)
            return log_of_shop(shop.behaviour, item_ids)

    return log_of


def test_each_user_is_in_the_order_of_time_and_a_pair_counts_once_at_its_earliest(logged) -> None:
    log = logged(
        [act("u", "a", 5), act("v", "b", 2), act("u", "c", 3), act("u", "a", 1), act("v", "b", 9)],
        ["c", "b", "a"],
    )
    assert pairs(log) == [("u", "a"), ("u", "c"), ("v", "b")]
    assert log.item_ids == ("c", "b", "a")
    assert log.times.tolist() == [int((DAY + timedelta(days=n)).timestamp() * 1e6) for n in (1, 3, 2)]


def test_what_is_no_wish_is_left_out_and_brings_no_user(logged) -> None:
    log = logged([
        act("u", "a", 1), act("u", "b", 2, "dislike"), act("u", "c", 3, weight=0),
        act("w", "a", 1, "dislike"),
    ], ["a", "b", "c"])
    assert pairs(log) == [("u", "a")]
    assert log.user_ids == ("u",)


def test_the_weights_of_kinds_are_the_callers_else_ours_and_an_unknown_kind_is_a_wish(logged) -> None:
    acts = [act("u", "a", 1, "view"), act("u", "b", 2, "dislike"), act("u", "c", 3, "share")]
    assert pairs(logged(acts, ["a", "b", "c"], kind_weights={"view": 0})) == [("u", "c")]
    weighed = logged(acts, ["a", "b", "c"], kind_weights={"view": 0, "dislike": 1})
    assert pairs(weighed) == [("u", "b"), ("u", "c")]


@pytest.mark.parametrize(("acts", "said"), [
    ([], "nothing is recorded"),
    ([act(user, item, 1, kind) for user in "uvw" for item, kind in [("a", "dislike"), ("b", "refund")]],
     "none of the 6 recorded interactions is a wish"),
    ([act(user, item, 1) for user, item in ["ua", "vb", "wa"]], "has one interaction only"),
    ([act(user, item, day) for user in "uv" for day, item in enumerate("ab")], "has all 2 items"),
])
@pytest.mark.parametrize("protocol", ["item-cold", "warm", "leave-last-out"])
def test_a_log_of_which_nothing_can_be_asked_is_an_error(tmp_path, acts, said, protocol) -> None:
    with Recommender.open(tmp_path / "s", {"text_encoder": "toy", "image_encoder": "none"}) as shop:
        shop.ingest([Item(item_id=item_id, text={"title": item_id}) for item_id in "abcd"])
        shop.record(acts)
        with pytest.raises(DataError, match=said):
            shop.evaluate(protocol=protocol, models=["popular"])


@pytest.mark.parametrize(("protocol", "said"), [
    ("global-time", "at one moment, and this protocol"),
    ("leave-last-out", "at one moment, and this protocol"),
    ("item-cold", "9 wishes of 3 users for 4 items, all at one moment"),
])
def test_a_log_of_one_moment_is_not_divided_by_time(tmp_path, protocol, said) -> None:
    with Recommender.open(tmp_path / "s", {"text_encoder": "toy", "image_encoder": "none"}) as shop:
        shop.ingest([Item(item_id=item_id, text={"title": item_id}) for item_id in "abcd"])
        shop.record([act(user, item, 1) for user, items in [("u", "abc"), ("v", "bcd"), ("w", "cda")]
                     for item in items])
        with pytest.raises(DataError, match=said):
            shop.evaluate(protocol=protocol, models=["popular"])


def test_an_item_outside_the_catalogue_is_left_out_and_counted_unless_it_is_no_wish(logged, caplog) -> None:
    acts = [act("u", "a", 1), act("u", "z", 2, "dislike")]
    with caplog.at_level(logging.WARNING):
        assert pairs(logged(acts, ["a"])) == [("u", "a")]
        assert "outside the catalogue" not in caplog.text
        assert pairs(logged([*acts, act("u", "z", 2)], ["a"])) == [("u", "a")]
    assert "1 interactions with items outside the catalogue" in caplog.text


def test_no_interactions_are_an_empty_log(logged) -> None:
    assert len(logged([], ["a"]).users) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 5))))
def test_a_log_agrees_with_dicts(rows) -> None:
    first: dict[tuple[int, int], tuple[int, int]] = {}
    for n, (user, item, time) in enumerate(rows):
        first[user, item] = min(first.get((user, item), (time, n)), (time, n))
    expected = sorted((user, *when, item) for (user, item), when in first.items())
    columns = dict(zip(("users", "items", "times"), np.array(rows, int).reshape(-1, 3).T, strict=True))
    log = log_of_positions(list("uvwx"), list("abcde"), **columns)
    assert log.users.tolist() == [user for user, _, _, _ in expected]
    assert log.items.tolist() == [item for _, _, _, item in expected]
    assert log.times.tolist() == [time for _, time, _, _ in expected]


# Checks


def rows(*lists: list[int]) -> csr_matrix:
    """Ones [users, 6] at each user's items."""
    dense = np.zeros((len(lists), 6), np.float32)
    for user, items in enumerate(lists):
        dense[user, items] = 1
    return csr_matrix(dense)


def setting(
    name: str, relevant: csr_matrix, candidates: list[int], seen: csr_matrix | None = None
) -> Setting:
    seen = rows([0, 1], [2]) if seen is None else seen
    return Setting(name, seen, relevant, np.array(candidates, np.int32))


def split(**changes: object) -> Split:
    """Two users, of whom one saw 0 and 1, the other 2; items 4 and 5 are cold."""
    good = Split(
        "item-cold", 1, rows([0, 1], [2]), np.array([3, 4, 5], np.int32),
        {"cold": setting("cold", rows([4], [4]), [4, 5])}, {"cold": setting("cold", rows([5], [5]), [4, 5])},
    )
    return replace(good, **changes)


def test_a_good_split_passes() -> None:
    check(split())


def test_a_cold_item_in_training_is_refused_and_counted() -> None:
    with pytest.raises(DataError, match=r"item-cold: 1 items \(positions 4\) are cold and occur in training"):
        check(split(train=rows([0, 1], [2, 4])))


def test_a_warm_candidate_of_the_cold_setting_is_refused() -> None:
    easy = {"cold": setting("cold", rows([5], [5]), [2, 4, 5])}
    with pytest.raises(DataError, match=r"cold: 1 items \(positions 2\) are candidates and not cold"):
        check(split(test=easy))


def test_a_split_that_asks_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="item-cold: there is nothing to ask of any user"):
        check(split(validation={}, test={}))


def test_training_on_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="no interaction is left for training"):
        check(split(train=rows([], [])))


@pytest.mark.parametrize(("bad", "message"), [
    (setting("x", rows([1], [4]), [1, 4]), "1 relevant pairs are in their own history"),
    (setting("x", rows([3], [4, 5]), [3, 4]), r"1 items \(positions 5\) are relevant and no candidates"),
    (setting("x", rows(), [3], rows()), "no user has both a history and something relevant"),
])
def test_a_setting_that_leaks_or_cannot_be_answered_is_refused(bad: Setting, message: str) -> None:
    with pytest.raises(DataError, match=f"x: .*{message}"):
        check_setting(bad)


def test_a_check_leaves_the_order_of_a_history_alone() -> None:
    ordered = csr_matrix((np.ones(2, np.float32), [1, 0], [0, 2]), (1, 6))
    check_setting(setting("x", rows([3]), [3], ordered))
    assert ordered.indices.tolist() == [1, 0]


def test_one_account_counts_no_more_than_its_latest_items():
    people = [(user, item) for user in range(40) for item in range(20)]
    crawler = [(40, item) for item in range(999, -1, -1)]
    users, items = np.array(people + crawler).T
    log = log_of_positions(list(map(str, range(41))), list(map(str, range(1_000))), users=users, items=items,
                           times=np.arange(len(users)))
    found = bounded(log)
    assert (np.bincount(found.users) == [20] * 40 + [200]).all()
    assert found.items[found.users == 40].tolist() == list(range(199, -1, -1))
    assert set(pairs(found)) <= set(pairs(log))
    assert pairs(bounded(found)) == pairs(found)
    assert (found.user_ids, len(found.times)) == (log.user_ids, len(found.items))


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=50))
def test_what_is_usual_bounds_no_more_than_a_twentieth_of_users(counts):
    counts = np.array(counts)
    some = counts[counts > 0]
    assert usual_most(counts) >= 100
    assert (some > usual_most(counts)).sum() <= max(1, 0.05 * len(some))
