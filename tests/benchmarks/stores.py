"""Stores of made-up vectors, written straight through the tables: a million items in seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmrec import Recommender
from mmrec.model.content import ContentPlan, Slot
from mmrec.store import schema

CHUNK = 50_000  # rows of one write
START = datetime(2024, 1, 1, tzinfo=UTC)
BRANDS = 500


def store_of(path: Path, x: NDArray[np.float32]) -> Recommender:
    """A shop whose items have these unit vectors [n, d], a brand and a time of arrival, and no texts."""
    shop = Recommender.open(path, {"text_encoder": "none", "image_encoder": "none"})
    table, n, d = shop.catalogue.table, len(x), x.shape[1]
    plan = ContentPlan((Slot("made_up", "embedding", d, 1.0),), n)
    shop.store.files.write("content-1.safetensors", plan.save())
    table.add_columns([schema.vector_field("vector_1", d), pa.field("a_brand", pa.string())])
    bare = lancedb.connect(path).open_table("items")
    for start in range(0, n, CHUNK):
        part = x[start:start + CHUNK]
        ids = [f"i{start + row:07d}" for row in range(len(part))]
        blank = [""] * len(ids)
        times = [START + timedelta(seconds=start + row) for row in range(len(ids))]
        bare.add(pa.table({
            "item_id": ids, "record": blank, "digest": blank, "digests": blank, "document": blank,
            "added_at": pa.array(times, schema.TIME),
            "vector_1": schema.vector_rows(ids, part, "vector_1")["vector_1"],
            "a_brand": [f"b{(start + row) % BRANDS}" for row in range(len(ids))],
        }))
    table.tidy(force=True)
    shop.store.save_facts(serial=1)
    return shop
