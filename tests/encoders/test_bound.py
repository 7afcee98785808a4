"""Encoders of a store: loaded when first used, and refused when they are not those that made it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmrec import Item, Recommender
from mmrec.encoders.base import Fingerprint
from mmrec.encoders.bound import MODALITIES, BoundEncoders, choose_encoders
from mmrec.encoders.toy import ToyImage, ToyText
from mmrec.errors import EncodeError, StoreMismatch

TOY = {"text": "toy", "image": "toy"}


class Other(ToyText):
    """A toy that says it is something else."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        self.changes = changes

    @property
    def fingerprint(self) -> Fingerprint:
        return replace(super().fingerprint, **self.changes)


@pytest.fixture
def recorded():
    return choose_encoders(TOY)[0]


def test_a_new_store_records_names_and_fingerprints():
    record, loaded = choose_encoders(TOY)
    assert tuple(record) == tuple(loaded) == MODALITIES == ("text", "image")
    assert record["text"] == {"name": "toy", "fingerprint": ToyText().fingerprint.as_dict()}


def test_none_leaves_a_modality_out():
    record, loaded = choose_encoders({"text": "toy", "image": "none"})
    assert record.keys() == loaded.keys() == {"text"}


def test_an_encoder_of_the_callers_own_is_taken_in_place_of_a_named_one():
    mine = Other(model="mine")
    record, loaded = choose_encoders({"text": "no-such-model", "image": "none"}, {"text": mine})
    assert loaded["text"] is mine
    assert record["text"]["fingerprint"]["model"] == "mine"


def test_a_choice_by_itself_is_recorded_by_the_name_that_it_led_to():
    record, _ = choose_encoders({"text": "auto", "image": "none"}, {"text": Other(model="mine")})
    assert record["text"]["name"] == "mine"


def test_a_name_that_means_nothing_is_an_error():
    with pytest.raises(EncodeError):
        choose_encoders({"text": "no-such-model", "image": "none"})


def test_nothing_is_loaded_before_it_is_used():
    recorded = {"text": {"name": "no-such-model", "fingerprint": {}}}
    bound = BoundEncoders(recorded)
    assert "text" in bound
    assert "image" not in bound
    assert (list(bound), len(bound)) == (["text"], 1)
    with pytest.raises(EncodeError):
        bound["text"]


def test_an_encoder_is_loaded_once(recorded):
    bound = BoundEncoders(recorded)
    assert isinstance(bound["image"], ToyImage)
    assert bound["text"] is bound["text"]


@pytest.mark.parametrize("change", [
    {"model": "other"}, {"dim": 65}, {"sha256": "0" * 64}, {"preprocessing": "lower case"},
])
def test_another_encoder_is_refused_with_what_differs_and_what_to_do(recorded, change):
    (name, value), = change.items()
    with pytest.raises(StoreMismatch, match=f"{name} was .*, is {value}.*ingest into a new store"):
        BoundEncoders(recorded, {"text": Other(**change)})


def test_every_difference_is_named(recorded):
    with pytest.raises(StoreMismatch, match=r"model was toy-text, is b; dim was 64, is 65"):
        BoundEncoders(recorded, {"text": Other(model="b", dim=65)})


def test_a_named_encoder_is_compared_when_it_is_loaded(recorded):
    recorded["text"]["fingerprint"]["sha256"] = "0" * 64
    bound = BoundEncoders(recorded)
    with pytest.raises(StoreMismatch, match="sha256 was 0000"):
        bound["text"]


def test_the_same_weights_under_another_revision_are_the_same(recorded):
    same = Other(revision="wheel 2.0")
    assert BoundEncoders(recorded, {"text": same})["text"] is same


def test_an_encoder_for_a_modality_that_the_store_has_not_is_refused(recorded):
    del recorded["image"]
    with pytest.raises(StoreMismatch, match=r"without an encoder for image.*new store"):
        BoundEncoders(recorded, {"image": ToyImage()})


def test_a_store_of_the_callers_encoders_wants_them_again(tmp_path):
    path, settings = tmp_path / "shop.mmrec", {"image_encoder": "none"}
    with Recommender.open(path, settings, encoders={"text": Other(model="mine")}) as shop:
        assert shop.ingest([Item(item_id="a", text={"title": "red mug"})]).encoder_calls == 1
    with Recommender.open(path, encoders={"text": Other(model="mine")}) as shop:
        assert shop.similar(text="red mug")[0].item_id == "a"
    with pytest.raises(StoreMismatch, match="model was mine, is toy-text"):
        Recommender.open(path, encoders={"text": ToyText()})
    with Recommender.open(path) as shop:  # nothing is loaded for what needs no encoder
        assert shop.get(["a"])[0].text == {"title": "red mug"}
        with pytest.raises(EncodeError, match="mine"):
            shop.similar(text="red mug")
