"""Users and queries, as positions in the catalogue and vectors of it."""

import logging

import numpy as np
import pytest

from mmrec import Interaction
from mmrec.encoders.base import ToyImage, ToyText
from mmrec.errors import DataError, UnknownItem
from mmrec.ranking.request import Request
from mmrec.ranking.users import Point, Query, point_of, users_of, users_with
from mmrec.search.latest import LatestSnapshot
from mmrec.search.vectors import CONTENT
from mmrec.store.ingest import Intake
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


@pytest.fixture
def ask(catalogue, red_blue):
    """The snapshot of the red-blue catalogue, and where a query lies in one of its spaces."""
    Intake(catalogue).run(red_blue)
    snapshot = LatestSnapshot(catalogue).now()

    def ask_(query, by=CONTENT):
        return snapshot, point_of(snapshot, query, by)

    return ask_


def nearest(snapshot, point):
    return snapshot.ids[int(np.argmax(snapshot.space(point.space) @ point.vector))][0]


@pytest.mark.parametrize("by", [CONTENT, WORDS, "title"])
@pytest.mark.parametrize(("words", "letter"), [("red mug", "r"), ("a blue lamp", "b"), ("blue", "b")])
def test_words_land_near_what_they_name(ask, words, letter, by):
    snapshot, point = ask(Query(text=words), by)
    assert np.linalg.norm(point.vector) == pytest.approx(1)
    assert nearest(snapshot, point) == letter


def test_words_alone_are_compared_with_all_words_of_an_item(ask):
    assert ask(Query(text="red"))[1].space == WORDS
    snapshot, point = ask(Query(text="lamp"), WORDS)
    assert nearest(snapshot, point) == "b"
    assert ask(Query(text={"title": "red"}))[1].space == CONTENT
    assert ask(Query(text="red"), "title")[1].space == "title"


@pytest.mark.parametrize("by", [CONTENT, "image"])
def test_a_picture_lands_near_its_like(ask, paint, by):
    for colour in ("red", "blue"):
        snapshot, point = ask(Query(image=paint(colour)), by)
        assert point.space == by
        assert nearest(snapshot, point) == colour[0]


def test_an_items_own_fields_give_its_own_field_vector(ask, red_blue):
    for by, query in (("title", Query(text=red_blue[0].text)), ("image", Query(image=red_blue[0].image))):
        snapshot, point = ask(query, by)
        np.testing.assert_allclose(point.vector, snapshot.space(by)[snapshot.position["r0"]], atol=1e-6)


def test_words_and_picture_together_share_the_content(ask, paint):
    snapshot, point = ask(Query(text="red mug", image=paint("blue")))
    assert point.space == CONTENT
    filled = {name for name, span in snapshot.plan.spans.items() if point.vector[span].any()}
    assert filled == {"title", "image"}


class Colours(ToyText):
    """The words of a space of pictures: the name of a colour lies where its picture does."""

    length = 49

    def forward(self, pieces):
        planes = {"red": (0.5, -0.5, -0.5), "blue": (-0.5, -0.5, 0.5)}
        return np.array([[*planes[p] * 16, 0.1] for p in pieces], np.float32)


class Clip(ToyImage):
    words = Colours()


def test_words_look_for_pictures_where_the_image_encoder_has_words(catalogue, ask):
    catalogue.encoders = {**catalogue.encoders, "image": Clip()}
    for word in ("red", "blue"):
        snapshot, point = ask(Query(text=word), "image")
        assert point.space == "image"
        assert nearest(snapshot, point) == word[0]
        assert snapshot.readable == (WORDS, "image")


@pytest.mark.parametrize(("query", "by"), [
    (Query(text={"title": " "}), CONTENT), (Query(text={"story": "red"}), CONTENT), (Query(text={}), CONTENT),
    (Query(text=" "), CONTENT), (Query(text=""), WORDS), (Query(image=b""), CONTENT),
    (Query(text="red"), "image"), (Query(text="red"), "price"),
])
def test_a_query_with_nothing_to_compare_is_refused(ask, query, by):
    with pytest.raises(DataError, match="nothing to compare") as error:
        ask(query, by)
    assert "title" in str(error.value)


def test_an_unknown_space_and_a_bad_picture_are_refused(ask):
    with pytest.raises(DataError, match="no field of this catalogue"):
        ask(Query(text="red"), "smell")
    with pytest.raises(DataError, match="picture of 10 bytes") as error:
        ask(Query(image=b"no picture"))
    assert error.value.field == "image"


def test_a_query_is_not_stored(ask, catalogue):
    ask(Query(text="red mug"))
    assert catalogue.table.count() == 8
    assert not catalogue.lookup(["query"])
