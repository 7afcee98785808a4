"""Each baseline against an answer worked another way, and a world that only aligned behaviour solves."""

import sys
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix, eye

from dropoutnet import DropoutNet
from mmrec.encoders.base import unit
from mmrec.errors import DataError, MissingExtra
from mmrec.evaluate.baselines import (
    ALS,
    BASELINES,
    EASE,
    ContentKNN,
    ContentRidge,
    ItemKNN,
    Popularity,
    kernel_ridge,
)
from mmrec.model.closed_form import truncated_svd

# Three users, four items; nobody has the last one.
SMALL = csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]], np.float32))
EVERYTHING = eye(4, dtype=np.float32, format="csr")  # a history of each item alone shows the weights
PLAIN = np.eye(4, dtype=np.float32)
EVERY = [*BASELINES.values(), DropoutNet]
QUICK: dict[type, dict[str, Any]] = {ALS: {"factors": 4}, DropoutNet: {"factors": 4, "steps": 30}}


def fitted(kind: type, train: csr_matrix = SMALL, content: np.ndarray = PLAIN, **settings: Any) -> Any:
    model = kind(**(QUICK.get(kind, {}) | settings))
    model.fit(train, content)
    return model


def random_train(users: int = 60, items: int = 12, seed: int = 0) -> csr_matrix:
    return csr_matrix((np.random.default_rng(seed).random((users, items)) < 0.3).astype(np.float32))


@pytest.fixture(scope="module")
def brands() -> dict[str, Any]:
    """A phone is bought once and goes with cases of its brand, yet looks like other phones of it.

    Two brands of ten phones and ten cases; the last two of each are cold. Whoever has a phone wants the cold
    cases of its brand, and content alone would show the cold phones.
    """
    rng = np.random.default_rng(0)
    kind = np.repeat(np.arange(4), 10)  # phones x, cases x, phones y, cases y
    content = unit((np.eye(4)[kind] + rng.normal(0, 0.05, (40, 4))).astype(np.float32))
    cold = np.flatnonzero(np.arange(40) % 10 >= 8)
    train = np.zeros((200, 40), np.float32)
    for user in range(200):
        phones = 20 * (user % 2)
        train[user, phones + rng.integers(8)] = 1
        train[user, phones + 10 + rng.choice(8, 4, replace=False)] = 1
    histories = np.zeros((16, 40), np.float32)
    phones = np.concatenate([np.arange(8), 20 + np.arange(8)])
    histories[np.arange(16), phones] = 1
    wanted = np.array([[18, 19]] * 8 + [[38, 39]] * 8)
    return {"train": csr_matrix(train), "content": content, "cold": cold, "histories": csr_matrix(histories),
            "wanted": wanted}


def found_cold(model: Any, world: dict[str, Any]) -> float:
    """Share of the wanted two that are the first two of the cold items."""
    model.fit(world["train"], world["content"])
    scores = model.score(world["histories"])[:, world["cold"]]
    best = world["cold"][np.argsort(-scores, axis=1)[:, :2]]
    pairs = zip(world["wanted"], best, strict=True)
    return float(np.mean([np.isin(want, top).mean() for want, top in pairs]))


@pytest.mark.parametrize("kind", EVERY)
def test_every_baseline_scores_unseen_users_also_one_without_a_history(kind):
    histories = csr_matrix(np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], np.float32))
    scores = fitted(kind).score(histories)
    assert scores.shape == (3, 4)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("kind", EVERY)
def test_fitting_twice_gives_the_same_scores_and_leaves_its_arguments_alone(kind):
    train, content = random_train(), np.random.default_rng(1).normal(size=(12, 5)).astype(np.float32)
    before = train.toarray(), content.copy()
    one, other = fitted(kind, train, content).score(train), fitted(kind, train, content).score(train)
    assert_array_equal(one, other)
    assert_array_equal(train.toarray(), before[0])
    assert_array_equal(content, before[1])


@pytest.mark.parametrize("kind", EVERY)
def test_every_grid_holds_settings_of_its_model_and_none_gets_more_tries(kind):
    assert len({tuple(settings.items()) for settings in kind.grid}) == len(kind.grid)
    assert len(kind.grid) == (1 if kind is Popularity else 6)
    for settings in kind.grid:
        assert kind(**settings).name == kind().name


def test_names_are_different():
    assert len({kind().name for kind in EVERY}) == len(EVERY)
    assert all(kind().name == name for name, kind in BASELINES.items())


def test_popularity_counts():
    assert_array_equal(fitted(Popularity).score(SMALL[:2]), [[3, 2, 1, 0]] * 2)


def test_content_knn_is_the_cosine_with_the_mean_content():
    content = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.float32)
    history = csr_matrix(np.array([[1, 1, 0, 0], [1, 0, 0, 0]], np.float32))
    half = np.sqrt(0.5)
    assert_allclose(
        fitted(ContentKNN, content=content).score(history), [[half, half, 1, 0], [1, 0, half, 0]], atol=1e-6
    )


def test_content_knn_compares_only_with_an_items_neighbours():
    content = np.array([[1, 0], [0.9, 0.1], [0.5, 0.5], [0, 1]], np.float32)
    model = fitted(ContentKNN, content=content, neighbours=1)
    # The nearest of 0 is 1, of 1 is 0, of 2 is 1 (by a hair before 0), of 3 is 2.
    assert_array_equal(model.score(EVERYTHING) > 0, np.array([
        [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0],
    ], bool))


def test_centring_takes_off_what_all_items_share_and_leaves_absent_content_absent():
    content = np.array([[9, 1], [9, -1], [9, 1], [0, 0]], np.float32)
    scores = fitted(ContentKNN, content=content, centre=True).score(EVERYTHING[:1])
    assert scores[0, 0] == pytest.approx(scores[0, 2])
    assert scores[0, 1] < 0
    assert scores[0, 3] == 0


def test_item_knn_by_hand():
    # Users in common: (0, 1) 2, (0, 2) 1, (1, 2) 1; users: 3, 2, 1, 0. Shrinkage 1.
    a, b, c = 2 / (np.sqrt(6) + 1), 1 / (np.sqrt(3) + 1), 1 / (np.sqrt(2) + 1)
    similar = np.array([[0, a, b, 0], [a, 0, c, 0], [b, c, 0, 0], [0, 0, 0, 0]])
    assert_allclose(fitted(ItemKNN, neighbours=4, shrinkage=1.0).score(EVERYTHING), similar, rtol=1e-6)
    nearest = np.array([[0, a, 0, 0], [a, 0, c, 0], [0, 0, 0, 0], [0, 0, 0, 0]])  # the best of each column
    assert_allclose(fitted(ItemKNN, neighbours=1, shrinkage=1.0).score(EVERYTHING), nearest, rtol=1e-6)


def test_item_knn_is_the_same_in_blocks(monkeypatch):
    train, content = random_train(), np.zeros((12, 1), np.float32)
    whole = fitted(ItemKNN, train, content, neighbours=3).score(train)
    monkeypatch.setattr("mmrec.evaluate.counting._BLOCK", 5)
    assert_allclose(fitted(ItemKNN, train, content, neighbours=3).score(train), whole, rtol=1e-6)


def test_ease_is_a_ridge_regression_of_each_item_on_the_others():
    from sklearn.linear_model import Ridge

    train = random_train()
    x = train.toarray()
    weights = np.zeros((12, 12))
    for item in range(12):
        others = np.arange(12) != item
        weights[others, item] = Ridge(alpha=7.0, fit_intercept=False).fit(x[:, others], x[:, item]).coef_
    model = fitted(EASE, train, np.zeros((12, 1), np.float32), l2=7.0)
    assert_allclose(model.score(train), x @ weights, atol=1e-5)


def test_ease_knows_nothing_of_an_item_without_users():
    scores = fitted(EASE, l2=1.0).score(EVERYTHING)
    assert not scores[3].any()
    assert not scores[:, 3].any()
    assert scores[0, 1] > 0


def test_ease_says_that_it_needs_a_penalty_where_two_items_are_one():
    twins = csr_matrix(np.array([[1, 1], [1, 1], [0, 0]], np.float32))
    for l2 in (0.0, -1.0):
        with pytest.raises(DataError, match="give more"):
            fitted(EASE, twins, np.eye(2, dtype=np.float32), l2=l2)


@pytest.mark.parametrize("kind", [EASE, ContentRidge])
def test_a_matrix_of_too_many_items_is_refused_before_it_is_made(kind):
    many = eye(20_001, dtype=np.float32, format="csr")
    with pytest.raises(DataError, match=r"20001 of them take 4\.8 GB and more.*Use ALS"):
        fitted(kind, many, np.zeros((20_001, 1), np.float32))


def test_als_agrees_with_the_librarys_own_recommendations():
    train = random_train()
    model = fitted(ALS, train, np.zeros((12, 1), np.float32))
    scores = model.score(train)
    for user in range(5):
        ids, values = model._als.recommend(
            user, train[user], N=12, filter_already_liked_items=False, recalculate_user=True
        )
        assert_allclose(scores[user, ids], values, rtol=1e-4, atol=1e-5)
        stored, _ = model._als.recommend(user, train[user], N=3, filter_already_liked_items=False)
        assert np.argmax(scores[user]) in stored


def test_als_does_not_depend_on_the_number_of_threads():
    train, content = random_train(), np.zeros((12, 1), np.float32)
    one, two = (fitted(ALS, train, content, num_threads=n).score(train) for n in (1, 2))
    assert_array_equal(one, two)


def test_another_seed_starts_from_other_factors():
    train, content = random_train(), np.zeros((12, 1), np.float32)
    one, other = (fitted(ALS, train, content, seed=seed, iterations=1).score(train) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_als_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit", None)
    monkeypatch.setitem(sys.modules, "implicit.als", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mmrec\[evaluate\]'"):
        fitted(ALS)


def test_the_ridge_solves_its_normal_equations_with_a_kernel_as_wide_as_the_median_distance():
    from scipy.spatial.distance import cdist, pdist

    rng = np.random.default_rng(0)
    known, new = (unit(rng.normal(size=(n, 6)).astype(np.float32)) for n in (30, 8))
    targets = rng.normal(size=(30, 3)).astype(np.float32)
    width = np.median(pdist(known, "sqeuclidean"))
    gram, cross = (np.exp(-cdist(x, known, "sqeuclidean") / width) for x in (known, new))
    expected = cross @ np.linalg.solve(gram + np.eye(30), targets)
    ours = kernel_ridge(known, targets, new)
    assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)
    assert ours.dtype == np.float32


def test_a_ridge_with_nothing_to_predict_predicts_nothing():
    assert kernel_ridge(PLAIN, PLAIN[:, :2], PLAIN[:0]).shape == (0, 2)


def test_the_content_ridge_is_ease_for_warm_items_and_its_factors_for_cold_ones(brands):
    content, train, histories, cold = (brands[n] for n in ("content", "train", "histories", "cold"))
    warm, unseen = np.setdiff1d(np.arange(40), cold), histories.toarray() == 0
    ease = fitted(EASE, train, content, l2=10.0)
    scores = fitted(ContentRidge, train, content, l2=10.0, blend=2.0).score(histories)
    # With all factors kept, predicting V and predicting EASE's columns are one regression.
    columns = ease.score(eye(40, dtype=np.float32, format="csr"))[np.ix_(warm, warm)].T
    predicted = kernel_ridge(content[warm], columns, content[cold])
    for places, raw, times in (
        (warm, ease.score(histories)[:, warm], 1), (cold, histories[:, warm] @ predicted.T, 2),
    ):
        for user in range(len(unseen)):
            counted = raw[user][unseen[user, places]]
            expected = times * (raw[user] - counted.mean()) / counted.std()
            assert_allclose(scores[user, places], expected, atol=2e-3)


def test_the_blend_brings_warm_and_cold_items_to_one_scale(brands):
    scores = fitted(ContentRidge, brands["train"], brands["content"], blend=2.0).score(brands["histories"])
    seen = brands["histories"].toarray() > 0
    warm = np.setdiff1d(np.arange(40), brands["cold"])
    for user in range(16):
        unseen = scores[user, warm][~seen[user, warm]]
        assert unseen.mean() == pytest.approx(0, abs=1e-4)
        assert unseen.std() == pytest.approx(1, abs=1e-4)
        assert scores[user, brands["cold"]].std() == pytest.approx(2, abs=1e-4)


def test_behaviour_aligned_with_content_finds_the_cold_items_that_content_alone_misses(brands):
    alone = found_cold(ContentKNN(), brands)
    assert alone < 0.1
    assert found_cold(ContentRidge(l2=10.0), brands) > 0.9
    assert found_cold(DropoutNet(factors=8, steps=200), brands) > alone + 0.5


def test_hiding_factors_is_what_makes_the_network_good_at_cold_items(brands):
    hiding, seeing = (
        np.mean([found_cold(DropoutNet(factors=8, steps=200, dropout=d, seed=s), brands) for s in range(3)])
        for d in (0.5, 0.0)
    )
    assert hiding > seeing


@pytest.mark.parametrize("shape", [(12, 7), (7, 12)])
def test_a_truncated_svd_is_the_best_of_its_rank(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    left, strengths, right = np.linalg.svd(matrix, full_matrices=False)
    for k in (3, 7, 20):
        givers, takers = truncated_svd(matrix, k)
        assert givers.shape[1] == takers.shape[1] == min(k, 7)
        assert_allclose(givers @ takers.T, (left[:, :k] * strengths[:k]) @ right[:k], atol=1e-5)


def test_the_network_leaves_the_global_random_state_alone():
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    fitted(DropoutNet)
    assert torch.equal(torch.rand(1), expected)
