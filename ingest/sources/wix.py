"""Rows of Wix's exports, whose cells hold several values parted by semicolons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.sources.names import plain_name

_LISTS = "product_option_description"


def wix_rows(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The row of a product, or of a variant of it, which alone keeps the cell that says so."""
    cells: dict[str, Any] = {}
    for column, cell in row.items():
        name = plain_name(column)
        if isinstance(cell, str) and (name == "collection" or name.startswith(_LISTS)):
            cell = [part.strip() for part in cell.split(";") if part.strip()]
        if name == "field_type" and str(cell).strip().casefold() == "product":
            cell = None
        cells[column] = cell
    return [cells]
