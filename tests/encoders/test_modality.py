"""Modalities, also one of a test's own, and the encoders of a store: loaded late, refused if not its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from mmrec import Config, Item, Recommender
from mmrec.encoders.base import Encoder, Fingerprint, ToyImage, ToyText
from mmrec.encoders.modality import (
    MODALITIES,
    TEXT,
    BoundEncoders,
    Modality,
    choose_encoders,
    encoder_names,
    modality_of,
)
from mmrec.errors import DataError, EncodeError, StoreMismatch

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
    assert tuple(record) == tuple(loaded) == ("text", "image") == tuple(MODALITIES)[:2]
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
    bound = BoundEncoders(lambda: recorded)
    assert "text" in bound
    assert "image" not in bound
    assert (list(bound), len(bound)) == (["text"], 1)
    with pytest.raises(EncodeError):
        bound["text"]


def test_an_encoder_is_loaded_once(recorded):
    bound = BoundEncoders(lambda: recorded)
    assert isinstance(bound["image"], ToyImage)
    assert bound["text"] is bound["text"]


@pytest.mark.parametrize("change", [
    {"model": "other"}, {"dim": 65}, {"sha256": "0" * 64}, {"preprocessing": "lower case"},
])
def test_another_encoder_is_refused_with_what_differs_and_what_to_do(recorded, change):
    (name, value), = change.items()
    with pytest.raises(StoreMismatch, match=f"{name} was .*, is {value}.*ingest into a new store"):
        BoundEncoders(lambda: recorded, {"text": Other(**change)})


def test_every_difference_is_named(recorded):
    with pytest.raises(StoreMismatch, match=r"model was toy-text, is b; dim was 64, is 65"):
        BoundEncoders(lambda: recorded, {"text": Other(model="b", dim=65)})


def test_a_named_encoder_is_compared_when_it_is_loaded(recorded):
    recorded["text"]["fingerprint"]["sha256"] = "0" * 64
    bound = BoundEncoders(lambda: recorded)
    with pytest.raises(StoreMismatch, match="sha256 was 0000"):
        bound["text"]


def test_the_same_weights_under_another_revision_are_the_same(recorded):
    same = Other(revision="wheel 2.0")
    assert BoundEncoders(lambda: recorded, {"text": same})["text"] is same


def test_an_encoder_for_a_modality_that_the_store_has_not_is_refused(recorded):
    del recorded["image"]
    with pytest.raises(StoreMismatch, match=r"without an encoder for image.*new store"):
        BoundEncoders(lambda: recorded, {"image": ToyImage()})


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


NOTES = ("citrus", "wood", "musk", "rose")


class Scent(Modality):
    """How an item smells: the notes in its attribute `notes`."""

    name = "scent"
    fields = frozenset({"scent"})

    def inputs(self, item: Item) -> Mapping[str, Sequence[str]]:
        notes = item.attributes.get("notes")
        return {"scent": notes} if notes else {}


class Nose(Encoder):
    """The shares of the notes; it cannot name others."""

    calls = 0

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(
            model="nose", modality="scent", dim=len(NOTES), revision="1", preprocessing="none",
            sha256="0" * 64,
        )

    def pieces(self, value: str) -> list[str]:
        if value not in NOTES:
            raise DataError(f"unknown note {value!r}: expected one of {', '.join(NOTES)}", field="notes")
        return [value]

    def forward(self, pieces: Sequence[str]) -> np.ndarray:
        self.calls += len(pieces)
        return np.array([[note == piece for note in NOTES] for piece in pieces], np.float32)


class Perfumer(Nose):
    """As `Nose`, and words find scents."""

    @property
    def words(self) -> Encoder:
        return Reader()


class Reader(Nose):
    def pieces(self, value: str) -> list[str]:
        return [note for note in NOTES if note in value]


@pytest.fixture
def scented(monkeypatch):
    """The registration, which is all that a modality needs besides its own classes."""
    monkeypatch.setitem(MODALITIES, "scent", Scent())


def perfume(item_id: str, *notes: str, title: str = "eau de parfum") -> Item:
    return Item(item_id=item_id, text={"title": title}, attributes={"notes": list(notes)})


PERFUMES = [
    perfume("a", "citrus", "wood"), perfume("b", "citrus"), perfume("c", "musk"),
    perfume("d", "musk", "rose"), Item(item_id="e", text={"title": "eau de parfum"}),
]


@pytest.mark.usefixtures("scented")
def test_a_modality_that_was_added_is_embedded_searched_and_part_of_the_content(open_shop):
    nose = Nose()
    shop = open_shop(encoders={"scent": nose}, image_encoder="none")
    report = shop.ingest(PERFUMES)
    assert (report.added, nose.calls) == (5, 6)
    assert [r.item_id for r in shop.similar("b", by="scent", k=1)] == ["a"]
    assert {r.item_id for r in shop.similar("b", by="scent")} <= set("acd")  # e has no scent
    assert "scent" in shop.stats()["fields"]
    by_content = {r.item_id: r.score for r in shop.similar("b")}
    assert by_content["a"] > by_content["c"]
    assert "scent" not in shop.snapshot().text_fields
    assert shop.search("parfum", k=5)
    assert shop.doctor()["healthy"]


@pytest.mark.usefixtures("scented")
def test_a_scent_costs_a_call_only_when_it_changes(open_shop):
    nose = Nose()
    shop = open_shop(encoders={"scent": nose}, image_encoder="none")
    shop.ingest(PERFUMES)
    before = nose.calls
    assert shop.ingest(PERFUMES).unchanged == 5
    assert shop.ingest([perfume("b", "citrus", title="cologne")]).encoder_calls == 1  # of the text
    assert nose.calls == before
    shop.ingest([perfume("b", "rose")])
    assert nose.calls == before + 1
    assert [r.item_id for r in shop.similar("b", by="scent", k=1)] == ["d"]


@pytest.mark.usefixtures("scented")
def test_an_input_that_the_encoder_refuses_rejects_its_item_alone(open_shop):
    shop = open_shop(encoders={"scent": Nose()}, image_encoder="none")
    report = shop.ingest([*PERFUMES, perfume("bad", "smoke")])
    assert (report.added, [(r.item_id, r.field) for r in report.rejections]) == (5, [("bad", "notes")])


@pytest.mark.usefixtures("scented")
def test_words_find_what_an_encoder_of_words_puts_into_the_same_space(open_shop):
    shop = open_shop(encoders={"scent": Perfumer()}, image_encoder="none")
    shop.ingest(PERFUMES)
    assert shop.snapshot().readable == ("words", "scent")
    assert [r.item_id for r in shop.similar(text="something with rose", by="scent", k=1)] == ["d"]
    nose = open_shop("other.mmrec", encoders={"scent": Nose()}, image_encoder="none")
    nose.ingest(PERFUMES)
    assert nose.snapshot().readable == ("words",)
    with pytest.raises(DataError, match="nothing to compare with by='scent'"):
        nose.similar(text="something with rose", by="scent")


@pytest.mark.usefixtures("scented")
def test_a_store_wants_the_encoder_that_made_its_scents_again(open_shop):
    open_shop(encoders={"scent": Nose()}, image_encoder="none").ingest(PERFUMES)
    again = open_shop(encoders={"scent": Nose()}, image_encoder="none")
    assert again.ingest(PERFUMES).unchanged == 5
    assert again.similar("b", by="scent")[0].item_id == "a"

    class Cold(Nose):
        @property
        def fingerprint(self) -> Fingerprint:
            return replace(super().fingerprint, sha256="1" * 64)

    with pytest.raises(StoreMismatch, match="another scent encoder"):
        open_shop(encoders={"scent": Cold()}, image_encoder="none")


def test_a_store_of_a_modality_that_is_not_there_is_refused(open_shop, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setitem(MODALITIES, "scent", Scent())
        open_shop(encoders={"scent": Nose()}, image_encoder="none").ingest(PERFUMES)
    with pytest.raises(StoreMismatch, match=r"embeddings of scent: add the modality to .*MODALITIES"):
        open_shop(image_encoder="none")


def test_an_encoder_of_a_modality_that_is_not_there_is_refused(open_shop):
    with pytest.raises(EncodeError, match="no modality is called scent: expected text, image"):
        open_shop(encoders={"scent": Nose()})


@pytest.mark.usefixtures("scented")
def test_a_text_may_not_take_the_field_of_a_modality(open_shop):
    shop = open_shop(encoders={"scent": Nose()}, image_encoder="none")
    report = shop.ingest([Item(item_id="a", text={"scent": "roses"}), *PERFUMES[1:]])
    assert (report.added, [(r.item_id, r.field) for r in report.rejections]) == (4, [("a", "scent")])


@pytest.mark.usefixtures("scented")
def test_each_field_belongs_to_one_modality():
    assert [modality_of(field).name for field in ("title", "_labels", "image", "scent")] == [
        "text", "text", "image", "scent",
    ]
    assert modality_of("anything else") is TEXT


@pytest.mark.usefixtures("scented")
def test_a_config_names_the_encoders_that_it_has_settings_for():
    assert encoder_names(Config(text_encoder="toy")) == {"text": "toy", "image": "auto", "audio": "auto"}

    class Wider(Config):
        scent_encoder: str = "none"

    assert encoder_names(Wider()) == {"text": "auto", "image": "auto", "audio": "auto", "scent": "none"}
