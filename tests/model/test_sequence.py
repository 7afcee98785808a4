"""What the sequence tower learns: its loss against an oracle, its batches, a world of known order."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from mmrec.model.sequence import Batches, SequenceNet, SequenceRecipe, next_item_loss, rate, train_sequences

SMALL = SequenceRecipe(dim=16, longest=12, batch_size=16, epochs=15, learning_rate=5e-3, full=1_000)


def batch_of(*rows):
    width = max(map(len, rows))
    return torch.tensor([[*row, *[-1] * (width - len(row))] for row in rows])


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = SequenceNet(9, replace(SMALL, dropout=0.0)).eval()
    torch.nn.init.normal_(net.items.weight)
    torch.nn.init.normal_(net.bias.weight)
    return net


def test_the_loss_is_cross_entropy_without_the_rest_of_the_history(net):
    rows = [[3, 1, 4], [2, 7, 1, 8, 5]]
    expected = []
    for row in rows:
        users = net(net.items(torch.tensor([row[:-1]])))[0]
        for user, wanted in zip(users, row[1:], strict=True):
            scores = net.items.weight @ user + net.bias.weight[:, 0]
            others = [n for n in range(9) if n == wanted or n not in row]
            expected.append((scores[others].logsumexp(0) - scores[wanted]).item())
    found = next_item_loss(net, batch_of(*rows), net.recipe, torch.Generator())
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_drawn_candidates_stand_for_all(net):
    batch, generator = batch_of([3, 1, 4], [2, 7, 1, 8, 5]), torch.Generator().manual_seed(0)
    whole = next_item_loss(net, batch, net.recipe, generator).item()
    some = replace(net.recipe, full=0, negatives=4_000)
    assert next_item_loss(net, batch, some, generator).item() == pytest.approx(whole, rel=0.03)


def test_a_step_in_a_large_catalogue_changes_what_it_has_read_alone():
    rows = csr_matrix((np.ones(6, np.float32), [0, 1, 2, 3, 4, 5], [0, 3, 6]), (2, 1_000))
    recipe = replace(SMALL, full=0, negatives=10, dense=0, epochs=2)  # the first step of all has a rate of 0
    torch.manual_seed(0)
    start = SequenceNet(1_000, recipe).served()
    after = train_sequences(rows, recipe, seed=0, start=start)[1]
    changed = np.flatnonzero((after != start[1]).any(axis=1))
    assert {0, 1, 2, 3, 4, 5} <= set(changed.tolist())
    assert len(changed) <= 6 + 2 * 10


def test_nothing_is_seen_of_what_comes_later(net):
    rows = net.items(torch.tensor([[1, 2, 3, 4], [1, 2, 8, 0]]))
    users = net(rows)
    torch.testing.assert_close(users[0, :2], users[1, :2])
    assert (users[0, 2] - users[1, 2]).abs().max() > 1e-3


@pytest.mark.parametrize("recipe", [SMALL, replace(SMALL, full=0, negatives=20, dense=0)])
def test_order_is_learned(chained, recipe):
    histories, follower = chained()
    tower, items = train_sequences(histories, recipe, seed=0)
    asked = [[n, int(follower[n])] for n in range(30)]
    scores = tower.users([items[row, :-1] for row in asked]) @ items[:, :-1].T + items[:, -1]
    np.put_along_axis(scores, np.array(asked), -np.inf, axis=1)  # what one has is never wrong in training
    assert np.mean(scores.argmax(axis=1) == follower[[row[-1] for row in asked]]) > 0.9


def test_a_seed_gives_the_same_tower_and_leaves_torchs_own_draws_alone(chained):
    histories, short = chained(40)[0], replace(SMALL, epochs=2)
    torch.manual_seed(5)
    (first, items), drawn = train_sequences(histories, short, seed=1), torch.rand(1)
    torch.manual_seed(5)
    assert torch.rand(1) == drawn
    again, same = train_sequences(histories, short, seed=1)
    np.testing.assert_array_equal(items, same)
    for name, weights in first.weights.items():
        np.testing.assert_array_equal(weights, again.weights[name])
    assert np.abs(items - train_sequences(histories, short, seed=2)[1]).max() > 1e-3


def test_it_goes_on_from_where_it_was(chained):
    histories, curves = chained()[0], []
    first = train_sequences(histories, SMALL, seed=0, watch=curves.append)
    going_on = SMALL.going_on(5)
    assert (going_on.epochs, going_on.learning_rate) == (3, SMALL.learning_rate / 2)
    train_sequences(histories, going_on, seed=1, start=first, watch=curves.append)
    losses = [curve["loss"] for curve in curves]
    assert len(losses) == SMALL.epochs + 3
    assert max(losses[SMALL.epochs:]) < 1.2 * losses[SMALL.epochs - 1] < 0.5 * losses[0]
    assert all(curve["seconds"] > 0 for curve in curves)


def test_a_large_log_has_fewer_epochs(chained):
    curves = []
    few = replace(SMALL, most_steps=7)  # 40 histories are three steps of 16
    train_sequences(chained(40)[0], few, seed=0, watch=curves.append)
    assert [curve["epoch"] for curve in curves] == [1, 2]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.integers(1, 8), st.integers(1, 9))
def test_batches_hold_every_history_once_or_a_window_of_it(lengths, size, longest):
    rows = [np.arange(length) + 100 * n for n, length in enumerate(lengths)]
    recipe = replace(SMALL, batch_size=size, longest=longest)
    ends = np.cumsum([0, *lengths, 0])  # the last has no history
    histories = csr_matrix((np.ones(ends[-1]), np.concatenate(rows), ends), (len(rows) + 1, 5_000))
    batches = Batches(histories, recipe, torch.Generator().manual_seed(0))
    seen = [row[row >= 0].tolist() for batch in batches for row in batch]
    assert len(seen) == sum(length > 1 for length in lengths)
    assert {row[0] // 100 for row in seen} == {n for n, length in enumerate(lengths) if length > 1}
    for row in seen:
        assert row == list(range(row[0], row[0] + min(lengths[row[0] // 100], longest + 1)))
        assert row[-1] % 100 < lengths[row[0] // 100]
    assert len(batches) == -(-len(seen) // size)


def test_the_learning_rate_rises_and_falls():
    assert [rate(done, 0.2) for done in (0.0, 0.1, 0.2)] == [0.0, 0.5, 1.0]
    assert rate(0.6, 0.2) == pytest.approx(0.5)
    assert rate(1.0, 0.2) == rate(1.1, 0.2) == pytest.approx(0.0)
