from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmrec.evaluate.beyond import (
    cold_share,
    coverage,
    diversity,
    exposure,
    exposure_interval,
    gini,
    head_share,
    novelty,
)

EMPTY = np.array([[-1, -1]])


def test_novelty_is_the_mean_of_bits_with_one_added_to_each_count() -> None:
    # Counts 3, 1, 0, 0 become 4, 2, 1, 1 of 8: 1, 2, 3 and 3 bits.
    popularity = np.array([3, 1, 0, 0])
    np.testing.assert_allclose(novelty(np.array([[0, 1], [1, 2], [3, -1]]), popularity), [1.5, 2.5, 3])
    np.testing.assert_array_equal(novelty(EMPTY, popularity), [0])


def test_the_head_is_a_tenth_of_what_was_touched_rounded_up() -> None:
    popularity = np.array([0] * 20 + [1] * 9 + [5, 5])  # 11 touched: a head of two, 29 and 30
    top = np.array([[29, 30, 20, 0], [28, 29, -1, -1], [0, 1, 2, 3], [-1, -1, -1, -1]])
    np.testing.assert_allclose(head_share(top, popularity), [0.5, 0.5, 0, 0])


def test_of_equally_popular_items_the_first_is_the_head_and_cold_ones_never_are() -> None:
    np.testing.assert_array_equal(head_share(np.array([[0], [1]]), np.array([2, 2])), [1, 0])
    np.testing.assert_array_equal(head_share(np.array([[0], [1]]), np.array([0, 0])), [0, 0])


def test_cold_share_is_of_what_is_shown() -> None:
    top = np.array([[0, 1, 2], [2, 1, -1], [-1, -1, -1]])
    np.testing.assert_allclose(cold_share(top, np.array([4, 0, 1])), [1 / 3, 1 / 2, 0])


def test_diversity_is_one_less_the_mean_cosine_of_pairs() -> None:
    x = np.array([[2, 0], [0, 1], [1, 0], [-3, 0], [0, 0]], np.float32)
    top = np.array([[0, 2, -1], [0, 1, -1], [0, 3, -1], [0, 1, 2]])
    np.testing.assert_allclose(diversity(top, x), [0, 1, 2, 2 / 3], atol=1e-6)


def test_items_without_content_are_not_thought_diverse() -> None:
    x = np.array([[2, 0], [0, 0], [1, 0]], np.float32)
    top = np.array([[0, 1, 2], [0, 1, -1], [-1, -1, -1]])
    np.testing.assert_allclose(diversity(top, x), [0, 0, 0], atol=1e-6)


def test_diversity_agrees_with_a_loop_over_pairs() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 7)).astype(np.float32)
    top = np.array([rng.permutation(40)[:6] for _ in range(1_500)])  # more than one block
    cosine = np.corrcoef(np.hstack([x, -x]))  # rows of mean 0, so that correlation is the cosine
    loop = [1 - np.mean([cosine[a, b] for a, b in itertools.combinations(row, 2)]) for row in top[:50]]
    np.testing.assert_allclose(diversity(top, x)[:50], loop, atol=1e-5)
    np.testing.assert_allclose(diversity(top[1_400:], x), diversity(top, x)[1_400:], atol=1e-5)


def test_exposure_counts_lists_by_candidate_in_their_order() -> None:
    top, candidates = np.array([[5, 2], [2, -1]]), np.array([2, 3, 5, 9])
    np.testing.assert_array_equal(exposure(top, candidates), [2, 0, 1, 0])
    np.testing.assert_array_equal(exposure(EMPTY, candidates), [0, 0, 0, 0])


def test_coverage_is_the_share_that_anybody_sees() -> None:
    assert coverage(np.array([2.0, 0, 1, 0])) == 0.5


def test_gini_by_hand() -> None:
    assert gini(np.array([3.0, 3, 3])) == 0
    assert gini(np.array([0.0, 7, 0])) == 1
    # Sorted 1, 1, 2, 4: (-3 - 1 + 2 + 12) / (3 * 8).
    assert gini(np.array([4.0, 1, 2, 1])) == pytest.approx(10 / 24)
    assert gini(np.array([5.0])) == gini(np.zeros(4)) == 0


def test_gini_agrees_with_the_mean_difference_of_pairs() -> None:
    shown = np.random.default_rng(1).poisson(3, 30).astype(float)
    differences = np.abs(shown[:, None] - shown).sum() / (30 * 29)
    assert gini(shown) == pytest.approx(differences / (2 * shown.mean()))


@pytest.mark.parametrize("statistic", [coverage, gini])
def test_the_interval_of_a_total_holds_it_and_is_as_wide_as_other_users_would_make_it(statistic) -> None:
    rng, items = np.random.default_rng(2), np.arange(400)
    chances = 1 / (1 + items)
    crowds = [rng.choice(items, size=(300, 3), p=chances / chances.sum()) for _ in range(300)]
    spread = np.std([statistic(exposure(top, items)) for top in crowds])
    interval = exposure_interval(statistic, crowds[0], items, rng=np.random.default_rng(3))
    assert interval.mean == statistic(exposure(crowds[0], items))
    assert 0 < interval.low < interval.mean < interval.high < 1
    assert 0.8 < (interval.high - interval.low) / (2 * 1.96 * spread) < 1.6  # the wide side
