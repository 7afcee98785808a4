"""Exploration: every propensity is the chance with which its slot really shows its item."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.errors import DataError
from mmrec.ranking.exploration import NextSlot, Pool, explore
from mmrec.ranking.request import Exploration, Request

RANKING = [4, 7, 1, 9]
POOL = Pool(np.array([20, 7, 21, 22]), np.array([0.9, 0.5, 0.1, 0.7]), np.array([1.0, 30.0, 2.0, 30.1]))
POLICY = Exploration(share=0.3, max_age_days=30, temperature=0.5)


def rng(seed=0):
    return np.random.default_rng(seed)


def chances(policy, ranking, pool, above=()):
    slot = NextSlot(policy, ranking, pool)
    for position in above:
        slot.fill(position)
    positions, values = slot.chances()
    assert len(set(positions.tolist())) == len(positions)
    return dict(zip(positions.tolist(), values.tolist(), strict=True))


def pages(policy, ranking, pool, k, above=()):
    """Every page that can be shown, with its probability: the product of its slots' chances."""
    if k == len(above):
        return {tuple(above): 1.0}
    found = Counter()
    for place, chance in chances(policy, ranking, pool, above).items():
        for page, rest in pages(policy, ranking, pool, k, [*above, place]).items():
            found[page] += chance * rest
    return found


def test_the_first_slot_by_hand():
    """Item 22 is too old, 7 just not. On the scale 20, 7 and 21 have 1, .5 and 0: weights e^2, e and 1."""
    e = np.e
    total = e**2 + e + 1
    expected = {4: 0.7, 20: 0.3 * e**2 / total, 7: 0.3 * e / total, 21: 0.3 / total}
    assert chances(POLICY, RANKING, POOL) == pytest.approx(expected)


def test_a_new_item_that_is_next_in_the_ranking_may_come_either_way():
    e = np.e
    total = e**2 + e + 1
    expected = {20: 0.3 * e**2 / total, 7: 0.7 + 0.3 * e / total, 21: 0.3 / total}
    assert chances(POLICY, RANKING, POOL, [4]) == pytest.approx(expected)
    # Once shown, it is gone from both, and the ranking goes on behind it.
    total = e**2 + 1
    assert chances(POLICY, RANKING, POOL, [7, 4]) == pytest.approx(
        {1: 0.7, 20: 0.3 * e**2 / total, 21: 0.3 / total}
    )


def test_when_one_side_is_used_up_the_other_fills_the_slot_for_certain():
    assert chances(POLICY, RANKING, POOL, [20, 7, 21]) == {4: 1.0}
    alone = chances(POLICY, RANKING, POOL, RANKING)
    assert alone == pytest.approx({20: np.e**2 / (np.e**2 + 1), 21: 1 / (np.e**2 + 1)})
    assert chances(POLICY, RANKING, POOL, [*RANKING, 20, 21]) == {}


def test_chances_of_the_next_slot_sum_to_1_whatever_stands_above():
    for n in range(4):
        for above in itertools.permutations([4, 7, 20, 21], n):
            assert sum(chances(POLICY, RANKING, POOL, above).values()) == pytest.approx(1, abs=1e-12)
    assert sum(pages(POLICY, RANKING, POOL, 4).values()) == pytest.approx(1, abs=1e-12)


def test_pages_come_as_often_as_their_propensities_say():
    draws = 20_000
    source, seen, told = rng(1), Counter(), {}
    for _ in range(draws):
        shown = explore(POLICY, RANKING, POOL, 3, rng=source)
        page = tuple(shown.positions.tolist())
        seen[page] += 1
        told[page] = shown.propensities.prod()
    expected = pages(POLICY, RANKING, POOL, 3)
    assert set(seen) <= set(expected)
    for page, chance in expected.items():
        error = np.sqrt(chance * (1 - chance) / draws)
        assert abs(seen[page] / draws - chance) <= 5 * error, page
        if page in told:
            assert told[page] == pytest.approx(chance)
    assert sum(told.values()) == pytest.approx(1, abs=0.01)  # hardly a page was never drawn


def test_each_slot_goes_to_a_new_item_with_the_share_whatever_happens_in_the_others():
    pool = Pool(np.arange(100, 150), np.linspace(0, 1, 50), np.zeros(50))
    source = rng(2)
    new = np.array([
        explore(POLICY, range(10), pool, 10, rng=source).positions >= 100 for _ in range(4_000)
    ])  # [draws, k]
    np.testing.assert_allclose(new.mean(axis=0), 0.3, atol=5 * np.sqrt(0.21 / 4_000))
    together = np.corrcoef(new.T)[~np.eye(10, dtype=bool)]  # [k, k] -> pairs
    assert np.abs(together).max() < 5 / np.sqrt(4_000)


def test_logs_with_propensities_tell_what_another_policy_would_earn():
    """Inverse propensity scoring of the first slot, for the policy that always shows item 21."""
    clicks = {4: 0.2, 7: 0.4, 20: 0.1, 21: 0.8}
    source = rng(3)
    earned = []
    for _ in range(20_000):
        shown = explore(POLICY, RANKING, POOL, 1, rng=source)
        clicked = source.random() < clicks[int(shown.positions[0])]
        earned.append((shown.positions[0] == 21) * clicked / shown.propensities[0])
    error = np.std(earned) / np.sqrt(len(earned))
    assert abs(np.mean(earned) - clicks[21]) < 4 * error < 0.2


@pytest.mark.parametrize("pool", [
    Pool(np.zeros(0, np.intp), np.zeros(0), np.zeros(0)), Pool(np.array([20]), np.ones(1), np.array([30.1])),
])
def test_without_new_items_the_ranking_is_shown_for_certain(pool):
    shown = explore(POLICY, RANKING, pool, 3, rng=rng())
    assert shown.positions.tolist() == RANKING[:3]
    assert shown.propensities.tolist() == [1, 1, 1]


def test_a_share_of_0_is_no_exploration_and_1_shows_new_items_first():
    none = explore(Exploration(share=0), RANKING, POOL, 10, rng=rng())
    assert none.positions.tolist() == RANKING
    assert none.propensities.tolist() == [1] * 4
    every = explore(Exploration(share=1), RANKING, POOL, 10, rng=rng())
    assert set(every.positions[:3].tolist()) == {20, 7, 21}
    assert every.positions[3:].tolist() == [4, 1, 9]
    assert every.propensities[2:].tolist() == [1] * 4


def test_temperature_goes_from_the_most_relevant_to_all_alike():
    cold = chances(Exploration(share=1, temperature=1e-4), RANKING, POOL)
    assert cold[20] == 1
    hot = chances(Exploration(share=1, temperature=1e6), RANKING, POOL)
    assert [hot[i] for i in (20, 7, 21)] == pytest.approx([1 / 3] * 3, rel=1e-4)
    # However cold, all are shown in the end, the most relevant first.
    shown = explore(Exploration(share=1, temperature=1e-4), [], POOL, 10, rng=rng())
    assert shown.positions.tolist() == [20, 7, 21]


@given(
    st.lists(st.integers(0, 15), unique=True), st.lists(st.integers(0, 15), unique=True), st.floats(0, 1),
    st.floats(1e-3, 1e3), st.integers(1, 40), st.integers(0, 2**32 - 1),
)
def test_a_page_has_k_different_items_and_keeps_the_order_of_the_ranking(
    ranking, new, share, temperature, k, seed
):
    values = rng(seed).random((2, len(new)))
    pool = Pool(np.array(new, np.intp), values[0], 60 * values[1])
    policy = Exploration(share=share, temperature=temperature)
    shown = explore(policy, ranking, pool, k, rng=rng(seed))
    page = shown.positions.tolist()
    young = {place for place, age in zip(new, pool.ages, strict=True) if age <= 30 and share > 0}
    assert len(page) == len(set(page)) == min(k, len(young | set(ranking)))
    assert set(page) <= young | set(ranking)
    ranked = [place for place in page if place not in young]
    assert ranked == [place for place in ranking if place not in young][:len(ranked)]
    for slot, place in enumerate(page):
        assert shown.propensities[slot] == chances(policy, ranking, pool, page[:slot])[place] > 0
    again = explore(policy, ranking, pool, k, rng=rng(seed))
    assert again.positions.tolist() == page


def test_a_long_page_takes_no_long_time():
    pool = Pool(np.arange(10_000, 11_000), np.linspace(0, 1, 1_000), np.zeros(1_000))
    shown = explore(POLICY, range(10_000), pool, 10_000, rng=rng())
    assert len(set(shown.positions.tolist())) == 10_000


@pytest.mark.parametrize(("call", "words"), [
    (lambda: Exploration(share=1.5), r"share must be a number from 0 to 1, got 1\.5"),
    (lambda: Exploration(share=-0.1), "share must be"),
    (lambda: Exploration(share=np.nan), "share must be .* got nan"),
    (lambda: Exploration(max_age_days=0), "max_age_days must be a finite number above 0, got 0"),
    (lambda: Exploration(max_age_days=np.inf), "max_age_days must be a finite number"),
    (lambda: Exploration(temperature=np.nan), "temperature must be a finite number above 0, got nan"),
    (lambda: Exploration(temperature="hot"), "temperature must be .* got 'hot'"),
    (lambda: Request(k=0, explore=POLICY), "k must be a whole number from 1"),
])
def test_bad_input_is_told_what_is_wrong_with_it(call, words):
    with pytest.raises(DataError, match=words) as error:
        call()
    assert error.value.field
