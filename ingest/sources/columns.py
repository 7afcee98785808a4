"""Which column of a table means what: as the caller says, else guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, get_args

from ingest.sources.amounts import Decimals, currency_of
from ingest.sources.column_kinds import all_pictures, apart, goods, is_attribute, is_text, nature
from ingest.sources.extras import embedding_columns, sound_columns
from ingest.sources.moments import Order
from ingest.sources.names import DATES, IDS, IMAGES, TEXTS, joined, plain_name, roles
from ingest.sources.pictures import looks_like_picture
from ingest.sources.values import KINDS, Hints, Kind, Reading, natural
from mmrec.errors import DataError
from mmrec.types import MAX_NAME, RESERVED, composed

__all__ = ["IDS", "IMAGES", "TEXTS", "Columns", "Sample", "settle", "valid_names"]

Mode = Literal["merge", "split"]
_ID_LENGTH = 64  # characters of an id that is found by its values
_FURTHER = re.compile(
    r"(?!.*(?:thumb|small|icon|logo|swatch|preview|video|brand|categor|vendor))"
    r"(?:.*(?:image|img|photo|picture|bild|foto|imagen|immagin|imagem|afbeelding|obraz|zdjec|画像|图片).*|gallery)"
)
_SHOWN = 8  # columns named in a note


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table mean. A part left at None is guessed, an empty tuple is none.

    Attributes:
        id: column of the item's id.
        text: columns that become text fields, a lone name is taken as one.
        image: columns of picture paths or URLs; a cell may hold several.
        audio: columns of paths of sounds; a cell may hold several.
        embeddings: columns of vectors that another model made, and the field that each fills, such as
            `{"audio_vggish": "audio"}`.
        attributes: columns that become typed attributes.
        added_at: column of the date when the item joined the catalogue.
        delimiter: of a CSV file: one character, or two or three such as "::"; found out if None.
        dates: order of day, month and year in dates such as 01.02.2024: "dmy", "mdy" or "ymd".
        decimal: what stands before the decimals of numbers: "." or ",".
        types: kinds of attributes by column: "bool", "number", "date", "list" or "category".
        known: kinds that attributes have already where the rows go to, by name; they are read so if they can.
        variants: whether those of a product are one item ("merge", also if None) or an item each ("split").
    """

    id: str | None = None
    text: tuple[str, ...] | None = None
    image: tuple[str, ...] | None = None
    audio: tuple[str, ...] | None = None
    embeddings: Mapping[str, str] | None = None
    attributes: tuple[str, ...] | None = None
    added_at: str | None = None
    delimiter: str | None = None
    dates: Order | None = None
    decimal: Decimals | None = None
    types: Mapping[str, Kind] | None = None
    known: Mapping[str, Kind] | None = None
    variants: Mode | None = None

    def __post_init__(self) -> None:
        for part in ("text", "image", "audio", "attributes"):
            names: str | Iterable[str] | None = getattr(self, part)
            if names is not None:
                object.__setattr__(self, part, (names,) if isinstance(names, str) else tuple(names))
        cut = self.delimiter
        if cut is not None and (not 1 <= len(cut) <= 3 or set(cut) & set('"\r\n')):
            raise DataError(f"the delimiter must be one character such as ';', got {self.delimiter!r}")
        for option, value, choices in (
            ("dates", self.dates, get_args(Order)), ("decimal", self.decimal, get_args(Decimals)),
            ("variants", self.variants, get_args(Mode)),
            *(("types", kind, KINDS) for kind in (self.types or {}).values()),
        ):
            if value is not None and value not in choices:
                raise DataError(f"{option} must be one of {', '.join(choices)}, got {value!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are named, each once."""
        media = (*(self.image or ()), *(self.audio or ()), *(self.embeddings or ()))
        several = (*(self.text or ()), *media, *(self.attributes or ()))
        return tuple(dict.fromkeys(name for name in (self.id, self.added_at, *several) if name is not None))

    @property
    def hints(self) -> Hints:
        """What is said of values."""
        return Hints(dates=self.dates, decimals=self.decimal, types=self.types, known=self.known)


@dataclass(frozen=True)
class Sample:
    """The first rows of a table.

    Attributes:
        origin: the table's name, for messages.
        size: number of rows.
        cells: filled cells by column, in the columns' order.
        readings: how they are read; a column without a filled cell is left out, one of objects is None.
    """

    origin: str
    size: int
    cells: Mapping[str, Sequence[Any]]
    readings: Mapping[str, Reading | None]

    def kind(self, name: str) -> Kind | None:
        """What a column holds, if it holds anything of a kind."""
        reading = self.readings.get(name)
        return reading.kind if reading else None


def settle(
    wanted: Columns, sample: Sample, notes: list[str], part: Callable[[str], str | None] = lambda _: None
) -> Columns:
    """The mapping with nothing left open; what was guessed from values is added to `notes`.

    Args:
        part: says of a column whether it is "text", or something else; None where that is to be guessed.

    Raises:
        DataError: a named column is not there or cannot be an attribute, or none looks like an id.
    """
    _check(wanted, sample)
    free = [name for name in sample.cells if name not in wanted.names]
    item_id = wanted.id or _named_id(free, sample, notes) or _unique(free, sample, notes)
    if item_id is None:
        raise DataError(
            f"{sample.origin}: no column looks like the item's id (such as {', '.join(IDS[:5])}):"
            f" {_other_ids(sample)}"
        )
    free = [name for name in free if name != item_id]
    dates = [name for name in free if sample.kind(name) == "date"]
    added_at = wanted.added_at or _known(dates, DATES)
    image = wanted.image if wanted.image is not None else _images(free, sample, notes)
    audio = sound_columns(free, sample) if wanted.audio is None else wanted.audio
    vectors = embedding_columns(free, sample) if wanted.embeddings is None else wanted.embeddings
    free = [name for name in free if name not in (item_id, added_at, *image, *audio, *vectors)]
    text, attributes = wanted.text, wanted.attributes
    if text is None:
        text = tuple(n for n in free if part(n) == "text" or (part(n) is None and is_text(n, sample)))
        unknown = [name for name in free if part(name) is None]
        if product := goods(unknown, text, sample):
            text = (product, *(name for name in text if name != product))
        elif not text and (title := apart(unknown, sample)):
            notes.append(f"column {title!r} is the text, for no name says which is (--text)")
            text = (title,)
    if attributes is None:
        free = [name for name in free if name not in text]
        attributes = tuple(name for name in free if is_attribute(name, sample))
        _tell_left_out([name for name in free if name not in attributes], sample, notes)
    return replace(
        wanted, id=item_id, text=text, image=image, audio=audio or None, embeddings=vectors or None,
        attributes=attributes, added_at=added_at,
    )


def _other_ids(sample: Sample) -> str:
    """What to do about a table in which no column looks like an id."""
    if len(sample.cells) == 1:
        (name,) = sample.cells
        return f"its one column is {name!r:.100}: if it holds several, say --delimiter"
    return f"name one of {_listing(sample.cells)} by --id"


def valid_names(columns: Iterable[str], called: Callable[[str], str] = str) -> dict[str, str]:
    """Names that mmrec takes, by column: "Product Type" gives product_type; none twice, none reserved.

    Letters of every script stay, and so does the case of names that are not ASCII: "Größe", "価格". Columns
    of one name get a currency's code, if they have one, else a number: "Preis €" and "Preis $".

    Args:
        called: gives the name from which a column's is made.
    """
    bases = {column: _base(called(column), position) for position, column in enumerate(columns, start=1)}
    counts = Counter(base.casefold() for base in bases.values())
    names: dict[str, str] = {}
    taken = set(RESERVED)
    for column, base in bases.items():
        if counts[base.casefold()] > 1 and (sign := _sign(column)):
            base = f"{base[: MAX_NAME - 1 - len(sign)]}_{sign}"
        if base in RESERVED:
            base = f"{base}_"
        name, number = base, 1
        while name.casefold() in taken:
            number += 1
            name = f"{base[: MAX_NAME - 1 - len(str(number))]}_{number}"
        taken.add(name.casefold())
        names[column] = name
    return names


def _base(column: str, position: int) -> str:
    """The name that a column asks for."""
    text = composed(column)
    marks = "".join(letter if f"_{letter}".isidentifier() else " " for letter in text)
    name = "_".join(part for word in marks.split() if (part := word.strip("_"))) or f"column_{position}"
    name = name.lower() if name.isascii() else name
    return (name if name.isidentifier() else f"_{name}")[:MAX_NAME]


def _sign(column: str) -> str:
    """The currency that a column's name ends with, in letters: "Preis €" gives eur."""
    try:
        return currency_of(column.split()[-1].strip("()[]")).lower() if column.split() else ""
    except ValueError:
        return ""


def _check(wanted: Columns, sample: Sample) -> None:
    for name in (*wanted.names, *(wanted.types or {})):
        if name not in sample.cells:
            near = get_close_matches(name, sample.cells, n=1, cutoff=0.5)
            hint = f": did you mean {near[0]!r}?" if near else ":"
            raise DataError(
                f"{sample.origin} has no column {name!r}{hint} Its columns are {_listing(sample.cells)}"
            )
    for name in wanted.attributes or ():
        if sample.cells[name] and sample.readings[name] is None:
            found = type(sample.cells[name][0]).__name__
            raise DataError(
                f"{sample.origin}: column {name!r} holds {found} values, an attribute must be a string,"
                " number, bool, date or list of strings: leave the column out, or flatten it"
            )


def _listing(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))[:1_000]


def _known(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    by_name = {joined(column): column for column in reversed(names)}
    return next((by_name[name] for name in map(joined, wanted) if name in by_name), None)


def _named_id(names: Sequence[str], sample: Sample, notes: list[str]) -> str | None:
    """The column that is called an id and has one in every row, if one does."""
    by_name = {joined(column): column for column in reversed(names)}
    called = list(dict.fromkeys(by_name[name] for name in map(joined, IDS) if name in by_name))
    filled = [name for name in called if len(sample.cells[name]) == sample.size] or called
    if len(filled) > 1:
        others = ", ".join(map(repr, filled[1 : _SHOWN]))
        notes.append(f"column {filled[0]!r} is the id, as {others} might be (--id)")
    return filled[0] if filled else None


def _unique(names: Sequence[str], sample: Sample, notes: list[str]) -> str | None:
    """The first column of short values that are all different, in a table of several rows."""
    for name in names:
        cells = [natural(cell) for cell in sample.cells[name]]
        if (
            sample.size > 1 and len(cells) == sample.size
            and not roles(name) & {"text", "image", "price", "time", "label", "list"}
            and all(isinstance(cell, str | int) and not isinstance(cell, bool) for cell in cells)
            and all(len(str(cell).strip()) <= _ID_LENGTH and len(str(cell).split()) == 1 for cell in cells)
            and len({str(cell).strip() for cell in cells}) == len(cells)
            and not any(looks_like_picture(cell) or "://" in str(cell) for cell in cells)
        ):
            notes.append(f"column {name!r} is the id, its values are all different (--id)")
            return name
    return None


def _images(names: Sequence[str], sample: Sample, notes: list[str]) -> tuple[str, ...]:
    """The column of pictures, those that go on with it (image_2, additional_image_link), or by its values."""
    first = _known(names, IMAGES) or next((name for name in names if all_pictures(name, sample, 1)), None)
    if first is None:
        first = next((name for name in names if all_pictures(name, sample, 0.5)), None)
        if first is None:
            return ()
        notes.append(f"column {first!r} holds pictures (--image)")
    base = re.sub(r"_?\d+$", "", plain_name(first))
    more = [
        name for name in names
        if name != first and (re.fullmatch(rf"{re.escape(base)}_?\d+", plain_name(name)) or (
            _FURTHER.fullmatch(plain_name(name)) and all_pictures(name, sample, 0.5)
        ))
    ]
    return (first, *more)


def _tell_left_out(names: Sequence[str], sample: Sample, notes: list[str]) -> None:
    told = [f"{name!r} ({nature(name, sample)})" for name in names if sample.cells[name]]
    if told:
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        notes.append(f"columns left out: {', '.join(told[:_SHOWN])}{more} (--attributes, --text)")
