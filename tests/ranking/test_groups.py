"""Groups of items: what belongs to them, and prices against all ways to fill some pages."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmrec.errors import DataError
from mmrec.ranking.groups import EXACT, HEAD, Group, Groups, by_value, learned, pages, tail_of


def floor(positions, share, n, name="cold"):
    return Groups.of([Group((name, ""), np.array(positions), np.ones(len(positions), np.float32), share)], n)


def crowd(u, n, seed=0, lift=0.0):
    """Scores [u, n] of all items for users whose tastes differ; the second half of the items lacks `lift`."""
    scores = np.random.default_rng(seed).normal(size=(u, n)).astype(np.float32)
    scores[:, n // 2 :] -= lift
    return scores, np.tile(np.arange(n), (u, 1))


def served(groups, prices, scores, places, k):
    return pages(scores + groups.added(prices)[places], places, k)


def test_the_tail_is_what_the_most_popular_items_leave():
    assert tail_of(np.array([50.0, 10, 30, 5, 5, 0])).tolist() == [False, True, False, True, True, True]
    assert tail_of(np.zeros(3)).all()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30).map(np.array))
def test_the_head_is_the_fewest_items_that_have_their_share(counts):
    head = ~tail_of(counts.astype(float))
    assume(counts.any())
    assert counts[head].sum() >= HEAD * counts.sum()
    assert counts[head].sum() - counts[head].min() < HEAD * counts.sum()
    assert counts[head].min() >= counts[~head].max(initial=0)


def test_values_have_floors_or_are_even():
    brands = ["a", ["a", "b"], None, "b", "c", []]
    even = Groups.of(by_value("brand", brands, "even", 3), 6)
    assert even.names == (("brand", "a"), ("brand", "b"), ("brand", "c"))
    assert even.members.toarray().tolist() == [
        [1, 0, 0], [0.5, 0.5, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert (even.shares.tolist(), even.even.tolist()) == ([1 / 3] * 3, [3, 3, 3])
    some = Groups.of(by_value("brand", brands, {"b": 0.3}), 6)
    assert (some.members.toarray().ravel().tolist(), some.shares.tolist()) == ([0, 1, 0, 1, 0, 0], [0.3])
    assert some.mask(0).tolist() == [False, True, False, True, False, False]


def test_a_value_that_nobody_has_and_too_many_to_be_even_are_refused():
    with pytest.raises(DataError, match="no item has brand 'B': check its spelling") as error:
        by_value("brand", ["b"], {"B": 0.3})
    assert error.value.field == "exposure"
    with pytest.raises(DataError, match=r"brand has 201 values, and at most 200 can be even: give floors"):
        by_value("brand", [f"b{n}" for n in range(201)], "even")


def test_what_is_even_shares_the_slots_of_its_own_attribute_alone():
    groups = Groups.of(by_value("brand", ["a", "b", None, None], "even", 0), 4)
    exposed = groups.exposed(np.array([0, 0, 0, 1, 2, 3, 2, 3]))
    assert exposed.tolist() == [3 / 8, 1 / 8]
    assert groups.targets(exposed).tolist() == [1 / 4, 1 / 4]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.2, 0.4, 0.6, 0.9]))
def test_no_other_pages_with_as_much_of_the_group_are_more_relevant(seed, share):
    """Three users, two slots, four items, the last two in the group: all 6 ** 3 ways are tried."""
    scores, places = crowd(3, 4, seed, lift=0.5)
    groups = floor([2, 3], share, 4)
    prices = learned(groups, scores, places, 2)
    ours = np.argsort(-(scores + groups.added(prices)), axis=1, kind="stable")[:, :2]
    worth, inside = np.take_along_axis(scores, ours, axis=1).sum(), (ours >= 2).sum()
    for ways in itertools.product(itertools.combinations(range(4), 2), repeat=3):
        chosen = np.array(ways)
        if (chosen >= 2).sum() >= inside and (prices > 0 or (chosen >= 2).sum() <= inside):
            assert np.take_along_axis(scores, chosen, axis=1).sum() <= worth + 1e-5


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_floor_holds_over_users_and_not_in_every_list(share):
    scores, places = crowd(500, 40, lift=1.0)
    groups = floor(range(20, 40), share, 40)
    prices = learned(groups, scores, places, 5)
    before, after = (served(groups, p, scores, places, 5) for p in (np.zeros(1), prices))
    assert groups.exposed(before)[0] < 0.3
    assert groups.exposed(after)[0] == pytest.approx(share, rel=2 * EXACT)
    assert len(set((after.reshape(500, 5) >= 20).sum(axis=1))) > 2


def test_a_floor_that_holds_anyway_has_no_price():
    scores, places = crowd(100, 10)
    assert learned(floor(range(5, 10), 0.2, 10), scores, places, 3).tolist() == [0.0]


def test_a_floor_that_cannot_hold_takes_what_there_is():
    scores, places = crowd(50, 10, lift=2.0)
    groups = floor([9], 0.9, 10)
    shown = served(groups, learned(groups, scores, places, 2), scores, places, 2)
    assert groups.exposed(shown)[0] == 0.5  # in all lists, where there is one item of the group


def test_prices_make_values_even_that_are_not():
    scores, places = crowd(2_000, 60, seed=1)
    brands = [f"b{min(n // 2, 11)}" for n in range(60)]  # eleven of two items, one of 38
    groups = Groups.of(by_value("brand", brands, "even"), 60)
    prices = learned(groups, scores, places, 5)
    assert prices[groups.names.index(("brand", "b11"))] < prices.mean()
    assert groups.exposed(served(groups, prices, scores, places, 5)) == pytest.approx(1 / 12, rel=0.02)


def test_pages_are_short_where_candidates_end():
    scores = np.array([[1, -np.inf, 3], [2, 1, 0]], np.float32)
    assert sorted(pages(scores, np.array([[4, 5, 6], [4, 5, 6]]), 2).tolist()) == [4, 4, 5, 6]
