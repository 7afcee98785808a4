"""Likeness by fields, and its kernel ridge against solvers that never saw what they are asked."""

import numpy as np
import pytest

from mmrec.encoders.base import unit
from mmrec.model import kernel_ridge as module
from mmrec.model.kernel_ridge import FieldKernel, exact_ridge, folds_left_out, smoothed

SPANS = {"title": slice(0, 4), "price": slice(4, 7)}


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
    if smoother.reduction:  # of nothing here, as no field is wide
        np.testing.assert_array_equal(smoother.reduction.directions, np.eye(7))
        kernel = smoother.reduction.kernel(kernel)
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


def wide(n=400, seed=0):
    """A field of 300 numbers that varies along 20 of them, a price, and targets that both tell."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(300, 20)))[0]
    taste = rng.normal(size=(n, 20))
    title = unit((taste @ axes.T + 0.002 * rng.normal(size=(n, 300))).astype(np.float32))
    price = rng.normal(size=(n, 2)).astype(np.float32)
    price[::7] = 0
    targets = np.hstack([np.tanh(taste[:, :3]), price[:, :1]]).astype(np.float32)
    return np.hstack([title, price]), targets, {"title": slice(0, 300), "price": slice(300, 302)}


def test_of_many_items_wide_fields_are_reduced_and_tell_what_the_whole_ones_do(monkeypatch):
    x, y, spans = wide()
    kernel = FieldKernel.of(x, spans)
    smoother, _ = smoothed(kernel, x[:300], y[:300], 0.1, 200, np.random.default_rng(0))
    assert smoother.reduction.directions.shape == (302, module.REDUCED + 2)
    assert smoother.landmarks.shape == (200, module.REDUCED + 2)
    monkeypatch.setattr(module, "REDUCED", 1_000)
    whole, _ = smoothed(kernel, x[:300], y[:300], 0.1, 200, np.random.default_rng(0))
    found, expected = smoother(x[300:]), whole(x[300:])
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999
    assert kernel is smoother.kernel  # that a later fit goes on with


def test_an_absent_field_stays_absent_when_it_is_reduced():
    x, y, spans = wide()
    smoother, _ = smoothed(FieldKernel.of(x, spans), x, y, 0.1, 200, np.random.default_rng(0))
    absent = x[:5].copy()
    absent[:, :300] = 0
    reduced = absent @ smoother.reduction.directions
    assert not reduced[:, smoother.reduction.spans["title"]].any()
    assert not smoother(np.zeros((1, 302), np.float32)).any()
