"""Drafts as embeddings: what is stored or given is taken, the rest is encoded, and equal words only once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmrec.encoders.base import Vectors, unit
from mmrec.encoders.modality import MODALITIES, Modality, modality_of
from mmrec.model.content import Fields
from mmrec.store import schema
from mmrec.store.catalogue import Catalogue
from mmrec.store.schema import Draft, Place
from mmrec.types import Item

REMEMBERED = 20_000  # inputs whose embedding is kept for the next item that has the same


class Encoding:
    """The encoders of one catalogue at work.

    Attributes:
        given: fields that no encoder reads, for their embeddings come with the items, and their dimensions.
        calls: inputs given to encoders so far.
        seconds: in which they worked.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue, self.given = catalogue, catalogue.given
        self.calls, self.seconds = 0, 0.0
        self._memory: dict[Any, Vectors] = {}  # by modality and input

    def forget(self) -> None:
        """Lets go of what was encoded, as other encoders serve now."""
        self._memory = {}

    def embed(self, drafts: Sequence[Draft]) -> tuple[dict[Place, Vectors], dict[str, Exception]]:
        """Embeddings [e] of drafts, and by their id the errors of items that cannot be encoded."""
        by_id = {draft.item.item_id: draft for draft in drafts}
        vectors = schema.kept(self.catalogue.table, drafts) | {
            (item_id, field): unit(np.array([vector], np.float32))[0]
            for item_id, draft in by_id.items() for field, vector in draft.item.vectors.items()
        }
        failures: dict[str, Exception] = {}
        for modality in reversed(MODALITIES.values()):  # text last: it costs no call for what failed before
            if modality.name in self.catalogue.encoders:
                encoded, failed = self._encoded(modality, {
                    (item_id, field): values for item_id, draft in by_id.items() if item_id not in failures
                    for field, values in (draft.inputs or modality.inputs(draft.item)).items()
                    if (item_id, field) not in vectors and field not in self.given
                    and modality_of(field) is modality
                })
                vectors |= encoded
                failures |= failed
        return vectors, failures

    def _encoded(
        self, modality: Modality, inputs: Mapping[Place, Sequence[Any]]
    ) -> tuple[dict[Place, Vectors], dict[str, Exception]]:
        """Embeddings [e] of new inputs, and the errors of items that cannot be encoded."""
        if not inputs:
            return {}, {}  # and the encoder need not be loaded
        name, alone = modality.name, modality.repeats
        keys: dict[Place, list[Any]] = {
            place: [(name, value) for value in values] if alone else [(name, *place)]
            for place, values in inputs.items()
        }
        new = {
            key: [key[1]] if alone else inputs[key[1:]]
            for part in keys.values() for key in part if key not in self._memory
        }
        started = time.perf_counter()
        vectors, errors = self.catalogue.encoders[name].embed_or_reject(list(new.values()))
        self.seconds += time.perf_counter() - started
        bad = {key: errors[n] for n, key in enumerate(new) if n in errors}
        known = self._memory | dict(zip(new, vectors, strict=True))
        self.calls += sum(len(values) for key, values in new.items() if key not in bad)
        if alone:
            self._memory = dict([one for one in known.items() if one[0] not in bad][-REMEMBERED:])
        encoded = {
            place: np.sum([known[key] for key in part], axis=0) for place, part in keys.items()
            if bad.keys().isdisjoint(part)
        }
        return encoded, {place[0]: bad[key] for place, part in keys.items() for key in part if key in bad}


def encode_alone(catalogue: Catalogue, item: Item) -> Fields:
    """Embeddings and attributes of one item that is not to be stored: the same road, without the store.

    Raises:
        DataError: a picture or sound cannot be read.
    """
    vectors, failures = Encoding(catalogue).embed([Draft(item)])
    for error in failures.values():
        raise error
    return schema.draft_fields([Draft(item)], vectors)
