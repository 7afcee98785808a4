"""Pages: sources in turn, caps and duplicates across them, k results wherever k may be shown."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec import Item
from mmrec.errors import DataError
from mmrec.ranking.page import Slot, Source, page_of, with_exploration
from mmrec.ranking.request import Exploration, Request
from mmrec.ranking.signals import Context
from mmrec.search.hits import Hits, best
from mmrec.search.latest import LatestSnapshot
from mmrec.store.ingest import Intake

BRANDS = ["x"] * 6 + ["y"] * 3 + ["z"]


@pytest.fixture
def snapshot(catalogue):
    """Ten items i0 to i9: six of brand x, three of y, one of z; a day between each and the next."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    Intake(catalogue).run([
        Item(item_id=f"i{n}", text={"title": f"{brand} thing {n // 2}"}, attributes={"brand": brand},
             added_at=start + timedelta(days=n))
        for n, brand in enumerate(BRANDS)
    ])
    return LatestSnapshot(catalogue).now()


def source(scores, name="history", asked=None):
    """What ranks all positions by these scores, and notes how many were asked for."""
    def find(k, out):
        if asked is not None:
            asked.append(k)
        allowed = np.isfinite(scores)
        allowed[out] = False
        return best(np.asarray(scores, np.float32), k, allowed)
    return Source(name, find)


def filled(snapshot, sources, hidden=(), **options):
    return page_of(Context(snapshot, Request(**options), dict), sources, hidden)


def positions(page):
    return [slot.position for slot in page]


DOWN = -np.arange(10.0)


def test_a_plain_page_is_the_best_of_its_source(snapshot):
    page = filled(snapshot, [source(DOWN)], [1], k=3)
    assert page == [Slot(0, 0.0, "history"), Slot(2, -2.0, "history"), Slot(3, -3.0, "history")]


def test_the_next_source_fills_up_without_repeating(snapshot):
    few = np.where(np.arange(10) < 4, DOWN, np.nan)
    page = filled(snapshot, [source(few), source(-DOWN, "popular")], k=6)
    assert [(slot.position, slot.rung) for slot in page] == [
        (0, "history"), (1, "history"), (2, "history"), (3, "history"), (9, "popular"), (8, "popular")]


def test_a_source_that_is_not_needed_is_never_made(snapshot):
    def sources():
        yield source(DOWN)
        raise AssertionError("not needed")
    assert len(filled(snapshot, sources(), k=10, max_per={"brand": 6})) == 10


@pytest.mark.parametrize(("most", "expected"), [
    (1, [0, 6, 9]), (2, [0, 1, 6, 7, 9]), (4, [0, 1, 2, 3, 6, 7, 8, 9]),
])
def test_caps_hold_over_the_whole_page(snapshot, most, expected):
    assert positions(filled(snapshot, [source(DOWN)], max_per={"brand": most})) == expected


def test_caps_hold_across_sources(snapshot):
    first = np.where(np.arange(10) < 2, DOWN, np.nan)
    page = filled(snapshot, [source(first), source(DOWN, "newest")], max_per={"brand": 3})
    assert positions(page) == [0, 1, 2, 6, 7, 8, 9]


def test_more_candidates_are_asked_for_when_those_at_hand_are_closed(snapshot, monkeypatch):
    monkeypatch.setattr("mmrec.ranking.request.POOL", 2)
    monkeypatch.setattr("mmrec.ranking.request.WIDER", 1)
    asked = []
    page = filled(snapshot, [source(DOWN, asked=asked)], k=3, max_per={"brand": 1})
    assert positions(page) == [0, 6, 9]
    assert asked == [3, 12]


@settings(max_examples=40)
@given(
    order=st.permutations(range(10)), k=st.integers(1, 10), most=st.integers(1, 6),
    dial=st.sampled_from([0.0, 0.3, 1.0]), hidden=st.sets(st.integers(0, 9)), pool=st.integers(1, 10),
)
def test_there_are_k_results_wherever_caps_allow_k(snapshot, order, k, most, dial, hidden, pool):
    scores = np.empty(10)
    scores[list(order)] = DOWN
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmrec.ranking.request.POOL", pool)
        page = filled(snapshot, [source(scores)], hidden, k=k, max_per={"brand": most}, diversity=dial)
    left = [BRANDS[p] for p in range(10) if p not in hidden]
    assert len(page) == min(k, sum(min(most, left.count(b)) for b in "xyz"))
    assert not set(positions(page)) & hidden
    assert len(set(positions(page))) == len(page)


def test_one_of_nearly_equal_items_is_shown(snapshot):
    by_value = filled(snapshot, [source(DOWN)], distinct="brand")
    assert positions(by_value) == [0, 6, 9]
    x = snapshot.space("content")
    assert positions(filled(snapshot, [source(DOWN)], distinct=1)) == [0, 2, 4, 6, 8, 9]  # as 1.0 does
    by_cosine = positions(filled(snapshot, [source(DOWN)], distinct=0.9))
    assert 0 < len(by_cosine) < 10
    for i, place in enumerate(by_cosine):
        assert (x[by_cosine[:i]] @ x[place] < 0.9).all()
    for left in set(range(10)) - set(by_cosine):
        assert (x[by_cosine] @ x[left] >= 0.9 - 1e-5).any()


def test_pure_diversity_takes_the_best_and_then_the_least_alike(snapshot):
    page, x = positions(filled(snapshot, [source(DOWN)], k=2, diversity=1.0)), snapshot.space("content")
    assert page[0] == 0
    assert x[0] @ x[page[1]] == pytest.approx((x @ x[0]).min(), abs=1e-6)
    assert positions(filled(snapshot, [source(DOWN)], k=4, diversity=0.0, distinct=1.0))[0] == 0


def test_diversity_of_one_field_heeds_that_alone(snapshot):
    """Items 0 to 5 are of brand x, 6 to 8 of y, 9 of z; pairs of neighbours have one title."""
    brands = positions(filled(snapshot, [source(DOWN)], k=3, diversity={"brand": 0.9}))
    assert brands == [0, 6, 9]
    titles = positions(filled(snapshot, [source(DOWN)], k=3, diversity={"title": 0.5}))
    assert len({(BRANDS[p], p // 2) for p in titles}) == 3
    with pytest.raises(DataError, match="diversity names no field 'smell': choose content, title") as error:
        filled(snapshot, [source(DOWN)], diversity={"smell": 0.5})
    assert error.value.field == "diversity"


@pytest.mark.parametrize(("wish", "field"), [
    ({"max_per": {"smell": 1}}, "max_per"), ({"distinct": "smell"}, "distinct"),
])
def test_an_unknown_attribute_is_refused_with_those_there_are(snapshot, wish, field):
    with pytest.raises(DataError, match="no attribute 'smell': choose brand") as error:
        filled(snapshot, [source(DOWN)], **wish)
    assert error.value.field == field


def test_exploring_keeps_what_is_known_of_each_item_and_says_how_likely_it_was():
    page = [Slot(p, 1.0 - p / 10, "history") for p in range(4)]
    new = Hits(np.array([1, 8, 9]), np.array([0.9, 0.2, 0.2], np.float32))
    request, policy = Request(k=4, rng=0), Exploration(share=0.5)
    seen = [
        with_exploration(page, new, np.zeros(3), policy, Request(k=4, rng=seed), "newest")
        for seed in range(60)
    ]
    assert with_exploration(page, new, np.zeros(3), policy, request, "newest") == seen[0]
    first = [shown[0] for shown in seen]
    assert {slot.position for slot in first} <= {0, 1, 8, 9}
    assert {slot.propensity for slot in first if slot.position == 0} == {0.5}
    for slot in (slot for shown in seen for slot in shown):
        assert 0 < slot.propensity <= 1
        assert (slot.score, slot.rung) == (
            (page[slot.position].score, "history") if slot.position < 4 else (pytest.approx(0.2), "newest"))
    old = with_exploration(page, new, np.full(3, 99.0), policy, request, "newest")
    assert old == page
