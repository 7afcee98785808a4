"""A query takes the road of an item into the space of the catalogue."""

import numpy as np
import pytest

from mmrec.encoders.toy import ToyImage, ToyText
from mmrec.errors import DataError
from mmrec.index import CONTENT, Index
from mmrec.intake import Intake
from mmrec.queries import Query, query_vector


@pytest.fixture
def ask(catalogue, red_blue):
    """The vector of a query in a space of the red-blue catalogue."""
    Intake(catalogue).run(red_blue)
    snapshot = Index(catalogue).now()

    def ask_(query, by=CONTENT):
        return snapshot, query_vector(catalogue, snapshot, query, by)

    return ask_


def nearest(snapshot, vector, by):
    return snapshot.ids[int(np.argmax(snapshot.space(by) @ vector))][0]


@pytest.mark.parametrize("by", [CONTENT, "title"])
@pytest.mark.parametrize(("words", "letter"), [("red mug", "r"), ("a blue lamp", "b"), ("blue", "b")])
def test_words_land_near_what_they_name(ask, words, letter, by):
    snapshot, vector = ask(Query(text=words), by)
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert nearest(snapshot, vector, by) == letter


@pytest.mark.parametrize("by", [CONTENT, "image"])
def test_a_picture_lands_near_its_like(ask, paint, by):
    for colour in ("red", "blue"):
        snapshot, vector = ask(Query(image=paint(colour)), by)
        assert nearest(snapshot, vector, by) == colour[0]


def test_an_items_own_fields_give_its_own_field_vector(ask, red_blue):
    for by, query in (("title", Query(text=red_blue[0].text)), ("image", Query(image=red_blue[0].image))):
        snapshot, vector = ask(query, by)
        np.testing.assert_allclose(vector, snapshot.space(by)[snapshot.position["r0"]], atol=1e-6)


def test_words_and_picture_together_share_the_content(ask, paint):
    snapshot, vector = ask(Query(text="red mug", image=paint("blue")))
    title, image = (vector[snapshot.plan.spans[name]] for name in ("title", "image"))
    assert title.any()
    assert image.any()
    assert not vector[snapshot.plan.spans["price"]].any()


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
        snapshot, vector = ask(Query(text=word), "image")
        assert nearest(snapshot, vector, "image") == word[0]
        assert ask(Query(text=word), CONTENT)[1][snapshot.plan.spans["image"]].any()


@pytest.mark.parametrize(("query", "by"), [
    (Query(text=" "), CONTENT), (Query(text={"story": "red"}), CONTENT), (Query(text={}), CONTENT),
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
