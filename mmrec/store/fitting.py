"""What of an item fits the columns that the store has already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pyarrow as pa

from mmrec.errors import DataError
from mmrec.store import schema
from mmrec.types import Item

NOUNS = {
    pa.string(): "text", pa.float64(): "numbers", pa.bool_(): "true or false", schema.TIME: "dates",
    pa.list_(pa.string()): "lists of strings",
}


def common_types(items: Iterable[Item]) -> dict[str, pa.DataType]:
    """Type of each attribute as most of the items have it."""
    given = (pair for item in items for pair in item.attributes.items())
    votes = Counter((name, schema.arrow_type(value)) for name, value in given)
    return dict(vote for vote, _ in reversed(votes.most_common()))


def given_dims(items: Iterable[Item], stored: Mapping[str, int], columns: pa.Schema) -> dict[str, int]:
    """Fields whose embeddings come with the items, and their dimensions: those stored, else the first's.

    A field that an encoder has filled is none of them.
    """
    encoded = schema.embedding_dims(columns).keys() - stored.keys()
    new = {name: len(vector) for item in reversed([*items]) for name, vector in item.vectors.items()}
    return {name: dim for name, dim in new.items() if name not in encoded} | dict(stored)


def fitting(
    item: Item, known: Mapping[str, pa.DataType], dims: Mapping[str, int]
) -> tuple[Item, list[DataError]]:
    """The item without what does not fit its column, and all that it has lost by now.

    Args:
        known: type of each attribute.
        dims: dimension of each given embedding.
    """
    wrong = [DataError(item.lost.reason, field=item.lost.field)] if item.lost else []
    fit = {}
    for name, value in item.attributes.items():
        if known[name] == schema.arrow_type(value):
            fit[name] = value
            continue
        told = f"attribute {name!r} holds {NOUNS[known[name]]} in this store, got {value!r}"[:300]
        wrong.append(DataError(told + ": give the same type, or change it by `mmrec retype`", field=name))
    vectors = {name: vector for name, vector in item.vectors.items() if dims.get(name) == len(vector)}
    wrong += [
        DataError(_misfit(name, len(vector), dims), field=name) for name, vector in item.vectors.items()
        if name not in vectors
    ]
    if len(fit) == len(item.attributes) and len(vectors) == len(item.vectors):
        return item, wrong
    return replace(item, attributes=fit, embeddings=vectors), wrong


def _misfit(name: str, dim: int, dims: Mapping[str, int]) -> str:
    if name in dims:
        told = f"the embedding of {name!r} has {dim} numbers, those of this store have {dims[name]}"
        return f"{told}: it is of another model, so ingest into a new store"
    return (
        f"an encoder of this store embeds {name!r}: leave the given embedding out, or ingest into a new store"
    )
