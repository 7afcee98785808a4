"""Both towers learn together: what they score as the towers that serve do, and what they change."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmrec.model.appeal import Appeal
from mmrec.model.behaviour import _TowersNet, learned_towers
from mmrec.model.content import ContentPlan
from mmrec.model.contrastive import Recipe
from mmrec.model.kernel_ridge import FieldKernel, Smoother
from mmrec.model.parts import Blend, Compression, Metric, Shares
from mmrec.model.towers import TrainedTowers

QUICK = Recipe(dim=16, epochs=30, learning_rate=0.02, batch_size=32)
SPANS = {"taste": slice(0, 4), "noise": slice(4, 16)}


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
        np.zeros((P, K + L), np.float32), Appeal.none(c),
    )
    return towers, x(n, K + L)


@pytest.mark.parametrize("length", [2, 5, 6, 30])
def test_the_towers_that_learn_score_as_those_that_serve(tastes, length):
    _, content, _ = tastes()
    towers, new = towers_of(content)
    net = _TowersNet(towers, new, towers.metric(content), None)
    shown = torch.zeros(1, len(content))
    shown[0, :length] = 1
    with torch.no_grad():
        learned = net._products(shown, net.known)[0].numpy()
    user = towers.user(towers.remembered(towers.rows[:length]), np.ones(length, np.float32))
    np.testing.assert_allclose(learned, towers.searched(towers.rows) @ user, rtol=1e-4, atol=1e-5)


def test_towers_that_learn_together_find_more_and_new_items_too(tastes):
    histories, content, kind = tastes()
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
