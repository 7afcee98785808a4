"""What exposure costs: lists by hand, and a frontier that begins with the lists as they are."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.evaluate.frontier import K, frontier, lists, pools
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.run import evaluate

ITEMS, USERS = 60, 300


class Fixed:
    """Scores that are given [users, items], for the histories that ask for them by their first item."""

    name = "fixed"

    def __init__(self, scores):
        self.scores = scores

    def score(self, histories):
        return self.scores[histories.indices[histories.indptr[:-1]]]


@pytest.fixture
def world():
    """Users of 60 tastes; the last third of the items is scored too low, and chosen as often as others."""
    rng = np.random.default_rng(0)
    likes = rng.normal(size=(ITEMS, ITEMS)).astype(np.float32)
    model, mask = Fixed(likes - 1.0 * (np.arange(ITEMS) >= 40)), np.arange(ITEMS) >= 40
    taste = np.arange(USERS) % ITEMS
    histories = csr_matrix((np.ones(USERS, np.float32), (np.arange(USERS), taste)), (USERS, ITEMS))
    chosen = likes[taste] + rng.normal(size=(USERS, ITEMS))
    chosen[np.arange(USERS), taste] = -np.inf
    relevant = csr_matrix((chosen >= np.sort(chosen, axis=1)[:, -5:-4]).astype(np.float32))
    return model, Setting("all", histories, relevant, np.arange(ITEMS, dtype=np.int32)), mask


def test_lists_are_the_best_and_end_where_candidates_do():
    scores = np.array([[1, 3, -np.inf, 2], [0, -np.inf, -np.inf, -np.inf]], np.float32)
    places = np.array([[4, 5, 6, 7]] * 2)
    assert lists(scores, places, 3).tolist() == [[5, 7, 4], [4, -1, -1]]


def test_pools_hold_each_candidate_once_and_nothing_of_the_history(world):
    model, setting, mask = world
    scores, places = pools(model, setting, mask, 5)
    for user in range(0, USERS, 50):
        shown = places[user][np.isfinite(scores[user])].tolist()
        assert sorted(shown) == sorted(set(range(ITEMS)) - set(setting.histories[user].indices))
    assert np.ptp(np.where(np.isfinite(scores), scores, scores[:, :1]), axis=1) == pytest.approx(1)


def test_a_pool_of_few_has_the_best_of_the_group_beside_them(world, monkeypatch):
    monkeypatch.setattr("mmrec.evaluate.frontier.POOL", 10)
    model, setting, mask = world
    scores, places = pools(model, setting, mask, 5)
    raw = model.score(setting.histories)
    raw[setting.histories.nonzero()] = -np.inf
    for user in range(0, USERS, 50):
        best = np.flatnonzero(mask)[np.argsort(-raw[user, mask])[:5]]
        assert set(best) <= set(places[user][np.isfinite(scores[user])])


def test_the_frontier_starts_with_the_lists_as_they_are_and_goes_up(world):
    model, setting, mask = world
    rng = np.random.default_rng(0)
    prices = frontier(model, setting, setting, "cold", mask, shares=(0.01, 0.4, 0.6), rng=rng)
    plain = evaluate(model, setting, k=(K,), rng=rng).means[f"ndcg@{K}"]
    assert prices[0].ndcg.mean == pytest.approx(plain.mean)
    assert (prices[0].asked, prices[0].change.mean) == (0, 0)
    today = prices[0].exposure.mean
    assert [price.asked for price in prices[1:]] == sorted({2 * today, 0.4, 0.6})
    for price in prices[1:]:
        assert price.exposure.mean == pytest.approx(price.asked, abs=0.01)
        assert price.change.low <= price.change.mean <= price.change.high
        assert price.ndcg.mean == pytest.approx(prices[0].ndcg.mean * (1 + price.change.mean))
    assert prices[1].change.low > 0  # what was scored too low is better shown


def test_the_frontier_ends_where_there_is_no_more_of_the_group(world):
    model, setting, _ = world
    mask = np.arange(ITEMS) >= 54  # six items, for 20 slots
    prices = frontier(model, setting, setting, "cold", mask, rng=np.random.default_rng(0))
    assert prices[-1].asked == 0.4
    assert 0.25 < prices[-1].exposure.mean <= 0.3
