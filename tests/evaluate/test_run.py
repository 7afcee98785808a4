from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.sparse import csr_matrix

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import METRICS, coverage, exposure, gini, recall_at_k
from mmrec.evaluate.run import (
    Result,
    evaluate,
    exposure_interval,
    holm,
    p_value,
    rank,
    shuffled,
)


class Fixed:
    """Gives the same scores [items] to everybody, or a user's own from [u, items] in the order of asking."""

    def __init__(self, scores: object, name: str = "fixed") -> None:
        self.name, self.scores, self.asked = name, np.array(scores), 0

    def fit(self, train: csr_matrix, content: Vectors) -> None:
        """There is nothing to learn."""

    def score(self, histories: csr_matrix) -> Vectors:
        self.asked += histories.shape[0]
        if self.scores.ndim == 1:
            return np.tile(self.scores, (histories.shape[0], 1))
        return self.scores[self.asked - histories.shape[0] : self.asked]


def ones(*lists: list[int], items: int = 6) -> csr_matrix:
    dense = np.zeros((len(lists), items), np.float32)
    for user, places in enumerate(lists):
        dense[user, places] = 1
    return csr_matrix(dense)


def asking(histories: csr_matrix, relevant: csr_matrix, candidates: list[int] | None = None) -> Setting:
    places = range(relevant.shape[1]) if candidates is None else candidates
    return Setting("warm", histories, relevant, np.array(places, np.int32))


@pytest.fixture
def two() -> Setting:
    """Users who saw 0, and 5 and 4; right are 1 and 3, and 0."""
    return asking(ones([0], [5, 4]), ones([1, 3], [0]))


def run(model: Fixed, setting: Setting, **options: object) -> Result:
    return evaluate(model, setting, **{"k": (1, 2), "rng": np.random.default_rng(0)} | options)


# Ranking


def test_what_is_in_the_history_is_never_ranked(two: Setting) -> None:
    top = rank(Fixed([9, 5, 4, 3, 8, 7]), two, k=3)
    assert top.tolist() == [[4, 5, 1], [0, 1, 2]]


def test_only_candidates_are_ranked() -> None:
    setting = asking(ones([0], [1]), ones([1, 3], [3]), [1, 3, 5])
    assert rank(Fixed([9, 1, 8, 2, 7, 3]), setting, k=2).tolist() == [[5, 3], [5, 3]]


def test_equal_scores_rank_in_one_order_that_is_not_the_catalogues() -> None:
    setting = asking(ones([0], items=200), ones([150], items=200), list(range(200)))
    flat = np.zeros(200, np.float32)
    order = rank(Fixed(flat), setting, k=199)[0].tolist()
    assert sorted(order) == list(range(1, 200))
    assert abs(np.corrcoef(order, range(199))[0, 1]) < 0.2
    assert rank(Fixed(flat), setting, k=199)[0].tolist() == order
    flat[7] = 1
    assert rank(Fixed(flat), setting, k=199)[0].tolist() == [7, *(i for i in order if i != 7)]


def test_a_list_that_ends_early_is_filled_with_minus_one(two: Setting) -> None:
    no = -np.inf
    assert rank(Fixed([9, 5, no, no, no, 7]), two, k=3).tolist() == [[5, 1, -1], [0, 1, -1]]
    assert rank(Fixed([9, 5, 4, 3, 8, 7]), two, k=8)[0].tolist() == [4, 5, 1, 2, 3, -1, -1, -1]


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 7))
def test_ranking_agrees_with_sorting_each_user_alone(seed, k, batch) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 3, (9, 10)).astype(np.float32)  # many are equal
    scores[rng.random((9, 10)) < 0.1] = -np.inf
    seen = csr_matrix((rng.random((9, 10)) < 0.3).astype(np.float32))
    candidates = np.flatnonzero(rng.random(10) < 0.8).tolist() or [0]
    order = shuffled(np.array(candidates, np.int32)).tolist()
    expected = []
    for user in range(9):
        may = [i for i in candidates if not seen[user, i] and scores[user, i] > -np.inf]
        best = sorted(may, key=lambda i, user=user: (-scores[user, i], order.index(i)))[:k]
        expected.append(best + [-1] * (k - len(best)))
    assert rank(Fixed(scores), asking(seen, seen, candidates), k=k, batch=batch).tolist() == expected


def test_scores_that_have_no_rank_are_refused_by_the_models_name(two: Setting) -> None:
    with pytest.raises(DataError, match="broken gave NaN"):
        run(Fixed([1, 2, 3, np.nan, 5, 6], "broken"), two)
    with pytest.raises(DataError, match=r"short gave scores of shape \(2, 5\), expected \(2, 6\)"):
        run(Fixed([1, 2, 3, 4, 5], "short"), two)


def test_scores_stay_as_the_model_keeps_them(two: Setting) -> None:
    model = Fixed(np.ones((2, 6), np.float32))
    model.scores.flags.writeable = False
    run(model, two)


# Results


def test_a_result_by_hand(two: Setting) -> None:
    # Lists [3, 2] and [3, 2] of right {1, 3} and {0}.
    result = run(Fixed([0, 1, 2, 3, 0, 0]), two, popularity=np.array([2, 2, 2, 0, 0, 0]), content=np.eye(6))
    found = {name: values.tolist() for name, values in result.values.items()}
    assert found["recall@1"] == found["recall@2"] == [0.5, 0]
    assert found["precision@2"] == [0.5, 0]
    assert found["hit_rate@1"] == found["mrr@2"] == [1, 0]
    assert found["map@2"] == [0.5, 0]
    assert found["cold_share@2"] == [0.5, 0.5]
    assert found["diversity@2"] == [1, 1]
    assert result.totals["coverage@2"].mean == pytest.approx(2 / 6)
    assert result.totals["gini@1"].mean == 1
    assert result.means.keys() == result.values.keys()
    assert result.means["recall@2"].mean == 0.25
    assert result.top.tolist() == [[3, 2], [3, 2]]


def test_figures_need_what_they_are_made_of(two: Setting) -> None:
    bare = {name.split("@")[0] for name in run(Fixed([1] * 6), two).values}
    assert bare == {"recall", "precision", "ndcg", "hit_rate", "mrr", "map"}


def test_a_result_agrees_with_the_metric_over_lists_of_ids() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(30, 50)).astype(np.float32)
    seen, right = np.split((rng.random((60, 50)) < 0.2).astype(np.float32), 2)
    setting = asking(csr_matrix(seen), csr_matrix(right * (1 - seen)))
    rankings = [
        [str(i) for i in np.argsort(-row) if not mask[i]] for row, mask in zip(scores, seen, strict=True)
    ]
    relevant = [{str(i) for i in np.flatnonzero(row)} for row in setting.relevant.toarray()]
    result = run(Fixed(scores), setting, k=(5,))
    np.testing.assert_allclose(result.values["recall@5"], recall_at_k(rankings, relevant, 5))


def test_a_leaking_setting_is_never_evaluated() -> None:
    model = Fixed([1] * 6)
    with pytest.raises(DataError, match="in their own history"):
        run(model, asking(ones([0]), ones([0, 1])))
    assert not model.asked


def test_a_new_metric_is_registered_and_nothing_else(two: Setting, monkeypatch) -> None:
    def first(hits, counts):
        """Whether the best item is relevant, as a share of all relevant ones."""
        return hits[:, 0] / counts

    monkeypatch.setitem(METRICS, "first", first)
    result = run(Fixed([0, 1, 2, 3, 0, 0]), two)
    assert result.values["first@2"].tolist() == [0.5, 0]
    assert result.means["first@2"].mean == 0.25


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


# Comparisons


def results_of(n: int = 60) -> tuple[Result, Result]:
    """A model that knows something, and one that does not, on n users."""
    rng = np.random.default_rng(6)
    seen, right = np.split((rng.random((2 * n, 40)) < 0.1).astype(np.float32), 2)
    seen[:, 39], right[:, 39], right[:, 0], seen[:, 0] = 1, 0, 1, 0
    right = right * (1 - seen)
    setting = asking(csr_matrix(seen), csr_matrix(right))
    noise = rng.normal(size=(2, n, 40))
    good, bad = Fixed(noise[0] + right, "good"), Fixed(noise[1], "bad")
    return run(good, setting, k=(10,)), run(bad, setting, k=(10,))


def test_a_better_model_is_found_better_and_the_other_way_round() -> None:
    good, bad = results_of()
    difference = good.values["recall@10"] - bad.values["recall@10"]
    assert p_value(difference) == p_value(-difference) < 0.01


def test_a_model_is_no_better_than_itself() -> None:
    assert p_value(np.zeros(60)) == 1


def test_p_agrees_with_scipy() -> None:
    good, bad = results_of(12)
    for metric in ("recall@10", "ndcg@10", "precision@10"):
        ours = p_value(good.values[metric] - bad.values[metric])
        theirs = stats.permutation_test(  # exact: all 2**12 swaps
            (good.values[metric], bad.values[metric]), lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples", vectorized=True,
        )
        assert ours == pytest.approx(theirs.pvalue, abs=0.015)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_steps_down_and_is_never_less_than_a_single_test(values) -> None:
    adjusted = holm(values)
    order = np.argsort(values, kind="stable")
    steps = [min(1.0, (len(values) - n) * values[i]) for n, i in enumerate(order)]
    expected = dict(zip(order.tolist(), np.maximum.accumulate(steps).tolist(), strict=True))
    assert adjusted == pytest.approx([expected[n] for n in range(len(values))])
    assert all(new >= old for new, old in zip(adjusted, values, strict=True))


def test_of_several_comparisons_the_smallest_counts_as_often_as_there_are() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # Holm's own steps
    assert holm([]) == []
