"""Judges of fields, in worlds where it is known what fits."""

import numpy as np
import pytest

from mmrec.model.masked_fields import Category, Embedding, Masked, Number, least_odd

RNG = np.random.default_rng


def probable(n=4_000, seed=0):
    """What is expected of three values, and values drawn by the softmax of five times that."""
    expected = RNG(seed).normal(size=(n, 3)).astype(np.float32)
    noise = RNG(seed + 1).gumbel(size=expected.shape)
    return expected, (5 * expected + noise).argmax(axis=1)


def test_an_item_takes_no_part_in_what_is_expected_of_it():
    x = RNG(0).normal(size=(60, 4)).astype(np.float32)
    y = x[:, :2] + 1
    changed = y.copy()
    changed[7] += 100
    rows = np.arange(0, 120, 2)
    spans, weights = {"all": slice(0, 4)}, {"all": 1.0}
    before, after = (Masked.of(x, spans, weights, t, rows, RNG(0)) for t in (y, changed))
    seventh = np.array([14])
    shift = after(seventh, x[[7]]) - before(seventh, x[[7]])
    assert np.abs(shift).max() < 3  # the centre has moved by 100 / 60
    new = before(np.array([15]), x[[7]])  # an item with the same content that was not learned from
    assert np.abs(new - y[7]).max() < np.abs(before(seventh, x[[7]]) - y[7]).max()


def test_probabilities_are_calibrated_and_some_values_are_wrong():
    expected, own = probable()
    judge = Category(("a", "b", "c")).learned(expected, own)
    assert judge.steepness == pytest.approx(5, rel=0.1)
    wrong = np.arange(0, len(own), 20)
    own[wrong] = RNG(5).integers(0, 3, len(wrong))
    judge = Category(("a", "b", "c")).learned(expected, own)
    assert judge.steepness == pytest.approx(5, rel=0.15)  # in spite of them
    again, truth = probable(seed=7)
    best, certainty = judge.best(again)
    for least in (0.5, 0.8, 0.95):
        sure = certainty >= least
        assert (best == truth)[sure].mean() == pytest.approx(certainty[sure].mean(), abs=0.06)


def test_the_misfit_of_a_category_is_its_odds():
    judge = Category(("a", "b", "c"), steepness=2.0)
    misfit = judge.misfit(np.array([[0.1, 0.6, 0.3]] * 3, np.float32), np.array([1, 0, -1]))
    assert misfit[:2] == pytest.approx([-0.6, 1.0])
    assert np.isnan(misfit[2])


def test_sound_values_are_drawn_by_their_probabilities():
    expected, own = probable()
    judge = Category(("a", "b", "c"), steepness=5.0)
    drawn, held = judge.sound(expected, RNG(3)), judge.misfit(expected, own)
    for share in (0.5, 0.9, 0.99):
        assert np.quantile(drawn, share) == pytest.approx(np.quantile(held, share), abs=0.6)


def test_rare_values_and_codes_are_not_predicted():
    judge = Category.of(["mug"] * 9 + ["hat"] * 6 + ["vase", None])
    assert judge.values == ("hat", "mug")
    assert judge.own(["mug", "vase", None, "hat"]).tolist() == [1, -1, -1, 0]
    assert judge.targets(np.array([1, -1])).tolist() == [[0, 1], [0, 0]]
    assert Category.of([str(code) for code in range(90)] + ["same"] * 9) is None
    assert Category.of([True] * 20 + [False] * 20).values == (False, True)
    assert Category.of(["one"] * 50) is None


def test_a_number_is_judged_in_robust_deviations():
    own = RNG(0).normal(3, 2, 999)
    own[0] = 1_000
    judge = Number.of(own).learned(np.zeros((999, 1)), own)
    assert (judge.middle, judge.spread) == pytest.approx((3, 2), abs=0.2)
    assert judge.misfit(np.zeros((1, 1)), np.array([9.0])) == pytest.approx([3], abs=0.4)
    assert judge.targets(own).max() < 15  # it does not bend what is expected of others


def test_exchanged_embeddings_fit_less_than_those_of_others():
    rng = RNG(0)
    expected = rng.normal(size=(800, 6)).astype(np.float32)
    own = expected + rng.normal(0, 0.4, size=(800, 6)).astype(np.float32)
    judge = Embedding().learned(expected, own)
    assert np.median(judge.misfit(expected, own)) < 0.01
    exchanged = judge.misfit(expected, own[rng.permutation(800)])
    assert 0.2 < np.median(exchanged) < 0.5  # the smaller of two shares that are even


def test_what_is_odd_is_told_by_chance():
    rng = RNG(0)
    chance, sound = rng.normal(10, 2, 2_000), rng.normal(-5, 2, 20_000)
    held = np.concatenate([rng.normal(-5, 2, 1_900), rng.normal(10, 2, 100), [np.nan]])
    limit = least_odd(held, chance, sound)
    named = held >= limit
    assert named[-101:].sum() >= 90
    assert named[:1_900].sum() <= 5
    assert least_odd(held[:1_900], chance, sound) == np.inf  # all of them fit
    assert least_odd(chance, chance, sound) == np.inf  # the other fields tell nothing
    assert least_odd(held, chance, held) == np.inf  # as many are expected
    assert least_odd(held, chance, np.zeros(0)) == pytest.approx(limit, abs=5)  # it is not known how many
    assert least_odd(np.full(5, np.nan), chance, sound) == np.inf
