"""The metric of content: fields weighed, then projected so that items of one history lie together."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mmrec.model.contrastive import Recipe
from mmrec.model.metric import (
    FEW_ITEMS,
    FEW_USERS,
    FIELD_DROPOUT,
    _directions,
    _few,
    _MetricNet,
    field_weights,
    learned_metric,
    starting,
)
from mmrec.model.parts import Metric

QUICK = Recipe(dim=16, epochs=30, learning_rate=0.02, batch_size=32)
SPANS = {"taste": slice(0, 4), "noise": slice(4, 16)}


def separation(metric, content, kind):
    cosines = metric(content) @ metric(content).T
    same = kind[:, None] == kind[None]
    return cosines[same].mean() - cosines[~same].mean()


def test_items_of_one_history_come_to_lie_together(tastes):
    histories, content, kind = tastes()
    start = starting(histories, content, SPANS, 16, seed=0)
    learned = learned_metric(histories, content, SPANS, QUICK, seed=0)
    assert separation(learned, content, kind) > separation(start, content, kind) + 0.05
    _, unseen, kinds = tastes(seed=1)  # items that nobody chose
    assert separation(learned, unseen, kinds) > separation(start, unseen, kinds) + 0.05


def test_fields_weigh_what_the_histories_say_of_them(tastes):
    """By the taste alone users choose, though the noise is twice as loud."""
    histories, content, kind = tastes()
    sampled = np.arange(content.shape[0])
    taste, noise = field_weights(histories, content, SPANS, histories, sampled, seed=0)
    assert taste > 3 * noise
    assert taste * noise == pytest.approx(1, rel=1e-3)  # their logs have mean 0
    start = starting(histories, content, SPANS, 16, seed=0)
    plain = Metric(np.eye(16, dtype=np.float32))
    assert separation(start, content, kind) > separation(plain, content, kind) + 0.2


def test_popularity_is_no_taste():
    """Everybody is shown the items of one kind much more often; the kind is still no taste of anybody."""
    rng = np.random.default_rng(0)
    content = np.hstack([np.eye(2)[np.arange(100) % 2], np.eye(5)[np.arange(100) % 5]]).astype(np.float32)
    shown = np.where(np.arange(100) % 2, 8.0, 1.0)
    x = np.zeros((300, 100), np.float32)
    for user in range(300):
        likes = shown * np.where(np.arange(100) % 5 == user % 5, 50.0, 1.0)
        x[user, rng.choice(100, 6, replace=False, p=likes / likes.sum())] = 1
    spans = {"shown": slice(0, 2), "liked": slice(2, 7)}
    log = csr_matrix(x)
    by_display, by_taste = field_weights(log, content, spans, log, np.arange(100), seed=0)
    assert by_taste > 2 * by_display


def test_strong_directions_come_first_and_one_without_variance_is_left_out():
    rng = np.random.default_rng(0)
    content = (rng.normal(size=(5_000, 3)) * [4.0, 1.0, 0.25]).astype(np.float32)
    deviations, directions = _directions(content, 3, rng)
    assert deviations == pytest.approx([1, 0.25, 0.0625], rel=0.05)
    assert np.abs(directions) == pytest.approx(np.eye(3), abs=0.05)
    assert _directions(content[:, [0, 0]], 3, rng)[1].shape == (2, 1)


def test_items_have_norm_one_or_none(tastes):
    histories, content, _ = tastes()
    content[3] = 0
    norms = np.linalg.norm(starting(histories, content, SPANS, 8, seed=0)(content), axis=1)
    assert norms[3] == 0
    assert np.delete(norms, 3) == pytest.approx(1, abs=1e-5)


def test_a_large_log_is_sampled_and_a_history_of_one_item_says_nothing():
    rng = np.random.default_rng(0)
    x = (rng.random((5_000, 3_000)) < 0.002).astype(np.float32)
    sampled, some = _few(csr_matrix(x), rng)
    assert some.shape[0] <= FEW_USERS
    assert len(sampled) == some.shape[1] == FEW_ITEMS
    assert np.diff(some.indptr).min() > 1


def test_fields_are_dropped_in_training_and_not_for_good(tastes):
    histories, content, _ = tastes(items=2_000, users=10)
    kept = content.copy()
    net = _MetricNet(Metric(np.eye(16, dtype=np.float32)), histories, content, SPANS, None)
    net.begin(torch.Generator().manual_seed(0))
    lacking = (net.items[:, :4] == 0).all(dim=1).float().mean()
    assert float(lacking) == pytest.approx(FIELD_DROPOUT, abs=0.03)
    np.testing.assert_array_equal(content, kept)


def test_a_seed_gives_the_same_and_training_goes_on_from_a_start(tastes):
    histories, content, _ = tastes()
    first, again = (learned_metric(histories, content, SPANS, QUICK, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first.projection, again.projection)
    still = Recipe(dim=16, epochs=0)
    kept = learned_metric(histories, content, SPANS, still, seed=1, start=first)
    np.testing.assert_allclose(kept.projection, first.projection)
