"""Re-ranking: both ends of the dial, an oracle for what lies between, what caps and duplicates promise."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.diversity import Cap, Duplicates, caps_of, check_k, distinct, mmr, scaled, select
from mmrec.encoders.base import unit
from mmrec.errors import DataError


def world(seed, m=12, d=4):
    """Relevance with ties, unit vectors with some copies and some without content."""
    rng = np.random.default_rng(seed)
    x = unit(rng.normal(size=(m, d)).astype(np.float32))
    x[rng.random(m) < 0.1] = 0
    copied = rng.random(m) < 0.2
    x[copied] = x[rng.integers(m, size=m)[copied]]
    return np.round(rng.random(m), 1), x


def by_relevance(relevance):
    return sorted(range(len(relevance)), key=lambda i: (-relevance[i], i))


def gains(relevance, x, shown, dial):
    """What the docstring of `mmr` says each candidate is worth next, as loops in double precision."""
    low, spread = min(relevance), (max(relevance) - min(relevance)) or 1.0
    worth = {}
    for i in set(range(len(relevance))) - set(shown):
        cosines = [float(np.dot(x[i].astype(float), x[j])) for j in shown if x[j].any()]
        nearest = 1.0 if shown and not x[i].any() else max(cosines, default=-1.0)
        worth[i] = (1 - dial) * (relevance[i] - low) / spread - dial * nearest
    return worth


def is_best_at_each_step(shown, relevance, x, dial):
    """Whether no other candidate was worth more, to within single precision."""
    steps = [(place, gains(relevance, x, shown[:step], dial)) for step, place in enumerate(shown)]
    return all(worth[place] >= max(worth.values()) - 1e-5 for place, worth in steps)


seeds = st.integers(0, 2**32 - 1)
dials = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]) | st.floats(0, 1)


def test_relevance_is_brought_to_a_scale_from_0_to_1():
    np.testing.assert_allclose(scaled(np.array([2.0, 6.0, 3.0])), [0, 1, 0.25])
    np.testing.assert_array_equal(scaled(np.array([5.0, 5.0])), [0, 0])
    assert scaled(np.zeros(0)).shape == (0,)


@given(seeds, st.integers(1, 15))
def test_at_0_it_is_relevance_alone(seed, k):
    relevance, x = world(seed)
    expected = by_relevance(relevance)[:k]
    assert mmr(relevance, x, k, 0).tolist() == expected
    assert select(relevance, k).tolist() == expected
    assert select(relevance, k, caps=[Cap(range(12), 1)]).tolist() == expected  # a cap that closes nothing


@given(seeds)
def test_at_1_it_is_the_greedy_max_min_choice_from_the_most_relevant(seed):
    rng = np.random.default_rng(seed)
    relevance, x = rng.random(10), unit(rng.normal(size=(10, 3)).astype(np.float32))
    shown = mmr(relevance, x, 10, 1).tolist()
    assert shown[0] == relevance.argmax()
    for step in range(1, 10):
        nearest = (x @ x[shown[:step]].T).max(axis=1)  # [m, d] @ [d, step] -> [m, step] -> [m]
        left = [i for i in range(10) if i not in shown[:step]]
        assert nearest[shown[step]] <= nearest[left].min() + 1e-6


def test_mmr_by_hand():
    """Two alike at the top: from a dial of .5 on, the second gives way to the one that is different.

    Relevance 1, .9, .5, 0; cosines with the first 1, .8, 0, .6. Second step at .3: .7 * .9 - .3 * .8 = .39
    against .35 and -.18. At .5: .05 against .25 and -.3.
    """
    relevance, x = [9.0, 8.1, 4.5, 0.0], np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, -0.8]], np.float32)
    assert mmr(relevance, x, 2, 0.3).tolist() == [0, 1]
    assert mmr(relevance, x, 2, 0.5).tolist() == [0, 2]
    # At 1 the third step has .8 (with 0) and .6 (with 2) against .6 and -.8.
    assert mmr(relevance, x, 3, 1).tolist() == [0, 2, 3]


@given(seeds, st.integers(1, 14), dials)
def test_mmr_agrees_with_loops(seed, k, dial):
    relevance, x = world(seed)
    shown = mmr(relevance, x, k, dial).tolist()
    assert len(set(shown)) == len(shown) == min(k, 12)
    assert shown[0] == by_relevance(relevance)[0]
    assert is_best_at_each_step(shown, relevance, x, dial)


@given(seeds, dials, st.floats(0.01, 100), st.floats(-50, 50))
def test_the_dial_means_the_same_on_any_scale_of_scores(seed, dial, factor, offset):
    relevance, x = world(seed)
    shown = mmr(factor * relevance + offset, x, 12, dial).tolist()
    assert is_best_at_each_step(shown, relevance, x, dial)


def test_equally_good_ones_rank_by_relevance_then_by_position():
    x = np.array([[0, 1], [1, 0], [0, 1], [0, -1], [0, -1]], np.float32)
    assert mmr([1, 9, 2, 3, 3], x, 5, 1).tolist() == [1, 3, 2, 4, 0]
    assert mmr([5, 5, 5, 5, 5], x, 5, 0.5).tolist() == [0, 3, 1, 2, 4]


def test_turning_the_dial_up_never_makes_pages_more_alike_on_average():
    """A hundred shops of eight kinds of items, asked for two of the kinds."""
    def unlike(dial):
        pages = []
        for seed in range(100):
            rng = np.random.default_rng(seed)
            kinds = rng.normal(size=(8, 16))
            x = unit((kinds[rng.integers(8, size=60)] + 0.6 * rng.normal(size=(60, 16))).astype(np.float32))
            page = x[mmr(x @ (kinds[0] + kinds[1]), x, 8, dial)]
            cosines = [float(a @ b) for a, b in itertools.combinations(page, 2)]
            pages.append((1 - np.mean(cosines), 1 - max(cosines)))
        return np.mean(pages, axis=0)  # mean distance of all pairs, and distance of the nearest pair

    distances = np.array([unlike(dial) for dial in (0, 0.1, 0.2, 0.3, 0.5, 0.7, 1)])
    assert (np.diff(distances, axis=0) > 0).all(), distances
    assert distances[3, 0] > 1.1 * distances[0, 0]
    assert distances[-1, 0] > 2 * distances[0, 0]


def test_an_item_without_content_is_not_thought_diverse():
    x = np.array([[1, 0], [0, 0], [0.8, 0.6], [0, 0], [0.6, 0.8]], np.float32)
    assert mmr([5, 4, 3, 2, 1], x, 5, 1).tolist() == [0, 4, 2, 1, 3]
    assert mmr([1, 4, 3, 2, 1], x, 3, 1).tolist()[0] == 1  # but it may be the most relevant
    assert mmr([1, 2, 3], np.zeros((3, 0), np.float32), 3, 0.5).tolist() == [2, 1, 0]


def test_caps_by_hand():
    brands = ["a", "a", "b", None, "a", None, "b"]
    assert select(-np.arange(7), 7, caps=[Cap(brands, 1)]).tolist() == [0, 2, 3, 5]
    assert select(-np.arange(7), 4, caps=[Cap(brands, 2)]).tolist() == [0, 1, 2, 3]
    # A list counts for each of its values, once, and an empty one for none.
    tags = [["x", "y", "x"], ["y"], ["x"], [], ["z", "x"], ["z"], None]
    assert select(-np.arange(7), 7, caps=[Cap(tags, 2)]).tolist() == [0, 1, 2, 3, 5, 6]
    both = caps_of({"brand": 1, "tag": 1}, {"brand": brands, "tag": tags, "price": [1.0] * 7})
    assert select(-np.arange(7), 7, caps=both).tolist() == [0, 3, 5, 6]


@given(seeds, dials, st.integers(1, 3), st.integers(1, 14))
def test_caps_hold_while_mmr_selects_and_k_are_found_when_k_exist(seed, dial, most, k):
    relevance, x = world(seed)
    brands = np.random.default_rng(seed).choice(["a", "b", "c", None], size=12).tolist()
    shown = select(relevance, k, vectors=x, dial=dial, caps=[Cap(brands, most)]).tolist()
    counts = Counter(brands[i] for i in shown)
    assert len(set(shown)) == len(shown)
    assert all(n <= most for brand, n in counts.items() if brand is not None)
    exist = sum(n if brand is None else min(n, most) for brand, n in Counter(brands).items())
    assert len(shown) == min(k, exist)


@given(seeds, dials, st.floats(0.3, 1))
def test_everything_at_once_keeps_every_promise_and_leaves_nothing_that_could_be_shown(seed, dial, threshold):
    relevance, x = world(seed)
    rng = np.random.default_rng(seed)
    tags = [rng.choice(["a", "b", "c", "d"], size=rng.integers(3), replace=False).tolist() for _ in range(12)]
    pictures = unit(rng.normal(size=(12, 2)).astype(np.float32))
    shown = select(
        relevance, 12, vectors=x, dial=dial, caps=[Cap(tags, 2)], duplicates=Duplicates(pictures, threshold)
    ).tolist()

    def allowed(page):
        full = max(Counter(tag for i in page for tag in tags[i]).values(), default=0) > 2
        return not full and all(
            pictures[i] @ pictures[j] < threshold + 1e-5 for i, j in itertools.combinations(page, 2)
        )

    assert allowed(shown)
    for i in set(range(12)) - set(shown):
        alike = (pictures[shown] @ pictures[i]).max()  # [n, d] @ [d] -> [n]
        assert not allowed([*shown, i]) or alike >= threshold - 1e-5


def test_near_duplicates_leave_the_best_ranked():
    x = unit(np.array([[1, 0], [1, 0.1], [0, 1], [1, 0], [0, 0], [0, 0]], np.float32))
    assert distinct(x, [3, 1, 2, 0, 5, 4], 0.99).tolist() == [3, 2, 5, 4]  # without a picture: nobody's
    assert distinct(x, [1, 0, 3], 1.0).tolist() == [1, 0]  # equal to within rounding
    assert distinct(x, [], 0.9).tolist() == []
    # What is no longer shown suppresses nothing: 1 goes with 0, so 2 stays, though 1 and 2 are alike.
    chain = unit(np.array([[1, 0], [1, 0.6], [1, 1.6]], np.float32))
    assert distinct(chain, [0, 1, 2], 0.8).tolist() == [0, 2]


@given(seeds, st.floats(0.01, 1))
def test_distinct_agrees_with_loops(seed, threshold):
    relevance, x = world(seed)
    order = by_relevance(relevance)
    kept = []
    for i in order:
        if all(float(x[i] @ x[j]) < threshold - 1e-6 for j in kept):
            kept.append(i)
    near = np.abs(x @ x.T - threshold) < 1e-5  # [m, d] @ [d, m] -> [m, m]
    if not near[x.any(axis=1)].any() or threshold == 1:
        assert distinct(x, order, threshold).tolist() == kept
        assert select(relevance, 12, duplicates=Duplicates(x, threshold)).tolist() == kept


def test_no_candidates_and_one():
    none = np.zeros((0, 3), np.float32)
    assert select([], 5).tolist() == []
    assert mmr([], none, 5, 0.5).tolist() == []
    assert select([], 5, caps=[Cap([], 1)], duplicates=Duplicates(none, 0.9)).tolist() == []
    assert mmr([7.0], np.array([[1, 0]], np.float32), 5, 0.5).tolist() == [0]


def test_a_selection_leaves_its_arguments_alone():
    relevance, x = world(3)
    before = relevance.copy(), x.copy()
    cap = Cap(["a", "b"] * 6, 1)
    first = select(relevance, 5, vectors=x, dial=0.4, caps=[cap])
    np.testing.assert_array_equal(select(relevance, 5, vectors=x, dial=0.4, caps=[cap]), first)
    np.testing.assert_array_equal(relevance, before[0])
    np.testing.assert_array_equal(x, before[1])


X = np.eye(3, dtype=np.float32)
NAN = np.array([[1, 0, 0], [np.nan, 0, 0], [0, 0, 1]], np.float32)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: mmr([1, 2, 3], X, 2, np.nan), "dial must be a number from 0 to 1, got nan"),
    (lambda: mmr([1, 2, 3], X, 2, 1.01), r"dial .* got 1\.01"),
    (lambda: mmr([1, 2, 3], X, 2, -0.1), r"dial .* got -0\.1"),
    (lambda: mmr([1, 2, 3], X, 2, True), "dial .* got True"),
    (lambda: mmr([1, 2, 3], X, 2, "0.5"), r"dial .* got '0\.5'"),
    (lambda: mmr([1, 2, 3], X, 0, 0.5), "k must be a whole number from 1"),
    (lambda: select([1, 2, 3], -1), "k must be a whole number from 1 .* got -1"),
    (lambda: check_k(10_001), "k must be a whole number from 1 to 10,000"),
    (lambda: check_k(2.0), "k must be a whole number"),
    (lambda: mmr([1, 2, 3], NAN, 2, 0.5), "vectors must be rows .* 1 that are NaN or infinite"),
    (lambda: mmr([1, 2, 3], 2 * X, 2, 0.5), "of norm 1, or zeros.*normalise them"),
    (lambda: mmr([1, 2, 3], np.ones(3, np.float32), 2, 0.5), r"vectors must be rows .*shape \[3\]"),
    (lambda: mmr([1, 2], X, 2, 0.5), "relevance has 2 candidates, .* have 3"),
    (lambda: mmr([1, np.nan, 2], X, 2, 0.5), r"relevance must be finite .* with 1 that"),
    (lambda: select([[1.0]], 2), r"relevance must be finite .*shape \[1, 1\]"),
    (lambda: select([1, 2], 2, dial=0.5), "dial above 0 needs .* vectors"),
    (lambda: select([1, 2], 2, caps=[Cap(["a"], 1)]), "relevance has 2 candidates, .* have 1"),
    (lambda: Cap(["a"], 0, "brand"), r"max_per\['brand'\] must be a whole number from 1 up, got 0"),
    (lambda: caps_of({"brand": 1.5}, {"brand": []}), "max_per.*got 1.5"),
    (lambda: caps_of({"brnd": 1}, {"brand": [], "tag": []}), "no attribute 'brnd': choose brand, tag"),
    (lambda: caps_of({"brand": 1}, {}), "no attribute 'brand': choose none"),
    (lambda: Duplicates(X, 0), "threshold must be above 0"),
    (lambda: Duplicates(X, np.nan), "threshold must be a number from 0 to 1"),
    (lambda: distinct(NAN, [0, 1], 0.9), "vectors must be rows"),
])
def test_bad_input_is_told_what_is_wrong_with_it(call, words):
    with pytest.raises(DataError, match=words) as error:
        call()
    assert error.value.field
