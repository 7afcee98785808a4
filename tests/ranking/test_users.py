"""Who is asking, as positions in the catalogue and a vector."""

import logging

import numpy as np
import pytest

from mmrec import Interaction
from mmrec.errors import UnknownItem
from mmrec.ranking.request import Request
from mmrec.ranking.users import Point, users_of, users_with
from mmrec.search.vectors import CONTENT
from mmrec.types import WORDS


@pytest.fixture
def snapshot(red_blue_shop):
    return red_blue_shop.snapshot()


@pytest.fixture
def asked(red_blue_shop, snapshot):
    """The user of a request's arguments."""
    return lambda **arguments: users_of(snapshot, red_blue_shop.behaviour, [Request(**arguments)])[0]


@pytest.mark.parametrize(("weights", "told", "rung"), [
    ([1.0], False, "history"), ([-1.0, 2.0], True, "history"), ([], True, "taste"),
    ([-1.0], False, "taste"), ([-1.0], True, "taste"), ([], False, "popular"), ([0.0], False, "popular"),
])
def test_the_rung_is_the_highest_that_the_knowledge_reaches(snapshot, weights, told, rung):
    point = Point(WORDS, np.ones(3, np.float32))
    (user,) = users_with(snapshot, [[("r0", weight) for weight in weights]], {0: point} if told else None)
    assert (user.rung, user.told) == (rung, told and rung == "taste")
    assert (user.point is point) == user.told
    assert (user.point is None) == (rung == "popular")


def test_likes_come_before_dislikes_with_weights_of_one(asked):
    user = asked(history=["b1", "b0"], dislikes=["r0"])
    assert (user.positions.tolist(), user.weights.tolist()) == ([1, 0, 4], [1.0, 1.0, -1.0])


def test_a_recorded_user_comes_with_the_weights_of_what_was_done(open_shop, red_blue):
    shop = open_shop()
    shop.ingest(red_blue)
    shop.record([Interaction(user_id="u", item_id="r1", kind="purchase"),
                 Interaction(user_id="u", item_id="gone", kind="click")])
    (user,) = users_of(shop.snapshot(), shop.behaviour, [Request(user="u", dislikes=["b0"])])
    assert (user.positions.tolist(), user.weights.tolist()) == ([5, 0], [3.0, -1.0])


def test_a_history_is_searched_from_where_the_towers_say(snapshot):
    (user,) = users_with(snapshot, [[("r1", 2.0), ("b0", 1.0), ("r1", -1.0)]])
    x = snapshot.space(CONTENT)
    expected = snapshot.towers.user(x[[5, 0, 5]], np.array([2, 1, -1], np.float32))
    assert user.point.space == CONTENT
    np.testing.assert_allclose(user.point.vector, expected, atol=1e-6)


def test_many_users_are_users_one_by_one(snapshot):
    histories = [[("r0", 1.0)], [], [("b1", -1.0)], [("gone", 1.0)]]
    many = users_with(snapshot, histories)
    for one, history in zip(many, histories, strict=True):
        (alone,) = users_with(snapshot, [history])
        assert one.rung == alone.rung
        assert (one.point is None) == (alone.point is None)
        if one.point:
            np.testing.assert_array_equal(one.point.vector, alone.point.vector)


def test_unknown_items_are_skipped_and_told(asked, caplog):
    with caplog.at_level(logging.WARNING):
        user = asked(history=["gone", "r0"])
    assert user.positions.tolist() == [4]
    assert "gone" in caplog.text


def test_a_history_of_which_nothing_is_known_is_an_error_where_it_was_given(asked, snapshot, caplog):
    with pytest.raises(UnknownItem, match="gone"):
        asked(history=["gone"])
    assert asked(user="who").rung == "popular"
    assert users_with(snapshot, [[("gone", 1.0)]])[0].rung == "popular"
    assert caplog.records == []


def test_a_taste_in_words_is_where_one_without_a_history_is(asked):
    told = asked(taste="red mug")
    assert (told.rung, told.told, told.point.space) == ("taste", True, WORDS)
    assert asked(taste="red mug", history=["r0"]).point.space == CONTENT
    assert asked(taste="  ").point is None
