"""The row of an item: Arrow columns, and the way between an `Item` and its row.

::

    item_id    string      the key, never null
    record     string      the item as canonical JSON (files as paths or URLs): what `get` returns
    digest     string      of all that was given, files' bytes included: equal means unchanged
    digests    string      JSON: digest of each embedded field
    document   string      all words of the item, for full text
    added_at   timestamp   UTC
    written    int64       the version of the table that the row came after
    a_NAME     typed       an attribute, for `where`
    e_NAME     float32[e]  the embedding of a field; null where the item lacks the field
    e__labels  float32[e]  sum of the embeddings of the item's categories, read as words
    vector_N   float32[d]  what is searched; `store.json` names the column that serves
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mmrec.data.rows import item_as_dict, item_from_dict, json_ready, rejected
from mmrec.encoders.base import Vectors
from mmrec.encoders.modality import categories
from mmrec.errors import Rejection
from mmrec.model.content import Embedded, Fields
from mmrec.store.tables import WRITTEN, KeyedTable
from mmrec.types import NOUNS, AttributeValue, Item

TIME = pa.timestamp("us", tz="UTC")
BASE = pa.schema([
    pa.field("item_id", pa.string(), nullable=False),
    *(pa.field(name, pa.string()) for name in ("record", "digest", "digests", "document")),
    pa.field("added_at", TIME),
    WRITTEN,
])
INTERACTIONS = pa.schema([
    pa.field("key", pa.string(), nullable=False),
    *(pa.field(name, pa.string()) for name in ("user_id", "item_id", "kind")),
    pa.field("weight", pa.float64()),
    pa.field("time", TIME),
])
ATTRIBUTE, EMBEDDING = "a_", "e_"
BESIDE, BEFORE = "new_", "old_"  # of an attribute that gets another type: its columns to come, and gone
NEXT, FORMER = "next_", "former_"  # embeddings of a field by the encoder to come, and by the one before
KINDS = {
    "category": pa.string(), "number": pa.float64(), "bool": pa.bool_(), "date": TIME,
    "list": pa.list_(pa.string()),
}
AHEAD = timedelta(days=1)  # of now: what is dated later than this has a wrong clock

Place = tuple[str, str]  # id of an item and a field


class Stored(NamedTuple):
    """What tells whether an item changed."""

    digest: str
    digests: str
    added_at: datetime


class Draft(NamedTuple):
    """An item on its way into the store.

    Attributes:
        record: the item as JSON.
        digest: of all that was given.
        digests: of each field that an encoder reads.
        before: what the store holds under its id.
        inputs: what its encoders read, by field; empty where it is to be read from the item.
    """

    item: Item
    record: str = ""
    digest: str = ""
    digests: Mapping[str, str] = MappingProxyType({})
    before: Stored | None = None
    inputs: Mapping[str, Sequence[Any]] = MappingProxyType({})


def arrow_type(value: AttributeValue) -> pa.DataType:
    """The column type of an attribute's value; whole numbers share a column with others."""
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, int | float):
        return pa.float64()
    if isinstance(value, datetime):
        return TIME
    return pa.string() if isinstance(value, str) else pa.list_(pa.string())


def attribute_types(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Type of each attribute in a table, by its name for the user."""
    return {f.name[len(ATTRIBUTE):]: f.type for f in schema if f.name.startswith(ATTRIBUTE)}


def embedding_dims(schema: pa.Schema) -> dict[str, int]:
    """Dimension of each embedded field in a table."""
    return {f.name[len(EMBEDDING):]: f.type.list_size for f in schema if f.name.startswith(EMBEDDING)}


def stored_name(column: str) -> str:
    """The stored name of a column that a `where` expression names."""
    return column if column in ("item_id", "added_at") else ATTRIBUTE + column


def document(item: Item) -> str:
    """Every word that full-text search shall find the item by: its texts and its categories."""
    return "\n".join([*item.text.values(), *categories(item)])


def digest(text: str) -> str:
    """A short fingerprint of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def record(item: Item) -> str:
    """The item as JSON; what has no address is left out: files given as bytes, images of PIL, embeddings."""
    parts = {"item_id": item.item_id, "text": dict(item.text), "attributes": json_ready(item.attributes)}
    row: dict[str, Any] = {name: part for name, part in parts.items() if part}
    for field in NOUNS:
        if addresses := [str(one) for one in getattr(item, field) if isinstance(one, str | Path)]:
            row[field] = addresses[0] if len(addresses) == 1 else addresses
    return json.dumps(row, ensure_ascii=False, sort_keys=True)


def item_of(record: str, added_at: datetime) -> Item:
    """The item of a row."""
    return item_from_dict({**json.loads(record), "added_at": added_at})


def ahead(times: Iterable[datetime]) -> int:
    """How many of the times lie in the future, further than clocks differ."""
    latest = datetime.now(UTC) + AHEAD
    return sum(time > latest for time in times)


def whole_digest(item: Item, record: str, digests: Mapping[str, str | None]) -> str:
    """A fingerprint of all that was given of an item: equal means unchanged."""
    added_at = item.added_at and item.added_at.isoformat()
    return digest(json.dumps([record, digests, added_at], sort_keys=True))


def kept(table: KeyedTable, drafts: Sequence[Draft]) -> dict[Place, Vectors]:
    """Stored embeddings [e] of the fields of drafts that are as before."""
    before = {d.item.item_id: (d.before.digests, d.digests) for d in drafts if d.before}
    columns = [EMBEDDING + name for name in embedding_dims(table.schema)]
    if not before or not columns:
        return {}
    same: dict[Place, Vectors] = {}
    found = table.read(list(before), columns)
    embeddings = fields_of(found).embeddings
    for row, item_id in enumerate(found["item_id"].to_pylist()):
        stored, now = json.loads(before[item_id][0]), before[item_id][1]
        for name, (values, present) in embeddings.items():
            if present[row] and name in now and now[name] == stored.get(name):
                same[item_id, name] = values[row]
    return same


def draft_fields(drafts: Sequence[Draft], vectors: Mapping[Place, Vectors]) -> Fields:
    """Embeddings and attributes of n drafts; fields that none of them has are left out."""
    embeddings: dict[str, Embedded] = {}
    rows, n = {draft.item.item_id: row for row, draft in enumerate(drafts)}, len(drafts)
    for (item_id, name), vector in vectors.items():
        if item_id in rows:
            if name not in embeddings:
                embeddings[name] = Embedded(np.zeros((n, len(vector)), np.float32), np.zeros(n, np.bool_))
            values, present = embeddings[name]
            values[rows[item_id]], present[rows[item_id]] = vector, True
    names = dict.fromkeys(name for draft in drafts for name in draft.item.attributes)
    attributes = {name: [draft.item.attributes.get(name) for draft in drafts] for name in names}
    return Fields(n, embeddings, attributes)


def rows(
    drafts: Sequence[Draft], now: datetime, fields: Fields, vectors: Vectors | None, vector_column: str
) -> pa.Table:
    """The rows of n items whose fields are embedded, for an upsert; without vectors, that column is left.

    Args:
        now: when an item joins that says no time and is not stored yet.
    """
    facts = [
        (d.item.item_id, d.record, d.digest, json.dumps(d.digests, sort_keys=True), document(d.item),
         d.item.added_at or (d.before.added_at if d.before else now))
        for d in drafts
    ]
    own = list(BASE)[:-1]  # `written` is filled in by the table
    columns: dict[str, Any] = {
        column.name: pa.array(values, column.type) for column, *values in zip(own, *facts, strict=True)
    }
    for name, values in fields.attributes.items():
        first = next(v for v in values if v is not None)
        columns[ATTRIBUTE + name] = pa.array(values, arrow_type(first))
    for name, part in fields.embeddings.items():
        columns[EMBEDDING + name] = vector_array(part.values, part.present)
    if vectors is not None:
        columns[vector_column] = vector_array(vectors)
    schema = pa.schema([pa.field(n, c.type, nullable=n != "item_id") for n, c in columns.items()])
    return pa.Table.from_arrays(list(columns.values()), schema=schema)


def with_nulls(rows: pa.Table, wanted: pa.Schema) -> pa.Table:
    """The rows with a null column for each field of the table that none of them has (vectors apart)."""
    for field in wanted:
        if field.name not in rows.schema.names and not field.name.startswith("vector_"):
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows


def vector_rows(ids: Sequence[str], vectors: Vectors, column: str) -> pa.Table:
    """Rows of a key and one vector column, to fill that column alone."""
    schema = pa.schema([BASE.field("item_id"), vector_field(column, vectors.shape[1])])
    return pa.Table.from_arrays([pa.array(ids, pa.string()), vector_array(vectors)], schema=schema)


def vector_field(column: str, dim: int) -> pa.Field:
    """The column of vectors of a dimension."""
    return pa.field(column, pa.list_(pa.float32(), dim))


def vector_array(x: Vectors, present: Any = None) -> pa.Array:
    """x [n, d] as an Arrow column, null where `present` [n] is false."""
    flat = pa.array(np.ascontiguousarray(x, np.float32).reshape(-1))  # [n, d] -> [n * d]
    mask = None if present is None else pa.array(~np.asarray(present, np.bool_))
    return pa.FixedSizeListArray.from_arrays(flat, x.shape[1], mask=mask)


def matrix(column: pa.ChunkedArray, dim: int) -> Embedded:
    """An Arrow column of vectors as values [n, d], zeros where null, and which are present [n]."""
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    present = np.asarray(array.is_valid())
    flat = array.values.slice(array.offset * dim, len(array) * dim).to_numpy(zero_copy_only=False)
    values = flat.reshape(len(array), dim)  # [n * d] -> [n, d]
    if not present.all():
        values = np.where(present[:, None], values, np.float32(0))
    return Embedded(values, present)


def fields_of(table: pa.Table) -> Fields:
    """The embeddings and attributes of stored rows."""
    embeddings = {n: matrix(table[EMBEDDING + n], d) for n, d in embedding_dims(table.schema).items()}
    attributes = {n: table[ATTRIBUTE + n].to_pylist() for n in attribute_types(table.schema)}
    return Fields(table.num_rows, embeddings, attributes)


def field_columns(schema: pa.Schema) -> list[str]:
    """Names of the columns that `fields_of` needs."""
    return [f.name for f in schema if f.name.startswith((ATTRIBUTE, EMBEDDING))]


def refused(item: Item, error: Exception) -> Rejection:
    """An item that is not taken, or not whole, for this error; its row holds all that was given."""
    if item.lost:
        return replace(item.lost, reason=str(error), field=getattr(error, "field", None))
    try:
        row = item_as_dict(item)
    except Exception:  # Pillow raises whatever there is for an image that was closed or cut off
        row = item_as_dict(replace(item, image=[i for i in item.images if isinstance(i, str | Path | bytes)]))
    return rejected(error, row, line=item.line)
