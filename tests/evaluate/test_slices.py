"""Slices worked by hand, and properties of the bins."""

from __future__ import annotations

from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import mean_interval
from mmrec.evaluate.run import Result, evaluate
from mmrec.evaluate.slices import Slice, _quantiles, by_age, by_history, by_popularity

NEWEST = np.datetime64("2024-06-01T12:00", "us")


class ById:
    """Ranks the last item first."""

    name = "by id"

    def fit(self, train, content) -> None:
        """There is nothing to learn."""

    def score(self, histories):
        return np.tile(np.arange(histories.shape[1], dtype=np.float32), (histories.shape[0], 1))


def ones(*lists: list[int], items: int = 8) -> csr_matrix:
    dense = np.zeros((len(lists), items), np.float32)
    for user, places in enumerate(lists):
        dense[user, places] = 1
    return csr_matrix(dense)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def answered(setting: Setting, k: int = 2) -> Result:
    return evaluate(ById(), setting, k=(k,), rng=rng())


def brief(slices: list[Slice]) -> list[tuple[str, float, int]]:
    return [(s.name, s.recall.mean, s.n) for s in slices]


@pytest.fixture
def three() -> Setting:
    """Everybody's two best are 7 and 6, but of the last, who has seen 7, they are 6 and 5."""
    histories = ones([0], [0, 1, 2], [7, 0])
    return Setting("all", histories, ones([7, 1], [6, 7, 4], [5, 4]), np.arange(8, dtype=np.int32))


def test_by_popularity_cold_items_stand_apart_and_equal_ones_together(three):
    popularity = np.array([9, 4, 3, 3, 2, 1, 0, 0])
    found = by_popularity(answered(three), three, popularity, k=2, rng=rng())
    # cold are 6 and 7: found by both users who wanted them; 5 by the last; nobody found 4 or 1
    assert brief(found) == [("cold", 1.0, 3), ("1", 1.0, 1), ("2", 0.0, 2), ("4", 0.0, 1)]
    assert brief(by_popularity(answered(three), three, np.ones(8, int), k=2, rng=rng())) == [("1", 4 / 7, 7)]


def test_a_shorter_list_finds_less(three):
    found = by_popularity(answered(three), three, np.zeros(8, int), k=2, rng=rng())
    result = evaluate(ById(), three, k=(1, 2), rng=rng())
    assert brief(found) == [("cold", 4 / 7, 7)]
    assert brief(by_popularity(result, three, np.zeros(8, int), k=1, rng=rng())) == [("cold", 2 / 7, 7)]


def test_by_age_in_whole_days_before_the_newest(three):
    hours = np.array([0, 25, 26, 24 * 9, 24 * 9, 24 * 30, 24 * 31, 24 * 60])
    added_at = NEWEST - hours.astype("timedelta64[h]")
    found = by_age(answered(three), three, added_at, k=2, rng=rng())
    # days 0 1 1 9 9 30 31 60: parts end at the 2nd, 4th, 5th, 7th and 8th value: 1, 9, 9, 31 and 60
    assert brief(found) == [("0-1", 0.0, 1), ("9", 0.0, 2), ("30-31", 1.0, 2), ("60", 1.0, 2)]


def test_items_of_one_age_are_not_sliced(three):
    one_afternoon = NEWEST - np.arange(8).astype("timedelta64[h]")
    assert by_age(answered(three), three, one_afternoon, k=2, rng=rng()) == []


def test_by_history_is_the_mean_of_users_with_its_interval():
    lengths = [1, 1, 2, 3, 4, 7, 8]
    setting = Setting(
        "all", ones(*(list(range(n)) for n in lengths), items=12),
        ones([11], [8], [11, 8], [8], [11], [10], [8, 9, 10, 11], items=12), np.arange(12, dtype=np.int32),
    )
    result = answered(setting)
    found = by_history(result, setting, k=2, rng=rng())
    assert brief(found) == [("1", 0.5, 2), ("2-3", 0.25, 2), ("4-7", 1.0, 2), ("8-15", 0.5, 1)]
    first = mean_interval(result.values["recall@2"][:2], rng=rng())
    assert found[0].recall == first
    assert (first.low, first.high) == (0, 1)


def test_a_user_without_a_history_has_a_bin():
    setting = Setting("new", ones([], [0]), ones([7], [1]), np.arange(8, dtype=np.int32))
    assert brief(by_history(answered(setting), setting, k=2, rng=rng())) == [("0", 1.0, 1), ("1", 0.0, 1)]


def test_intervals_of_pairs_resample_users_not_pairs():
    """One pair a user is the bootstrap of a mean; pairs that users repeat ten times tell nothing new."""
    lucky = np.arange(200) % 4 == 0  # whom a list of 10 serves
    few = Setting(
        "few", ones(*[[0]] * 200, items=40), ones(*([30 if yes else 1] for yes in lucky), items=40),
        np.arange(40, dtype=np.int32),
    )
    many = Setting(
        "many", ones(*[[0]] * 200, items=40),
        ones(*(list(range(30, 40)) if yes else list(range(1, 11)) for yes in lucky), items=40),
        np.arange(40, dtype=np.int32),
    )
    popularity = np.zeros(40, int)
    (one,) = by_popularity(answered(few, 10), few, popularity, k=10, rng=rng())
    (ten,) = by_popularity(answered(many, 10), many, popularity, k=10, rng=rng())
    mean = mean_interval(answered(few, 10).values["recall@10"], rng=rng())
    assert astuple(one.recall) == pytest.approx(astuple(mean))
    assert astuple(ten.recall) == pytest.approx(astuple(mean))
    assert (one.n, ten.n) == (200, 2_000)


def test_a_bin_of_one_user_has_an_interval_of_that_user_alone(three):
    found = by_popularity(answered(three), three, np.array([9, 4, 3, 3, 2, 1, 0, 0]), k=2, rng=rng())
    assert (found[1].recall.low, found[1].recall.high) == (1, 1)  # resamples without the user say nothing


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 12))
@settings(max_examples=200)
def test_bins_hold_what_their_names_say_in_order(values, size):
    bins, names = _quantiles(np.array(values), size)
    assert 1 <= len(names) <= size
    assert sorted(set(bins.tolist())) == list(range(len(names)))  # none is empty
    ends = [[int(end) for end in (name.split("-") * 2)[:2]] for name in names]
    for b, (low, high) in enumerate(ends):
        inside = np.array(values)[bins == b]
        assert (inside.min(), inside.max()) == (low, high)
    assert all(before[1] < after[0] for before, after in pairwise(ends))


@given(st.lists(st.integers(0, 1_000), min_size=10, max_size=80, unique=True))
@settings(max_examples=100)
def test_different_values_are_cut_into_equal_parts(values):
    sizes = np.bincount(_quantiles(np.array(values), 5)[0])
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 1


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_bins_together_hold_every_pair_and_every_hit(seed):
    dice = np.random.default_rng(seed)
    both = dice.integers(0, 3, (15, 20))  # 0 nothing, 1 seen, 2 relevant
    both[:, 0], both[:, 19] = 1, 2
    setting = Setting("all", csr_matrix(both == 1), csr_matrix(both == 2), np.arange(20, dtype=np.int32))
    result = answered(setting, 5)
    hits = (result.values["recall@5"] * (both == 2).sum(axis=1)).sum()
    cuts = (
        by_popularity(result, setting, dice.integers(0, 9, 20), k=5, rng=dice),
        by_age(result, setting, NEWEST - np.arange(20).astype("timedelta64[D]"), k=5, rng=dice),
    )
    for found in cuts:
        assert sum(s.n for s in found) == (both == 2).sum()
        assert sum(s.recall.mean * s.n for s in found) == pytest.approx(hits)
        assert all(0 <= s.recall.low <= s.recall.mean <= s.recall.high <= 1 for s in found)
