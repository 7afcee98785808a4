"""What a model's folder looks like, on a disk or on the hub: which library reads it, which files."""

from __future__ import annotations

import re
from collections.abc import Collection

from mmrec.encoders.base import Modality
from mmrec.encoders.registry import Family

LAYOUT = (
    "expected modules.json (sentence-transformers), open_clip_config.json (open_clip), or config.json and"
    " preprocessor_config.json (transformers), with weights beside them (*.safetensors or *.bin)"
)
_MODULE = r"(?P<module>\d+_\w+/)?"  # sentence-transformers keeps each module in a folder like "1_Pooling"
SETTINGS = re.compile(_MODULE + r"[^/]+\.(?:json|txt|model|jinja)")  # configs and vocabularies
_WEIGHTS = re.compile(_MODULE + r"(?:pytorch_)?model(?:-\d+-of-\d+)?\.(?P<kind>safetensors|bin)")
_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # the order open_clip looks in


def family_of(names: Collection[str], modalities: Collection[Modality]) -> Family | None:
    """The library that reads a folder with these files; None where none does."""
    if "modules.json" in names or "config_sentence_transformers.json" in names:
        return "sentence-transformers"
    if "open_clip_config.json" in names:
        return "open_clip"
    if "config.json" in names and "preprocessor_config.json" in names and "image" in modalities:
        return "transformers"
    if "config.json" in names and "text" in modalities:
        return "sentence-transformers"  # a bare transformer: its tokens are averaged
    return None


def weight_names(names: Collection[str], family: Family | None) -> list[str]:
    """The files to load, safetensors before pickles (which are read with `weights_only`)."""
    if family == "open_clip":
        return [name for name in _CLIP_WEIGHTS if name in names][:1]
    modules: dict[str, dict[str, list[str]]] = {}
    for name in sorted(names):
        if match := _WEIGHTS.fullmatch(name):
            modules.setdefault(match["module"] or "", {}).setdefault(match["kind"], []).append(name)
    return [name for kinds in modules.values() for name in kinds.get("safetensors") or kinds["bin"]]
