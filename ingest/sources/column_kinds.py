"""What the values of a column tell: whether they are pictures, prose, addresses or attributes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ingest.sources.names import is_title, roles
from ingest.sources.pictures import looks_like_picture, pictures
from ingest.sources.values import only_strings

if TYPE_CHECKING:
    from ingest.sources.columns import Sample

LONG = 40  # characters on average, from which strings are prose
FEW = 50  # different strings that are always few enough for a category


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


def is_attribute(name: str, sample: Sample) -> bool:
    """Anything with a kind that is no address, and no picture beside the chosen ones."""
    kind = sample.kind(name)
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
    return "addresses" if all(map(is_address, only_strings(sample.cells[name]))) else "pictures"


def is_address(cell: str) -> bool:
    """Whether a cell is a URL."""
    return "://" in cell[:12] or cell.startswith(("//", "www."))


def few(cells: Sequence[Any]) -> bool:
    """Whether values repeat as those of a category do."""
    return len(set(cells)) <= max(FEW, len(cells) // 2)
