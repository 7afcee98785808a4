"""The metric of content: whitened to begin with, then projected so that items of one history lie together."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mmrec.encoders.base import unit
from mmrec.model.behaviour import FIELD_DROPOUT, _MetricNet, learned_metric, whitened
from mmrec.model.contrastive import Recipe
from mmrec.model.parts import Metric

QUICK = Recipe(dim=16, epochs=30, learning_rate=0.02, batch_size=32)
SPANS = {"taste": slice(0, 4), "noise": slice(4, 16)}


def world(items=120, users=150, seed=0):
    """Users choose by the first field, a faint one; the loud second says nothing of them."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, items)
    content = np.hstack([0.5 * np.eye(4)[kind], unit(rng.normal(size=(items, 12)))]).astype(np.float32)
    x = np.zeros((users, items), np.float32)
    for user in range(users):
        x[user, rng.choice(np.flatnonzero(kind == user % 4), 8, replace=False)] = 1
    return csr_matrix(x), content, kind


def separation(metric, content, kind):
    cosines = metric(content) @ metric(content).T
    same = kind[:, None] == kind[None]
    return cosines[same].mean() - cosines[~same].mean()


def test_items_of_one_history_come_to_lie_together():
    histories, content, kind = world()
    start = whitened(content, 16, np.random.default_rng(0))
    learned = learned_metric(histories, content, SPANS, QUICK, seed=0)
    assert separation(learned, content, kind) > separation(start, content, kind) + 0.2
    _, unseen, kinds = world(seed=1)  # items that nobody chose
    assert separation(learned, unseen, kinds) > separation(start, unseen, kinds) + 0.2


def test_whitening_brings_variances_nearer_to_each_other():
    rng = np.random.default_rng(0)
    content = (rng.normal(size=(5_000, 3)) * [4.0, 1.0, 0.25]).astype(np.float32)
    places = content @ whitened(content, 3, rng).projection
    assert places.std(axis=0) == pytest.approx([4, 2, 1], rel=0.05)  # 4 ** .5 between them, not 4
    assert whitened(content[:, [0, 0]], 3, rng).projection.shape == (2, 1)  # a direction without variance


def test_places_have_norm_one_or_none():
    _, content, _ = world()
    content[3] = 0
    norms = np.linalg.norm(whitened(content, 8, np.random.default_rng(0))(content), axis=1)
    assert norms[3] == 0
    assert np.delete(norms, 3) == pytest.approx(1, abs=1e-5)


def test_fields_are_dropped_in_training_and_not_for_good():
    histories, content, _ = world(items=2_000, users=10)
    kept = content.copy()
    net = _MetricNet(Metric(np.eye(16, dtype=np.float32)), histories, content, SPANS, None)
    net.begin(torch.Generator().manual_seed(0))
    lacking = (net.items[:, :4] == 0).all(dim=1).float().mean()
    assert float(lacking) == pytest.approx(FIELD_DROPOUT, abs=0.03)
    np.testing.assert_array_equal(content, kept)


def test_a_seed_gives_the_same_and_training_goes_on_from_a_start():
    histories, content, _ = world()
    first, again = (learned_metric(histories, content, SPANS, QUICK, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first.projection, again.projection)
    still = Recipe(dim=16, epochs=0)
    kept = learned_metric(histories, content, SPANS, still, seed=1, start=first)
    np.testing.assert_allclose(kept.projection, first.projection)
