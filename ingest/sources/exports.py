"""What the columns of a shop system's export mean, and how their cells are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from ingest.sources.names import plain_name
from ingest.sources.pictures import pictures
from ingest.sources.values import is_blank, list_parts

Part = Literal["text", "image", "list", "flag", "code", "label", "option", "packed", "left out"]
Cells = dict[str, Any]
HIDDEN: tuple[Part, ...] = ("left out", "option", "packed")  # parts that are no columns of an item
_COMMA = re.compile(r"(?<!\\),")  # WooCommerce writes a comma inside a value as \,
_PAIR = re.compile(r'\s*("?[\w.-]+=.*?)\s*(?:,(?=\s*"?[\w.-]+=)|$)', re.DOTALL)
_METAFIELD = re.compile(r"\s*\(\w+\.metafields\..*\)$")
_BOOLS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "-1": False}


@lru_cache(maxsize=4_096)
def plain(column: str) -> str:
    """The plain name of a column, without the prefix that it may have in Google's feeds."""
    return plain_name(column).removeprefix("g_")


def pairs(cell: str) -> Iterator[tuple[str, str]]:
    """The pairs of Magento's `color=Black,"features=Pocket|Sleeve, 15 inches"`."""
    for pair in _PAIR.findall(cell):
        name, _, value = _unquoted(pair).partition("=")
        yield name, _unquoted(value)


def details(cell: str) -> Iterator[tuple[str, str]]:
    """The pairs of Google's `section:name:value,section:name:value`."""
    for one in _COMMA.split(cell):
        *_, name, value = map(str.strip, ["", *one.split(":")][-2:])
        if name and value:
            yield name, value


@dataclass(frozen=True, kw_only=True, eq=False)
class Export:
    """A kind of export; columns by their plain names.

    Attributes:
        system: that writes it.
        needed: columns that are always there.
        telling: others, of which two are there.
        id: of the product's id; of several the first that is filled.
        own: of a variant's id, likewise.
        group: that name the product of which a row is a variant, by one of its ids.
        children: that name the variants of a row, as `sku=A1,size=S|sku=A2,size=M`.
        variant: of which one is filled in the row of a variant, where no `group` says it.
        options: patterns of columns with the name, and with the value, of what tells variants apart.
        varying: that hold what tells variants apart.
        text: of texts.
        image: of pictures.
        own_image: of a variant's own picture, where `image` holds those of the product.
        lists: of lists, cut at commas; the pattern of values of `options` among them.
        flags: of yes and no, as 1 and 0.
        codes: of numbers that name something; a `'` in front keeps spreadsheets from rounding them.
        labels: of labels that may look like texts.
        packed: of several attributes in one cell, and what takes it apart.
        later: filled in rows that repeat a product for another view of the shop.
        left_out: pattern of those for the running of a shop.
        called: names of attributes, where the column's own does not say it to everybody.
        rows: makes rows of a record.
        down: whether a row without an id belongs to the product of the row above it.
        english: the name by which a column is known here, where the system translates its header.
    """

    system: str
    needed: Collection[str]
    telling: Collection[str]
    id: tuple[str, ...]
    own: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    variant: tuple[str, ...] = ()
    options: tuple[str, str] = ("", "")
    varying: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    own_image: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    packed: Mapping[str, Callable[[str], Iterable[tuple[str, str]]]] = field(default_factory=dict)
    later: tuple[str, ...] = ()
    left_out: str = ""
    called: Mapping[str, str] = field(default_factory=dict)
    rows: Callable[[Mapping[str, Any]], list[Cells]] | None = None
    down: bool = False
    english: Callable[[str], str] = str

    def plain(self, column: str) -> str:
        """The plain name by which a column is known here."""
        return self.english(plain(column))

    def part(self, column: str) -> Part | None:
        """What a column is; None where the export does not say it."""
        return _part(self, self.plain(column))

    def name_of(self, column: str) -> str:
        """What an attribute is called, before a valid name is made of it."""
        return self.called.get(self.plain(column)) or _METAFIELD.sub("", column)

    def keys(self, cells: Mapping[str, Any]) -> Cells:
        """The filled cells that say whose row it is, by plain name."""
        return {
            name: cell for column, cell in cells.items()
            if (name := _key(self, column)) is not None and not is_blank(cell)
        }

    def tidy(self, cells: Mapping[str, Any], part: Callable[[str], Part | None]) -> Cells:
        """A row's filled cells, each as its column means it; `part` says what a column is."""
        tidy: Cells = {}
        for column, cell in cells.items():
            is_a = None if is_blank(cell) else part(column)
            if is_a == "packed" and isinstance(cell, str):
                for name, value in self.packed[self.plain(column)](cell):
                    tidy.setdefault(name, value.split("|") if "|" in value else value)
            elif is_a not in HIDDEN and not is_blank(cell):
                tidy[column] = _READ[is_a](cell) if is_a in _READ else cell
        return tidy

    def options_of(
        self, cells: Cells, names: dict[str, str], taken: Collection[str]
    ) -> Iterator[tuple[str, list[str]]]:
        """The names and values of a row's options.

        Args:
            cells: as `keys` gives them.
            names: of options by number, which may stand in a product's first row alone; they are added here.
            taken: plain names of columns, which no option gets.
        """
        own = {
            number: f"Option {cell}" if plain(str(cell)) in taken else str(cell).strip()
            for number, cell in _numbered(self.options[0], cells)
        }
        names |= own | names
        for number, cell in _numbered(self.options[1], cells):
            values = _listed(cell) if self.options[1] in self.lists else [str(cell).strip()]
            name = own.get(number) or names.get(number)
            if name and values != ["Default Title"]:
                yield name, values


def first_of(cells: Cells, columns: Iterable[str]) -> str | None:
    """The first filled cell of some columns, of cells as `Export.keys` gives them."""
    found = next((cells[name] for name in columns if name in cells), None)
    if isinstance(found, float) and found.is_integer():
        found = int(found)  # as pandas holds whole numbers beside blanks
    return None if found is None else str(found).strip()


@lru_cache(maxsize=8_192)
def _part(export: Export, name: str) -> Part | None:
    if any(re.fullmatch(pattern, name) for pattern in export.options):
        return "option"
    said: Iterable[tuple[Part, Collection[str]]] = (
        ("text", export.text), ("image", (*export.image, *export.own_image)), ("list", export.lists),
        ("flag", export.flags), ("code", export.codes), ("label", (*export.labels, *export.varying)),
        ("packed", export.packed),
    )
    known = next((part for part, columns in said if name in columns), None)
    return known or ("left out" if re.fullmatch(export.left_out, name) else None)


@lru_cache(maxsize=8_192)
def _key(export: Export, column: str) -> str | None:
    name = export.plain(column)
    keys = export.id + export.own + export.group + export.children + export.variant + export.later
    return name if name in keys or any(re.fullmatch(pattern, name) for pattern in export.options) else None


@lru_cache(maxsize=8_192)
def _number(pattern: str, name: str) -> str | None:
    found = re.fullmatch(pattern, name)
    return found[1] if pattern and found else None


def _numbered(pattern: str, cells: Cells) -> list[tuple[str, Any]]:
    """The number and the cell of each column that a pattern fits, in the columns' order."""
    return [(number, cell) for name, cell in cells.items() if (number := _number(pattern, name)) is not None]


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if len(text) > 1 and text[0] == text[-1] == '"' else text


def _listed(cell: Any) -> list[Any]:
    if isinstance(cell, str):
        parts = list_parts(cell) if cell.startswith("[") else None
        cell = [part.replace("\\,", ",") for part in _COMMA.split(cell)] if parts is None else parts
    several = cell if isinstance(cell, list | tuple) else [cell]
    return [one.strip() if isinstance(one, str) else one for one in several if not is_blank(one)]


def _text(cell: Any) -> Any:
    """Paragraphs and points that stand in a list as lines."""
    parts = list_parts(cell) if isinstance(cell, str) and cell.startswith("[") else cell
    if isinstance(parts, list | tuple) and all(isinstance(part, str) for part in parts):
        return "\n".join(parts)
    return cell


def _images(cell: Any) -> list[Any]:
    """Pictures; those of Magento begin with a slash in a folder of its own."""
    return [
        re.sub(r"^/(?!/)", "", one) if isinstance(one, str) else one
        for one in pictures(cell) if one != "no_selection"
    ]


def _flag(cell: Any) -> Any:
    return _BOOLS.get(str(cell).strip().lower().removesuffix(".0"), cell)


def _code(cell: Any) -> Any:
    return cell.strip().removeprefix("'") if isinstance(cell, str) else cell


_READ: Mapping[Part | None, Callable[[Any], Any]] = {
    "text": _text, "image": _images, "list": _listed, "flag": _flag, "code": _code,
}
