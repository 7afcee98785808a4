"""A store as a whole: its health (rows against their digests, vectors, disk), and types of attributes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from mmrec.data.cleaning import identifier
from mmrec.data.rows import BAD, item_from_dict
from mmrec.encoders.base import Vectors
from mmrec.encoders.modality import TEXT, labels, modality_of
from mmrec.errors import DataError, MmrecError, StoreError
from mmrec.store import schema
from mmrec.store.catalogue import Catalogue
from mmrec.store.encoding import Encoding
from mmrec.store.interactions import Interactions
from mmrec.store.schema import Draft, Stored
from mmrec.store.tables import STREAM
from mmrec.types import LABELS, Item

SHOWN = 20  # item ids listed for each problem
EXAMPLES = 5  # of values that are lost
_TOLD = ["item_id", "record", "digest", "digests", "added_at"]
_BOOLS = ["false", "true", "no", "yes", "0", "1"]


def examine(catalogue: Catalogue, behaviour: Interactions, *, mend: bool = True) -> dict[str, Any]:
    """Checks a store and mends what can be mended without the items' sources.

    A row whose content is damaged loses its digest, so that the next ingest of that item writes it anew.

    Returns:
        `healthy`, `problems` (what, how many, which items, what was done), and the tables' health.
    """
    problems = []

    def found(what: str, done: str, item_ids: Sequence[str] = ()) -> None:
        problems.append({
            "what": what, "count": len(item_ids) or 1, "items": list(item_ids[:SHOWN]),
            "done": done if mend and done else "nothing",
        })

    if _is_broken(catalogue.head):
        if mend:
            catalogue.adopt(None)
        found("trained head cannot be read", "content serves again: train with `mmrec fit`")
    broken = _is_broken(lambda: catalogue.plan)
    if broken:
        if mend:
            catalogue.rebuild(anew=True)
        found("content plan cannot be read", "made anew, with all vectors")
    if catalogue.store.refresh().get("stale"):
        done = "rebuilt" if mend and catalogue.mend() else ""
        found("vectors left out by an ingest that was killed", done)
    for what, item_ids in _damaged(catalogue).items():
        if mend:
            _forget(catalogue, item_ids)
        found(what, "marked: the next ingest of these items writes them anew", item_ids)
    if mend:
        with catalogue.store.rewriting(), catalogue.store.writer():
            for table in (catalogue.table, behaviour.table):
                table.tidy(force=True)
    return {
        "healthy": not problems, "problems": problems,
        "items": catalogue.table.health(), "interactions": behaviour.table.health(),
        "vector_column": catalogue.vector_column,
        "dim": None if broken and not mend else catalogue.plan.dim,
    }


def census(catalogue: Catalogue, behaviour: Interactions) -> dict[str, Any]:
    """Counts, fields, encoders and sizes, JSON-ready."""
    serving = catalogue.serving()
    slots = serving.plan.slots
    return {
        "items": catalogue.table.count(), "interactions": behaviour.table.count(),
        "fitted": serving.towers.trained,
        "fields": {slot.name: {"kind": slot.kind, "dim": slot.dim, "weight": slot.weight} for slot in slots},
        "dim": serving.plan.dim,
        "encoders": {m: r["fingerprint"]["model"] for m, r in catalogue.store.facts["encoders"].items()},
        "given": catalogue.given,
        "bytes": catalogue.table.health()["bytes"],
    }


def retype(
    catalogue: Catalogue, name: str, kind: str, *, read: Callable[[Any], Any] | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Gives an attribute another type: its column and its items are written beside, and swapped in.

    Nothing but words of categories is encoded. A trained head does without the attribute until the next fit.

    Args:
        kind: one of `schema.KINDS`.
        read: makes the new value of a stored one; None, or a ValueError, if it cannot. By default what is
            written plainly is read: "12.5", "true", "2024-05-01".
        dry_run: whether only to say what would become of the values.

    Returns:
        `name`, `type`, the number of `values`, how many of them are `lost`, and `examples` of those.

    Raises:
        DataError: there is no such attribute or type, or no value can become it.
    """
    table, known = catalogue.table, schema.attribute_types(catalogue.table.schema)
    for what, one, choices in (("attribute", name, [*known]), ("type of attributes", kind, [*schema.KINDS])):
        if one not in choices:
            raise DataError(f"there is no {what} {one!r}: choose {', '.join(choices)}"[:500], field=name)
    with catalogue.store.rewriting(), catalogue.store.writer():
        catalogue.mend()
        rows = table.scan(_TOLD, f"`{schema.ATTRIBUTE + name}` IS NOT NULL").to_pylist()
        items = [schema.item_of(row["record"], row["added_at"]) for row in rows]
        new = [_retyped(item, name, kind, read or partial(_plainly, kind)) for item in items]
        lost = [one for one, item in zip(items, new, strict=True) if name not in item.attributes]
        examples = list(dict.fromkeys(str(one.attributes[name])[:100] for one in lost))[:EXAMPLES]
        if len(lost) == len(rows):
            raise DataError(f"no value of {name!r} can become a {kind}, such as {examples}: nothing changed")
        if not dry_run:
            catalogue.swap_attribute(_beside(catalogue, [*map(_draft, rows, items, new)], name))
    return {"name": name, "type": kind, "values": len(rows), "lost": len(lost), "examples": examples}


def _retyped(item: Item, name: str, kind: str, read: Callable[[Any], Any]) -> Item:
    """The item with the new value of an attribute, or without it."""
    others = {other: value for other, value in item.attributes.items() if other != name}
    with suppress(*BAD):
        new = replace(item, attributes={**others, name: read(item.attributes[name])})
        if name in new.attributes and schema.arrow_type(new.attributes[name]) == schema.KINDS[kind]:
            return new
    return replace(item, attributes=others)


def _draft(row: dict[str, Any], before: Item, item: Item) -> Draft:
    """A stored item with other attributes, on its way into the store; all else is as it was."""
    was, words = json.loads(row["digests"]), labels(item)
    digests = {field: told for field, told in was.items() if field != LABELS}
    digests |= {LABELS: schema.digest(TEXT.read(words, 0).digest)} if words else {}
    record, undated = schema.record(item), replace(item, added_at=None)
    given = row["digest"] != schema.whole_digest(replace(before, added_at=None), row["record"], was)
    whole = schema.whole_digest(item if given else undated, record, digests) if row["digest"] else ""
    stored = Stored(row["digest"], row["digests"], row["added_at"])
    return Draft(item, record, whole, digests, stored, {LABELS: words} if words else {})


def _beside(catalogue: Catalogue, drafts: Sequence[Draft], name: str) -> pa.Table:
    """The rows of items in which an attribute has another type, its values under another name."""
    worded = [draft for draft in drafts if draft.inputs]
    vectors: dict[schema.Place, Vectors] = {}
    for start in range(0, len(worded), STREAM):
        found = Encoding(catalogue).embed(worded[start : start + STREAM])[0]
        vectors |= {place: vector for place, vector in found.items() if place[1] == LABELS}
    rows = schema.rows(drafts, datetime.now(UTC), schema.draft_fields(drafts, vectors), None, "")
    words = [field for field in catalogue.table.schema if field.name == schema.EMBEDDING + LABELS]
    for field in words if words and words[0].name not in rows.column_names else ():
        rows = rows.append_column(field, pa.nulls(len(rows), field.type))
    own = schema.ATTRIBUTE + name
    return rows.rename_columns([schema.BESIDE + name if n == own else n for n in rows.column_names])


def _plainly(kind: str, value: Any) -> Any:
    """A value of a kind that is written plainly; ValueError, or another of `BAD`, if it is not."""
    if kind == "list":
        return value if isinstance(value, list) else [_plainly("category", value)]
    (value,) = value if isinstance(value, list) else (value,)
    text = value.isoformat() if isinstance(value, datetime) else str(identifier(value)).strip()
    if kind == "category":
        return text.lower() if isinstance(value, bool) else text
    if kind == "number":
        return int(value) if isinstance(value, bool) or text.isdecimal() else float(value)
    return bool(_BOOLS.index(text.lower()) % 2) if kind == "bool" else datetime.fromisoformat(text)


def _is_broken(read: Callable[[], object]) -> bool:
    try:
        read()
    except StoreError:
        return True
    return False


def _damaged(catalogue: Catalogue) -> dict[str, list[str]]:
    """Ids of damaged rows, by what is wrong."""
    found: dict[str, list[str]] = {}
    told, now = ["item_id", "record", "digest", "digests"], catalogue.table.schema
    vectors = {catalogue.vector_column} & set(now.names)
    for batch in catalogue.table.batches([*told, *schema.field_columns(now), *vectors]):
        embedded = schema.fields_of(batch).embeddings
        broken = _broken_vectors(batch, catalogue)
        for row, facts in enumerate(batch.select(told).to_pylist()):
            what = _fault(facts, {name for name, part in embedded.items() if part.present[row]}, catalogue)
            if what is None and broken[row]:
                what = "vector missing or not finite"
            if what:
                found.setdefault(what, []).append(facts["item_id"])
    return found


def _fault(facts: dict[str, Any], embedded: set[str], catalogue: Catalogue) -> str | None:
    """What is wrong with one row's record, or None."""
    if facts["digest"] == "":
        return "damaged, as an earlier visit found"
    try:
        item = item_from_dict(json.loads(facts["record"]))
        digests = dict(json.loads(facts["digests"]))
    except (ValueError, TypeError, MmrecError):
        return "record cannot be read"
    if item.lost:
        return "record cannot be read"
    given = catalogue.given
    if any(digests.get(n) != schema.digest(text) for n, text in item.text.items() if n not in given):
        return "text differs from its digest"
    wanted = {name for name in digests if name in given or modality_of(name).name in catalogue.encoders}
    return "embedding missing" if wanted - embedded else None


def _broken_vectors(batch: pa.Table, catalogue: Catalogue) -> Any:
    """Which rows [n] have no finite vector."""
    if catalogue.vector_column not in batch.schema.names:  # which is right where no item has any field
        return np.full(batch.num_rows, catalogue.plan.dim > 0)
    column = batch[catalogue.vector_column]
    values, present = schema.matrix(column, column.type.list_size)
    return ~present | ~np.isfinite(values).all(axis=1)


def _forget(catalogue: Catalogue, item_ids: list[str]) -> None:
    """Blanks the digests of rows, so that no later ingest takes them for unchanged."""
    with catalogue.store.writer():
        names, n = ["item_id", "digest", "digests"], len(item_ids)
        blank = pa.table(
            [item_ids, [""] * n, ["{}"] * n], schema=pa.schema([schema.BASE.field(name) for name in names])
        )
        catalogue.table.upsert(blank, update_only=True)
