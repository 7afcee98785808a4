"""Towers that learn from histories: reproducible, in samples too, and by order where asked."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.model.contrastive import Recipe
from mmrec.model.item_embeddings import learned_places as learn

SMALL = {"dim": 8, "batch_size": 32, "learning_rate": 0.02, "epochs": 30}


def two_tastes(users=120, items=20, seed=0):
    """Even users choose of the first half of the items, odd ones of the second."""
    rng = np.random.default_rng(seed)
    x = np.zeros((users, items), np.float32)
    for user in range(users):
        x[user, rng.choice(items // 2, 5, replace=False) + (user % 2) * items // 2] = 1
    return csr_matrix(x)


def scores(learned, histories):
    shares = histories / np.linalg.norm(histories, axis=1, keepdims=True)
    return np.tanh(shares @ learned.given + learned.base) @ learned.taken.T + learned.bias


@pytest.mark.parametrize("full", [100, 10], ids=["all items", "a sample of them"])
def test_one_item_tells_the_taste(full):
    learned = learn(two_tastes(), Recipe(**SMALL, full=full, negatives=10), seed=0)
    said = scores(learned, np.eye(20, dtype=np.float32))
    same = np.arange(20)[:, None] // 10 == np.arange(20)[None] // 10
    assert said[same].mean() > said[~same].mean() + 1


def test_a_seed_gives_the_same_and_the_loss_falls():
    curve = []
    first = learn(two_tastes(), Recipe(**SMALL), seed=3, watch=curve.append)
    again = learn(two_tastes(), Recipe(**SMALL), seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    assert [one["epoch"] for one in curve] == list(range(1, 31))


def test_learning_goes_on_from_where_it_stood():
    first = learn(two_tastes(), Recipe(**SMALL), seed=0)
    kept = learn(two_tastes(), Recipe(**SMALL | {"epochs": 0}), seed=1, start=first)
    assert kept.given == pytest.approx(first.given)


def test_order_tells_what_comes_next():
    n = 12
    rows = np.array([[(start + step) % n for step in range(6)] for start in range(n)] * 20)
    indptr = np.arange(0, rows.size + 1, 6)
    train = csr_matrix((np.ones(rows.size, np.float32), rows.ravel(), indptr), (len(rows), n))
    learned = learn(train, Recipe(**SMALL | {"epochs": 60}, ordered=True, fade=0.5), seed=0)
    said = scores(learned, np.eye(n, dtype=np.float32))
    np.fill_diagonal(said, -np.inf)
    assert (said.argmax(axis=1) == (np.arange(n) + 1) % n).mean() >= 0.9


def test_order_can_be_learned_from_very_long_histories():
    n = 1_500  # .9 ** -1500 would overflow
    train = csr_matrix(np.ones((4, n), np.float32))
    curve = []
    learn(train, Recipe(**SMALL | {"epochs": 2}, ordered=True), seed=0, watch=curve.append)
    assert np.isfinite([one["loss"] for one in curve]).all()
