"""Re-ranking: both ends of the dial, an oracle for what lies between, what caps and duplicates promise."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.encoders.base import unit
from mmrec.errors import DataError
from mmrec.ranking.diversity import Cap, Duplicates, Floors, Spread, label_rows, select
from mmrec.ranking.request import Request, check_k


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


def distinct(x, order, threshold):
    """The order, best first, without near duplicates of one kept before them."""
    places = np.array(order, np.intp)
    apart = Duplicates(x[places], threshold)
    return places[select(-np.arange(len(places)), max(1, len(places)), duplicates=apart)]


def spread_page(relevance, x, k, dial):
    return select(relevance, k, spreads=[Spread(x, dial)])


def worth(page, relevance, x, dial, k):
    """What the docstring of `select` says a page of k is worth, times k, as loops in double precision."""
    low, spread = min(relevance), (max(relevance) - min(relevance)) or 1.0
    unlike = sum(
        1 - float(np.dot(x[i].astype(float), x[j])) for i, j in itertools.combinations(page, 2)
        if x[i].any() and x[j].any()
    )
    return (1 - dial) * sum((relevance[i] - low) / spread for i in page) + dial * 2 / max(1, k - 1) * unlike


def greedy_pages(relevance, x, k, dial):
    """Pages [k] by loops, that add most at each step; several where single precision may see a tie."""
    pages = [()]
    for _ in range(min(k, len(relevance))):
        longer = {}
        for page in pages:
            left = set(range(len(relevance))) - set(page)
            gains = {i: worth([*page, i], relevance, x, dial, k) for i in left}
            best = max(gains.values())
            longer |= {tuple(sorted([*page, i])): None for i, gain in gains.items() if gain >= best - 1e-5}
        pages = list(longer)
    return pages


seeds = st.integers(0, 2**32 - 1)
dials = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]) | st.floats(0, 1)


@given(seeds, st.integers(1, 15))
def test_at_0_it_is_relevance_alone(seed, k):
    relevance, x = world(seed)
    expected = by_relevance(relevance)[:k]
    assert spread_page(relevance, x, k, 0).tolist() == expected
    assert select(relevance, k).tolist() == expected
    assert select(relevance, k, caps=[Cap(range(12), 1)]).tolist() == expected  # a cap that closes nothing


@given(seeds, st.integers(1, 10))
def test_at_1_it_is_the_most_relevant_and_then_always_what_is_least_like_those_taken(seed, k):
    rng = np.random.default_rng(seed)
    relevance, x = rng.random(10), unit(rng.normal(size=(10, 3)).astype(np.float32))
    taken = [int(relevance.argmax())]
    while len(taken) < k:
        cosines = (x @ x[taken].T).sum(axis=1)  # [m, d] @ [d, taken] -> [m, taken] -> [m]
        cosines[taken] = np.inf
        taken.append(int(cosines.argmin()))
    assert spread_page(relevance, x, k, 1).tolist() == sorted(taken, key=lambda i: -relevance[i])


def test_a_page_by_hand():
    """Two alike at the top: turn the dial up, and the second gives way to the one that is different.

    Relevance 1, .9, .5, 0; cosines with the first 1, .8, 0, .6. For two the second step at .3 is
    .7 * .9 + .3 * 2 * .2 = .75 against .35 + .6 and .24; at .1 it is .81 + .04 against .45 + .2.
    """
    relevance, x = [9.0, 8.1, 4.5, 0.0], np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, -0.8]], np.float32)
    assert spread_page(relevance, x, 2, 0.1).tolist() == [0, 1]
    assert spread_page(relevance, x, 2, 0.3).tolist() == [0, 2]
    # At 1 the third step has cosines of 1.4 (item 1) and -.2 (item 3) with the two.
    assert spread_page(relevance, x, 3, 1).tolist() == [0, 2, 3]


@given(seeds, st.integers(1, 14), dials)
def test_a_page_agrees_with_loops_and_is_shown_by_relevance(seed, k, dial):
    relevance, x = world(seed)
    shown = spread_page(relevance, x, k, dial).tolist()
    assert tuple(sorted(shown)) in greedy_pages(relevance, x, k, dial)
    assert shown == [i for i in by_relevance(relevance) if i in shown]


@given(seeds, dials, st.floats(0.01, 100), st.floats(-50, 50))
def test_the_dial_means_the_same_on_any_scale_of_scores(seed, dial, factor, offset):
    relevance, x = world(seed)
    shown = spread_page(factor * relevance + offset, x, 6, dial).tolist()
    assert tuple(sorted(shown)) in greedy_pages(relevance, x, 6, dial)


def test_equally_good_ones_are_taken_by_relevance_then_by_position():
    x = np.array([[0, 1], [1, 0], [0, 1], [0, -1], [0, -1]], np.float32)
    assert spread_page([1, 9, 2, 3, 3], x, 2, 1).tolist() == [1, 3]
    assert spread_page([5, 5, 5, 5, 5], x, 2, 0.5).tolist() == [0, 3]


def test_what_is_shown_above_counts():
    x = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    page = [Spread(x, 1.0)]
    assert select([3, 2, 1], 1, spreads=page).tolist() == [0]
    assert select([3, 2, 1], 1, spreads=page, above=[0]).tolist() == [2]


def test_several_spreads_weigh_as_their_dials_say():
    relevance, colour, shape = [3, 2, 1.9, 1.8], [*"aaba"], [*"xxxy"]
    by = {name: label_rows(labels) for name, labels in (("colour", colour), ("shape", shape))}
    assert select(relevance, 2, spreads=[Spread(by["colour"], 0.5)]).tolist() == [0, 2]
    assert select(relevance, 2, spreads=[Spread(by["shape"], 0.5)]).tolist() == [0, 3]
    both = [Spread(by["colour"], 0.2), Spread(by["shape"], 0.3)]
    assert select(relevance, 2, spreads=both).tolist() == [0, 3]
    assert select(relevance, 3, spreads=both).tolist() == [0, 2, 3]


def test_turning_the_dial_up_never_makes_pages_more_alike_on_average():
    """A hundred shops of eight kinds of items, asked for two of the kinds."""
    def unlike(dial):
        pages = []
        for seed in range(100):
            rng = np.random.default_rng(seed)
            kinds = rng.normal(size=(8, 16))
            x = unit((kinds[rng.integers(8, size=60)] + 0.6 * rng.normal(size=(60, 16))).astype(np.float32))
            page = x[spread_page(x @ (kinds[0] + kinds[1]), x, 8, dial)]
            pages.append(1 - np.mean([float(a @ b) for a, b in itertools.combinations(page, 2)]))
        return np.mean(pages)

    distances = np.array([unlike(dial) for dial in (0, 0.1, 0.2, 0.3, 0.5, 0.7, 1)])
    assert (np.diff(distances) > 0).all(), distances
    assert distances[3] > 1.2 * distances[0]
    assert distances[-1] > 2 * distances[0]


def test_an_item_without_content_is_not_thought_diverse():
    x = np.array([[1, 0], [0, 0], [0.8, 0.6], [0, 0], [0.6, 0.8]], np.float32)
    assert spread_page([5, 4, 3, 2, 1], x, 3, 1).tolist() == [0, 2, 4]
    assert spread_page([1, 4, 3, 2, 1], x, 3, 1).tolist()[0] == 1  # but it may be the most relevant
    assert spread_page([1, 2, 3], np.zeros((3, 0), np.float32), 3, 0.5).tolist() == [2, 1, 0]


def test_caps_by_hand():
    brands = ["a", "a", "b", None, "a", None, "b"]
    assert select(-np.arange(7), 7, caps=[Cap(brands, 1)]).tolist() == [0, 2, 3, 5]
    assert select(-np.arange(7), 4, caps=[Cap(brands, 2)]).tolist() == [0, 1, 2, 3]
    # A list counts for each of its values, once, and an empty one for none.
    tags = [["x", "y", "x"], ["y"], ["x"], [], ["z", "x"], ["z"], None]
    assert select(-np.arange(7), 7, caps=[Cap(tags, 2)]).tolist() == [0, 1, 2, 3, 5, 6]
    both = [Cap(brands, 1), Cap(tags, 1)]
    assert select(-np.arange(7), 7, caps=both).tolist() == [0, 3, 5, 6]


@given(seeds, dials, st.integers(1, 3), st.integers(1, 14))
def test_caps_hold_with_any_dial_and_k_are_found_when_k_exist(seed, dial, most, k):
    relevance, x = world(seed)
    brands = np.random.default_rng(seed).choice(["a", "b", "c", None], size=12).tolist()
    shown = select(relevance, k, spreads=[Spread(x, dial)], caps=[Cap(brands, most)]).tolist()
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
        relevance, 12, spreads=[Spread(x, dial)], caps=[Cap(tags, 2)],
        duplicates=Duplicates(pictures, threshold),
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


def test_labels_are_alike_by_what_they_have_in_common(monkeypatch):
    rows = label_rows([["a", "b"], "a", ["b", "a"], None, [], "c"])
    cosines = rows @ rows.T  # [m, labels] @ [labels, m] -> [m, m]
    np.testing.assert_allclose(cosines[0], [1, 0.5**0.5, 1, 0, 0, 0], atol=1e-6)
    assert not rows[3:5].any()
    monkeypatch.setattr("mmrec.ranking.diversity.MOST_LABELS", 2)
    np.testing.assert_allclose(label_rows([*"abc"]), [[1, 0], [0, 1], [1, 0]])


def test_no_candidates_and_one():
    none = np.zeros((0, 3), np.float32)
    assert select([], 5).tolist() == []
    assert spread_page([], none, 5, 0.5).tolist() == []
    assert select([], 5, caps=[Cap([], 1)], duplicates=Duplicates(none, 0.9)).tolist() == []
    assert spread_page([7.0], np.array([[1, 0]], np.float32), 5, 0.5).tolist() == [0]


def test_a_selection_leaves_its_arguments_alone():
    relevance, x = world(3)
    before = relevance.copy(), x.copy()
    cap = Cap(["a", "b"] * 6, 1)
    first = select(relevance, 5, spreads=[Spread(x, 0.4)], caps=[cap])
    np.testing.assert_array_equal(select(relevance, 5, spreads=[Spread(x, 0.4)], caps=[cap]), first)
    np.testing.assert_array_equal(relevance, before[0])
    np.testing.assert_array_equal(x, before[1])




@pytest.mark.parametrize(("call", "words"), [
    (lambda: Request(diversity={"image": np.nan}), r"diversity\['image'\] must be a number .* got nan"),
    (lambda: Request(diversity=1.01), r"diversity .* got 1\.01"),
    (lambda: Request(diversity=-0.1), r"diversity .* got -0\.1"),
    (lambda: Request(diversity=True), "diversity .* got True"),
    (lambda: Request(diversity="0.5"), r"diversity .* got '0\.5'"),
    (lambda: Request(k=0, diversity=0.5), "k must be a whole number from 1"),
    (lambda: Request(k=-1), "k must be a whole number from 1 .* got -1"),
    (lambda: check_k(10_001), "k must be a whole number from 1 to 10,000"),
    (lambda: check_k(2.0), "k must be a whole number"),
    (lambda: Request(diversity={"image": 0.6, "title": 0.5}), "sum to 1 at most, got .*0.6.*0.5"),
    (lambda: Request(max_per={"brand": 0}), r"max_per\['brand'\] must be a whole number from 1 .* got 0"),
    (lambda: Request(distinct=0), "distinct must be above 0"),
    (lambda: Request(distinct=np.nan), "distinct must be a number from 0 to 1"),
])
def test_bad_input_is_told_what_is_wrong_with_it(call, words):
    with pytest.raises(DataError, match=words) as error:
        call()
    assert error.value.field


def floored(relevance, groups, k, least, most=None):
    """A page with at least and at most so many of two groups, given as the group of each candidate."""
    members = np.array(groups)[:, None] == np.arange(2)  # [m, 2]
    return select(relevance, k, floors=Floors(members, least, [k, k] if most is None else most)).tolist()


def test_floors_reserve_the_last_slots_for_the_best_of_a_group():
    assert floored([9, 8, 7, 6, 5, 4], [0, 0, 0, 0, 1, 1], 4, [0, 2]) == [0, 1, 4, 5]
    assert floored([9, 8, 7, 6, 5, 4], [0, 0, 0, 0, 1, 1], 4, [0, 0]) == [0, 1, 2, 3]
    assert floored([9, 8, 7, 6], [0, 0, 0, 1], 4, [0, 3]) == [0, 1, 2, 3]  # there is only one


def test_full_groups_are_closed_while_others_are_left():
    assert floored([9, 8, 7, 6, 5], [0, 0, 0, 1, 1], 4, [0, 0], [2, 2]) == [0, 1, 3, 4]
    assert floored([9, 8, 7], [0, 0, 0], 3, [0, 0], [1, 1]) == [0, 1, 2]


@given(st.data())
def test_no_page_that_holds_the_floors_is_more_relevant(data):
    m, k = data.draw(st.integers(4, 9)), data.draw(st.integers(1, 4))
    relevance = data.draw(st.lists(st.integers(0, 9), min_size=m, max_size=m))
    groups = np.array(data.draw(st.lists(st.integers(0, 2), min_size=m, max_size=m)))  # 2 is in neither
    least = np.array(data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))))
    least = np.minimum(least, [(groups == 0).sum(), (groups == 1).sum()])
    while least.sum() > k:
        least = np.maximum(least - 1, 0)
    worths = [
        sum(relevance[i] for i in page) for page in itertools.combinations(range(m), k)
        if all((groups[list(page)] == g).sum() >= least[g] for g in (0, 1))
    ]
    page = floored(relevance, groups, k, least)
    assert sum(relevance[i] for i in page) == max(worths)
    assert all((groups[page] == g).sum() >= least[g] for g in (0, 1))


def test_floors_count_what_is_shown_above():
    members = np.array([[True], [False], [False], [True]])
    page = select([5, 4, 3, 2], 2, floors=Floors(members, [1], [4]), above=[0])
    assert page.tolist() == [1, 2]
