"""A long text as windows that fit an encoder: nothing of it is dropped."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

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
    parts = _parts(text, min(ceil(tokens * ROOM / limit), len(text)))
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
