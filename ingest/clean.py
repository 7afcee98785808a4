"""Raw rows as Items: what they hold is tidied (`mmrec.data.cleaning`), and judged by `Item` itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmrec.data.cleaning import Told, identifier, plain, plain_text, tidied
from mmrec.data.image_paths import ImagePaths
from mmrec.data.rows import BAD, item_from_dict, rejected
from mmrec.errors import Rejection
from mmrec.types import Item

__all__ = ["clean", "item_id_of", "plain_text"]


def clean(
    row: Mapping[str, Any], *, line: int | None = None, paths: ImagePaths | None = None, told: Told = str
) -> Item | Rejection:
    """The Item of a raw row of canonical shape, or why there is none; never raises for bad data.

    Args:
        row: `item_id`, `text`, `image`, `attributes`, `added_at`, as `mmrec.data.cleaning.tidied` takes them.
        line: of the file it came from (1-based), for the report.
        paths: where its pictures may lie; None takes their paths as they are.
        told: is called with a sentence for each thing that is mended or left out.
    """
    try:
        return item_from_dict(tidied(row, told), line=line, paths=paths)
    except BAD as error:
        known = {**row, "item_id": item_id_of(row) or row.get("item_id")}
        return rejected(error, known, line=line, paths=paths)


def item_id_of(row: Mapping[str, Any]) -> str | None:
    """The id that `clean` finds in a row, None if it finds none."""
    try:
        item_id = identifier(plain(row.get("item_id")))
    except BAD:
        return None
    return item_id if isinstance(item_id, str) and item_id else None
