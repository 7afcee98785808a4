"""Small random models in the folders that real ones come in, and the real ones that come as wheels."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmrec.encoders import Encoder, load_encoder


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture(scope="session")
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DINOv2 of 2 layers that sees 56 pixels."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    folder = tmp_path_factory.mktemp("tiny-dino")
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    Dinov2Model(config).save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "BitImageProcessor", "do_convert_rgb": True,
        "do_resize": True, "size": {"shortest_edge": 64}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": 56, "width": 56},
        "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    })
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of 2 layers with a context of 24 tokens."""
    import torch
    from open_clip import CLIP
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-clip")
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    write_json(folder / "open_clip_config.json", {"model_cfg": config, "preprocess_cfg": {"mean": [0.4] * 3}})
    torch.manual_seed(0)
    save_file(CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def load(request: pytest.FixtureRequest) -> Callable[[str, str], Encoder]:
    """`load_encoder` by name or fixture of a folder, once for all tests."""
    loaded: dict[tuple[str, str], Encoder] = {}

    def load_once(name: str, modality: str) -> Encoder:
        if (name, modality) not in loaded:
            known = str(request.getfixturevalue(name)) if name.endswith("_folder") else name
            loaded[name, modality] = load_encoder(known, modality, device="cpu")
        return loaded[name, modality]

    return load_once


@pytest.fixture
def pictures() -> list[Image.Image]:
    """Five pictures of different colours and shapes."""
    sizes = {"red": (90, 90), "blue": (120, 80), "green": (60, 200), "grey": (300, 40), "white": (64, 64)}
    pictures = [Image.new("RGB", size, colour) for colour, size in sizes.items()]
    for picture in pictures:
        picture.paste((255, 200, 0), (10, 10, 30, 30))
    return pictures
