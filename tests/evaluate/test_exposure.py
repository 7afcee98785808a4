"""What a log betrays of exposure, and metrics that are corrected for it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from mmrec.evaluate.exposure import (
    CLIP,
    LEAST,
    Corrected,
    Exposure,
    _poisson_slope,
    _weights,
    effective_size,
    exposure_of,
    ratio,
    weighed_ndcg,
)
from mmrec.evaluate.metrics import hits_of, ndcg

ITEMS = 400


def display(power, liked=0.1, disliked=0.05, seed=0):
    """Users who chose and who disliked each item, where its popularity is display to this power."""
    rng = np.random.default_rng(seed)
    popularity = rng.lognormal(3.0, 1.0, ITEMS)
    return (rng.poisson(liked * 10 * popularity).astype(float),
            rng.poisson(disliked * 100 * (popularity / popularity.mean()) ** power).astype(float))


def test_what_is_disliked_as_often_as_it_is_chosen_was_shown_often():
    chosen, refused = display(1.0)
    found = exposure_of(chosen, refused)
    assert "to the power of 0.9" in found.why or "to the power of 1.0" in found.why
    hot = chosen > 0
    assert np.corrcoef(np.log(found.weights[hot]), -np.log(chosen[hot]))[0, 1] > 0.95
    assert np.average(found.weights, weights=chosen) == pytest.approx(1, rel=1e-5)


def test_what_is_disliked_no_more_than_the_rest_is_popular_as_it_is_liked():
    assert exposure_of(*display(0.0)) is None


def test_a_few_dislikes_say_nothing():
    chosen, refused = display(1.0)
    few = np.zeros(ITEMS)
    few[:3] = (LEAST - 1) / 3
    assert exposure_of(chosen, few) is None
    assert exposure_of(chosen, np.zeros(ITEMS)) is None
    assert exposure_of(np.zeros(ITEMS), refused) is None


def test_a_rare_item_weighs_no_more_than_the_clip():
    shown, chosen = np.array([100.0, 1_000.0, 1.0]), np.array([50.0, 50.0, 1.0])
    weights = _weights(shown, chosen)
    assert weights[0] == pytest.approx(10 * weights[1])
    mean = np.average(1 / shown, weights=chosen)
    assert weights[2] / weights[0] == pytest.approx(CLIP * mean / 0.01, rel=1e-4)
    assert np.average(weights, weights=chosen) == pytest.approx(1)


def test_the_slope_of_counts_is_that_which_made_them():
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000)
    slope, error = _poisson_slope(x, rng.poisson(np.exp(0.3 + 0.7 * x)).astype(float))
    assert slope == pytest.approx(0.7, abs=3 * error)
    assert error < 0.01
    assert _poisson_slope(np.ones(5), np.arange(5.0)) == (0.0, 1.0)


@given(st.integers(0, 10_000))
def test_weighed_ndcg_is_ndcg_with_weights_as_gains(seed):
    rng = np.random.default_rng(seed)
    gains = rng.random((4, 12)) * (rng.random((4, 12)) < 0.4)
    gains[:, 0] = 0.5  # everybody has something relevant
    relevant = csr_matrix(gains.astype(np.float32))
    top = np.array([rng.permutation(12)[:5] for _ in range(4)], np.int32)
    top[0, 3:] = -1
    values, weights = weighed_ndcg(top, relevant)
    discounts = 1 / np.log2(np.arange(2, 7))
    for user in range(4):
        found = np.where(top[user] >= 0, gains[user, top[user]], 0)
        best = np.sort(gains[user])[::-1][:5]
        assert values[user] == pytest.approx(found @ discounts / (best @ discounts), rel=1e-4)
        assert weights[user] == pytest.approx(gains[user][gains[user] > 0].mean(), rel=1e-4)
    even = csr_matrix((gains > 0).astype(np.float32))
    values, weights = weighed_ndcg(top, even)
    assert values == pytest.approx(ndcg(hits_of(top, even), np.diff(even.indptr)))
    assert weights == pytest.approx(1)


def test_the_weighed_mean_is_what_users_would_find_if_all_items_were_shown_alike():
    """Of two kinds of items one is shown ten times as often; a ranking of that kind alone is found out."""
    rng = np.random.default_rng(0)
    shown = np.where(np.arange(40) < 20, 1.0, 0.1)
    users = 20_000
    liked = rng.integers(0, 40, users)  # every item is liked alike
    clicked = np.flatnonzero(rng.random(users) < shown[liked])
    weights = (1 / shown[liked[clicked]]).astype(np.float32)
    relevant = csr_matrix((weights, liked[clicked], np.arange(len(clicked) + 1)), (len(clicked), 40))
    top = np.tile(np.arange(20, dtype=np.int32), (len(clicked), 1))  # the kind that is shown
    values, each = weighed_ndcg(top, relevant)
    truth = (liked < 20) / np.log2(np.minimum(liked, 20) + 2)
    found = ratio(values * each, each)
    assert found.low < truth.mean() < found.high
    assert values.mean() > 1.5 * truth.mean()
    assert effective_size(each) < 0.7 * len(each)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=50))
def test_the_effective_size_lies_between_one_and_all(weights):
    size = effective_size(np.array(weights))
    assert 1 - 1e-9 <= size <= len(weights) + 1e-9
    assert effective_size(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_size(np.zeros(3)) == 0


def test_weights_that_are_estimated_make_the_interval_wider():
    rng = np.random.default_rng(1)
    chosen = rng.integers(1, 200, 60).astype(float)
    exposure = exposure_of(chosen, rng.poisson(0.2 * chosen**0.6).astype(float))
    less, more = exposure.near
    assert np.corrcoef(np.log(less), np.log(more))[0, 1] > 0.9
    assert np.ptp(np.log(less)) < np.ptp(np.log(exposure.weights)) < np.ptp(np.log(more))
    relevant = csr_matrix((np.ones(300, np.float32), rng.integers(0, 60, 300), np.arange(301)), (300, 60))
    top = np.tile(np.arange(20, dtype=np.int32), (300, 1))
    known, found = (Corrected.of(top, relevant, one) for one in (replace(exposure, near=()), exposure))
    assert (known.doubt, found.mean.mean) == (0.0, known.mean.mean)
    means = [Corrected.of(top, relevant, Exposure(one, "")).mean.mean for one in (less, more)]
    assert found.doubt == pytest.approx(abs(means[0] - means[1]) / 2)
    reach = [one.mean.high - one.mean.mean for one in (known, found)]
    assert reach[1] == pytest.approx(np.hypot(reach[0], 1.96 * found.doubt))
