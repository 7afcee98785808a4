"""Small random models in the folders that real ones come in, and the real ones that come as wheels."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrec.encoders import Encoder, load_encoder

WORDS = ["red", "blue", "mug", "cup", "chair", "wooden", "cotton", "shirt", "long", "the", "a", "of", "with"]

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
POSITIONS = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}


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
def wav2vec2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav2vec 2.0 of 2 layers."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    folder = tmp_path_factory.mktemp("tiny-wav2vec2")
    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config(conv_dim=(16,) * 7, **TINY, **POSITIONS)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def hubert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HuBERT of 2 layers."""
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    folder = tmp_path_factory.mktemp("tiny-hubert")
    torch.manual_seed(1)
    HubertModel(HubertConfig(conv_dim=(16,) * 7, **TINY, **POSITIONS)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def ast_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Audio Spectrogram Transformer of 2 layers that hears the first 1.28 seconds of a window."""
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

    folder, bands = tmp_path_factory.mktemp("tiny-ast"), {"max_length": 128, "num_mel_bins": 32}
    torch.manual_seed(0)
    ASTModel(ASTConfig(**TINY, **bands)).save_pretrained(folder)
    ASTFeatureExtractor(**bands).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clap_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLAP with a context of 64 tokens."""
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, RobertaTokenizer

    folder = tmp_path_factory.mktemp("tiny-clap")
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "\u0120", *"abcdefghijklmnopqrstuvwxyz0123456789,."]
    write_json(folder / "vocab.json", {mark: n for n, mark in enumerate(marks)})
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    RobertaTokenizer.from_pretrained(folder).save_pretrained(folder)
    torch.manual_seed(0)
    ClapModel(ClapConfig(
        projection_dim=32,
        text_config={**TINY, "vocab_size": len(marks), "max_position_embeddings": 66},
        audio_config={
            "patch_embeds_hidden_size": 16, "hidden_size": 128, "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 1, 2, 2], "projection_dim": 32,
        },
    )).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
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


@pytest.fixture(scope="session")
def tones() -> list[bytes]:
    """Five sounds: low and high notes, a beat, noise, and one that is longer than a window."""
    import soundfile

    at, rng = np.arange(16_000) / 16_000, np.random.default_rng(0)
    beat = np.sin(2 * np.pi * 300 * at) * np.exp(-20 * (at % 0.25))
    long = np.sin(2 * np.pi * 700 * np.arange(200_000) / 16_000) * np.linspace(0, 1, 200_000)
    low, high = (np.sin(2 * np.pi * hertz * at) for hertz in (110, 1_760))
    waves = [low, high, beat, rng.normal(0, 0.2, 16_000), long]
    files = [io.BytesIO() for _ in waves]
    for file, wave in zip(files, waves, strict=True):
        soundfile.write(file, wave / 2, 16_000, format="WAV")
    return [file.getvalue() for file in files]
