from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec import Interaction
from mmrec.errors import DataError
from mmrec.evaluate.logs import log_of, log_of_positions

DAY = datetime(2024, 1, 1, tzinfo=UTC)


def act(user: str, item: str, day: int, kind: str = "click", weight: float = 1.0) -> Interaction:
    return Interaction(
        user_id=user, item_id=item, kind=kind, weight=weight, time=DAY + timedelta(days=day)
    )


def pairs(log) -> list[tuple[str, str]]:
    return [(log.user_ids[u], log.item_ids[i]) for u, i in zip(log.users, log.items, strict=True)]


def test_each_user_is_in_the_order_of_time_and_a_pair_counts_once_at_its_earliest() -> None:
    log = log_of(
        [act("v", "b", 2), act("u", "a", 5), act("u", "c", 3), act("u", "a", 1), act("v", "b", 9)],
        ["c", "b", "a"],
    )
    assert pairs(log) == [("u", "a"), ("u", "c"), ("v", "b")]
    assert log.item_ids == ("c", "b", "a")
    assert log.times.tolist() == [int((DAY + timedelta(days=n)).timestamp() * 1e6) for n in (1, 3, 2)]


def test_what_is_no_wish_is_left_out_and_brings_no_user() -> None:
    acts = [
        act("u", "a", 1), act("u", "b", 2, "dislike"), act("u", "c", 3, weight=0),
        act("w", "a", 1, "dislike"),
    ]
    assert pairs(log_of(acts, ["a", "b", "c"])) == [("u", "a")]
    assert log_of(acts, ["a", "b", "c"]).user_ids == ("u",)


def test_the_weights_of_kinds_are_the_callers_and_an_unknown_kind_is_a_wish() -> None:
    acts = [act("u", "a", 1, "view"), act("u", "b", 2, "dislike"), act("u", "c", 3, "share")]
    assert pairs(log_of(acts, ["a", "b", "c"], kind_weights={"view": 0})) == [("u", "b"), ("u", "c")]


def test_an_item_outside_the_catalogue_is_refused_unless_it_is_no_wish() -> None:
    with pytest.raises(DataError, match=r"1 items .* not in the catalogue, such as 'z'"):
        log_of([act("u", "a", 1), act("u", "z", 2)], ["a"])
    assert pairs(log_of([act("u", "a", 1), act("u", "z", 2, "dislike")], ["a"])) == [("u", "a")]


def test_positions_that_make_no_log_are_refused() -> None:
    with pytest.raises(DataError, match="2 users, 1 items, 2 times"):
        log_of_positions(["u"], ["a"], users=[0, 0], items=[0], times=[1, 2])
    with pytest.raises(DataError, match="item positions must lie in 0 to 0, got 0 to 1"):
        log_of_positions(["u"], ["a"], users=[0, 0], items=[0, 1], times=[1, 2])
    with pytest.raises(DataError, match="user positions must lie in 0 to 0, got -1"):
        log_of_positions(["u"], ["a"], users=[-1], items=[0], times=[1])
    with pytest.raises(DataError, match="a item id occurs twice"):
        log_of_positions(["u"], ["a", "a"], users=[0], items=[0], times=[1])


def test_no_interactions_are_an_empty_log() -> None:
    assert len(log_of([], ["a"]).users) == 0


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
