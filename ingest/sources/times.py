"""Times of logs: dates of any order (`moments`), or a count of units since 1970, each value by its size."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.sources.moments import ZERO, epoch, moment, ordered, orders
from mmrec.types import as_utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((1e11, 1), (1e14, 10**3), (1e17, 10**6), (float("inf"), 10**9))  # below: so many of it are a second
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?")


def time_reader(cells: Sequence[Any], notes: list[str]) -> Callable[[Any], datetime | None]:
    """What reads the times of a column, whose first cells decide the order of day and month.

    It gives None for a cell that says nothing (0 and -1, too), and raises ValueError for one that is no time.

    Args:
        cells: the first of the column.
        notes: gets a sentence if that order was guessed, or days are counted.
    """
    texts = [cell for cell in cells if isinstance(cell, str) and not ZERO.fullmatch(cell.strip())]
    fit = orders(texts)
    if len(fit) > 1:
        notes.append(f"days and months may be either way round: read as {fit[0]}; write ISO 8601 to be sure")
    dates = ordered(fit[0]) if fit else moment
    counted, what = epoch(cells) or (None, "")
    if what and not what.startswith("time"):
        notes.append(f"times are {what}")

    def read(cell: Any) -> datetime | None:
        if isinstance(cell, dict) and set(cell) == {"datetime"}:
            cell = cell["datetime"]
        if counted and not what.startswith("time"):
            with suppress(ValueError, OverflowError):
                return counted(cell)
        if isinstance(cell, str):
            text = cell.strip()
            if not text or ZERO.fullmatch(text):
                return None
            if not _NUMBER.fullmatch(text):
                return _date(text, dates)
            cell = int(text) if text.lstrip("+-").isdigit() else float(text)
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            return _since_1970(cell) if cell > 0 else None
        return moment(cell)

    return read


def _date(text: str, dates: Callable[[Any], datetime]) -> datetime:
    try:
        return as_utc(datetime.fromisoformat(text))
    except ValueError:
        return dates(text)


def _since_1970(number: float) -> datetime:
    per_second = next(unit for bound, unit in _UNITS if not abs(number) >= bound)
    whole, rest = divmod(number, per_second)
    try:
        return _EPOCH + timedelta(seconds=whole, microseconds=round(rest * 10**6 / per_second))
    except OverflowError as error:
        raise ValueError(number) from error
