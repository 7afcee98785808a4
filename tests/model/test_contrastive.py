"""The contrastive loss and its correction for sampling, and towers that learn from histories by it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.special import log_softmax

from mmrec.errors import DataError
from mmrec.model.behaviour import _EmbeddingTables, _random
from mmrec.model.behaviour import learned_embeddings as learn
from mmrec.model.contrastive import (
    LOSSES,
    NEXT,
    TAUGHT,
    Net,
    Recipe,
    _Objective,
    contrastive_loss,
    presence,
    train,
)

SMALL = {"dim": 8, "batch_size": 32, "learning_rate": 0.02, "epochs": 30}


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


def test_a_user_to_whom_everything_is_shown_teaches_nothing():
    scores = torch.tensor([[1.0, 2.0]], requires_grad=True)
    loss = contrastive_loss(scores, torch.zeros(1, 2), hidden=torch.tensor([[True, True]]))
    loss.sum().backward()
    assert loss.item() == 0
    assert not scores.grad.any()


def test_log_q_makes_a_sample_stand_for_the_whole_beside_a_target_that_is_always_there():
    rng = np.random.default_rng(1)
    scores = torch.tensor(rng.normal(size=400))
    q = torch.tensor(np.where(np.arange(400) < 40, 0.9, 0.1))  # the first tenth is drawn far more often
    target = 399  # an item that is seldom drawn, of the best score
    scores[target] = 4.0
    whole = (scores.logsumexp(dim=0) - scores[target]).item()
    corrections = {"right": -q.log(), "none": 0 * q, "other sign": q.log()}
    losses = {name: [] for name in [*corrections, "targets too"]}
    for _ in range(300):
        drawn = torch.tensor(rng.random(400)) < q
        drawn[target] = True
        row, wanted = scores[drawn][None], torch.zeros(1, int(drawn.sum()), dtype=torch.float64)
        wanted[0, -1] = 1.0
        for name, correction in corrections.items():
            losses[name].append(contrastive_loss(row, wanted, log_q=-correction[drawn]).item())
        losses["targets too"].append(contrastive_loss(row - q[drawn].log(), wanted).item())
    off = {name: abs(np.mean(found) - whole) for name, found in losses.items()}
    assert off.pop("right") < 0.05
    assert min(off.values()) > 0.2


def test_presence_is_how_often_an_item_is_a_candidate_of_a_user_who_has_not_chosen_it():
    rng = np.random.default_rng(2)
    chose = rng.random((500, 6)) < [0.02, 0.1, 0.2, 0.05, 0.0, 0.3]
    found = presence(torch.tensor(chose.sum(axis=0), dtype=torch.float32), 500, 5, 1).numpy()
    seen, asked = np.zeros(6), np.zeros(6)
    for _ in range(20_000):
        batch = chose[rng.choice(500, 5, replace=False)]
        candidate = batch.any(axis=0) | (np.arange(6) == rng.integers(6))
        seen += candidate & ~batch[0]
        asked += ~batch[0]
    assert found == pytest.approx(seen / asked, abs=0.015)


class GroupOdds(Net):
    """One number: how much better an item is than others for a user who was shown most of its group."""

    def __init__(self, items, size):
        self.groups = torch.nn.functional.one_hot(torch.arange(items) // size).float()  # [items, groups]
        self.parameters = [torch.tensor(4.0, requires_grad=True)]

    def scores(self, shown, columns):
        groups = self.groups if columns is None else self.groups[columns]
        favourite = torch.nn.functional.one_hot((shown @ groups).argmax(dim=1), groups.shape[1]).float()
        return self.parameters[0] * (favourite @ groups.T)  # [b, groups] @ [groups, m]

    def losses(self, shown, columns, contrast):
        return contrast(self.scores(shown, columns))


def grouped(groups=20, size=100, users=200, own=60, other=15):
    """Each user has chosen many items of one group, each of which few users know, and some of all others."""
    rng = np.random.default_rng(0)
    rows = [
        np.union1d(rng.choice(size, own, replace=False) + u % groups * size, rng.choice(groups * size, other))
        for u in range(users)
    ]
    indptr = np.cumsum([0, *map(len, rows)])
    return csr_matrix((np.ones(indptr[-1], np.float32), np.concatenate(rows), indptr), (users, groups * size))


def test_a_sampled_softmax_has_the_optimum_of_the_whole_one(monkeypatch):
    """With a correction of the targets too it has another: own items seem far better than they are."""
    def targets_too(scores, targets, *, log_q=None, hidden=None, temperature=1.0):
        return contrastive_loss(scores if log_q is None else scores - log_q, targets, hidden=hidden)

    monkeypatch.setitem(LOSSES, "targets too", targets_too)
    histories, found = grouped(), {}
    for name, loss, full in (
        ("exact", "contrastive", 10_000), ("sampled", "contrastive", 10), ("targets too", "targets too", 10),
    ):
        net = GroupOdds(histories.shape[1], 100)
        recipe = Recipe(loss=loss, full=full, negatives=400, epochs=12, learning_rate=0.1, batch_size=10)
        train(histories, net, recipe, seed=0)
        found[name] = net.parameters[0].item()
    assert found["sampled"] == pytest.approx(found["exact"], abs=0.15)
    assert found["targets too"] < found["exact"] - 0.3


def test_a_further_loss_is_a_function_and_a_line_in_the_registry(monkeypatch):
    def squares(scores, targets, *, log_q=None, hidden=None, temperature=1.0):
        return ((scores - targets) ** 2).masked_fill(hidden, 0.0).sum(dim=1)

    monkeypatch.setitem(LOSSES, "squares", squares)
    learned = learn(two_tastes(), Recipe(**SMALL, loss="squares"), seed=0)
    said = scores(learned, np.eye(20, dtype=np.float32))
    same = np.arange(20)[:, None] // 10 == np.arange(20)[None] // 10
    assert said[same].mean() > said[~same].mean() + 0.2
    assert said[same].mean() < 1  # of squares; a softmax would raise it on and on


def test_a_loss_that_nobody_registered_is_no_loss():
    with pytest.raises(DataError, match="contrastive"):
        learn(two_tastes(), Recipe(**SMALL, loss="hinge"), seed=0)


@pytest.mark.parametrize("length", [6, 60, 400])  # .8 ** 400 is 0 in float32
def test_in_order_all_other_items_of_a_history_are_hidden(monkeypatch, length):
    calls = []

    def spy(scores, targets, *, hidden, **_):
        calls.append(SimpleNamespace(targets=targets, hidden=hidden))
        return (0 * scores).sum(dim=1)

    monkeypatch.setitem(LOSSES, "spy", spy)
    own = np.arange(0, 2 * length, 2)  # every other item of the catalogue
    train_on = csr_matrix((np.ones(2 * length), np.tile(own, 2), [0, length, 2 * length]), (2, 2 * length))
    learn(train_on.astype(np.float32), Recipe(**SMALL | {"epochs": 5}, ordered=True, loss="spy"), seed=0)
    for one in calls:
        mine = one.hidden | (one.targets > 0)
        assert mine[:, ::2].all()
        assert not mine[:, 1::2].any()
        assert not (one.hidden & (one.targets > 0)).any()
        assert int((one.targets > 0).sum(dim=1).max()) <= NEXT
    assert any((one.hidden[:, -2]).any() for one in calls) == (length > NEXT)  # beyond what comes next


def two_tastes(users=120, items=20, seed=0):
    """Even users choose of the first half of the items, odd ones of the second."""
    rng = np.random.default_rng(seed)
    x = np.zeros((users, items), np.float32)
    for user in range(users):
        x[user, rng.choice(items // 2, 5, replace=False) + (user % 2) * items // 2] = 1
    return csr_matrix(x)


def scores(learned, histories):
    shares = histories / np.linalg.norm(histories, axis=1, keepdims=True)
    return np.tanh(shares @ learned.input + learned.base) @ learned.output.T + learned.bias


@pytest.mark.parametrize("full", [100, 10], ids=["all items", "a sample of them"])
def test_one_item_tells_the_taste(full):
    learned = learn(two_tastes(), Recipe(**SMALL, full=full, negatives=10), seed=0)
    said = scores(learned, np.eye(20, dtype=np.float32))
    same = np.arange(20)[:, None] // 10 == np.arange(20)[None] // 10
    assert said[same].mean() > said[~same].mean() + 1


def test_a_step_with_few_candidates_changes_the_rows_of_these_alone():
    seen, items = [], 400

    class Tables(_EmbeddingTables):
        def losses(self, shown, columns, contrast):
            seen.append(columns)
            return super().losses(shown, columns, contrast)

    start = _random(two_tastes(items=items), 8, 0)
    net = Tables(start, None, None)
    before = [table.detach().clone() for table in net.tables]
    recipe = Recipe(full=10, negatives=20, dim=8, epochs=1, learning_rate=0.1)
    train(two_tastes(users=16, items=items), net, recipe, seed=0)
    read = torch.unique(torch.cat(seen))
    assert len(read) < items
    for table, old in zip(net.tables, before, strict=True):
        changed = (table != old).any(dim=1).nonzero()[:, 0]
        assert 0 < len(changed) <= len(read)
        assert set(changed.tolist()) <= set(read.tolist())


@pytest.mark.parametrize(("most", "epochs"), [(10_000, 30), (15 * 7, 7), (3, 1)])
def test_a_large_log_has_fewer_epochs_and_one_at_least(most, epochs):
    curve = []
    learn(two_tastes(), Recipe(**SMALL | {"batch_size": 8}, most_steps=most), seed=3, watch=curve.append)
    assert [one["epoch"] for one in curve] == list(range(1, epochs + 1))


def test_a_seed_gives_the_same_and_the_loss_falls():
    curve = []
    first = learn(two_tastes(), Recipe(**SMALL), seed=3, watch=curve.append)
    again = learn(two_tastes(), Recipe(**SMALL), seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    assert [one["epoch"] for one in curve] == list(range(1, 31))


def test_learning_goes_on_from_where_it_stood():
    first = learn(two_tastes(), Recipe(**SMALL), seed=0)
    kept = learn(two_tastes(), Recipe(**SMALL | {"epochs": 0}), seed=1, start=first)
    assert kept.input == pytest.approx(first.input)


def test_order_tells_what_comes_next():
    n = 12
    rows = np.array([[(start + step) % n for step in range(6)] for start in range(n)] * 20)
    indptr = np.arange(0, rows.size + 1, 6)
    train = csr_matrix((np.ones(rows.size, np.float32), rows.ravel(), indptr), (len(rows), n))
    learned = learn(train, Recipe(**SMALL | {"epochs": 60}, ordered=True, fade=0.5), seed=0)
    said = scores(learned, np.eye(n, dtype=np.float32))
    np.fill_diagonal(said, -np.inf)
    assert (said.argmax(axis=1) == (np.arange(n) + 1) % n).mean() >= 0.9


def test_order_can_be_learned_from_very_long_histories():
    n = 1_500  # .9 ** -1500 would overflow
    train = csr_matrix(np.ones((4, n), np.float32))
    curve = []
    learn(train, Recipe(**SMALL | {"epochs": 2}, ordered=True), seed=0, watch=curve.append)
    assert np.isfinite([one["loss"] for one in curve]).all()


def test_a_teacher_and_groups_of_candidates_change_what_is_to_be_found():
    """Checked by hand: one user of four items, of whom two candidates are asked among and one teaches."""
    class Asking(Net):
        parameters = ()

        def losses(self, shown, columns, contrast):
            self.shown = shown.clone()
            return contrast(scores, among, taught)

    scores, taught = torch.tensor([[0.3, -0.2, 0.9, 0.1]]), torch.tensor([[1.0, 2.0, 0.0, -1.0]])
    among, net = torch.tensor([True, True, True, False]), Asking()
    objective = _Objective(
        csr_matrix(np.array([[1, 1, 1, 1]], np.float32)), np.arange(1), Recipe(user_power=0, kept=0.3), 1,
        torch.Generator().manual_seed(0), None,
    )
    loss = float(objective(net, np.arange(1)))
    asked = (net.shown[0] == 0) & among  # neither shown nor out of the group
    assert asked.sum() == 2
    wanted = asked.float() + TAUGHT * asked.sum() * torch.where(asked, taught[0].exp(), torch.tensor(0.0)) / (
        taught[0][asked].exp().sum())
    logs = scores[0] - scores[0][asked].logsumexp(dim=0)
    assert loss == pytest.approx(-float((wanted * logs)[asked].sum()), rel=1e-5)
