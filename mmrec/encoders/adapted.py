"""Encoders that were adapted to one catalogue, each in a folder of its store.

Either a small map follows a frozen encoder, so that an item's new embedding is a function of its old one: a
whole catalogue is adapted in seconds, and back, without its pictures. Or a text model was trained as a whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmrec.encoders.base import Encoder, Fingerprint, Vectors, unit
from mmrec.errors import EncodeError

FOLDER, MAP, TOLD = "encoders", "adapter.safetensors", "adapted.json"  # in a store
_NEEDED = ("mean", "down", "up")


@dataclass(frozen=True)
class Adapter:
    """A map of unit embeddings [n, e]: centred, and a change of low rank added; unit again.

    Attributes:
        mean: of the catalogue's embeddings [e]; the direction that all share says nothing about an item.
        down, up: the change [e, r] and [r, e].
    """

    mean: Vectors
    down: Vectors
    up: Vectors

    def __call__(self, x: Vectors) -> Vectors:
        """Adapted unit embeddings [n, e] of embeddings [n, e] of any norm; zeros stay zeros."""
        centred = np.where(x.any(axis=1, keepdims=True), unit(x) - self.mean, np.float32(0))
        return unit(centred + (centred @ self.down) @ self.up)  # [n, e] @ [e, r] @ [r, e]

    def inverse(self, x: Vectors) -> Vectors:
        """The unit embeddings [n, e] from which adapted ones [n, e] came; zeros stay zeros.

        Of `s d + mean`, with d the change undone, the length s > 0 is the one that makes the norm 1.
        """
        square = np.eye(len(self.mean)) + self.down.astype(np.float64) @ self.up  # [e, r] @ [r, e]
        d, mean = np.linalg.solve(square.T, x.T.astype(np.float64)).T, self.mean.astype(np.float64)
        a, b, c = np.square(d).sum(axis=1), d @ mean, mean @ mean - 1  # c <= 0, as a mean of unit vectors
        s = (np.sqrt(np.maximum(b**2 - a * c, 0)) - b) / np.where(a > 0, a, 1)
        found = (s[:, None] * d + mean) * x.any(axis=1, keepdims=True)
        return unit(found.astype(np.float32))

    def save(self) -> bytes:
        """The map as a safetensors file."""
        from safetensors.numpy import save

        return bytes(save({name: np.ascontiguousarray(getattr(self, name)) for name in _NEEDED}))

    @classmethod
    def load(cls, path: Path) -> Adapter:
        """Reads what `save` gave; EncodeError if it is absent or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            arrays = load_file(path)
            return cls(*(arrays[name] for name in _NEEDED))
        except (OSError, KeyError, SafetensorError) as error:
            raise EncodeError(
                f"cannot read the adapted encoder {path}: {error}. Restore it from a backup, or run `mmrec"
                " rollback` on the store"
            ) from error


class AdaptedEncoder(Encoder):
    """A frozen encoder and a map behind it.

    The map comes after an item's pieces are pooled, so that stored embeddings can be mapped as they are.
    """

    def __init__(self, parent: Encoder, adapter: Adapter, fingerprint: Fingerprint) -> None:
        self.parent, self.adapter, self._fingerprint = parent, adapter, fingerprint
        self.batch_size, self.decodes = parent.batch_size, parent.decodes  # type: ignore[misc]

    @property
    def fingerprint(self) -> Fingerprint:
        """That of the parent, with another name and hash."""
        return self._fingerprint

    @property
    def words(self) -> Encoder | None:
        """The text encoder of the parent's space, with the same map."""
        words, own = self.parent.words, self._fingerprint
        if words is None:
            return None
        other = replace(words.fingerprint, model=own.model, sha256=own.sha256)
        return AdaptedEncoder(words, self.adapter, other)

    def pieces(self, value: Any) -> list[Any]:
        """The parent's."""
        return self.parent.pieces(value)

    def size(self, piece: Any) -> int:
        """The parent's."""
        return self.parent.size(piece)

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Embeddings [p, e] of single pieces."""
        return self.adapter(self.parent.forward(pieces))

    def embed_or_reject(self, values: Sequence[Sequence[Any]]) -> tuple[Vectors, dict[int, Exception]]:
        """The parent's embeddings [n, e] of values, mapped."""
        vectors, failures = self.parent.embed_or_reject(values)
        return self.adapter(vectors), failures


def record_of(parent: Mapping[str, Any], encoder_id: str, fingerprint: Fingerprint) -> dict[str, Any]:
    """What a store keeps of an adapted encoder: as of any other, with its folder's id and its parent."""
    told = fingerprint.as_dict()
    return {"name": parent["name"], "fingerprint": told, "adapted": encoder_id, "parent": dict(parent)}


def mapped_fingerprint(parent: Mapping[str, Any], encoder_id: str, packed: bytes) -> Fingerprint:
    """That of a parent, given as its record, with a saved map behind it."""
    was = Fingerprint(**parent["fingerprint"])
    both = hashlib.sha256(was.sha256.encode() + packed).hexdigest()
    return replace(was, model=f"{was.model}+{encoder_id}", sha256=both)


def map_between(record: Mapping[str, Any], folder: Path) -> Adapter | None:
    """The map of an adapted encoder's record in a store's folder; None where a whole model was trained."""
    path = folder / FOLDER / record["adapted"] / MAP if "adapted" in record else None
    return Adapter.load(path) if path and path.exists() else None


def load_adapted(record: Mapping[str, Any], modality: str, parent: Encoder | None, folder: Path,
                 device: str | None) -> Encoder:
    """The encoder of a record in a store's folder; `parent` is None where a whole model was trained.

    Raises:
        EncodeError: it is absent or damaged.
    """
    path, told = folder / FOLDER / record["adapted"], Fingerprint(**record["fingerprint"])
    if parent is not None:
        return AdaptedEncoder(parent, Adapter.load(path / MAP), told)
    from mmrec.encoders.registry import Model
    from mmrec.encoders.text import TextEncoder
    from mmrec.encoders.weights import fetch

    model = Model(id=told.model, modalities=(modality,), folder=path)
    return TextEncoder(model, fetch(model), device=device)


def told_of(folder: Path, encoder_id: str) -> dict[str, Any]:
    """What is kept beside the weights: the recipe, the figures of its training."""
    path = folder / FOLDER / encoder_id / TOLD
    return dict(json.loads(path.read_text(encoding="utf-8")))
