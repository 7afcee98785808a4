"""A tiny deterministic pair of encoders that count their calls: for mmrec's tests and yours.

The text encoder hashes words, the image encoder averages colours over a grid, so alike inputs are near
each other: "red mug" is nearer to "red cup" than to "blue chair", a red picture nearer to a red one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmrec.data import images
from mmrec.encoders.base import Encoder, Fingerprint, Vectors

TEXT_DIM = 64
GRID = 4  # cells of a picture's side; 3 colours each


class _Toy(Encoder):
    """Counts inputs in `calls`."""

    modality: str
    size_: int

    def __init__(self) -> None:
        self.calls = 0

    @property
    def fingerprint(self) -> Fingerprint:
        """The toy's record; there are no weights, so the hash is of the name."""
        name = f"toy-{self.modality}"
        return Fingerprint(
            model=name, modality=self.modality, dim=self.size_, revision="1", preprocessing="none",
            sha256=hashlib.sha256(name.encode()).hexdigest(),
        )


class ToyText(_Toy):
    """Bag of hashed words."""

    modality = "text"
    size_ = TEXT_DIM

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Sum of one fixed random vector a word, [p, 64]."""
        self.calls += len(pieces)
        texts = [re.findall(r"\w+", piece.lower()) for piece in pieces]
        return np.stack([sum(map(_word_vector, words), start=_word_vector("")) for words in texts])


class ToyImage(_Toy):
    """Mean colours on a 4 x 4 grid."""

    modality = "image"
    size_ = GRID * GRID * 3 + 1
    decodes = True

    def pieces(self, value: Any) -> list[Any]:
        """A picture source as a small array [4, 4, 3] in 0..1, through the one gate for pictures."""
        small = images.decode(value).resize((GRID, GRID), resample=4)  # 4 = box
        return [np.asarray(small, np.float32) / 255.0]

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Colours around mid grey, [p, 49]; the last number keeps a grey picture from being zero."""
        self.calls += len(pieces)
        flat = np.stack(pieces).reshape(len(pieces), -1) - 0.5  # [p, 4, 4, 3] -> [p, 48]
        return np.hstack([flat, np.full((len(pieces), 1), 0.1, np.float32)]).astype(np.float32)


def _word_vector(word: str) -> Vectors:
    """The fixed vector [64] of a word; that of "" is faint, so that a text without words is not zero."""
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal(TEXT_DIM).astype(np.float32)
    return vector if word else 0.01 * vector
