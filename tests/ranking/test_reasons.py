"""Contributions: the largest by name, the rest as one, summing to the score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.ranking.page import Slot
from mmrec.ranking.reasons import MOST_REASONS, by_fields, by_history, largest
from mmrec.ranking.users import Point, Shopper, acts_of, shopper_of
from mmrec.search.latest import Index
from mmrec.search.vectors import CONTENT
from mmrec.store.ingest import Intake
from mmrec.types import Reason


@pytest.fixture
def snapshot(catalogue, red_blue):
    Intake(catalogue).run(red_blue)
    return Index(catalogue).now()


def slot(place, score=0.5, rung="history"):
    return Slot(place, score, rung)


def told(reasons):
    return [(r.source, r.name) for r in reasons]


@given(st.lists(st.floats(-1, 1, width=32), max_size=6), st.floats(-1, 1))
def test_reasons_sum_to_the_score_the_largest_first(values, base):
    score = sum(values) + base
    reasons = largest([("item", f"i{n}", value) for n, value in enumerate(values)], score)
    named = [r.contribution for r in reasons if r.source == "item"]
    assert sum(r.contribution for r in reasons) == pytest.approx(score, abs=1e-4)
    assert [abs(c) for c in named] == sorted((abs(v) for v in values if v), reverse=True)[:MOST_REASONS]
    assert len(reasons) <= len(named) + 1


def test_what_a_head_gives_to_everybody_is_the_rest():
    assert largest([("item", "a", 0.25)], 0.75) == (
        Reason(source="item", name="a", contribution=0.25),
        Reason(source="other", name="the rest", contribution=0.5),
    )
    assert largest([("item", "a", 0.25)], 0.25) == (Reason(source="item", name="a", contribution=0.25),)


def test_an_item_that_stands_twice_in_a_history_is_named_once(snapshot):
    shopper = shopper_of(snapshot, acts_of(["r0", "r0", "b0"]))
    x = snapshot.space(CONTENT)
    user = snapshot.towers.user(x[list(shopper.places)], np.ones(3, np.float32))
    (reasons,) = by_history(snapshot, shopper, [slot(5, float(x[5] @ user))])
    assert sorted(told(reasons)) == [("item", "b0"), ("item", "r0")]
    assert reasons[0].name == "r0"
    assert sum(r.contribution for r in reasons) == pytest.approx(float(x[5] @ user), abs=1e-5)


def test_each_rung_has_its_own_reason(snapshot):
    words = Shopper(words=Point("title", snapshot.space("title")[0]))
    page = [slot(0, 0.9, "taste"), slot(1, 0.5, "popular"), slot(2, -3.0, "newest")]
    assert [told(r) for r in by_history(snapshot, words, page)] == [
        [("words", "taste")], [("other", "popularity")], [("other", "days behind the newest item")]]
    known = shopper_of(snapshot, acts_of(["r0"]))
    assert told(by_history(snapshot, known, page[1:])[0]) == [("other", "popularity")]


def test_a_stranger_needs_no_vectors(snapshot, monkeypatch):
    monkeypatch.setattr(type(snapshot), "scorer", lambda *_: pytest.fail("vectors were loaded"))
    assert len(by_history(snapshot, Shopper(), [slot(1, 0.5, "popular")])) == 1


def test_fields_of_the_content_share_its_cosine(snapshot):
    x = snapshot.space(CONTENT)
    page = [slot(p, float(x[4] @ x[p])) for p in (5, 0)]
    for of, reasons in zip(page, by_fields(snapshot, CONTENT, x[4], page), strict=True):
        assert {r.name for r in reasons} <= {"title", "image", "category", "price", "the rest"}
        assert sum(r.contribution for r in reasons) == pytest.approx(of.score, abs=1e-5)
    assert told(by_fields(snapshot, "title", snapshot.space("title")[4], page)[0]) == [("field", "title")]
    assert by_fields(snapshot, CONTENT, x[4], []) == []
