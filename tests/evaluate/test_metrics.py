from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from mmrec.errors import DataError
from mmrec.evaluate import metrics
from mmrec.evaluate.metrics import (
    Interval,
    at_k,
    cold_share,
    coverage,
    diversity,
    exposure,
    gini,
    head_share,
    hits_of,
    mean_interval,
    mean_intervals,
    ndcg_at_k,
    novelty,
    recall_at_k,
)

METRICS = {name: partial(at_k, metric) for name, metric in metrics.METRICS.items()}
precision_at_k, hit_rate_at_k, mrr_at_k, map_at_k = (
    METRICS[name] for name in ("precision", "hit_rate", "mrr", "map")
)
EMPTY = np.array([[-1, -1]])


# Worked by hand


def test_recall_is_the_share_of_all_that_is_relevant() -> None:
    rankings = [["a", "b", "c", "d"], ["x", "y", "a", "b"]]
    relevant = [{"b", "d", "z"}, {"a"}]
    np.testing.assert_allclose(recall_at_k(rankings, relevant, 2), [1 / 3, 0])
    np.testing.assert_allclose(recall_at_k(rankings, relevant, 4), [2 / 3, 1])


def test_recall_of_more_relevant_items_than_places_stays_below_one() -> None:
    np.testing.assert_allclose(recall_at_k([["a", "b"]], [{"a", "b", "c", "d"}], 2), [0.5])


def test_hit_rate_asks_only_whether_there_is_one() -> None:
    rankings = [["a", "b", "c"], ["a", "b", "c"], ["a", "b", "c"]]
    np.testing.assert_array_equal(hit_rate_at_k(rankings, [{"a", "b"}, {"c"}, {"z"}], 2), [1, 0, 0])


def test_ndcg_discounts_by_the_logarithm_of_the_rank() -> None:
    # Relevant at ranks 2 and 4 of three: 1/log2(3) + 1/log2(5), best 1 + 1/log2(3) + 1/2.
    value = ndcg_at_k([["a", "b", "c", "d"]], [{"b", "d", "z"}], 4)
    np.testing.assert_allclose(value, [(0.63093 + 0.43068) / (1 + 0.63093 + 0.5)], rtol=1e-4)


def test_ndcg_of_k_good_places_is_one_even_if_more_is_relevant() -> None:
    np.testing.assert_allclose(ndcg_at_k([["a", "b"]], [{"a", "b", "c"}], 2), [1])


def test_precision_is_the_share_of_the_places() -> None:
    rankings = [["a", "b", "c", "d"], ["a"]]
    np.testing.assert_allclose(precision_at_k(rankings, [{"b", "d", "z"}, {"a"}], 4), [1 / 2, 1 / 4])


def test_mrr_is_of_the_first_relevant_rank_alone() -> None:
    rankings = [["x", "y", "a", "b"], ["a", "b", "x", "y"], ["x", "y", "z", "a"]]
    np.testing.assert_allclose(mrr_at_k(rankings, [{"a", "b"}] * 3, 3), [1 / 3, 1, 0])


def test_map_is_the_mean_of_the_precisions_at_relevant_ranks() -> None:
    # Relevant at ranks 1, 3 and 4 of five: (1 + 2/3 + 3/4) / min(5, 4).
    ranking = ["a", "x", "b", "c", "d"]
    np.testing.assert_allclose(map_at_k([ranking], [set("abcde")], 4), [(1 + 2 / 3 + 3 / 4) / 4])
    np.testing.assert_allclose(map_at_k([ranking], [set("abc")], 4), [(1 + 2 / 3 + 3 / 4) / 3])
    np.testing.assert_allclose(map_at_k([["a", "b"]], [{"a", "b", "c"}], 2), [1])


def test_a_ranking_that_is_too_short_misses_and_a_longer_one_is_cut() -> None:
    for metric in METRICS.values():
        np.testing.assert_array_equal(metric([[], ["x", "a"]], [{"a"}, {"a"}], 1), [0, 0])
    np.testing.assert_allclose(ndcg_at_k([["a"]], [{"a"}], 10), [1])


def test_what_is_relevant_counts_once_also_if_it_is_listed_twice() -> None:
    np.testing.assert_allclose(recall_at_k([["a", "b"]], [["a", "a"]], 2), [1])
    np.testing.assert_allclose(ndcg_at_k([["a", "b"]], [["a", "a"]], 2), [1])


# Against another implementation

users = st.integers(2, 12).flatmap(lambda n: st.tuples(
    st.permutations(range(n)), st.sets(st.integers(0, n - 1), min_size=1), st.integers(1, n)
))


@settings(max_examples=200)
@given(users)
def test_ndcg_agrees_with_scikit_learn(user) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    ranking, relevant, k = user
    truth = np.array([[float(i in relevant) for i in range(len(ranking))]])
    scores = np.array([[-float(ranking.index(i)) for i in range(len(ranking))]])
    ours = ndcg_at_k([[str(i) for i in ranking]], [{str(i) for i in relevant}], k)
    np.testing.assert_allclose(ours, [sklearn_metrics.ndcg_score(truth, scores, k=k)], rtol=1e-9)


@settings(max_examples=200)
@given(users)
def test_map_of_a_whole_ranking_agrees_with_scikit_learn(user) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    order, relevant, _ = user
    truth, scores = [i in relevant for i in range(len(order))], [-order.index(i) for i in range(len(order))]
    ours = map_at_k([[str(i) for i in order]], [{str(i) for i in relevant}], len(order))
    np.testing.assert_allclose(ours, [sklearn_metrics.average_precision_score(truth, scores)], rtol=1e-9)


@settings(max_examples=200)
@given(users)
def test_every_metric_agrees_with_its_definition_written_as_a_loop(user) -> None:
    order, relevant, k = user
    ranks = [rank for rank, item in enumerate(order[:k], 1) if item in relevant]
    best = range(1, min(k, len(relevant)) + 1)
    expected = {
        recall_at_k: len(ranks) / len(relevant), precision_at_k: len(ranks) / k, hit_rate_at_k: bool(ranks),
        ndcg_at_k: sum(1 / math.log2(r + 1) for r in ranks) / sum(1 / math.log2(r + 1) for r in best),
        mrr_at_k: 1 / ranks[0] if ranks else 0,
        map_at_k: sum(n / r for n, r in enumerate(ranks, 1)) / len(best),
    }
    for metric, value in expected.items():
        ours = metric([[str(i) for i in order]], [{str(i) for i in relevant}], k)
        np.testing.assert_allclose(ours, [value], rtol=1e-12)


@settings(max_examples=100)
@given(st.lists(users, min_size=1, max_size=5), st.integers(1, 14))
def test_positions_and_lists_of_ids_give_the_same_hits(asked, k) -> None:
    truth = np.zeros((len(asked), 12))
    top = np.full((len(asked), k), -1)
    for row, (order, relevant, _) in enumerate(asked):
        truth[row, list(relevant)] = 1
        top[row, : len(order[:k])] = order[:k]
    hits, counts = hits_of(top, csr_matrix(truth)), truth.sum(axis=1).astype(int)
    rankings = [[str(i) for i in order] for order, _, _ in asked]
    wanted = [set(map(str, relevant)) for _, relevant, _ in asked]
    for name, metric in METRICS.items():
        np.testing.assert_array_equal(metrics.METRICS[name](hits, counts), metric(rankings, wanted, k))


@settings(max_examples=200)
@given(users)
def test_metrics_lie_between_zero_and_one_and_a_swap_towards_the_top_never_hurts(user) -> None:
    order, relevant, k = user
    ranking, wanted = [str(i) for i in order], {str(i) for i in relevant}
    better = sorted(ranking, key=lambda i: i not in wanted)
    for metric in METRICS.values():
        low, high = metric([ranking], [wanted], k)[0], metric([better], [wanted], k)[0]
        assert 0 <= low <= high <= 1 + 1e-12


# What cannot be measured


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_lists_that_do_not_fit_are_refused(metric) -> None:
    with pytest.raises(DataError, match="2 rankings for 1 users"):
        metric([["a"], ["b"]], [{"a"}], 1)
    with pytest.raises(DataError, match="k must be at least 1"):
        metric([["a"]], [{"a"}], 0)
    with pytest.raises(DataError, match="user 0 shows an item twice"):
        metric([["a", "a"]], [{"a"}], 2)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_user_with_nothing_relevant_is_refused_and_named(metric) -> None:
    with pytest.raises(DataError, match="user 1 has nothing relevant"):
        metric([["a"], ["a"]], [{"a"}, set()], 1)


# Of lists, right or wrong


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


# Intervals


def test_the_interval_of_equal_values_has_no_width() -> None:
    assert mean_interval(np.full(20, 0.25), rng=np.random.default_rng(0)) == Interval(0.25, 0.25, 0.25)


def test_values_of_the_same_users_are_resampled_together() -> None:
    a = np.random.default_rng(7).uniform(size=40)
    both = mean_intervals({"a": a, "2a": 2 * a}, rng=np.random.default_rng(8))
    assert both["a"] == mean_interval(a, rng=np.random.default_rng(8))
    np.testing.assert_allclose([both["2a"].low, both["2a"].high], [2 * both["a"].low, 2 * both["a"].high])


def test_the_interval_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).beta(2, 5, 300)
    ours = mean_interval(values, rng=np.random.default_rng(2))
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=5_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert ours.mean == pytest.approx(values.mean())
    np.testing.assert_allclose([ours.low, ours.high], [theirs.low, theirs.high], atol=0.004)


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(200):
        interval = mean_interval(rng.uniform(size=60), rng=rng)
        held += interval.low <= 0.5 <= interval.high
    assert 0.90 <= held / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(5).uniform(size=50)
    one, again, other = (mean_interval(values, rng=np.random.default_rng(seed)) for seed in (6, 6, 7))
    assert one == again != other


def test_no_values_are_refused() -> None:
    with pytest.raises(DataError, match="at least one user"):
        mean_interval(np.zeros(0), rng=np.random.default_rng(0))


def test_an_interval_reads_as_a_sentence_would_quote_it() -> None:
    assert str(Interval(0.41234, 0.4, 0.42)) == "0.412 [0.400, 0.420]"
