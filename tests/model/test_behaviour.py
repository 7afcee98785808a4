"""The metric of content: whitened to begin with, then projected so that items of one history lie together."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mmrec.encoders.base import unit
from mmrec.model.behaviour import (
    FIELD_DROPOUT,
    _MetricNet,
    _TowersNet,
    learned_metric,
    learned_towers,
    whitened,
)
from mmrec.model.closed_form import FieldKernel, Smoother
from mmrec.model.content import ContentPlan
from mmrec.model.contrastive import Recipe
from mmrec.model.parts import Blend, Compression, Metric, Shares
from mmrec.model.towers import TrainedTowers

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


R, H, P, K, L = 3, 4, 16, 6, 7  # linear part, item embeddings, metric, searched and remembered numbers


def towers_of(content, seed=0):
    """Towers of random parts, and their rows of items of this content as if nobody had chosen them."""
    rng = np.random.default_rng(seed)

    def x(*shape):
        return (0.3 * rng.normal(size=shape)).astype(np.float32)

    def covariance(n):
        return np.eye(n, dtype=np.float32)

    n, c = content.shape
    blend = Blend(warm=Shares(0.5, 0.3, 0.2), short=Shares(0.2, 0.2, 0.6))
    towers = TrainedTowers(
        ContentPlan(), Smoother(FieldKernel.of(content, SPANS), content, x(n, 2 * R + 2 * H + 1)),
        Metric(np.eye(c, dtype=np.float32)), [str(i) for i in range(n)], x(n, K + L), x(H),
        (covariance(R), covariance(H + 1), covariance(P)), blend, 0.25,
        Compression(x(R + H + 2 + P, K), x(R + H + 2 + P, K), x(R + H + P, L), x(L, R + H + P)),
        np.zeros((P, K + L), np.float32),
    )
    return towers, x(n, K + L)


@pytest.mark.parametrize("length", [2, 5, 6, 30])
def test_the_towers_that_learn_score_as_those_that_serve(length):
    _, content, _ = world()
    towers, new = towers_of(content)
    net = _TowersNet(towers, new, towers.metric(content), None)
    shown = torch.zeros(1, len(content))
    shown[0, :length] = 1
    with torch.no_grad():
        learned = net._products(shown, net.known)[0].numpy()
    user = towers.user(towers.remembered(towers.rows[:length]), np.ones(length, np.float32))
    np.testing.assert_allclose(learned, towers.searched(towers.rows) @ user, rtol=1e-4, atol=1e-5)


def test_towers_that_learn_together_find_more_and_new_items_too():
    histories, content, kind = world()
    towers, new = towers_of(content)
    towers, new = replace(towers, rows=0.03 * towers.rows), 0.03 * new  # they hardly teach anything
    metric, recipe = towers.metric(content), Recipe(epochs=60, learning_rate=0.02, batch_size=32)
    after, again = (learned_towers(histories, towers, new, metric, recipe, seed=1) for _ in range(2))
    np.testing.assert_array_equal(after.rows, again.rows)
    np.testing.assert_array_equal(towers.correction, 0)  # the start stays as it was

    def found(one, rows):
        """Share of the same kind among the ten best for a history of each kind."""
        histories = [one.remembered(one.rows[np.flatnonzero(kind == k)[:8]]) for k in range(4)]
        scores = np.array([one.user(history, np.ones(8)) @ one.searched(rows).T for history in histories])
        return np.mean([(kind[np.argsort(-row)[:10]] == k).mean() for k, row in enumerate(scores)])

    assert found(after, after.rows) > found(towers, towers.rows) + 0.3
    assert found(after, new + metric @ after.correction) > found(towers, new) + 0.3
