"""Fashion catalogues in the form of H&M: `items.jsonl`, or `articles.csv` as Kaggle has it.

The text is the title and the description; all else is an attribute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ingest.sources.layout import Layout, known
from ingest.sources.records import Record, Rows
from ingest.sources.tables import table_file
from ingest.sources.values import readings
from mmrec.errors import DataError

ITEMS, ARTICLES = "items.jsonl", "articles.csv"
KEYS = frozenset({"item_id", "product_code", "product_type"})  # of items.jsonl
ARTICLE_KEYS = frozenset({"article_id", "prod_name", "product_type_name"})  # of articles.csv
_ATTRIBUTES = ("product_code", "product_type", "product_group", "pattern", "colour", "department", "section")
_ID_DIGITS = 10  # of an article; spreadsheets drop the zero in front
_NAMES: Mapping[str, str] = {
    "prod_name": "title", "detail_desc": "description", "product_code": "product_code",
    "product_type_name": "product_type", "product_group_name": "product_group",
    "graphical_appearance_name": "pattern", "colour_group_name": "colour", "department_name": "department",
    "section_name": "section",
}


def open_fashion(path: Path) -> Rows:
    """The garments of a folder or file in H&M's form as a source.

    Raises:
        DataError: there are none.
    """
    candidates = [path / ITEMS, path / ARTICLES] if path.is_dir() else [path]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None or file.suffix not in (".jsonl", ".csv"):
        raise DataError(f"{path} is no fashion catalogue: {ITEMS} or {ARTICLES} was expected there")
    layout = Layout(
        id="item_id",
        text={"title": "title", "description": "description"},
        attributes={name: name for name in _ATTRIBUTES},
        readings=readings(dict.fromkeys(_ATTRIBUTES, "category")),
        image=("image",),
    )
    return known("fashion", file.parent, layout, lambda: _records(file), origin=str(file))


def _records(file: Path) -> Iterator[Record]:
    if file.suffix == ".jsonl":
        return table_file(file).records()
    return (_article(record, file.parent) for record in table_file(file).records())


def _article(record: Record, folder: Path) -> Record:
    """A row of Kaggle's table under our names; the folder's layout says where its picture is, if it is."""
    cells = {name: record.cells[column] for column, name in _NAMES.items() if column in record.cells}
    if identifier := record.cells.get("article_id"):
        identifier = identifier.zfill(_ID_DIGITS)
        picture = f"images/{identifier[:3]}/{identifier}.jpg"
        cells |= {"item_id": identifier, "image": picture if (folder / picture).is_file() else None}
    return replace(record, cells=cells)
