"""From a query to results: rungs, reasons, fusion."""

from itertools import pairwise

import numpy as np
import pytest

from mmrec import Item
from mmrec.ranking.request import Request
from mmrec.ranking.retrieve import nearest, recommend
from mmrec.ranking.users import Point, users_with
from mmrec.search.latest import LatestSnapshot
from mmrec.search.vectors import CONTENT
from mmrec.store.ingest import Intake


@pytest.fixture
def snapshot(catalogue, red_blue):
    Intake(catalogue).run(red_blue)
    return LatestSnapshot(catalogue).now()


def user_of(snapshot, history=(), dislikes=(), taste=None):
    events = [(i, 1.0) for i in history] + [(i, -1.0) for i in dislikes]
    return users_with(snapshot, [events], {0: taste} if taste else None)[0]


@pytest.fixture
def serve(snapshot):
    """Recommends to a history in the snapshot."""

    def serve_(history=(), dislikes=(), k=8, popularity=None, where=None, **options):
        request = Request(k=k, where=where, **options)
        user = user_of(snapshot, history, dislikes)
        return recommend(snapshot, [request], [user], lambda: popularity or {})[0]

    return serve_


def ids(results):
    return [r.item_id for r in results]


def test_a_red_history_finds_red_items_first(serve):
    results = serve(["r0", "r1"])
    assert set(ids(results[:2])) == {"r2", "r3"}
    assert {r.rung for r in results} == {"history"}
    assert all(a.score >= b.score for a, b in pairwise(results))


def test_the_score_is_the_cosine_with_the_user(serve, snapshot):
    point, x = user_of(snapshot, ["r0", "b0"], ["b1"]).point, snapshot.space(CONTENT)
    assert point.space == CONTENT
    assert np.linalg.norm(point.vector) == pytest.approx(1)
    for result in serve(["r0", "b0"], ["b1"]):
        assert result.score == pytest.approx(float(x[snapshot.position[result.item_id]] @ point.vector))


@pytest.mark.parametrize("history", [["r0"], ["r0", "r1"], ["r0", "b1", "r2", "b3", "r3"], ["r0", "r0"]])
@pytest.mark.parametrize("dislikes", [[], ["b0"]])
def test_reasons_sum_to_the_score_and_name_the_history(serve, history, dislikes):
    for result in serve(history, dislikes):
        if result.rung == "history":
            named = [r.name for r in result.reasons if r.source == "item"]
            assert set(named) <= {*history, *dislikes}
            assert len(named) == len(set(named))
            if len({*history, *dislikes}) <= 3:  # all are named, so that they alone make the score
                assert sum(r.contribution for r in result.reasons if r.source == "item") == pytest.approx(
                    result.score, abs=1e-5)


def test_a_disliked_item_is_a_reason_against(serve):
    (blue,) = [r for r in serve(["r0"], ["b0"]) if r.item_id == "b1"]
    assert {r.name: r.contribution < 0 for r in blue.reasons if r.source == "item"}["b0"]


def test_words_say_where_a_user_without_a_history_is(snapshot):
    point = Point("title", snapshot.space("title")[snapshot.position["b0"]])
    assert user_of(snapshot, ["r0"], taste=point).point.space == CONTENT
    ((result, *_),) = recommend(snapshot, [Request(k=8)], [user_of(snapshot, taste=point)], dict)
    assert (result.item_id, result.rung, result.score) == ("b0", "taste", pytest.approx(1))
    assert [(r.source, r.name) for r in result.reasons] == [("words", "taste")]


def test_nothing_of_the_history_or_excluded_is_shown(serve):
    assert not {"r0", "b3"} & set(ids(serve(["r0"], exclude=["b3", "who"])))


def test_popular_items_come_with_their_share_of_the_most_popular(serve):
    results = serve(popularity={"b2": 4.0, "r1": 1.0, "gone": 2.0}, k=2)
    assert {r.rung for r in results} == {"popular"}
    assert {r.item_id: r.score for r in results} == {"b2": 1.0, "r1": 0.25}


def test_the_newest_items_come_with_their_age_in_days(serve):
    results = serve(k=3)
    assert [(r.item_id, r.rung, r.score) for r in results] == [
        ("b3", "newest", 0.0), ("b2", "newest", -1.0), ("b1", "newest", -2.0),
    ]


def test_a_condition_holds_on_every_rung(serve):
    results = serve(["r0"], popularity={"b2": 4.0, "r1": 1.0}, where="price in (2, 3, 7, 8)")
    assert ids(results)[:2] == ["r1", "r2"]
    assert set(ids(results)) == {"r1", "r2", "b2", "b3"}
    assert ids(serve(popularity={"b2": 4.0, "r1": 1.0}, where="price in (2, 3)")) == ["r1", "r2"]


def test_similar_leaves_out_what_is_excluded_and_names_the_fields(snapshot):
    query = snapshot.space(CONTENT)[snapshot.position["r0"]]
    results = nearest(snapshot, Point(CONTENT, query), Request(k=3), exclude=[snapshot.position["r0"]])
    assert ids(results) == ["r1", "r2", "r3"]
    for result in results:
        assert result.rung == "similar"
        assert {r.source for r in result.reasons} <= {"field", "other"}
        assert {r.name for r in result.reasons} <= {"title", "image", "category", "price", "the rest"}
        assert sum(r.contribution for r in result.reasons) == pytest.approx(result.score, abs=1e-5)


def test_similar_by_one_field_has_that_field_as_its_only_reason(snapshot):
    query = snapshot.space("image")[snapshot.position["b0"]]
    (result, *_) = nearest(snapshot, Point("image", query), Request(k=8))
    assert [(r.source, r.name) for r in result.reasons] == [("field", "image")]
    assert result.score == pytest.approx(1)


def test_an_item_without_content_can_only_be_popular_or_new(catalogue, red_blue):
    Intake(catalogue).run([*red_blue, Item(item_id="bare", added_at=red_blue[0].added_at)])
    snapshot = LatestSnapshot(catalogue).now()
    ((*rest, last),) = recommend(snapshot, [Request(k=100)], [user_of(snapshot, ["r0"])], dict)
    assert (last.item_id, last.rung) == ("bare", "newest")
    assert {r.rung for r in rest} == {"history"}
