"""The watcher of a service: logs what was shown and what came of it, beside the work and never in its way.

Rows wait in memory for some seconds, so a killed process loses those seconds and no more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mmrec.errors import MmrecError
from mmrec.monitor.log import Clock, ParquetLog, hour_of, utc_now
from mmrec.monitor.records import (
    CLICKS,
    CLICKS_FOLDER,
    IMPRESSIONS,
    IMPRESSIONS_FOLDER,
    Answer,
    Click,
    Coldness,
    Micros,
    ShopColdness,
    answer_of,
    clicks_of,
    clicks_table,
    impressions_table,
)
from mmrec.types import Recommendation

if TYPE_CHECKING:
    from mmrec.recommender import Recommender

log = logging.getLogger(__name__)

MOST_WAITING = 50_000  # rows in memory while the disk refuses; what comes then is counted and let go


class ImpressionLog:
    """Logs answers to `STORE/impressions/` and clicks to `STORE/clicks/`; several processes may do so.

    Close it, or use it in a `with` block: what waits is then written.

    Args:
        store: folder of the store.
        cold: tells which items were cold; without it the log leaves that open.
        rows: waiting rows that are written at once.
        seconds: after which those that wait are written, be they ever so few.
        keep_days: how long the logs are kept.

    Attributes:
        dropped: rows that were let go, as the disk refused for too long.
    """

    def __init__(
        self, store: Path, *, cold: Coldness | None = None, rows: int = 5_000, seconds: float = 5.0,
        keep_days: float = 90.0, clock: Clock = utc_now,
    ) -> None:
        self.rows, self.seconds, self.clock, self.cold = rows, seconds, clock, cold
        self.dropped = 0
        self._impressions = ParquetLog(store / IMPRESSIONS_FOLDER, IMPRESSIONS, keep_days=keep_days)
        self._clicks = ParquetLog(store / CLICKS_FOLDER, CLICKS, keep_days=keep_days)
        self._answers_held: list[Answer] = []
        self._clicks_held: list[Click] = []
        self._waiting = 0  # rows of both
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
        """Takes note of an answer, which took some seconds to find."""
        answer = answer_of(request_id, self.clock(), route, asked, results, seconds)
        self._hold(self._answers_held, [answer], len(answer.slots))

    def acted(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes note of recorded interactions; those that name no request are left to the journal alone."""
        clicks = clicks_of(rows, self.clock())
        self._hold(self._clicks_held, clicks, len(clicks))

    def flush(self) -> None:
        """Writes what waits. What the disk refuses waits on."""
        with self._writing:
            with self._lock:
                answers, clicks, self._waiting = self._answers_held[:], self._clicks_held[:], 0
                self._answers_held.clear()
                self._clicks_held.clear()
            self._write(self._impressions, answers, self._table, self._answers_held)
            self._write(self._clicks, clicks, clicks_table, self._clicks_held)

    def close(self) -> None:
        """Writes what waits, and stops."""
        self._closed = True
        self._wake.set()
        self._thread.join()
        self.flush()

    def _hold(self, held: list[Any], new: Sequence[Any], rows: int) -> None:
        with self._lock:
            if self._waiting and self._waiting + rows > MOST_WAITING:
                self.dropped += rows
                return
            held.extend(new)
            before, self._waiting = self._waiting, self._waiting + rows
            if before < self.rows <= self._waiting:  # not again while the disk refuses: then time tells
                self._wake.set()

    def _write(
        self, target: ParquetLog, rows: Sequence[Any], table_of: Callable[[Any], pa.Table], held: list[Any]
    ) -> None:
        for hour, members in groupby(rows, lambda row: hour_of(row.time)):
            part = list(members)
            table = table_of(part)
            try:
                target.append(hour, table)
            except (MmrecError, OSError) as error:
                log.warning("%d rows wait, as %s refuses them: %s", table.num_rows, target.folder, error)
                with self._lock:
                    held.extend(part)
                    self._waiting += table.num_rows

    def _work(self) -> None:
        while not self._closed:
            self._wake.wait(self.seconds)
            self._wake.clear()
            try:
                self.flush()
            except Exception:  # of whatever kind: the next rows must find this thread alive
                log.exception("rows of the log are lost")

    def _table(self, answers: Sequence[Answer]) -> pa.Table:
        return impressions_table(answers, self._coldness)

    def _coldness(self, item_ids: Sequence[str], times: Micros) -> list[bool | None]:
        try:
            return self.cold(item_ids, times) if self.cold else [None] * len(item_ids)
        except MmrecError as error:  # the store is being mended, say: the rest of the rows still counts
            log.warning("cannot tell which items were cold: %s", error)
            return [None] * len(item_ids)


def watching(shop: Recommender, **options: Any) -> ImpressionLog:
    """The log of a shop, to be its service's watcher; options are those of `ImpressionLog`."""
    return ImpressionLog(shop.path, **({"cold": ShopColdness(shop)} | options))
