"""Behaviour on disk: the interactions of a store, and what they say of a user and of the crowd."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.config import Config, weight_of
from mmrec.data.impressions import Impression
from mmrec.errors import DataError, Rejection
from mmrec.store import schema
from mmrec.store.impressions import Impressions
from mmrec.store.open import Store
from mmrec.store.tables import WRITTEN, KeyedTable, literals
from mmrec.types import Interaction, RecordReport

log = logging.getLogger(__name__)

COLUMNS = ("item_id", "kind", "weight", "time")
CHUNK = 50_000  # interactions of one write
MOST = 100_000  # interactions, and users without any, whose histories are kept in memory
INDEX_CACHE = 24 * 2**20  # bytes; of an index a page at a time is looked up, and each click makes new ones
OLDEST_FIRST = [("time", "ascending"), ("item_id", "ascending")]
KEEP = timedelta(minutes=1)  # of versions: a click each makes thousands, and a scan is done in seconds
Rows = Sequence[Mapping[str, Any]]
Recorded = Interaction | Impression | Rejection
Weigh = Callable[[pa.Table], NDArray[np.float64]]


@dataclass(frozen=True)
class Popularity:
    """Counts of one version of the interactions.

    Attributes:
        rows: interactions that were read.
        newest: the time of the newest, in days since 1970; one that lies a half-life before it counts half.
        counts: by item; dislikes count nothing, nor does what is dated in the future.
    """

    version: int = 0
    rows: int = 0
    newest: float = -np.inf
    counts: Mapping[str, float] = field(default_factory=dict)

    def at(self, table: KeyedTable, weigh: Weigh, half_life: float) -> Popularity:
        """The counts of a later version, by reading what came since; of all rows, if some are gone.

        Args:
            table: the interactions, frozen.
            weigh: gives the weights [n] of rows.
            half_life: in days.
        """
        new, before = table.added_since(self.version, self.rows, COLUMNS), self
        if new is None:
            new, before = table.scan(COLUMNS), Popularity()
        if not new.num_rows:
            return replace(before, version=table.version)
        rows = before.rows + new.num_rows
        days = new["time"].cast(pa.int64()).to_numpy() / 86_400e6  # microseconds -> days
        past = days <= (datetime.now(UTC) + schema.AHEAD).timestamp() / 86_400
        if not past.any():
            return replace(before, version=table.version, rows=rows)
        new, days = new.filter(pa.array(past)), days[past]
        newest = max(before.newest, float(days.max()))
        counts = np.maximum(weigh(new), 0) * 0.5 ** ((newest - days) / half_life)
        sums = pa.table([new["item_id"], counts], ["item", "n"]).group_by("item").aggregate([("n", "sum")])
        faded = 0.5 ** ((newest - before.newest) / half_life)
        merged = {item_id: n * faded for item_id, n in before.counts.items()}
        for item_id, n in zip(sums["item"].to_pylist(), sums["n_sum"].to_pylist(), strict=True):
            merged[item_id] = merged.get(item_id, 0.0) + n
        return Popularity(table.version, rows, newest, merged)


class Histories:
    """Interactions by user, of the newest version of their table.

    A user asks several times before the next click, and finding the rows in the table takes longer than all
    the rest of a recommendation.
    """

    def __init__(self, table: KeyedTable) -> None:
        self.table = table
        self._lock = threading.Lock()
        self._version = self._rows = 0  # what is kept is of this version, which had so many rows
        self._room = MOST
        self._kept: OrderedDict[str, Rows] = OrderedDict()

    def of(self, user: str) -> Rows:
        """The user's interactions, oldest first."""
        with self._lock:
            if self.table.version != self._version:
                self._catch_up()
            kept, version = self._kept.get(user), self._version
            if kept is not None:
                self._kept.move_to_end(user)
                return kept
        rows = self._read(user)
        with self._lock:
            if version == self._version:  # else a write may have passed what was just read
                self._keep(user, rows)
        return rows

    def _keep(self, user: str, rows: Rows) -> None:
        self._forget(user)  # which another thread may have read as well
        self._kept[user] = rows
        self._room -= 1 + len(rows)
        while self._room < 0:
            self._forget(next(iter(self._kept)))

    def _forget(self, user: str) -> None:
        if user in self._kept:
            self._room += 1 + len(self._kept.pop(user))

    def _catch_up(self) -> None:
        """Forgets the users who did something since; all of them, if that cannot be told."""
        now = self.table.frozen()
        new = now.added_since(self._version, self._rows, ["user_id"])
        for user in list(self._kept) if new is None else new["user_id"].to_pylist():
            self._forget(user)
        self._version, self._rows = now.version, now.count()

    def _read(self, user: str) -> Rows:
        rows = self.table.scan(COLUMNS, f"user_id = {literals([user])}")
        found: Rows = rows.sort_by(OLDEST_FIRST).to_pylist()
        return found


class Interactions:
    """The interactions of a store: who did what with which item, and when."""

    def __init__(self, store: Store, config: Config) -> None:
        self.store, self.config = store, config
        self.table, self.impressions = table_of(store), Impressions(store)
        self._lock = threading.Lock()
        self._histories, self._popularity = Histories(self.table), Popularity()

    def record(
        self, rows: Iterable[Recorded], *, strict: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> RecordReport:
        """Appends interactions and impressions; the same user, item, kind and time again is known, not new.

        What is dated in the future, by a clock that is wrong, is kept and told in the log, and makes no item
        popular.

        Raises:
            DataError: with `strict`, the first row that was rejected.
        """
        added = unchanged = ahead = 0
        rejections: list[Rejection] = []
        source = iter(rows)
        while chunk := list(islice(source, CHUNK)):
            shown = [one for one in chunk if isinstance(one, Impression)]
            keyed, refused = _parted(one for one in chunk if not isinstance(one, Impression))
            ahead += schema.ahead(one.time for one in keyed.values())
            new, rows_of_pages = self._append(keyed) if keyed else 0, sum(len(one.items) for one in shown)
            seen = self.impressions.append(shown)
            added += new + seen
            unchanged += len(chunk) - len(shown) - len(refused) - new + rows_of_pages - seen
            rejections += refused
            if progress:
                progress(len(chunk))
            if strict and rejections:
                line = f"line {rejections[0].line}: " if rejections[0].line else ""
                raise DataError(line + rejections[0].reason, field=rejections[0].field)
        if added:
            self._finish()
        _tell(ahead)
        return RecordReport(
            added=added, unchanged=unchanged, rejected=len(rejections), rejections=tuple(rejections)
        )

    def record_many(self, batches: Sequence[Sequence[Interaction | Rejection]]) -> list[RecordReport]:
        """`record` for each batch, one after the other, in a single write."""
        if len(batches) == 1:
            return [self.record(batches[0])]
        parts = [_parted(batch) for batch in batches]
        first = {key: one for keyed, _ in reversed(parts) for key, one in keyed.items()}
        with self.store.writer():
            known = set(self.table.read(list(first), ["key"])["key"].to_pylist())
            if first:
                self._append(first)
                self._finish()
        _tell(schema.ahead(one.time for one in first.values()))
        reports = []
        for batch, (keyed, refused) in zip(batches, parts, strict=True):
            new = keyed.keys() - known
            known |= new
            reports.append(RecordReport(
                added=len(new), unchanged=len(batch) - len(refused) - len(new), rejected=len(refused),
                rejections=tuple(refused),
            ))
        return reports

    def interactions(self, user: str) -> list[Interaction]:
        """A user's interactions, oldest first."""
        return [Interaction(user_id=user, **row) for row in self._histories.of(user)]

    def history(self, user: str) -> list[tuple[str, float]]:
        """(item, weight) of a user's interactions, oldest first; a disliking kind weighs less than 0."""
        rows = self._histories.of(user)
        return [(row["item_id"], self.weight_of(row["kind"]) * row["weight"]) for row in rows]

    def histories(self, users: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
        """`history` of each of many users, by one scan of the table."""
        rows = self.table.scan(["user_id", *COLUMNS], f"user_id IN ({literals(users)})").sort_by(OLDEST_FIRST)
        found: dict[str, list[tuple[str, float]]] = {user: [] for user in users}
        acts = zip(rows["item_id"].to_pylist(), self.weights_of(rows).tolist(), strict=True)
        for user, act in zip(rows["user_id"].to_pylist(), acts, strict=True):
            found[user].append(act)
        return found

    def users(self) -> list[str]:
        """Users with recorded interactions, in the order of their ids."""
        found: set[str] = set()
        for rows in self.table.batches(["user_id"]):
            found.update(pc.unique(rows["user_id"]).to_pylist())
        return sorted(found)

    def popularity(self) -> Mapping[str, float]:
        """Decayed, weighted count of each item's interactions; dislikes count nothing.

        An interaction that lies `config.popularity_half_life` days before the newest counts half.
        """
        with self._lock:
            if self._popularity.version != self.table.version:
                now, half_life = self.table.frozen(), self.config.popularity_half_life
                self._popularity = self._popularity.at(now, self.weights_of, half_life)
            return self._popularity.counts

    def weight_of(self, kind: str) -> float:
        """Weight of a kind as the settings say; see `mmrec.config.weight_of`."""
        return weight_of(kind, self.config.kind_weights)

    def weights_of(self, rows: pa.Table) -> NDArray[np.float64]:
        """Kind's weight x own weight [n] of rows of the table; negative for dislikes."""
        kinds = rows["kind"].combine_chunks().dictionary_encode()
        weights = np.array([self.weight_of(kind) for kind in kinds.dictionary.to_pylist()], np.float64)
        return weights[kinds.indices.to_numpy()] * rows["weight"].to_numpy()

    def _finish(self) -> None:
        """After a write: indices, and compaction when it pays."""
        with self.store.writer():
            self.table.index_key("key")  # else every write reads all the keys
            self.table.index_key("user_id")
            self.table.tidy(keep=KEEP)

    def _append(self, interactions: Mapping[str, Interaction]) -> int:
        names = schema.INTERACTIONS.names[1:]
        columns = [[getattr(one, name) for one in interactions.values()] for name in names]
        rows = pa.table([list(interactions), *columns], schema=schema.INTERACTIONS)
        with self.store.writer():
            inserted, _ = self.table.upsert(rows, insert_only=True)
        return inserted


def _tell(ahead: int) -> None:
    if ahead:
        log.warning(
            "%d interactions are dated in the future (is a clock wrong?): they count for their users, but"
            " make no item popular before their time", ahead,
        )


def key_of(user_id: str, item_id: str, kind: str, when: str) -> str:
    """The key of an interaction's row; `when` is empty of one whose time is not known."""
    text = "\x1f".join((user_id, item_id, kind, when))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _parted(rows: Iterable[object]) -> tuple[dict[str, Interaction], list[Rejection]]:
    """Interactions by the key of their rows, of two with one key the last; and what is none."""
    keyed: dict[str, Interaction] = {}
    refused: list[Rejection] = []
    for row in rows:
        if isinstance(row, Interaction):
            when = "" if row.undated else row.time.isoformat()
            keyed[key_of(row.user_id, row.item_id, row.kind, when)] = row
        elif isinstance(row, Rejection):
            refused.append(row)
        else:
            refused.append(Rejection(reason=f"expected an mmrec.Interaction, got {type(row).__name__}"))
    return keyed, refused


def table_of(store: Store) -> KeyedTable:
    """The table of a store's interactions."""
    return store.table("interactions", schema.INTERACTIONS.append(WRITTEN), INDEX_CACHE)
