"""The regressions against a solver of one item after the other; likeness by fields, and its kernel ridge."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.encoders.base import unit
from mmrec.errors import DataError
from mmrec.model.closed_form import (
    FieldKernel,
    directions,
    exact_ridge,
    folds_left_out,
    regressions,
    smoothed,
)

SPANS = {"title": slice(0, 4), "price": slice(4, 7)}


@pytest.mark.parametrize(("dropout", "power"), [(0.0, 0.0), (0.3, 0.5)])
def test_each_column_is_a_ridge_regression_on_all_others(dropout, power):
    x = (np.random.default_rng(0).random((60, 8)) < 0.3).astype(float)
    sizes = np.maximum(x.sum(axis=1), 1)
    weighed = x * np.sqrt((sizes / sizes.mean()) ** -power)[:, None]
    found = regressions(csr_matrix(x), 5.0, dropout=dropout, user_power=power)
    for item in range(8):
        others = np.delete(np.arange(8), item)
        gram = weighed[:, others].T @ weighed[:, others]
        penalty = 5.0 * np.eye(7) + dropout / (1 - dropout) * np.diag(np.diag(gram))
        expected = np.linalg.solve(gram + penalty, weighed[:, others].T @ weighed[:, item])
        assert found[others, item] == pytest.approx(expected, abs=1e-5)
        assert found[item, item] == 0


@pytest.mark.parametrize("flatness", [0.0, 0.5, 1.0])
def test_directions_are_those_of_most_variance_as_strong_as_is_asked(flatness):
    x = (np.random.default_rng(0).normal(size=(50, 6)) * [5, 4, 3, 0.1, 0.2, 0.1]).astype(np.float32)
    found = directions(x, 3, flatness)
    _, strengths, right = np.linalg.svd(x)
    np.testing.assert_allclose(
        np.abs(right[:3] @ found), np.diag((strengths[:3] / strengths[0]) ** -flatness), atol=1e-4)
    expected = strengths[0] * (strengths[:3] / strengths[0]) ** (1 - flatness)
    np.testing.assert_allclose(np.linalg.norm(x @ found, axis=0), expected, rtol=1e-4)


def test_no_penalty_is_refused():
    with pytest.raises(DataError, match="give more"):
        regressions(csr_matrix(np.eye(3)), 0.0)


def world(n=30, seed=0):
    rng = np.random.default_rng(seed)
    x = np.hstack([unit(rng.normal(size=(n, 4))), unit(rng.normal(size=(n, 3)))]).astype(np.float32)
    x[::5, 4:] = 0.0  # every fifth has no price
    return x, rng.normal(size=(n, 2)).astype(np.float32)


def test_an_item_is_most_like_itself_and_an_absent_field_says_nothing():
    x, _ = world()
    likeness = FieldKernel.of(x, SPANS)(x, x)
    assert np.diag(likeness) == pytest.approx(np.ones(30), abs=1e-5)
    assert likeness.max() <= 1 + 1e-5
    title = FieldKernel.of(x, SPANS, {"price": 0.0})(x[:1], x)
    both = FieldKernel.of(x, SPANS)(x[:1], x)  # the first has no price
    assert both[0, ::5] == pytest.approx(title[0, ::5], abs=1e-5)


def test_an_item_without_any_field_is_like_nothing():
    x, _ = world()
    assert not FieldKernel.of(x, SPANS)(np.zeros((1, 7), np.float32), x).any()


@pytest.mark.parametrize("most", [100, 12])
def test_what_the_others_predict_is_what_a_ridge_without_the_item_says(most):
    x, y = world()
    kernel = FieldKernel.of(x, SPANS)
    smoother, left_out = smoothed(kernel, x, y, 0.3, most, np.random.default_rng(1))
    landmarks = smoother.landmarks.astype(np.float64)
    features = kernel(x, smoother.landmarks).astype(np.float64)
    within = kernel(smoother.landmarks, smoother.landmarks) + 1e-6 * np.eye(len(landmarks))
    for item in (0, 7, 29):
        others = np.delete(np.arange(30), item)
        if most >= 30:
            gram = kernel(x[others], x[others]) + 0.3 * np.eye(29)
            expected = kernel(x[[item]], x[others]) @ np.linalg.solve(gram, y[others])
        else:
            normal = features[others].T @ features[others] + 0.3 * within
            expected = features[[item]] @ np.linalg.solve(normal, features[others].T @ y[others])
        assert left_out[item] == pytest.approx(expected[0], abs=2e-3)


def test_folds_left_out_are_predicted_as_by_a_ridge_that_never_saw_them():
    rng = np.random.default_rng(0)
    content, targets = unit(rng.normal(size=(30, 6)).astype(np.float32)), rng.normal(size=(30, 3))
    kernel = FieldKernel.of(content, {"all": slice(0, 6)})
    gram = kernel(content, content)
    folds = np.array_split(rng.permutation(30), 4)
    for fold, predicted in zip(folds, folds_left_out(gram, targets, 0.2, folds), strict=True):
        rest = np.setdiff1d(np.arange(30), fold)
        coefficients, _ = exact_ridge(gram[np.ix_(rest, rest)], targets[rest], 0.2)
        np.testing.assert_allclose(predicted, gram[np.ix_(fold, rest)] @ coefficients, atol=1e-4)
