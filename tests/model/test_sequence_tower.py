"""The sequence tower as it serves, against the net in torch that it is the same as."""

import numpy as np
import pytest
import torch

from mmrec.model.sequence import SequenceNet, SequenceRecipe
from mmrec.model.sequence_tower import SequenceTower

RECIPE = SequenceRecipe(dim=12, longest=10, heads=3, blocks=3)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = SequenceNet(40, RECIPE).eval()
    for weights in net.parameters():
        torch.nn.init.normal_(weights, std=0.4)
    return net


@pytest.fixture(scope="module")
def tower(net):
    return net.served()[0]


@pytest.fixture
def histories():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, 12)).astype(np.float32) for length in (1, 2, 7, 10, 10, 3, 25)]


def test_it_is_the_net(net, tower, histories):
    with torch.no_grad():
        expected = [net(torch.from_numpy(one[-10:])[None])[0, -1].numpy() for one in histories]
    np.testing.assert_allclose(tower.users(histories), expected, atol=1e-4)
    assert (tower.dim, tower.longest, tower.blocks) == (12, 10, 3)


def test_one_user_or_many_make_no_difference(tower, histories, monkeypatch):
    together = tower.users(histories)
    for one, user in zip(histories, together, strict=True):
        np.testing.assert_allclose(tower.users([one])[0], user, atol=1e-4)
    monkeypatch.setattr("mmrec.model.sequence_tower.MOST_NUMBERS", 1)
    np.testing.assert_allclose(tower.users(histories), together, atol=1e-4)


def test_order_counts_and_what_is_older_than_the_longest_does_not(tower, histories):
    one = histories[-1]
    np.testing.assert_allclose(tower.users([one]), tower.users([one[-10:]]), atol=1e-5)
    assert np.abs(tower.users([one]) - tower.users([one[::-1]])).max() > 0.05


def test_who_has_no_history_is_zero(tower, histories):
    users = tower.users([histories[0], histories[0][:0]])
    assert users[0].any()
    assert not users[1].any()
    assert tower.users([]).shape == (0, 12)


def test_arrays_that_cannot_be_written_serve(tower, histories):
    frozen = {name: np.array(one) for name, one in tower.weights.items()}
    for one in frozen.values():
        one.flags.writeable = False
    np.testing.assert_array_equal(SequenceTower(frozen, 3).users(histories), tower.users(histories))
