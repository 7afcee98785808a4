"""A log on disk: Parquet files in a folder, each of them complete whenever anybody looks."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.data.files import replacing

log = logging.getLogger(__name__)

MOST_ROWS = 20_000  # of a file; a larger batch becomes a file of its own
HOUR = "%Y-%m-%dT%H"  # of a file's rows, in UTC: how its name begins
DAY = 86_400  # seconds
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def hour_of(moment: datetime) -> datetime:
    """The beginning of a moment's hour, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


class ParquetLog:
    """What this process appends; other processes have files of their own in the same folder.

    The newest file is written anew with each batch, complete beside and then swapped in, until it is full or
    its hour is over: files stay few, and a killed process leaves whole ones.

    Args:
        schema: has a column `time`, in UTC.
        keep_days: files of hours that are longer ago are deleted.
    """

    def __init__(
        self, folder: Path, schema: pa.Schema, *, keep_days: float, most_rows: int = MOST_ROWS
    ) -> None:
        self.folder, self.schema, self.most_rows = folder, schema, most_rows
        self.keep = timedelta(days=keep_days)
        self._path: Path | None = None  # of the newest file, and what it holds
        self._rows = schema.empty_table()

    def append(self, hour: datetime, rows: pa.Table) -> None:
        """Writes rows of one hour; only one thread at a time may call it.

        Raises:
            DataError: the disk refuses; the files are then as before.
        """
        name, path, held = hour.strftime(HOUR), self._path, self._rows
        full = held.num_rows + rows.num_rows > self.most_rows
        if path is None or full or not path.name.startswith(name):
            path, held = self.folder / f"{name}-{uuid.uuid4().hex[:12]}.parquet", self.schema.empty_table()
            self.folder.mkdir(exist_ok=True)
            self.sweep(hour)
        held = pa.concat_tables([held, rows])
        with replacing(path) as file:
            pq.write_table(held, file, compression="zstd")
        self._path, self._rows = path, held

    def sweep(self, now: datetime) -> int:
        """Deletes files that are too old, and what killed processes began; returns how many files."""
        end = (now - self.keep).strftime(HOUR)
        old = [path for path in self.folder.glob("*.parquet") if path.name[: len(end)] < end]
        old += [path for path in self.folder.glob(".*.tmp") if _age(path) > DAY]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


def read(
    folder: Path, schema: pa.Schema, since: datetime, until: datetime, *,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The rows of all processes from `since` on and before `until`, in no particular order."""
    wanted = pa.schema([schema.field(name) for name in columns or schema.names])
    period = [("time", ">=", since), ("time", "<", until)]
    parts = [wanted.empty_table()]
    for path in _files(folder, since, until):
        try:
            parts.append(pq.read_table(path, columns=wanted.names, filters=period).cast(wanted))
        except FileNotFoundError:  # another process has just deleted it as too old
            continue
        except (OSError, pa.ArrowException) as error:
            log.warning("%s is left out, as it cannot be read: %s", path, error)
    return pa.concat_tables(parts)


def _files(folder: Path, since: datetime, until: datetime) -> Iterator[Path]:
    """The files that may hold rows of a period, by their hours."""
    first, last = (moment.astimezone(UTC).strftime(HOUR) for moment in (since, until))
    for path in sorted(folder.glob("*.parquet")):
        if first <= path.name[: len(first)] <= last:
            yield path


def _age(path: Path) -> float:
    """Seconds since a file was last written; 0 if it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
