"""The contrastive loss against numbers worked out apart from it, and its correction for sampling."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from mmrec.model.contrastive import contrastive_loss, presence


def test_it_is_the_cross_entropy_of_the_targets():
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(4, 7)), rng.integers(0, 2, (4, 7)).astype(float)
    expected = -(log_softmax(scores / 0.5, axis=1) * targets).sum(axis=1)
    found = contrastive_loss(torch.tensor(scores), torch.tensor(targets), temperature=0.5)
    assert found.numpy() == pytest.approx(expected)


def test_what_is_hidden_is_neither_right_nor_wrong():
    scores = torch.tensor([[1.0, 2.0, 50.0]])
    hidden = torch.tensor([[False, False, True]])
    found = contrastive_loss(scores, torch.tensor([[1.0, 0.0, 0.0]]), hidden=hidden)
    assert found.item() == pytest.approx(np.log(1 + np.e))


def test_log_q_makes_a_sample_stand_for_the_whole_and_the_other_sign_does_not():
    rng = np.random.default_rng(1)
    scores = torch.tensor(rng.normal(size=400))
    q = torch.tensor(np.where(np.arange(400) < 40, 0.9, 0.1))  # the first tenth is drawn far more often
    whole = scores.logsumexp(dim=0).item()
    logs = {1: [], -1: [], 0: []}
    for _ in range(200):
        drawn = torch.tensor(rng.random(400)) < q
        for sign, found in logs.items():
            target = torch.zeros(1, int(drawn.sum()) + 1, dtype=torch.float64)
            target[0, 0] = 1.0
            sampled = torch.cat([torch.full((1,), -1e9, dtype=torch.float64), scores[drawn]])[None]
            log_q = torch.cat([torch.zeros(1, dtype=torch.float64), sign * q[drawn].log()])
            found.append(contrastive_loss(sampled, target, log_q=log_q).item() - 1e9)
    off = {sign: abs(np.mean(found) - whole) for sign, found in logs.items()}
    assert off[1] < 0.05 < min(off[0], off[-1])


def test_presence_is_how_often_an_item_is_among_the_candidates():
    rng = np.random.default_rng(2)
    chose = rng.random((50, 6)) < [0.02, 0.1, 0.2, 0.05, 0.0, 0.3]
    found = presence(torch.tensor(chose.sum(axis=0), dtype=torch.float32), 50, 5, 1).numpy()
    seen = np.zeros(6)
    for _ in range(4000):
        seen += chose[rng.integers(0, 50, 5)].any(axis=0) | (np.arange(6) == rng.integers(6))
    assert found == pytest.approx(seen / 4000, abs=0.03)
