"""How much items are liked by those who met them, against the same by hand and by another library."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from mmrec.model import appeal as module
from mmrec.model.appeal import PRIOR, RIDGE, Appeal, appeal_of


def world(n=200, c=12, votes=30, seed=0):
    """Votes on items whose chance of a like content tells."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(n, c)).astype(np.float32)
    truth = content @ rng.normal(size=c) / np.sqrt(c)
    met = rng.poisson(votes * rng.pareto(1.5, n)).astype(float)  # some were shown far more often than others
    liked = rng.binomial(met.astype(int), 1 / (1 + np.exp(-truth))).astype(float)
    return liked, met - liked, content, truth


@pytest.mark.parametrize("c", [12, 300])  # more items than numbers, and fewer
def test_an_item_without_votes_is_what_content_predicts_and_one_with_many_its_own(c):
    liked, refused, content, _ = world(c=c)
    liked[:2], refused[:2] = [0, 1e6], [0, 3e6]
    appeal, values = appeal_of(liked, refused, content)
    assert values[0] == pytest.approx(appeal(content[:1])[0], rel=1e-4)
    votes = liked + refused
    known = votes > 0
    share = liked.sum() / votes.sum()
    weight = np.sqrt(votes[known])
    mean = np.average(content[known], axis=0, weights=votes[known])
    ridge = Ridge(alpha=RIDGE, fit_intercept=False)
    rate = liked[known] / votes[known] - share
    ridge.fit((content[known] - mean) * weight[:, None], rate * weight)
    predicted = (content - mean) @ ridge.coef_
    by_hand = (liked - votes * share + PRIOR * predicted) / (votes + PRIOR)
    np.testing.assert_allclose(values, by_hand / by_hand[known].std(), rtol=2e-2, atol=2e-3)


def test_it_finds_who_is_liked_and_not_who_is_shown():
    liked, refused, content, truth = world(votes=10)
    appeal, values = appeal_of(liked[:150], refused[:150], content[:150])
    seen = np.corrcoef(values, truth[:150])[0, 1]
    assert seen > 0.8
    assert abs(np.corrcoef(values, np.log1p((liked + refused)[:150]))[0, 1]) < 0.3
    assert np.corrcoef(appeal(content[150:]), truth[150:])[0, 1] > 0.8  # of new items


def test_the_items_with_votes_deviate_by_one():
    liked, refused, content, _ = world()
    values = appeal_of(liked, refused, content)[1]
    assert values[liked + refused > 0].std() == pytest.approx(1, rel=1e-3)


def test_without_votes_all_items_are_alike():
    content = world()[2]
    appeal, values = appeal_of(np.zeros(200), np.zeros(200), content)
    assert not values.any()
    assert not appeal(content).any()
    assert Appeal.none(3).weights.shape == (3,)


def test_of_very_many_items_those_with_most_votes_teach(monkeypatch):
    liked, refused, content, truth = world()
    monkeypatch.setattr(module, "MOST", 50)
    values = appeal_of(liked, refused, content)[1]
    assert np.corrcoef(values, truth)[0, 1] > 0.7
