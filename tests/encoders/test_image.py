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
    import shutil

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
