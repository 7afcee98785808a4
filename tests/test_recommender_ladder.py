"""The rungs history -> taste -> popular -> newest: each alone, and each filling up after another."""

from datetime import UTC, datetime, timedelta
from itertools import groupby

import numpy as np
import pytest

from mmrec import Interaction, Item, Recommender
from mmrec.types import RUNGS

MAY = datetime(2024, 5, 1, tzinfo=UTC)
CONDITION = "price in (1, 2, 5, 6, 20, 21)"  # r0 r1 b0 b1, and bare0 bare1


@pytest.fixture(scope="module")
def shop(tmp_path_factory, red_blue):
    """Red and blue, four items without content, and a crowd; only to be read.

    `bare0` to `bare2` have interactions (`bare2` hardly any by now), `bare3` is only new.
    """
    shop = Recommender.open(
        tmp_path_factory.mktemp("ladder") / "s",
        {"text_encoder": "toy", "image_encoder": "toy", "weights": {"price": 0}},
    )
    bare = [
        Item(item_id=f"bare{n}", attributes={"price": 20.0 + n}, added_at=MAY + timedelta(days=n))
        for n in range(4)
    ]
    shop.ingest([*red_blue, *bare])
    crowd = [("bare0", 5), ("bare1", 2), ("b0", 4), ("r1", 1), ("gone", 9)]
    acts = [
        Interaction(user_id=f"v{n}", item_id=item_id, time=MAY) for item_id, count in crowd
        for n in range(count)
    ]
    acts += [
        Interaction(user_id="red", item_id="r0", time=MAY - timedelta(days=90)),
        Interaction(user_id="red", item_id="b3", kind="dislike", time=MAY - timedelta(days=80)),
        Interaction(user_id="cross", item_id="b3", kind="dislike", time=MAY),
        Interaction(user_id="lost", item_id="gone", time=MAY),
        Interaction(user_id="bare", item_id="bare2", time=MAY - timedelta(days=900)),
    ]
    shop.record(acts)
    return shop


def ids(results):
    return [r.item_id for r in results]


def rungs(results):
    """Rungs in their order, with how many results each gave."""
    return [(rung, len(list(group))) for rung, group in groupby(r.rung for r in results)]


def sums_up(results):
    return all(sum(x.contribution for x in r.reasons) == pytest.approx(r.score, abs=1e-5) for r in results)


@pytest.mark.parametrize(("query", "rung", "first"), [
    ({"history": ["r0"]}, "history", "r1"), ({"user": "red"}, "history", "r1"),
    ({"taste": "blue lamp"}, "taste", "b0"), ({"dislikes": ["r0"]}, "taste", "b0"),
    ({"user": "cross"}, "taste", "r0"), ({"user": "cross", "taste": "blue lamp"}, "taste", "b0"),
    ({}, "popular", "bare0"), ({"user": "nobody"}, "popular", "bare0"),
    ({"user": "lost"}, "popular", "bare0"), ({"history": []}, "popular", "bare0"),
    ({"taste": "  "}, "popular", "bare0"), ({"user": "bare"}, "popular", "bare0"),
    ({"history": ["bare2"]}, "popular", "bare0"),
])
def test_each_rung_answers_alone(shop, query, rung, first):
    (result,) = shop.recommend(**query, k=1)
    assert (result.rung, result.item_id) == (rung, first)


def test_newest_answers_where_nothing_is_popular(red_blue_shop):
    results = red_blue_shop.recommend(k=3)
    assert (rungs(results), ids(results)) == ([("newest", 3)], ["b3", "b2", "b1"])


@pytest.mark.parametrize(("query", "expected"), [
    ({"history": ["r0"]}, [("history", 7), ("popular", 3), ("newest", 1)]),
    ({"user": "red"}, [("history", 6), ("popular", 3), ("newest", 1)]),
    ({"taste": "blue"}, [("taste", 8), ("popular", 3), ("newest", 1)]),
    ({"user": "cross"}, [("taste", 7), ("popular", 3), ("newest", 1)]),
    ({"dislikes": ["r0", "bare0"]}, [("taste", 7), ("popular", 2), ("newest", 1)]),
    ({}, [("popular", 6), ("newest", 6)]),
    ({"exclude": ["bare1", "bare3"]}, [("popular", 5), ("newest", 5)]),
])
def test_the_next_rungs_fill_up(shop, query, expected):
    results = shop.recommend(**query, k=100)
    assert rungs(results) == expected
    assert len(set(ids(results))) == len(results)
    assert sums_up(results)
    order = [RUNGS.index(rung) for rung, _ in expected]
    assert order == sorted(order)


def test_a_lower_rung_is_not_asked_when_the_higher_one_has_enough(shop):
    assert rungs(shop.recommend(history=["r0"], k=7)) == [("history", 7)]
    assert rungs(shop.recommend(k=6)) == [("popular", 6)]
    assert rungs(shop.recommend(k=7)) == [("popular", 6), ("newest", 1)]


def test_popular_and_newest_are_in_their_order(shop, red_blue):
    results = shop.recommend(k=100)
    assert ids(results)[:6] == ["bare0", "b0", "bare1", "r1", "r0", "bare2"]
    worth = np.array([5, 4, 2, 1, 1 / 8, 0.5**30]) / 10  # `gone` has ten acts; r0's is 90 days old
    assert [r.score for r in results[:6]] == pytest.approx(worth)
    assert ids(results)[6:8] == ["bare3", "b3"]
    age = (MAY + timedelta(days=3) - red_blue[-1].added_at) / timedelta(days=1)
    assert [r.score for r in results[6:8]] == pytest.approx([0.0, -age])


@pytest.mark.parametrize(("query", "expected"), [
    ({"history": ["r0"]}, [("history", ["r1", "b0", "b1"]), ("popular", ["bare0", "bare1"])]),
    ({"taste": "red"}, [("taste", ["r0", "r1", "b0", "b1"]), ("popular", ["bare0", "bare1"])]),
    ({}, [("popular", ["bare0", "b0", "bare1", "r1", "r0"]), ("newest", ["b1"])]),
])
def test_a_condition_holds_on_every_rung(shop, query, expected):
    results = shop.recommend(**query, k=100, where=CONDITION)
    found = [(rung, ids(group)) for rung, group in groupby(results, key=lambda r: r.rung)]
    assert found == expected


def test_a_user_without_interactions_is_served_like_everybody(shop):
    assert shop.recommend(user="nobody", k=5) == shop.recommend(k=5)


def test_dislikes_add_to_what_is_recorded(shop):
    results = shop.recommend(user="red", dislikes=["r1"], k=100)
    assert not {"r0", "r1", "b3"} & set(ids(results))
    assert results[0].rung == "history"


def test_what_is_recorded_changes_what_is_shown(open_shop, red_blue):
    shop = open_shop("mine")
    shop.ingest(red_blue)
    assert shop.recommend(user="u", k=1)[0].rung == "newest"
    shop.record([Interaction(user_id="v", item_id="b1", time=MAY)])
    assert [(r.rung, r.item_id) for r in shop.recommend(user="u", k=1)] == [("popular", "b1")]
    shop.record([Interaction(user_id="u", item_id="r2", time=MAY)])
    assert [(r.rung, r.item_id) for r in shop.recommend(user="u", k=1)] == [("history", "r1")]
    shop.record([Interaction(user_id="u", item_id="r2", kind="dislike", weight=9, time=MAY)])
    assert "r2" not in ids(shop.recommend(user="u", k=100))


def test_a_history_whose_acts_say_nothing_is_still_not_shown(open_shop, red_blue):
    shop = open_shop("mine", kind_weights={"view": 0.0})
    shop.ingest(red_blue)
    shop.record([Interaction(user_id="u", item_id="b3", kind="view", time=MAY)])
    assert rungs(shop.recommend(user="u", k=100)) == [("newest", 7)]
    assert "b3" not in ids(shop.recommend(user="u", k=100))
