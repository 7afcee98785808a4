"""A shop's items as HTTP shows them: what became of each row of a batch, pages to browse, pictures."""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mmrec import images
from mmrec.errors import DataError, UnknownItem
from mmrec.files import item_as_dict
from mmrec.image_formats import Limits
from mmrec.recommender import Recommender
from mmrec.service.uploads import PICTURES
from mmrec.types import Item, Rejection, is_url

log = logging.getLogger(__name__)
OUTCOMES = ("added", "updated", "unchanged", "rejected")
QUALITY = 88  # of a JPEG


def ingest(shop: Recommender, batches: Sequence[Sequence[Item | Rejection]]) -> list[dict[str, Any]]:
    """Takes batches of different senders in, one after the other, in a single write.

    Returns:
        For each batch the counts of `Recommender.ingest`, and the outcome of each row.
    """
    rows = [replace(row, line=line) for line, row in enumerate(chain.from_iterable(batches), start=1)]
    outcomes = iter(_outcomes(shop, rows))
    return [_summed(list(islice(outcomes, len(batch)))) for batch in batches]


def _outcomes(shop: Recommender, rows: Sequence[Item | Rejection]) -> Iterator[dict[str, Any]]:
    """What became of each row, which `line` tells from the others."""
    ids = list({row.item_id: None for row in rows if isinstance(row, Item)})
    before = shop._catalogue.lookup(ids)
    report = shop.ingest(rows)
    after = shop._catalogue.lookup(ids)
    refused = {rejection.line: rejection for rejection in report.rejections}
    last = {row.item_id: row.line for row in rows if row.line not in refused}
    for row in rows:
        if no := refused.get(row.line):
            yield {"item_id": no.item_id, "outcome": "rejected", "reason": no.reason, "field": no.field}
            continue
        what = "updated"  # also a row that a later one replaced
        if row.item_id is not None and last[row.item_id] == row.line:
            was, now = before.get(row.item_id), after.get(row.item_id)
            what = "added" if was is None else "unchanged" if now and was.digest == now.digest else "updated"
        yield {"item_id": row.item_id, "outcome": what}


def _summed(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    tally = Counter(outcome["outcome"] for outcome in outcomes)
    return {**{what: tally[what] for what in OUTCOMES}, "items": outcomes}


def page(shop: Recommender, where: str | None, offset: int, limit: int) -> dict[str, Any]:
    """Some of the items that a condition keeps, in the order of their ids.

    Raises:
        DataError: the condition cannot be used.
    """
    total, found = shop.browse(where, offset=offset, limit=limit)
    return {"total": total, "offset": offset, "items": [shown(item) for item in found]}


def shown(item: Item) -> dict[str, Any]:
    """An item as JSON, its pictures as addresses of this service rather than paths of its machine."""
    row = {name: value for name, value in item_as_dict(item).items() if name != "image"}
    address = f"/items/{quote(item.item_id, safe='')}/image"
    return {**row, "images": [f"{address}?n={n}" for n in range(len(item.images))]}


def picture(
    shop: Recommender, item_id: str, n: int, size: int, known: str | None
) -> tuple[str, bytes | None]:
    """The tag and the JPEG of an item's picture, `size` pixels long at most; no JPEG if the tag is known.

    It is drawn anew: nothing but pixels leaves the machine, no metadata and no format that browsers run.

    Raises:
        UnknownItem: there is no such item, or it has no such picture that can be read.
    """
    sources = list(_local(shop, shop.get([item_id])[0]))
    try:
        source = sources[n]
        tag = f'"{images.digest(source)[:32]}-{size}"'
        if tag == known:
            return tag, None
        small, file = images.decode(source, Limits(side=size)), io.BytesIO()
    except IndexError:
        raise UnknownItem(f"{item_id!r} has {len(sources)} pictures, none with n={n}") from None
    except DataError as error:
        log.warning("picture of %r: %s", item_id, error)
        raise UnknownItem(f"picture {n} of {item_id!r} cannot be read any more: send it again") from None
    small.save(file, "JPEG", quality=QUALITY)
    return tag, file.getvalue()


def _local(shop: Recommender, item: Item) -> Iterator[Path]:
    """An item's pictures on this machine; an uploaded one is found after its store has moved, too."""
    for source in item.images:
        if isinstance(source, str | Path) and not is_url(source):
            moved = shop.path / PICTURES / Path(source).name
            yield moved if Path(source).parent.name == PICTURES and moved.exists() else Path(source)
