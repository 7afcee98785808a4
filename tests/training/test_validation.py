"""The validation inside a fit: what is asked, of whom, and what it may know."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.training.validation import FEWEST, inner_split, kept, later_settings


def test_nothing_of_what_is_asked_is_learned_from(split):
    inner = inner_split(split[0].train, np.random.default_rng(0))
    for name in ("cold", "warm", "overall"):
        setting = inner.settings[name]
        assert setting.relevant.nnz
        assert not setting.histories.multiply(setting.relevant).nnz
    assert not np.isin(inner.settings["cold"].candidates, inner.train.indices).any()
    assert np.diff(inner.settings["short"].histories.indptr).max() <= 5


@pytest.mark.parametrize("ordered", [False, True])
def test_evenly_asked_a_new_item_is_wanted_as_often_as_a_known_one(split, ordered):
    train = split[0].train
    rates = {}
    for even in (False, True):
        inner = inner_split(train, np.random.default_rng(0), ordered=ordered, even=even)
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


def rows(matrix):
    return {tuple(row) for row in np.split(matrix.indices, matrix.indptr[1:-1])}


@pytest.mark.parametrize("even", [False, True])
def test_who_chooses_the_blend_does_not_judge_it(split, even):
    inner = inner_split(split[0].train, np.random.default_rng(0), even=even)
    for name in ("cold", "warm", "overall"):
        chooses, judges = inner.settings[name], inner.judging[name]
        assert judges.relevant.shape[0] >= FEWEST
        np.testing.assert_array_equal(chooses.candidates, judges.candidates)
        assert not judges.histories.multiply(judges.relevant).nnz
        assert not rows(chooses.histories) & rows(judges.histories)  # each user's history is the only one


def test_those_who_judge_change_nothing_of_what_is_chosen(split, monkeypatch):
    rng = np.random.default_rng(0)
    inner_split(split[0].train, rng, even=True)
    monkeypatch.setattr("mmrec.training.validation.FEWEST", 10_000)
    again = np.random.default_rng(0)
    alike = inner_split(split[0].train, again, even=True)
    assert rng.random() == again.random()  # their draws are apart
    assert alike.judging["warm"] is alike.settings["warm"]  # a small log has nobody else to ask


def test_what_came_later_is_asked_of_those_who_had_a_history():
    users, known = np.arange(15), np.arange(30)  # a known item each, then another, and a new one
    items = np.stack([users, 15 + users, 30 + users], axis=1).ravel()
    train = csr_matrix((np.ones(45, np.float32), items, np.arange(0, 46, 3)), (15, 50))
    since = np.tile([False, True, True], 15)
    earlier, settings = later_settings(train, since, known, np.random.default_rng(0))
    assert set(earlier.indices) == set(range(15))
    assert set(settings["warm"].relevant.indices) == set(range(15, 30))
    assert set(settings["cold"].relevant.indices) == set(range(30, 45)) == set(settings["cold"].candidates)
    assert set(settings["overall"].relevant.indices) == set(range(15, 45))
    assert settings["overall"].candidates.tolist() == list(range(45))
    few = FEWEST - 1  # too few to judge by
    assert not later_settings(train[:few], since[: 3 * few], known, np.random.default_rng(0))[1]


def test_a_large_catalogue_is_judged_by_fewer_users(split, monkeypatch):
    """Scores of users and items are held at once, so that their number is bounded."""
    monkeypatch.setattr("mmrec.training.validation.MOST_SCORES", 100 * split[0].train.shape[1])
    monkeypatch.setattr("mmrec.training.validation.LEAST_USERS", 50)
    train, rng = split[0].train, np.random.default_rng(0)
    since = rng.random(train.nnz) < 0.3
    known = np.unique(kept(train, ~since).indices)
    _, later = later_settings(train, since, known, rng)
    assert FEWEST <= later["overall"].relevant.shape[0] <= 50
    inner = inner_split(train, rng)
    assert inner.settings["overall"].relevant.shape[0] <= 100
    assert inner.judging["overall"].relevant.shape[0] <= 50
    monkeypatch.setattr("mmrec.training.validation.MOST_LATER", 20)
    assert later_settings(train, since, known, rng)[1]["overall"].relevant.shape[0] <= 20
