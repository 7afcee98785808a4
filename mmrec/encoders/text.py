"""Text encoders, run by sentence-transformers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from mmrec.encoders.base import Pretrained, Vectors, loading, pick_device
from mmrec.encoders.registry import Model
from mmrec.encoders.weights import Location

OVERLAP = 16  # a window reaches back over 1/16 of its length, so that a phrase at a cut is whole in one
ROOM = 1.2  # windows planned per window needed: room for the overlap and for uneven text


class Window(NamedTuple):
    """A stretch of text and its length in tokens."""

    text: str
    tokens: int


def cut(text: str, count: Callable[[str], int], limit: float) -> list[Window]:
    """The text in overlapping windows of like length, none of more than `limit` tokens.

    Works with any tokenizer, for it only counts: a part that still has too many tokens is cut again. Windows
    of like length weigh alike when their embeddings are averaged.

    Args:
        count: tokens of a text, without the special ones.
        limit: tokens that fit, at least those of one character.
    """
    tokens = count(text)
    if tokens <= limit or len(text) < 2:
        return [Window(text, tokens)]
    parts = _parts(text, min(math.ceil(tokens * ROOM / limit), len(text)))
    return [window for part in parts for window in cut(part, count, limit)]


def _parts(text: str, n: int) -> list[str]:
    """`n` parts of like length, each shorter than the text, cut at a space where one is near."""
    step = len(text) / n
    reach = int(step / OVERLAP)
    parts = []
    for i in range(n):
        start = max(0, int(i * step) - reach)
        stop = int((i + 1) * step) if i < n - 1 else len(text)
        start = text.rfind(" ", max(0, start - reach), start) + 1 or start
        gap = text.find(" ", stop, stop + reach)
        parts.append(text[start : gap if gap > 0 else stop])
    return parts


class TextEncoder(Pretrained):
    """Any sentence-transformers model; a text longer than its window is cut into several.

    Raises:
        EncodeError: the model cannot be loaded.
    """

    def __init__(self, model: Model, location: Location, *, device: str | None = None) -> None:
        with loading(model.id, location.path):
            from sentence_transformers import SentenceTransformer

            self._model = SentenceTransformer(
                str(location.path), device=pick_device(device), local_files_only=True
            ).float()
            self._count, self._limit = _ruler(self._model)
            dim = self._encode(["a"]).shape[1]
        window = "whole text" if math.isinf(self._limit) else f"windows of {self._limit:.0f} tokens, mean"
        self._fingerprint = location.fingerprint(model, "text", dim, window)

    def pieces(self, value: Any) -> list[Any]:
        """A text as windows that the model takes whole."""
        return list(cut(value, self._count, self._limit))

    def size(self, piece: Any) -> int:
        """Tokens of a window."""
        window: Window = piece
        return window.tokens

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Embeddings [p, e] of p windows."""
        return self._encode([window.text for window in pieces])

    def _encode(self, texts: list[str]) -> Vectors:
        vectors = self._model.encode(texts, batch_size=len(texts), show_progress_bar=False)
        return np.asarray(vectors, np.float32)


def _ruler(model: Any) -> tuple[Callable[[str], int], float]:
    """How to count a text's tokens, and how many fit beside those the model adds (special ones, a prompt)."""
    limit = model.max_seq_length
    if limit is None or math.isinf(limit):
        return len, math.inf
    count = _counter(model.tokenizer)
    prompt = model.prompts.get(model.default_prompt_name)
    added = model.preprocess(["a"], prompt=prompt)["input_ids"].shape[-1] - count("a")
    return count, limit - added


def _counter(tokenizer: Any) -> Callable[[str], int]:
    if tokenizer.is_fast:
        # A copy of its own: the model's is told to truncate, and may be in use by another thread.
        own = copy.deepcopy(tokenizer.backend_tokenizer)
        own.no_truncation()
        own.no_padding()
        return lambda text: len(own.encode(text, add_special_tokens=False))
    lock, slow = Lock(), copy.deepcopy(tokenizer)

    def count(text: str) -> int:
        with lock:  # one of Python may not serve two threads at once
            return len(slow.tokenize(text))

    return count
