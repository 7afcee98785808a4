"""The monitor's two logs on disk: Parquet files in folders of the store, each complete at any moment.

`impressions/` has a row for each item that an answer showed, `clicks/` one for each interaction with such an
item.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.data.files import replacing
from mmrec.store.schema import TIME

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

MOST_ROWS = 20_000  # of a file; a larger batch becomes a file of its own
HOUR = "%Y-%m-%dT%H"
DAY = 86_400  # seconds


def hour_of(moment: datetime) -> str:
    """The hour of a moment in UTC, with which the names of files of its rows begin."""
    return moment.astimezone(UTC).strftime(HOUR)


class ParquetLog:
    """One writer of a folder of Parquet files; other writers, in other processes too, have their own files.

    Each batch rewrites the newest file beside the old one and swaps it in, until the file is full or its hour
    is over. So files stay few, and a killed process leaves only complete ones.

    Args:
        schema: has a column `time`, in UTC.
        keep_days: files of hours that lie further back are deleted.
    """

    def __init__(
        self, folder: Path, schema: pa.Schema, *, keep_days: float, most_rows: int = MOST_ROWS
    ) -> None:
        self.folder, self.schema, self.most_rows = folder, schema, most_rows
        self.keep = timedelta(days=keep_days)
        self._path: Path | None = None  # of the newest file, whose rows these are
        self._rows = schema.empty_table()

    def append(self, hour: str, rows: pa.Table) -> None:
        """Writes rows of one hour, as `hour_of` names it; only one thread at a time may call it.

        Raises:
            DataError: the disk refuses; the files are then as before.
        """
        path, kept = self._path, self._rows
        full = kept.num_rows + rows.num_rows > self.most_rows
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
        oldest = (datetime.strptime(hour, HOUR) - self.keep).strftime(HOUR)
        for path in self.folder.glob("*.parquet"):
            if path.name < oldest:
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.tmp"):
            with suppress(FileNotFoundError):  # another process has just finished or deleted it
                if time.time() - path.stat().st_mtime > DAY:
                    path.unlink()


def read_impressions(
    store: Path, since: datetime, until: datetime, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Rows of `IMPRESSIONS` of a period; each answer's rows follow one another, by slot."""
    return read(store / IMPRESSIONS_FOLDER, IMPRESSIONS, since, until, columns=columns)


def read_clicks(store: Path, since: datetime, until: datetime) -> pa.Table:
    """Rows of `CLICKS` of a period, whenever the items were shown."""
    return read(store / CLICKS_FOLDER, CLICKS, since, until)


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
