"""The row of an item: Arrow columns, and the way between an `Item` and its row.

::

    item_id    string      the key, never null
    record     string      the item as canonical JSON (pictures as paths or URLs): what `get` returns
    digest     string      of all that was given, pictures' bytes included: equal means unchanged
    digests    string      JSON: digest of each encoded field
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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmrec.data.files import item_as_dict, item_from_dict
from mmrec.encoders.base import Vectors
from mmrec.encoders.modality import categories
from mmrec.errors import DataError
from mmrec.model.content import Embedded, Fields
from mmrec.store.tables import WRITTEN
from mmrec.types import AttributeValue, Item

TIME = pa.timestamp("us", tz="UTC")
BASE = pa.schema([
    pa.field("item_id", pa.string(), nullable=False),
    pa.field("record", pa.string()),
    pa.field("digest", pa.string()),
    pa.field("digests", pa.string()),
    pa.field("document", pa.string()),
    pa.field("added_at", TIME),
    WRITTEN,
])
INTERACTIONS = pa.schema([
    pa.field("key", pa.string(), nullable=False),
    pa.field("user_id", pa.string()),
    pa.field("item_id", pa.string()),
    pa.field("kind", pa.string()),
    pa.field("weight", pa.float64()),
    pa.field("time", TIME),
])
ATTRIBUTE, EMBEDDING = "a_", "e_"
NOUNS = {
    pa.string(): "text", pa.float64(): "numbers", pa.bool_(): "true or false", TIME: "dates",
    pa.list_(pa.string()): "lists of strings",
}


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


def check_types(item: Item, known: Mapping[str, pa.DataType]) -> None:
    """Raises DataError if an attribute does not fit the column that its name has by now."""
    for name, value in item.attributes.items():
        expected = known.get(name)
        if expected is not None and arrow_type(value) != expected:
            raise DataError(
                f"attribute {name!r} holds {NOUNS[expected]} in this store, got {value!r}"[:300]
                + ": give the same type, or another name", field=name,
            )


def document(item: Item) -> str:
    """Every word that full-text search shall find the item by: its texts and its categories."""
    return "\n".join([*item.text.values(), *categories(item)])


def digest(text: str) -> str:
    """A short fingerprint of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def record(item: Item) -> str:
    """The item as JSON; pictures given as bytes or PIL images have no address and are left out."""
    kept = replace(item, image=[str(i) for i in item.images if isinstance(i, str | Path)], added_at=None)
    return json.dumps(item_as_dict(kept), ensure_ascii=False, sort_keys=True)


def item_of(record: str, added_at: datetime) -> Item:
    """The item of a row."""
    return replace(item_from_dict(json.loads(record)), added_at=added_at)


def rows(
    items: Sequence[Item], times: Sequence[datetime], digests: Sequence[tuple[str, Mapping[str, str]]],
    fields: Fields, vectors: Vectors | None, vector_column: str,
) -> pa.Table:
    """The rows of n items whose fields are embedded, for an upsert; without vectors, that column is left."""
    columns: dict[str, Any] = {
        "item_id": pa.array([i.item_id for i in items], pa.string()),
        "record": pa.array([record(i) for i in items], pa.string()),
        "digest": pa.array([whole for whole, _ in digests], pa.string()),
        "digests": pa.array([json.dumps(parts, sort_keys=True) for _, parts in digests], pa.string()),
        "document": pa.array([document(i) for i in items], pa.string()),
        "added_at": pa.array(times, TIME),
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
