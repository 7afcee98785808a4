"""Columns of sounds, and of embeddings that another model made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ingest.sources.column_kinds import are_vectors
from ingest.sources.names import plain_name
from ingest.sources.pictures import in_columns, pictures
from ingest.sources.values import is_blank
from mmrec.types import AUDIO

if TYPE_CHECKING:
    from ingest.sources.columns import Sample

_CALLED = re.compile(r"(?:.*_)?(?:audio|sound|preview|sample)s?(?:_(?:path|file|url|link))?(?:_?\d+)?")
_SOUND = re.compile(r"[^\r\n]+\.(?:wav|flac|ogg|oga|mp3)(?:[?#].*)?", re.IGNORECASE)
_EMBEDDING = re.compile(r"(?:e|embedding)_(\w+)|(\w+)_embedding")
_TRIED = 50  # cells


@dataclass(frozen=True)
class Extras:
    """Where sounds and embeddings stand.

    Attributes:
        audio: columns of sounds.
        embeddings: fields by column.
    """

    audio: Sequence[str] = ()
    embeddings: Mapping[str, str] = field(default_factory=dict)

    def parts(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """What of it a record has, in canonical shape."""
        sounds = in_columns(cells, self.audio)
        vectors = {
            name: cells[column] for column, name in self.embeddings.items() if not is_blank(cells.get(column))
        }
        return ({AUDIO: sounds} if sounds else {}) | ({"embeddings": vectors} if vectors else {})


def sound_columns(names: Sequence[str], sample: Sample) -> tuple[str, ...]:
    """Columns that are called like sounds, and whose values are named like some."""
    return tuple(
        name for name in names
        if _CALLED.fullmatch(plain_name(name)) and (cells := sample.cells[name][:_TRIED])
        and all(isinstance(one, str) and _SOUND.fullmatch(one) for cell in cells for one in pictures(cell))
    )


def embedding_columns(names: Sequence[str], sample: Sample) -> dict[str, str]:
    """Fields by the columns that are called embeddings of them, and hold vectors."""
    found = {name: _EMBEDDING.fullmatch(plain_name(name)) for name in names}
    return {
        name: called[1] or called[2] for name, called in found.items()
        if called and are_vectors(sample.cells[name], shortest=2)
    }
