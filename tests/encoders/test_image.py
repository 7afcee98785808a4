import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmrec.encoders import MODELS, load_encoder
from mmrec.encoders.image import LITE0, as_bytes, bounded, centre, renamed
from mmrec.encoders.weights import fetch
from mmrec.errors import EncodeError


@pytest.fixture
def lite0(load):
    return load("efficientnet-lite0", "image")


def shape(colour: str, box: tuple[int, int, int, int]) -> Image.Image:
    picture = Image.new("RGB", (200, 200), "white")
    picture.paste(colour, box)
    return picture


def test_pictures_of_one_colour_are_nearer(lite0):
    red, moved, blue = lite0.embed([
        [shape("red", (40, 40, 160, 160))],
        [shape("red", (50, 40, 170, 160))],
        [shape("blue", (40, 40, 160, 160))],
    ])
    assert red @ moved > red @ blue + 0.1


def test_lite0_is_what_timm_makes_of_the_same_weights(lite0, pictures):
    import timm

    state = torch.load(fetch(MODELS["efficientnet-lite0"]).path, weights_only=True)
    theirs = timm.create_model(LITE0, pretrained=False).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), state.values(), strict=True)))
    batch = torch.stack([as_bytes(centre(picture)) for picture in pictures]).float() / 255
    with torch.inference_mode():
        expected = theirs.global_pool(theirs.forward_features((batch - 0.5) / 0.5)).numpy()
    ours = lite0.forward([piece for picture in pictures for piece in lite0.pieces(picture)])
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_the_centre_is_the_middle_of_the_resized_picture():
    square = Image.effect_noise((256, 256), 60).convert("RGB")
    np.testing.assert_array_equal(centre(square), square.crop((16, 16, 240, 240)))
    slope = Image.linear_gradient("L").resize((300, 400)).convert("RGB")
    expected = slope.resize((256, 341), Image.Resampling.BICUBIC).crop((16, 58, 240, 282))
    np.testing.assert_allclose(np.asarray(centre(slope), float), np.asarray(expected, float), atol=2)


def test_weights_of_another_model_are_refused():
    state = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}
    assert list(renamed(state, {"x": torch.ones(2, 3), "y": torch.ones(4)})) == ["x", "y"]
    for other in ({"x": torch.ones(2, 3)}, {"x": torch.ones(3, 2), "y": torch.ones(4)}):
        with pytest.raises(EncodeError, match="of another model"):
            renamed(state, other)


def test_dinov2_gives_the_class_token_of_the_pictures_its_processor_makes(load, dino_folder, pictures):
    from transformers import AutoImageProcessor, AutoModel

    encoder = load("dino_folder", "image")
    processor = AutoImageProcessor.from_pretrained(dino_folder, backend="pil")
    with torch.inference_mode():
        inputs = processor(images=pictures, return_tensors="pt")
        expected = AutoModel.from_pretrained(dino_folder)(**inputs).last_hidden_state[:, 0].numpy()
    ours = encoder.forward([piece for picture in pictures for piece in encoder.pieces(picture)])
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_a_model_of_transformers_tells_how_it_prepares_pictures(load, dino_folder):
    print_ = load("dino_folder", "image").fingerprint
    assert (print_.model, print_.dim, print_.revision) == (dino_folder.name, 32, "local")
    assert "shortest_edge" in print_.preprocessing
    assert "0.485" in print_.preprocessing


def test_a_model_that_lacks_weights_is_refused(dino_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(dino_folder, tmp_path / "partial")
    state = load_file(folder / "model.safetensors")
    removed = next(name for name in state if "attention" in name)
    save_file({name: t for name, t in state.items() if name != removed}, folder / "model.safetensors",
              metadata={"format": "pt"})
    with pytest.raises(EncodeError, match="lacks weights of partial"):
        load_encoder(str(folder), "image", device="cpu")


@pytest.mark.parametrize("name", ["efficientnet-lite0", "dino_folder", "clip_folder"])
def test_a_long_strip_is_no_bigger_than_other_pictures_once_prepared(load, name):
    encoder = load(name, "image")
    square, strip = (encoder.pieces(Image.new("RGB", size, "red"))[0] for size in [(64, 64), (3, 2_000)])
    assert square.shape == strip.shape


def test_only_a_strip_is_cut():
    assert bounded(Image.new("RGB", (800, 100))).size == (800, 100)
    assert bounded(Image.new("RGB", (900, 100))).size == (800, 100)
    assert bounded(Image.new("RGB", (1, 2_000))).size == (1, 8)


def test_loading_says_nothing(dino_folder, pictures, capfd):
    load_encoder(str(dino_folder), "image", device="cpu").embed([[pictures[0]]])
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def clip(load):
    return load("clip_folder", "image")


def test_words_are_the_text_encoder_of_the_same_model(clip):
    words = clip.words
    assert words is clip.words
    assert words._model is clip._model  # one model in memory
    assert words.dim == clip.dim == 32
    assert (clip.fingerprint.modality, words.fingerprint.modality) == ("image", "text")
    assert clip.fingerprint.sha256 == words.fingerprint.sha256


def test_a_clip_may_be_loaded_for_its_words_alone(load, clip):
    words = load("clip_folder", "text")
    assert words.fingerprint == clip.words.fingerprint
    np.testing.assert_allclose(words.embed([["red mug"]]), clip.words.embed([["red mug"]]), atol=1e-5)


def test_embeddings_are_those_of_open_clip(clip, clip_folder, pictures):
    import open_clip

    name = f"local-dir:{clip_folder}"
    model, transform = open_clip.create_model_from_pretrained(name)
    model.eval()
    texts = ["a red mug", "chairs & tables"]
    with torch.inference_mode():
        of_images = model.encode_image(torch.stack([transform(p) for p in pictures]), normalize=True).numpy()
        of_texts = model.encode_text(open_clip.get_tokenizer(name)(texts), normalize=True).numpy()
    np.testing.assert_allclose(clip.embed([[p] for p in pictures]), of_images, atol=1e-4)
    np.testing.assert_allclose(clip.words.embed([[t] for t in texts]), of_texts, atol=1e-4)


def test_no_window_is_truncated_by_the_tokenizer(clip):
    words = clip.words
    text = "antidisestablishmentarianism & 😀 Ünïcödé 価格 red mug " * 60
    for window in words.pieces(text):
        assert len(words._tokenizer.encode(window)) + 2 <= words._context


def test_a_tokenizer_of_transformers_serves_too(clip_folder, bert_folder, tmp_path):
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(bert_folder / name, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "any: the folder's is taken"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    words = load_encoder(str(folder), "text", device="cpu")
    windows = words.pieces("a red mug, blue cup & wooden chair " * 30)
    lengths = [len(words._tokenizer.tokenizer(window)["input_ids"]) for window in windows]
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


def test_an_honest_pickle_is_read(clip_folder, clip, tmp_path, pictures):
    from safetensors.torch import load_file

    folder = shutil.copytree(clip_folder, tmp_path / "pickled")
    state = load_file(folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    pickled = load_encoder(str(folder), "image", device="cpu")
    np.testing.assert_allclose(pickled.embed([[pictures[0]]]), clip.embed([[pictures[0]]]), atol=1e-5)
