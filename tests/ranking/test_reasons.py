"""Contributions: the largest by name, the rest as one, each what leaving its cause out would take away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.ranking import reasons as module
from mmrec.ranking.page import Slot
from mmrec.ranking.reasons import MOST_REASONS, by_fields, by_history, largest
from mmrec.ranking.users import Point, User, users_with
from mmrec.search.vectors import CONTENT
from mmrec.types import Reason


@pytest.fixture
def snapshot(red_blue_shop):
    return red_blue_shop.snapshot()


def slot(place, score=0.5, rung="history", **signals):
    return Slot(place, score, rung, signals=signals)


def told(reasons):
    return [(r.source, r.name) for r in reasons]


def by_name(reasons):
    return {r.name: r.contribution for r in reasons}


def user_of(snapshot, liked, disliked=()):
    events = [(i, 1.0) for i in liked] + [(i, -1.0) for i in disliked]
    return users_with(snapshot, [events])[0]


@given(st.lists(st.floats(-1, 1, width=32), max_size=6), st.floats(-1, 1))
def test_the_largest_come_first_and_the_rest_is_what_they_leave(values, base):
    parts = [("item", f"i{n}", value) for n, value in enumerate(values)]
    reasons = largest(parts, slot(0, sum(values) + base))
    named = [r.contribution for r in reasons if r.source == "item"]
    assert [abs(c) for c in named] == sorted((abs(v) for v in values if v), reverse=True)[:MOST_REASONS]
    rest = sum(values) + base - sum(named)
    assert [r.contribution for r in reasons if r.name == "the rest"] == (
        [pytest.approx(rest)] if abs(rest) > 1e-5 * max(1, abs(sum(values) + base)) else [])


def test_what_a_head_gives_to_everybody_is_the_rest():
    assert largest([("item", "a", 0.25)], slot(0, 0.75)) == (
        Reason(source="item", name="a", contribution=0.25),
        Reason(source="other", name="the rest", contribution=0.5),
    )
    assert largest([("item", "a", 0.25)], slot(0, 0.25)) == (
        Reason(source="item", name="a", contribution=0.25),)


def test_signals_are_reasons_of_their_own():
    found = largest([("item", "a", 0.25)], slot(0, 0.5, newness=0.25))
    assert told(found) == [("item", "a"), ("other", "newness")]
    assert by_name(found) == {"a": 0.25, "newness": 0.25}


def test_a_contribution_is_the_part_of_the_score_that_the_item_makes(snapshot):
    """By hand: the user is (x4 + x0 - .5 x1) / norm, and each part's product with the result is its share."""
    user, x = user_of(snapshot, ["r0", "b0"], ["b1"]), snapshot.space(CONTENT)
    weight = snapshot.towers.dislike_weight
    norm = np.linalg.norm((x[4] + x[0]) / 2 - weight * x[1])
    (found,) = by_history(snapshot, user, [slot(5, float(x[5] @ user.point.vector))])
    shares = {"r0": x[4] / 2, "b0": x[0] / 2, "b1": -weight * x[1]}
    expected = {name: share @ x[5] / norm for name, share in shares.items()}
    assert by_name(found) == {name: pytest.approx(float(part), abs=1e-5) for name, part in expected.items()}


def test_an_item_that_stands_twice_in_a_history_is_named_once(snapshot):
    user, x = user_of(snapshot, ["r0", "r0", "b0"]), snapshot.space(CONTENT)
    (found,) = by_history(snapshot, user, [slot(5, float(x[5] @ user.point.vector))])
    norm = np.linalg.norm((2 * x[4] + x[0]) / 3)
    assert told(found) == [("item", "r0"), ("item", "b0")]
    assert by_name(found)["r0"] == pytest.approx(float(2 / 3 * x[4] @ x[5] / norm), abs=1e-5)


def test_a_long_history_is_explained_by_its_strongest_items_in_bounded_memory(snapshot, monkeypatch):
    """One id ten thousand times and ten thousand results: no table of all pairs is ever made."""
    largest_table = []
    multiply = np.ndarray.__matmul__

    class Watched(np.ndarray):
        def __matmul__(self, other):
            found = multiply(np.asarray(self), np.asarray(other))
            largest_table.append(found.size)
            return found

    searched = snapshot.space(snapshot.serving)[:].view(Watched)
    monkeypatch.setattr(type(snapshot), "space", lambda *_: searched)
    user = user_of(snapshot, ["r0"] * 10_000 + ["b0", "b1"])
    page = [slot(n % 8, 0.5) for n in range(10_000)]
    found = by_history(snapshot, user, page)
    assert len(found) == 10_000
    assert len(found[0]) <= MOST_REASONS + 1
    assert max(largest_table) <= module.SLOTS * module.MOST_EXPLAINED


def test_only_the_strongest_items_are_looked_at(snapshot, monkeypatch):
    monkeypatch.setattr(module, "MOST_EXPLAINED", 1)
    user, x = user_of(snapshot, ["r0", "r0", "b0"]), snapshot.space(CONTENT)
    (found,) = by_history(snapshot, user, [slot(0, float(x[0] @ user.point.vector))])
    assert told(found) == [("item", "r0"), ("other", "the rest")]


def test_each_rung_has_its_own_reason(snapshot):
    nobody = np.zeros(0, np.intp), np.zeros(0, np.float32)
    words = User(*nobody, "taste", Point("title", snapshot.space("title")[0]), told=True)
    page = [slot(0, 0.9, "taste"), slot(1, 0.5, "popular"), slot(2, -3.0, "newest")]
    assert [told(r) for r in by_history(snapshot, words, page)] == [
        [("words", "taste")], [("other", "popularity")], [("other", "days behind the newest item")]]
    assert told(by_history(snapshot, user_of(snapshot, ["r0"]), page[1:])[0]) == [("other", "popularity")]


def test_a_stranger_needs_no_vectors(snapshot, monkeypatch):
    monkeypatch.setattr(type(snapshot), "scorer", lambda *_: pytest.fail("vectors were loaded"))
    assert len(by_history(snapshot, user_of(snapshot, []), [slot(1, 0.5, "popular")])) == 1


def test_fields_of_the_content_share_its_cosine(snapshot):
    x, spans = snapshot.space(CONTENT), snapshot.plan.spans
    page = [slot(p, float(x[4] @ x[p])) for p in (5, 0)]
    for of, found in zip(page, by_fields(snapshot, CONTENT, x[4], page), strict=True):
        for name, part in by_name(found).items():
            if name != "the rest":
                assert part == pytest.approx(float(x[4][spans[name]] @ x[of.position][spans[name]]), abs=1e-6)
    assert told(by_fields(snapshot, "title", snapshot.space("title")[4], page)[0]) == [("field", "title")]
    assert by_fields(snapshot, CONTENT, x[4], []) == []
