"""Settings: defaults, refusal of what is unknown or out of range, and the TOML file."""

from __future__ import annotations

import psutil
import pytest
from pydantic import ValidationError

from mmrec.config import Config, memory_of
from mmrec.errors import ConfigError


def test_nothing_given_means_the_defaults():
    assert Config.make() == Config.make({}) == Config()
    assert (Config().text_encoder, Config().image_encoder) == ("auto", "auto")
    assert Config().kind_weights["purchase"] > Config().kind_weights["click"] > 0 > Config().kind_weights[
        "dislike"]


def test_a_config_passes_through():
    config = Config(text_encoder="toy", weights={"title": 2})
    assert Config.make(config) is config


def test_settings_survive_json():
    config = Config(weights={"title": 2, "image": 0}, attribute_weight=0.5, rrf_k=10)
    assert Config.make(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(("settings", "at_fault"), [
    ({"text_encodr": "toy"}, "text_encodr"), ({"weights": {"title": -1}}, "weights.title"),
    ({"weights": {"title": float("nan")}}, "weights.title"), ({"weights": {"title": 1001}}, "weights.title"),
    ({"weights": {"title": "heavy"}}, "weights.title"), ({"weights": ["title"]}, "weights"),
    ({"attribute_weight": -0.1}, "attribute_weight"), ({"popularity_half_life": 0}, "popularity_half_life"),
    ({"popularity_half_life": float("nan")}, "popularity_half_life"), ({"rrf_k": 0}, "rrf_k"),
    ({"rrf_k": 1.5}, "rrf_k"), ({"kind_weights": {"click": 1001}}, "kind_weights.click"),
    ({"kind_weights": {"click": float("nan")}}, "kind_weights.click"), ({"dislike_weight": -1}, "dislike"),
    ({"text_encoder": None}, "text_encoder"), ({"language": "klingon"}, "language"),
])
def test_a_setting_that_is_unknown_or_out_of_range_is_named(settings, at_fault):
    with pytest.raises(ConfigError, match=at_fault) as caught:
        Config.make(settings)
    assert "Known settings: text_encoder, image_encoder" in str(caught.value)


def test_every_problem_is_named_at_once():
    with pytest.raises(ConfigError, match=r"rrf_k.*colour|colour.*rrf_k"):
        Config.make({"rrf_k": -1, "colour": "red"})


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValidationError, match="frozen"):
        Config().rrf_k = 5


def test_a_toml_file_is_read(tmp_path):
    path = tmp_path / "mmrec.toml"
    path.write_text('text_encoder = "toy"\n[weights]\ntitle = 2\n"image" = 0.5\n', encoding="utf-8")
    assert Config.read(path) == Config(text_encoder="toy", weights={"title": 2, "image": 0.5})


@pytest.mark.parametrize("content", [None, b"text_encoder = ", b"\xff\xfe", b'colour = "red"'])
def test_a_file_that_cannot_be_read_is_an_error_of_ours(tmp_path, content):
    path = tmp_path / "mmrec.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError):
        Config.read(path)


def test_the_memory_for_vectors_is_a_size_or_a_quarter_of_the_machine(monkeypatch):
    assert memory_of("3GB") == 3_000_000_000
    assert memory_of("512MiB") == 512 * 2**20
    assert memory_of(1_000) == 1_000
    assert 0 < memory_of(None) < psutil.virtual_memory().total
    monkeypatch.setenv("MMREC_MEMORY", "2GB")
    assert memory_of(None) == 2_000_000_000
    assert memory_of("1GB") == 1_000_000_000
    for wrong in ("much", "-1GB", "3 apples"):
        with pytest.raises(ConfigError, match="memory must be a size such as '3GB', got"):
            memory_of(wrong)
