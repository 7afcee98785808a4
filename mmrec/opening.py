"""How a store is made, and how its settings agree with those that a caller asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmrec.config import Config
from mmrec.encoders.base import Encoder
from mmrec.encoders.bound import choose_encoders
from mmrec.errors import StoreMismatch
from mmrec.store import Store


def new_store(
    path: Path, settings: Config, encoders: Mapping[str, Encoder] | None, device: str | None, wait: float
) -> tuple[Store, dict[str, Encoder]]:
    """A new store and its encoders, chosen once and for all.

    Raises:
        EncodeError: a model cannot be found.
        StoreError: the path holds something else.
    """
    names = {"text": settings.text_encoder, "image": settings.image_encoder}
    record, loaded = choose_encoders(names, encoders, device)
    facts = {"config": settings.model_dump(mode="json"), "encoders": record}
    return Store.create(path, facts, wait), loaded  # the facts are another's if a process was faster


def settle(store: Store, config: Config | Mapping[str, Any] | None) -> tuple[Config, Config]:
    """The settings that a store keeps, and those that shall serve: other weights, never other encoders.

    Raises:
        ConfigError: a setting is unknown or out of range.
        StoreMismatch: other encoders are asked for.
    """
    kept = Config.make(store.facts["config"])
    if config is None:
        return kept, kept
    asked, recorded = Config.make(config), store.facts["encoders"]
    for modality, was, wish in (
        ("text", kept.text_encoder, asked.text_encoder), ("image", kept.image_encoder, asked.image_encoder)
    ):
        has = recorded.get(modality, {"name": "none"})["name"]
        if wish not in ("auto", was, has):
            raise StoreMismatch(
                f"this store was made with the {modality} encoder {has!r}, not {wish!r}: leave"
                f" {modality}_encoder out, or ingest into a new store"
            )
    same = {"text_encoder": kept.text_encoder, "image_encoder": kept.image_encoder}
    return kept, asked.model_copy(update=same)
