"""Encoders that were adapted: a map behind a frozen one, and what is kept of it."""

import numpy as np
import pytest

from mmrec.encoders.adapted import FOLDER, MAP, AdaptedEncoder, Adapter, mapped_fingerprint, record_of
from mmrec.encoders.base import ToyText, unit
from mmrec.encoders.modality import BoundEncoders
from mmrec.errors import EncodeError


def adapter(dim=64):
    rng = np.random.default_rng(0)
    down, up = (rng.standard_normal(shape).astype(np.float32) / 8 for shape in ((dim, 4), (4, dim)))
    return Adapter(unit(rng.standard_normal((1, dim)).astype(np.float32))[0] / 3, down, up)


def record(name="toy-text"):
    return {"name": name, "fingerprint": ToyText().fingerprint.as_dict()}


@pytest.fixture
def kept(tmp_path):
    """The record of an adapted encoder whose map lies in a folder."""
    packed = adapter().save()
    (tmp_path / FOLDER / "abc").mkdir(parents=True)
    (tmp_path / FOLDER / "abc" / MAP).write_bytes(packed)
    return record_of(record(), "abc", mapped_fingerprint(record(), "abc", packed)), tmp_path


def test_at_the_start_a_map_only_centres():
    mean = np.full(64, 0.05, np.float32)
    start = Adapter(mean, np.ones((64, 4), np.float32), np.zeros((4, 64), np.float32))
    x = ToyText().embed([["red mug"], ["blue cup"]])
    assert np.allclose(start(x), unit(x - mean), atol=1e-6)


def test_the_map_of_stored_embeddings_is_what_the_encoder_gives(kept):
    told, folder = kept
    encoder = BoundEncoders(lambda: {"text": told}, folder=folder)["text"]
    values = [["red mug"], ["blue cup", "a wooden chair"]]
    assert np.array_equal(encoder.embed(values), adapter()(ToyText().embed(values)))
    assert np.allclose(np.linalg.norm(encoder.forward(["red"]), axis=1), 1, atol=1e-5)
    assert encoder.fingerprint.as_dict() == told["fingerprint"]
    assert encoder.fingerprint.model == "toy-text+abc"


def test_the_encoder_of_the_caller_is_taken_as_the_parent(kept):
    told, folder = kept
    mine = ToyText()
    bound = BoundEncoders(lambda: {"text": told}, {"text": mine}, folder=folder)
    assert bound["text"].parent is mine


def test_another_record_is_another_encoder_and_one_back_is_the_frozen_one(kept):
    told, folder = kept
    now = {"text": record()}
    bound = BoundEncoders(lambda: now, folder=folder)
    assert isinstance(bound["text"], ToyText)
    now["text"] = told
    assert isinstance(bound["text"], AdaptedEncoder)
    now["text"] = record()
    assert isinstance(bound["text"], ToyText)


def test_a_damaged_map_is_an_error(kept):
    told, folder = kept
    (folder / FOLDER / "abc" / MAP).write_bytes(b"{}")
    with pytest.raises(EncodeError, match="cannot read the adapted encoder"):
        BoundEncoders(lambda: {"text": told}, folder=folder)["text"]
