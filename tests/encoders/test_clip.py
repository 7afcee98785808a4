import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec.encoders import load_encoder
from mmrec.errors import EncodeError


@pytest.fixture
def encoder(load):
    return load("clip_folder", "image")


def test_words_are_the_text_encoder_of_the_same_model(encoder):
    words = encoder.words
    assert words is encoder.words
    assert words._space is encoder._space  # one model in memory
    assert words.dim == encoder.dim == 32
    assert (encoder.fingerprint.modality, words.fingerprint.modality) == ("image", "text")
    assert encoder.fingerprint.sha256 == words.fingerprint.sha256


def test_a_clip_may_be_loaded_for_its_words_alone(load, encoder):
    words = load("clip_folder", "text")
    assert words.fingerprint == encoder.words.fingerprint
    np.testing.assert_allclose(words.embed([["red mug"]]), encoder.words.embed([["red mug"]]), atol=1e-5)


def test_embeddings_are_those_of_open_clip(encoder, clip_folder, pictures):
    import open_clip

    name = f"local-dir:{clip_folder}"
    model, transform = open_clip.create_model_from_pretrained(name)
    model.eval()
    texts = ["a red mug", "chairs & tables"]
    with torch.inference_mode():
        of_images = model.encode_image(torch.stack([transform(p) for p in pictures]), normalize=True).numpy()
        of_texts = model.encode_text(open_clip.get_tokenizer(name)(texts), normalize=True).numpy()
    np.testing.assert_allclose(encoder.embed([[p] for p in pictures]), of_images, atol=1e-4)
    np.testing.assert_allclose(encoder.words.embed([[t] for t in texts]), of_texts, atol=1e-4)


def test_no_window_is_truncated_by_the_tokenizer(encoder):
    words = encoder.words
    text = "antidisestablishmentarianism & 😀 Ünïcödé 価格 red mug " * 60
    for window in words.pieces(text):
        assert len(words._space.tokenizer.encode(window)) + 2 <= words._space.context


def test_a_tokenizer_of_transformers_serves_too(clip_folder, bert_folder, tmp_path):
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(bert_folder / name, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "any: the folder's is taken"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    words = load_encoder(str(folder), "text", device="cpu")
    windows = words.pieces("a red mug, blue cup & wooden chair " * 30)
    lengths = [len(words._space.tokenizer.tokenizer(window)["input_ids"]) for window in windows]
    assert len(windows) > 10
    assert max(lengths) <= 24
    assert words.embed([["red mug " * 100], ["red mug " * 99 + "chair"]]).shape == (2, 32)


def test_loading_says_nothing_and_leaves_logging_alone(clip_folder, capfd):
    before = logging.root.handlers[:], logging.root.level
    load_encoder(str(clip_folder), "image", device="cpu")
    assert (logging.root.handlers, logging.root.level) == before
    assert capfd.readouterr() == ("", "")


class Payload:
    """What a hostile pickle would run."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_a_pickle_that_runs_code_is_refused(clip_folder, tmp_path):
    folder = shutil.copytree(clip_folder, tmp_path / "hostile")
    (folder / "open_clip_model.safetensors").unlink()
    torch.save({"weights": Payload(tmp_path / "ran")}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(EncodeError, match="hostile cannot be loaded"):
        load_encoder(str(folder), "image", device="cpu")
    assert not (tmp_path / "ran").exists()


def test_an_honest_pickle_is_read(clip_folder, encoder, tmp_path, pictures):
    from safetensors.torch import load_file

    folder = shutil.copytree(clip_folder, tmp_path / "pickled")
    state = load_file(folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    pickled = load_encoder(str(folder), "image", device="cpu")
    np.testing.assert_allclose(pickled.embed([[pictures[0]]]), encoder.embed([[pictures[0]]]), atol=1e-5)
