"""The monitor's logs of a store: what a service shows and what is clicked, without keeping answers waiting.

`impressions/` has a row for each item that an answer showed, `clicks/` one for each interaction with such an
item. Both are folders of Parquet files, each complete at any moment. Rows wait in memory for some seconds
before a thread writes them, so a killed process loses only these.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.data.files import replacing
from mmrec.errors import MmrecError
from mmrec.ranking.request import Exploration
from mmrec.store.schema import TIME
from mmrec.types import NOUNS, Recommendation

if TYPE_CHECKING:
    from mmrec.recommender import Recommender

log = logging.getLogger(__name__)

IMPRESSIONS_FOLDER, CLICKS_FOLDER = "impressions", "clicks"  # in the store
IMPRESSIONS = pa.schema([
    ("request_id", pa.string()), ("time", TIME), ("route", pa.string()), ("user", pa.string()),
    ("asked", pa.string()),  # the options as JSON without pictures; null if they are long
    ("explore", pa.float64()),  # share of slots that the request gave to new items
    ("latency_ms", pa.float64()),
    ("slot", pa.int32()), ("item_id", pa.string()),  # slots from 0; both null if nothing was found
    ("rung", pa.string()), ("score", pa.float64()),
    ("propensity", pa.float64()),  # chance that this slot showed this item, given the slots above
    ("cold", pa.bool_()),  # null if it is not known
])
CLICKS = pa.schema([
    ("request_id", pa.string()), ("item_id", pa.string()), ("kind", pa.string()), ("time", TIME),
])

KEEP = timedelta(days=90)  # files of hours that lie further back are deleted
MOST_ROWS = 20_000  # of a file; a larger batch becomes a file of its own
HOUR = "%Y-%m-%dT%H"
DAY = 86_400  # seconds
MOST_WAITING = 50_000  # rows in memory while the disk refuses; later ones are dropped and counted
MOST_ASKED = 4_096  # characters; longer options of a request are not logged
MOST_ID = 64  # characters of a request's id
UNTRAINED_COLD = timedelta(days=30)  # how long an item is cold where nothing was trained
Row = dict[str, Any]  # by column; a column that is not there is null
# (items shown [n], None for none; when they were shown [n]) -> whether they were cold [n], None if unknown
Coldness = Callable[[Sequence[str | None], Sequence[datetime]], list[bool | None]]


class ImpressionLog:
    """Logs answers to `STORE/impressions/` and clicks to `STORE/clicks/`; several processes may do so.

    Close it, or use it in a `with` block: rows that wait are then written.

    Args:
        store: folder of the store.
        cold: tells which items were cold; without it the log leaves that open.
        rows: number of waiting rows at which they are written at once.
        seconds: after which waiting rows are written, however few.

    Attributes:
        dropped: rows that were not logged, as the disk refused for too long.
    """

    def __init__(
        self, store: Path, *, cold: Coldness | None = None, rows: int = 5_000, seconds: float = 5.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.rows, self.seconds, self.clock, self.cold = rows, seconds, clock, cold
        self.dropped = 0
        self._logs = {
            folder: ParquetLog(store / folder, schema)
            for folder, schema in ((IMPRESSIONS_FOLDER, IMPRESSIONS), (CLICKS_FOLDER, CLICKS))
        }
        self._waiting: dict[str, list[Row]] = defaultdict(list)  # by folder
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="mmrec-log", daemon=True)
        self._thread.start()

    def __enter__(self) -> ImpressionLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def shown(
        self, request_id: str, route: str, asked: Mapping[str, Any], results: Sequence[Recommendation],
        seconds: float | None = None,
    ) -> None:
        """Logs an answer.

        Args:
            request_id: clicks on the results name it.
            route: `recommend`, `search` or `similar`.
            asked: the options of the request.
            results: what was found, best first.
            seconds: how long that took.
        """
        options = json.dumps({k: v for k, v in asked.items() if k not in ("user", *NOUNS)}, default=str)
        user, explore = asked.get("user"), asked.get("explore")
        answer = {
            "request_id": request_id, "time": self.clock(), "route": route,
            # JSON may bring surrogates
            "user": None if user is None else str(user).encode("utf-8", "replace").decode(),
            "asked": options if len(options) <= MOST_ASKED else None,
            "explore": explore.share if isinstance(explore, Exploration) else float(explore or 0.0),
            "latency_ms": None if seconds is None else 1_000 * seconds,
        }
        self._hold(IMPRESSIONS_FOLDER, [
            answer | {
                "slot": slot, "item_id": r.item_id, "rung": r.rung, "score": r.score,
                "propensity": r.propensity,
            } for slot, r in enumerate(results)
        ] or [answer])

    def acted(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Logs recorded interactions as clicks, if they name a request; the time is that of the clock."""
        now = self.clock()
        self._hold(CLICKS_FOLDER, [
            {"request_id": name, "item_id": row["item_id"], "kind": row.get("kind") or "click", "time": now}
            for row in rows
            if isinstance(name := row.get("request_id"), str) and name.isascii() and 0 < len(name) <= MOST_ID
        ])

    def flush(self) -> None:
        """Writes the rows that wait; those that the disk refuses wait on."""
        with self._writing:
            with self._lock:
                taken, self._waiting = self._waiting, defaultdict(list)
            self._mark_cold(taken[IMPRESSIONS_FOLDER])
            for folder, rows in taken.items():
                self._write(folder, rows)

    def close(self) -> None:
        """Writes the rows that wait, and stops."""
        self._closed = True
        self._wake.set()
        self._thread.join()
        self.flush()

    def _hold(self, folder: str, rows: Sequence[Row]) -> None:
        with self._lock:
            before = sum(map(len, self._waiting.values()))
            after = before + len(rows)
            if before and after > MOST_WAITING:
                self.dropped += len(rows)
                return
            self._waiting[folder].extend(rows)
        if before < self.rows <= after:  # once only: while the disk refuses, the next try waits its time
            self._wake.set()

    def _write(self, folder: str, rows: Sequence[Row]) -> None:
        target = self._logs[folder]
        for hour, members in groupby(rows, lambda row: hour_of(row["time"])):
            part = list(members)
            try:
                target.append(hour, pa.Table.from_pylist(part, target.schema))
            except (MmrecError, OSError) as error:
                log.warning("%d rows wait, as %s refuses them: %s", len(part), target.folder, error)
                with self._lock:
                    self._waiting[folder].extend(part)

    def _mark_cold(self, rows: Sequence[Row]) -> None:
        if not (self.cold and rows):
            return
        try:
            marks = self.cold([row.get("item_id") for row in rows], [row["time"] for row in rows])
        except MmrecError as error:  # such as a store under repair: the other columns still count
            log.warning("cannot tell which items were cold: %s", error)
            return
        for row, mark in zip(rows, marks, strict=True):
            row["cold"] = mark

    def _work(self) -> None:
        while not self._closed:
            self._wake.wait(self.seconds)
            self._wake.clear()
            try:
                self.flush()
            except Exception:  # whatever it is, the next rows need this thread
                log.exception("rows of the log are lost")


def watching(shop: Recommender, **options: Any) -> ImpressionLog:
    """The log of a shop, to be given to its service; options are those of `ImpressionLog`.

    An item is cold if it was added after the last `fit`, which did not know it; before the first `fit`, for
    30 days after it was added. Of an item that has left the catalogue meanwhile it is not known.
    """
    return ImpressionLog(shop.path, cold=partial(_were_cold, shop), **options)


def _were_cold(
    shop: Recommender, item_ids: Sequence[str | None], times: Sequence[datetime]
) -> list[bool | None]:
    snapshot, fitted = shop.snapshot(), shop.store.facts.get("fitted_at")
    positions = pa.array([snapshot.position.get(i) if i else None for i in item_ids], pa.int64())
    added = snapshot.facts["added_at"].take(positions).to_pylist()
    borders = [datetime.fromisoformat(fitted) if fitted else time - UNTRAINED_COLD for time in times]
    return [at if at is None else at > border for at, border in zip(added, borders, strict=True)]


def hour_of(moment: datetime) -> str:
    """The hour of a moment in UTC, with which the names of files of its rows begin."""
    return moment.astimezone(UTC).strftime(HOUR)


class ParquetLog:
    """One writer of a folder of Parquet files; other writers, in other processes too, have their own files.

    Each batch rewrites the newest file beside the old one and swaps it in, until the file is full or its hour
    is over. So files stay few, and a killed process leaves only complete ones.

    Args:
        schema: has a column `time`, in UTC.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder, self.schema = folder, schema
        self._path: Path | None = None  # of the newest file, whose rows these are
        self._rows = schema.empty_table()

    def append(self, hour: str, rows: pa.Table) -> None:
        """Writes rows of one hour, as `hour_of` names it; only one thread at a time may call it.

        Raises:
            DataError: the disk refuses; the files are then as before.
        """
        path, kept = self._path, self._rows
        full = kept.num_rows + rows.num_rows > MOST_ROWS
        if path is None or full or not path.name.startswith(hour):
            path, kept = self.folder / f"{hour}-{uuid.uuid4().hex[:12]}.parquet", self.schema.empty_table()
            self.folder.mkdir(exist_ok=True)
            self._delete_old(hour)
        kept = pa.concat_tables([kept, rows])
        with replacing(path) as file:
            pq.write_table(kept, file, compression="zstd")
        self._path, self._rows = path, kept

    def _delete_old(self, hour: str) -> None:
        """Deletes files that are past their time, and unfinished ones that a killed process left behind."""
        oldest = (datetime.strptime(hour, HOUR) - KEEP).strftime(HOUR)
        for path in self.folder.glob("*.parquet"):
            if path.name < oldest:
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.tmp"):
            with suppress(FileNotFoundError):  # another process has just finished or deleted it
                if time.time() - path.stat().st_mtime > DAY:
                    path.unlink()


def read(
    folder: Path, schema: pa.Schema, since: datetime, until: datetime, *,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The rows of all writers from `since` on and before `until`, in no particular order."""
    wanted = pa.schema([schema.field(name) for name in columns or schema.names])
    period = [("time", ">=", since), ("time", "<", until)]
    first, last = hour_of(since), hour_of(until)
    parts = [wanted.empty_table()]
    for path in sorted(folder.glob("*.parquet")):
        if not first <= path.name[: len(first)] <= last:
            continue
        try:
            parts.append(pq.read_table(path, columns=wanted.names, filters=period).cast(wanted))
        except FileNotFoundError:  # another process has just deleted it as too old
            continue
        except (OSError, pa.ArrowException) as error:
            log.warning("%s is left out, as it cannot be read: %s", path, error)
    return pa.concat_tables(parts)
