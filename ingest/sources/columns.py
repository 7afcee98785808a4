"""Which column of a table means what: as the caller says, else guessed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from statistics import fmean
from typing import Any

from ingest.sources.values import Kind
from mmrec.errors import DataError
from mmrec.types import RESERVED

IDS = (
    "item_id", "id", "sku", "asin", "article_id", "product_id", "parent_asin", "movie_id", "book_id",
    "itemid", "productid", "articleid", "movieid", "uniq_id", "uuid", "isbn", "ean", "gtin", "handle",
)
IMAGES = (
    "image", "images", "image_path", "image_url", "image_link", "image_file", "photo", "photos", "picture",
    "pictures", "img", "thumbnail", "poster", "file_name", "filename",
)
DATES = ("added_at", "date_added", "created_at")
TEXTS = frozenset({
    "title", "name", "description", "product_title", "product_name", "prod_name", "item_name", "display_name",
    "product_display_name", "productdisplayname", "product_description", "short_description", "detail_desc",
    "long_description", "headline", "subtitle", "summary", "caption", "overview", "plot", "synopsis",
    "abstract", "about", "details", "text", "body", "content", "titel", "beschreibung", "titre", "titulo",
})
LONG = 40  # characters on average, from which strings are prose
FEW = 50  # different strings that are always few enough for a category
_MAX_NAME = 64


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table mean. A part left at None is guessed, an empty tuple is none.

    Attributes:
        id: column of the item's id.
        text: columns that become text fields, a lone name is taken as one.
        image: columns of picture paths or URLs; a cell may hold several, separated by `|` or as JSON list.
        attributes: columns that become typed attributes.
        added_at: column of the ISO 8601 date when the item joined the catalogue.
        delimiter: of a CSV file: one character, found out if None.
    """

    id: str | None = None
    text: tuple[str, ...] | None = None
    image: tuple[str, ...] | None = None
    attributes: tuple[str, ...] | None = None
    added_at: str | None = None
    delimiter: str | None = None

    def __post_init__(self) -> None:
        for part in ("text", "image", "attributes"):
            names: str | Iterable[str] | None = getattr(self, part)
            if names is not None:
                object.__setattr__(self, part, (names,) if isinstance(names, str) else tuple(names))
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise DataError(f"the delimiter must be one character such as ';', got {self.delimiter!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are named, each once."""
        several = (*(self.text or ()), *(self.image or ()), *(self.attributes or ()))
        return tuple(dict.fromkeys(name for name in (self.id, self.added_at, *several) if name is not None))


@dataclass(frozen=True)
class Sample:
    """The first rows of a table.

    Attributes:
        origin: the table's name, for messages.
        cells: filled cells by column, in the columns' order.
        kinds: what they have in common; a column without a filled cell is left out, one of objects is None.
    """

    origin: str
    cells: Mapping[str, Sequence[Any]]
    kinds: Mapping[str, Kind | None]


def settle(wanted: Columns, sample: Sample) -> Columns:
    """The mapping with nothing left open.

    Raises:
        DataError: a named column is not there or cannot be an attribute, or none looks like an id.
    """
    _check(wanted, sample)
    free = [name for name in sample.cells if name not in wanted.names]
    item_id = wanted.id or _known(free, IDS)
    if item_id is None:
        raise DataError(
            f"{sample.origin}: no column looks like the item's id (such as {', '.join(IDS[:5])}): name one of"
            f" {_listing(sample.cells)}"
        )
    dates = [name for name in free if sample.kinds.get(name) == "date"]
    added_at = wanted.added_at or _known(dates, DATES)
    image = wanted.image if wanted.image is not None else tuple(filter(None, [_known(free, IMAGES)]))
    free = [name for name in free if name not in (item_id, added_at, *image)]
    text, attributes = wanted.text, wanted.attributes
    if text is None:
        text = tuple(name for name in free if _is_text(name, sample))
    if attributes is None:
        attributes = tuple(name for name in free if name not in text and _is_attribute(name, sample))
    return replace(
        wanted, id=item_id, text=text, image=image, attributes=attributes, added_at=added_at
    )


def valid_names(columns: Iterable[str]) -> dict[str, str]:
    """Names that mmrec takes, by column: "Product Type" gives product_type; none twice, none reserved."""
    names: dict[str, str] = {}
    taken = set(RESERVED)
    for position, column in enumerate(columns, start=1):
        plain = unicodedata.normalize("NFKD", column.casefold()).encode("ascii", "ignore").decode()
        name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or f"column_{position}"
        name = base = (f"_{name}" if name[0].isdigit() else name)[:_MAX_NAME]
        more = 0
        while name in taken:
            more += 1
            name = base[: _MAX_NAME - more] + "_" * more
        taken.add(name)
        names[column] = name
    return names


def _check(wanted: Columns, sample: Sample) -> None:
    for name in wanted.names:
        if name not in sample.cells:
            near = get_close_matches(name, sample.cells, n=1, cutoff=0.5)
            hint = f": did you mean {near[0]!r}?" if near else ":"
            raise DataError(
                f"{sample.origin} has no column {name!r}{hint} Its columns are {_listing(sample.cells)}"
            )
    for name in wanted.attributes or ():
        if sample.cells[name] and sample.kinds[name] is None:
            found = type(sample.cells[name][0]).__name__
            raise DataError(
                f"{sample.origin}: column {name!r} holds {found} values, an attribute must be a string,"
                " number, bool, date or list of strings: leave the column out, or flatten it"
            )


def _listing(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))[:1_000]


def _known(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    by_plain = {plain: column for column, plain in reversed(_plain(names).items())}
    return next((by_plain[name] for name in wanted if name in by_plain), None)


def _plain(names: Iterable[str]) -> dict[str, str]:
    return {name: re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_") for name in names}


def _is_text(name: str, sample: Sample) -> bool:
    """Prose: named like it, long, or strings of several words that hardly repeat."""
    if sample.kinds.get(name) not in ("category", "list"):
        return False
    strings = [cell for cell in sample.cells[name] if isinstance(cell, str)]
    if not strings or all("://" in cell for cell in strings):
        return False
    return (
        _plain([name])[name] in TEXTS
        or fmean(map(len, strings)) > LONG
        or (not _few(strings) and fmean(len(cell.split()) for cell in strings) >= 2)
    )


def _is_attribute(name: str, sample: Sample) -> bool:
    """Anything with a kind, and of strings only those that repeat: not links, codes and the like."""
    kind = sample.kinds.get(name, "category")
    return kind is not None and (kind != "category" or _few(sample.cells[name]))


def _few(cells: Sequence[Any]) -> bool:
    return len(set(cells)) <= max(FEW, len(cells) // 2)
