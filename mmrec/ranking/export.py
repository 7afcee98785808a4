"""Recommendations for many users as a Parquet file, written batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.files import replacing
from mmrec.ranking.page import Slot
from mmrec.ranking.request import Plan, check_k
from mmrec.ranking.retrieve import Ask, pages
from mmrec.ranking.users import Act, shopper_of
from mmrec.search.snapshot import Snapshot
from mmrec.store.interactions import Journal
from mmrec.store.tables import literals

BATCH = 1_000  # users served at once
SCHEMA = pa.schema([
    ("user_id", pa.string()), ("rank", pa.int32()), ("item_id", pa.string()), ("score", pa.float32()),
    ("rung", pa.string()),
])


def write(
    path: Path, snapshot: Snapshot, journal: Journal, plan: Plan, users: Sequence[str] | None, batch: int,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Writes the pages of users at one state of the catalogue; returns how many users there are.

    Args:
        users: None for all whose interactions are recorded.
        batch: users served at once.
        progress: called with the number of users done since the last call.
    """
    import pyarrow.parquet as pq

    size, served = check_k(batch, "batch", "batch"), recorded(journal) if users is None else list(users)
    with replacing(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(served), size):
            some = served[start : start + size]
            writer.write_table(_served(snapshot, journal, plan, some))
            if progress:
                progress(len(some))
    return len(served)


def recorded(journal: Journal) -> list[str]:
    """Users whose interactions are recorded, in the order of their ids."""
    found: set[str] = set()
    for rows in journal.table.batches(["user_id"]):
        found.update(pc.unique(rows["user_id"]).to_pylist())
    return sorted(found)


def histories(journal: Journal, users: Sequence[str]) -> dict[str, list[Act]]:
    """The acts of each user, oldest first, as those of `Journal.history`."""
    columns = ["user_id", "item_id", "kind", "weight", "time"]
    rows = journal.table.scan(columns, f"user_id IN ({literals(users)})")
    rows = rows.sort_by([("time", "ascending"), ("item_id", "ascending")])
    acts: dict[str, list[Act]] = {user: [] for user in users}
    for user, item_id, worth in zip(
        rows["user_id"].to_pylist(), rows["item_id"].to_pylist(), journal.worths(rows).tolist(), strict=True
    ):
        acts[user].append((item_id, worth))
    return acts


def _served(snapshot: Snapshot, journal: Journal, plan: Plan, users: Sequence[str]) -> pa.Table:
    acts = histories(journal, users)
    asks = [Ask(shopper_of(snapshot, acts[user], strict=False), plan) for user in users]
    served = pages(snapshot, asks, journal.popularity)
    rows = list(_rows(snapshot, users, served))
    return pa.Table.from_pylist(rows, SCHEMA)


def _rows(
    snapshot: Snapshot, users: Sequence[str], served: Sequence[Sequence[Slot]]
) -> Iterator[dict[str, object]]:
    for user, page in zip(users, served, strict=True):
        for rank, slot in enumerate(page, start=1):
            yield {"user_id": user, "rank": rank, "item_id": snapshot.ids[slot.place],
                   "score": slot.score, "rung": slot.rung}
