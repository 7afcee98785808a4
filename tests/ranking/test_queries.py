"""A query takes the road of an item into the space of the catalogue."""

import numpy as np
import pytest

from mmrec.encoders.toy import ToyImage, ToyText
from mmrec.errors import DataError
from mmrec.ranking.users import Query, point_of
from mmrec.search.latest import LatestSnapshot
from mmrec.search.vectors import CONTENT
from mmrec.store.ingest import Intake
from mmrec.types import WORDS


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

    size_ = 49

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
