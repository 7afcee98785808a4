"""The head as a model: cold items by content, warm ones by behaviour, and a start from a head before."""

from dataclasses import replace

import numpy as np
import pytest

from mmrec.evaluate.baselines import ContentKNN
from mmrec.evaluate.run import evaluate
from mmrec.model.behaviour import Settings
from mmrec.model.contrastive import Recipe
from mmrec.model.saved import Head
from mmrec.training.model import TwoTower
from mmrec.training.validation import kept, later_settings, ndcg_of

QUICK = Settings(rank=16, l2=5.0, recipe=Recipe(dim=16, epochs=20, learning_rate=0.01), landmarks=200)
SPANS = {"kind": slice(0, 6), "noise": slice(6, 30)}


def test_the_head_finds_cold_items_by_the_field_that_matters(split):
    split, content = split
    head = TwoTower(spans=SPANS, settings=QUICK)
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


def test_a_warm_start_is_judged_by_what_came_since_and_the_head_before_knew_nothing_of(split):
    split, content = split
    train = split.train
    since = np.random.default_rng(0).random(train.nnz) < 0.2
    first = TwoTower(spans=SPANS, settings=QUICK)
    first.fit(kept(train, ~since), content)
    blend = replace(first.towers.blend, short=first.towers.blend.warm)  # serves all alike
    first.towers = replace(first.towers, blend=blend)
    first._rows = first._rows._replace(towers=first.towers)
    before = Head(first.towers, first.behaviour.embeddings, {})
    on = TwoTower(spans=SPANS, settings=QUICK, before=before, since=since, guarded=True)
    on.fit(train, content)
    known = np.array([int(i) for i in first.towers.ids])
    earlier, settings = later_settings(train, since, known, np.random.Generator(np.random.PCG64(0)))
    assert set(on.verdicts) == set(settings) >= {"warm", "short", "overall"}
    plain = ContentKNN()
    plain.fit(earlier, content)
    for name in ("warm", "overall"):
        asked, verdict = settings[name], on.verdicts[name]
        head, content_knn = (
            ndcg_of(model.score(asked.histories)[:, asked.candidates], asked) for model in (first, plain)
        )
        assert verdict.head == pytest.approx(head, abs=1e-3)
        assert verdict.baselines["content kNN"] == pytest.approx(content_knn)
    unjudged = replace(on, since=None)
    unjudged.fit(train, content)
    assert not unjudged.verdicts
