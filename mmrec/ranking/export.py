"""Recommendations for many users as a Parquet file, written batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.files import replacing
from mmrec.ranking.page import Slot
from mmrec.ranking.request import Request, check_k, listed
from mmrec.ranking.retrieve import pages
from mmrec.ranking.users import Event, users_with
from mmrec.search.snapshot import Snapshot
from mmrec.store.interactions import Interactions
from mmrec.store.tables import literals

BATCH = 1_000  # users served at once
SCHEMA = pa.schema([
    ("user_id", pa.string()), ("rank", pa.int32()), ("item_id", pa.string()), ("score", pa.float32()),
    ("rung", pa.string()),
])


def write(
    path: Path, snapshot: Snapshot, behaviour: Interactions, request: Request, users: Sequence[str] | None,
    batch: int, progress: Callable[[int], None] | None = None,
) -> int:
    """Writes the pages of users at one state of the catalogue; returns how many users there are.

    Args:
        users: None for all whose interactions are recorded.
        batch: users served at once.
        progress: called with the number of users done since the last call.
    """
    import pyarrow.parquet as pq

    size = check_k(batch, "batch", "batch")
    served = recorded(behaviour) if users is None else listed(users, "users")
    with replacing(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(served), size):
            some = served[start : start + size]
            writer.write_table(_served(snapshot, behaviour, request, some))
            if progress:
                progress(len(some))
    return len(served)


def recorded(behaviour: Interactions) -> list[str]:
    """Users whose interactions are recorded, in the order of their ids."""
    found: set[str] = set()
    for rows in behaviour.table.batches(["user_id"]):
        found.update(pc.unique(rows["user_id"]).to_pylist())
    return sorted(found)


def histories(behaviour: Interactions, users: Sequence[str]) -> dict[str, list[Event]]:
    """The acts of each user, oldest first, as those of `Interactions.history`."""
    columns = ["user_id", "item_id", "kind", "weight", "time"]
    rows = behaviour.table.scan(columns, f"user_id IN ({literals(users)})")
    rows = rows.sort_by([("time", "ascending"), ("item_id", "ascending")])
    acts: dict[str, list[Event]] = {user: [] for user in users}
    users_and_items = rows["user_id"].to_pylist(), rows["item_id"].to_pylist()
    for user, item_id, weight in zip(*users_and_items, behaviour.weights_of(rows).tolist(), strict=True):
        acts[user].append((item_id, weight))
    return acts


def _served(snapshot: Snapshot, behaviour: Interactions, request: Request, users: Sequence[str]) -> pa.Table:
    acts = histories(behaviour, users)
    known = users_with(snapshot, [acts[user] for user in users])
    served = pages(snapshot, [request] * len(users), known, behaviour.popularity)
    rows = list(_rows(snapshot, users, served))
    return pa.Table.from_pylist(rows, SCHEMA)


def _rows(
    snapshot: Snapshot, users: Sequence[str], served: Sequence[Sequence[Slot]]
) -> Iterator[dict[str, object]]:
    for user, page in zip(users, served, strict=True):
        for rank, slot in enumerate(page, start=1):
            yield {"user_id": user, "rank": rank, "item_id": snapshot.ids[slot.position],
                   "score": slot.score, "rung": slot.rung}
