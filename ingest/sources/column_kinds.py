"""What the values of a column tell: whether they are pictures, prose, addresses or attributes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ingest.sources.names import is_title, joined, roles
from ingest.sources.pictures import looks_like_picture, pictures
from ingest.sources.values import only_strings

if TYPE_CHECKING:
    from ingest.sources.columns import Sample

LONG = 40  # characters on average, from which strings are prose
FEW = 50  # different strings that are always few enough for a category
_GOODS = ("product", "produkt", "artikel", "article", "producto", "produit", "prodotto", "produto", "model")
_PROSE = re.compile(r"desc|beschr|beskr|omschr|opis|описан|説明|描述|text$|detail|body|summary|about|content")
_WORD = re.compile(r"[^\W\d_]{3}|[\u3040-\uffff]")  # three letters, or a sign that is a word


def all_pictures(name: str, sample: Sample, share: float) -> bool:
    """Whether a column's name says pictures, or nothing (share 0.5), and its values look like some."""
    cells = sample.cells[name]
    if not cells or (share == 1 and "image" not in roles(name)):
        return False
    return all(any(map(looks_like_picture, pictures(cell))) for cell in cells[:50])


def is_text(name: str, sample: Sample) -> bool:
    """Prose: named like it, long, or strings of several words that hardly repeat."""
    kind, meant = sample.kind(name), roles(name)
    strings = only_strings(sample.cells[name])
    if is_title(name) and kind is not None:
        return True
    if kind not in ("category", "list") or not strings or all("://" in cell for cell in strings[:50]):
        return False
    if "text" in meant and not meant & {"code"}:
        return True
    return kind == "category" and (
        fmean(map(len, strings)) > LONG
        or (not few(strings) and "label" not in meant and fmean(len(cell.split()) for cell in strings) >= 2)
    )


def goods(names: Sequence[str], texts: Sequence[str], sample: Sample) -> str | None:
    """The column that says in words which product it is, where no text is more than a description."""
    if any(is_title(name) or not _is_prose(name, sample) for name in texts):
        return None
    called = {
        joined(name): name for name in reversed(names) if sample.kind(name) == "category"
        and 2 * sum(map(_has_words, only_strings(sample.cells[name]))) > len(sample.cells[name])
    }
    return next((called[one] for one in _GOODS if one in called), None)


def _is_prose(name: str, sample: Sample) -> bool:
    if "text" in roles(name):
        return _PROSE.search(joined(name)) is not None
    return sum(map(len, only_strings(sample.cells[name]))) > LONG * len(sample.cells[name])


def apart(names: Sequence[str], sample: Sample) -> str | None:
    """The column of the longest words that are all or mostly different, where no name says what they are."""
    best: dict[str, float] = {}
    for name in names:
        strings = only_strings(sample.cells[name])
        share = len(set(strings)) / max(len(strings), 0.5 * sample.size)
        if sample.kind(name) == "category" and share > 0.8 and not (
            roles(name) or all(map(is_address, strings)) or not all(map(_has_words, strings))
        ):
            best[name] = fmean(map(len, strings))
    return max(best, key=lambda name: best[name], default=None)


def _has_words(cell: str) -> bool:
    """Whether a string is more than a code."""
    return _WORD.search(cell) is not None


def is_attribute(name: str, sample: Sample) -> bool:
    """Anything with a kind that is no address, and no picture beside the chosen ones."""
    kind = sample.kind(name)
    if are_vectors(sample.cells[name]):
        return False
    if "image" in name.casefold() and all_pictures(name, sample, 0.5):
        return False
    if kind is None:
        return not sample.cells[name] and name not in sample.readings
    strings = only_strings(sample.cells[name])
    return kind not in ("category", "list") or not strings or not all(map(is_address, strings))


def nature(name: str, sample: Sample) -> str:
    """What a column holds that is no attribute."""
    if sample.kind(name) is None:
        return "objects"
    if are_vectors(sample.cells[name]):
        return "vectors, see --embeddings"
    return "addresses" if all(map(is_address, only_strings(sample.cells[name]))) else "pictures"


def are_vectors(cells: Sequence[Any], shortest: int = 8) -> bool:
    """Whether all cells are lists of as many numbers, some of them with decimals, and not few."""
    cells = cells[:50]
    return (
        bool(cells) and all(isinstance(cell, list | tuple) for cell in cells)
        and len({len(cell) for cell in cells}) == 1 and len(cells[0]) >= shortest
        and all(type(one) in (int, float) for cell in cells for one in cell)
        and any(one % 1 for cell in cells for one in cell)
    )


def is_address(cell: str) -> bool:
    """Whether a cell is a URL."""
    return "://" in cell[:12] or cell.startswith(("//", "www."))


def few(cells: Sequence[Any]) -> bool:
    """Whether values repeat as those of a category do."""
    return len(set(cells)) <= max(FEW, len(cells) // 2)
