"""The validation inside a fit, and the head as a model: cold items by content, warm ones by behaviour."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.encoders.base import unit
from mmrec.evaluate.baselines import ContentKNN
from mmrec.evaluate.logs import log_of_positions
from mmrec.evaluate.run import evaluate
from mmrec.evaluate.splits import item_cold
from mmrec.model.behaviour import Settings
from mmrec.model.contrastive import Recipe
from mmrec.model.item_embeddings import Learned
from mmrec.training.model import TwoTower, places_from
from mmrec.training.tune import usual
from mmrec.training.validation import inner_split

QUICK = Settings(rank=16, l2=5.0, recipe=Recipe(dim=16, epochs=20, learning_rate=0.01), landmarks=200)


@pytest.fixture(scope="module")
def split():
    """Users choose by one field alone; the other, louder one says nothing of them."""
    rng = np.random.default_rng(0)
    kind, noise = rng.integers(0, 6, 400), rng.normal(size=(400, 24))
    content = np.hstack([unit(np.eye(6)[kind] + 0.1 * rng.normal(size=(400, 6))), 4 * unit(noise)])
    taste = rng.integers(0, 6, 400)
    rows = [rng.choice(np.flatnonzero(kind == taste[u]), 12, replace=False) for u in range(400)]
    users = np.repeat(np.arange(400), 12)
    log = log_of_positions(
        [f"u{n}" for n in range(400)], [f"i{n}" for n in range(400)], users=users,
        items=np.concatenate(rows), times=np.arange(len(users)),
    )
    return item_cold(log, 1), unit(content.astype(np.float32))


def test_nothing_of_what_is_asked_is_learned_from(split):
    inner = inner_split(split[0].train, np.random.default_rng(0))
    for name in ("cold", "warm", "overall"):
        setting = inner.settings[name]
        assert setting.relevant.nnz
        assert not setting.histories.multiply(setting.relevant).nnz
    assert not np.isin(inner.settings["cold"].candidates, inner.train.indices).any()
    assert np.diff(inner.settings["short"].histories.indptr).max() <= 5


def test_evenly_asked_a_new_item_is_wanted_as_often_as_a_known_one(split):
    train = split[0].train
    rates = {}
    for even in (False, True):
        inner = inner_split(train, np.random.default_rng(0), even=even)
        asked = inner.settings["overall"].relevant
        new = np.isin(asked.indices, inner.settings["cold"].candidates)
        cold, warm = len(inner.settings["cold"].candidates), len(inner.settings["warm"].candidates)
        rates[even] = (new.sum() / cold) / ((~new).sum() / warm)  # interactions that are asked for, per item
    assert rates[False] > 3
    assert rates[True] == pytest.approx(1, abs=0.35)


def test_ordered_validation_asks_for_the_last_item():
    train = csr_matrix((np.ones(6, np.float32), [3, 1, 0, 2, 4, 5], [0, 3, 6]), (2, 6))
    inner = inner_split(train, np.random.default_rng(0), ordered=True)
    assert inner.settings["warm"].relevant.nnz <= 2
    left = [inner.train.indices[a:b].tolist() for a, b in pairwise(inner.train.indptr)]
    for row, part in zip([[3, 1, 0], [2, 4, 5]], left, strict=True):
        assert [i for i in row if i in part] == part


def test_of_settings_as_good_as_the_best_the_usual_one_is_taken():
    assert usual({0.0: 0.999, 0.4: 0.995, 1.0: 1.0}, 0.5)[0] == 0.4
    assert usual({0.0: 0.9, 0.4: 0.9, 1.0: 1.0}, 0.5)[0] == 1.0


def test_the_head_finds_cold_items_by_the_field_that_matters(split):
    split, content = split
    head = TwoTower(spans={"kind": slice(0, 6), "noise": slice(6, 30)}, settings=QUICK)
    plain = ContentKNN()
    found = {}
    for model in (head, plain):
        model.fit(split.train, content)
        rng = np.random.default_rng(0)
        found[model.name] = {
            name: evaluate(model, setting, rng=rng).means["ndcg@20"].mean
            for name, setting in split.test.items()
        }
    assert found["mmrec"]["cold"] > 1.2 * found["content kNN"]["cold"]
    assert found["mmrec"]["warm"] > found["content kNN"]["warm"]


def test_towers_rank_as_the_model_does_and_dislikes_push_away(split):
    split, content = split
    head = TwoTower(settings=QUICK)
    head.fit(split.train, content)
    ids = [str(n) for n in range(content.shape[0])]
    rows = head.towers.items(content, ids)
    history = split.train[0].indices
    user = head.towers.user(head.towers.remembered(rows)[history], np.ones(len(history), np.float32))
    assert head.towers.searched(rows) @ user == pytest.approx(head.score(split.train[:1])[0], abs=1e-3)
    weights = np.append(np.ones(len(history)), -4.0).astype(np.float32)
    disliked = split.train[1].indices[0]
    other = head.towers.user(head.towers.remembered(rows)[np.append(history, disliked)], weights)
    assert head.towers.searched(rows)[disliked] @ other < head.towers.searched(rows)[disliked] @ user


def test_a_training_that_goes_on_has_fewer_epochs_and_smaller_steps():
    on = QUICK.going_on(6)
    assert (on.recipe.epochs, on.metric.epochs) == (4, 1)  # rounded up
    assert on.recipe.learning_rate == QUICK.recipe.learning_rate / 2
    assert (on.rank, on.recipe.dim, on.ridge) == (QUICK.rank, QUICK.recipe.dim, QUICK.ridge)


def test_it_begins_where_the_items_were_learned_and_new_ones_where_their_content_says():
    rng = np.random.default_rng(0)
    learned = Learned(*(rng.normal(size=shape).astype(np.float32) for shape in ((5, 3), 3, (5, 3), 5)))
    predicted = rng.normal(size=(1, 2 + 2 + 3 + 3 + 1)).astype(np.float32)  # of a linear part of rank 2
    start = places_from(learned, np.array([4, -1, 0]), predicted, (2, 3))
    np.testing.assert_array_equal(start.given, [learned.given[4], predicted[0, 4:7], learned.given[0]])
    np.testing.assert_array_equal(start.taken, [learned.taken[4], predicted[0, 7:10], learned.taken[0]])
    np.testing.assert_array_equal(start.bias, [learned.bias[4], predicted[0, 10], learned.bias[0]])
    np.testing.assert_array_equal(start.base, learned.base)
