"""Numbers that name rather than measure: EANs, postcodes, ids of categories."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ingest.sources.names import Role
from ingest.sources.values import Reading, category, reader

_FLOAT = re.compile(r"[1-9]\d{7,}\.0+")
_INTEGER = re.compile(r"[1-9]\d{7,}|0\d+")


def codes(cells: Sequence[Any], meant: frozenset[Role]) -> Reading | None:
    """How cells are read that are such numbers; None if they measure something."""
    if "time" in meant or "price" in meant or not all(
        isinstance(cell, str | int | float | Decimal) and not isinstance(cell, bool) for cell in cells
    ):
        return None
    read = _whole if "code" in meant else category
    try:
        texts = list(map(read, cells))
    except ValueError:  # infinity
        return None
    whole = all(_INTEGER.fullmatch(text) for text in texts)
    lengths = {len(text) for text in texts}
    same = whole and len(lengths) == 1 and len(texts) > 1 and len(set(texts)) > 0.9 * len(texts)
    if ("code" in meant and all(_digits(text) for text in texts)) or same:
        return Reading("category", reader(read))
    return None


def _whole(cell: Any) -> str:
    """A value as a string, a number that was a float on its way here (4006381333931.0) as the whole one."""
    text = category(cell)
    return text.split(".")[0] if _FLOAT.fullmatch(text) else text


def _digits(text: str) -> bool:
    return any(map(str.isdigit, text)) and "." not in text
