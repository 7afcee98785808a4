"""Logs of what users did, as shops have them: tables and frames of any columns, as `Interaction`s.

Which column says what is told by `LogColumns`, or guessed by its name. A rating becomes a kind: `like` from a
threshold on, else `view`, which below the scale's middle third weighs nothing; or `dislike` there, if asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ingest.sources.events import dated, each_item, opened
from ingest.sources.frames import frame_records
from ingest.sources.log_columns import LogColumns, canonical, settle, told
from ingest.sources.log_flags import are_orders, flag_of
from ingest.sources.log_kinds import SIGNS, meant
from ingest.sources.ratings import number, rating_reader
from ingest.sources.records import Record
from ingest.sources.sniffing import ReadOptions
from ingest.sources.tables import TableFile, table_file
from ingest.sources.times import time_reader
from mmrec import config as kinds
from mmrec.data.cleaning import identifier, plain
from mmrec.data.files import SUFFIXES, read_interactions
from mmrec.data.rows import BAD, INTERACTION_KEYS, rejected
from mmrec.errors import DataError, Rejection
from mmrec.types import Interaction

SAMPLED = 1_000  # first rows that decide what the columns are
_RATED = frozenset({"rating", "rate", "rated", "review", "reviewed", "score"})  # kinds that a rating decides
_DECIMAL_ID = re.compile(r"(-?[0-9]+)\.0+")
_SPOILT = re.compile(r"[0-9]\.[0-9]+[eE]\+[0-9]+")


@dataclass(frozen=True)
class Log:
    """The interactions of a log; it may be walked through once.

    Attributes:
        columns: what the columns mean.
        notes: what was guessed and left out, a sentence each; complete after the walk.
    """

    columns: LogColumns
    rows: Iterator[Interaction | Rejection]
    notes: list[str]

    def __iter__(self) -> Iterator[Interaction | Rejection]:
        return self.rows


def open_log(
    source: Any, columns: LogColumns | None = None, options: ReadOptions | None = None, *,
    weighed: Collection[str] = (),
) -> Log:
    """The interactions of a file (CSV, TSV, Excel, JSON, XML, Parquet ...) or of a frame.

    Args:
        source: a path, an open file, or a table in memory as of `ingest.sources.from_frame`.
        columns: what the columns mean.
        options: how a text file is written.
        weighed: kinds to which the settings of the store give a weight.

    Raises:
        DataError: it cannot be read, or no column names users or items.
    """
    columns = columns or LogColumns()
    if isinstance(source, str | Path | TableFile):
        if not isinstance(source, TableFile):
            source = table_file(Path(source), columns.delimiter, options)
        file = source
        records, notes, origin = file.records, file.notes, file.content.origin
    else:
        notes, origin = [], "the frame"
        records, _ = frame_records(source, notes)
    records = opened(records, _first(records))
    records = dated(records, _first(records), notes)
    sample = [record.cells for record in _first(records)]
    if not sample:
        raise DataError(f"{origin} has no rows that can be read: give a file with a row for each interaction")
    names = list(dict.fromkeys(name for cells in sample for name in cells))
    chosen = settle(columns, names, origin, sample)
    shape = _Shape(chosen, sample, notes, weighed)
    ours = set(names) <= set(INTERACTION_KEYS) and chosen.named == canonical(names).named
    if ours and isinstance(source, str | Path) and str(source).endswith(SUFFIXES):
        return Log(chosen, shape.counted(_mended(read_interactions(source), shape)), notes)
    notes += told(columns, chosen, names)
    return Log(chosen, shape.counted(map(shape, each_item(chosen.item or "", records()))), notes)


def _first(records: Callable[[], Iterator[Record]]) -> list[Record]:
    return [record for record in islice(records(), SAMPLED) if record.problem is None]


def _mended(
    rows: Iterator[Interaction | Rejection], shape: Callable[[Record], Interaction | Rejection]
) -> Iterator[Interaction | Rejection]:
    """Rows of the canonical reader; what it refuses is read as a row of any log."""
    for row in rows:
        if isinstance(row, Rejection) and row.row and "unparsed" not in row.row:
            yield shape(Record(row.row, row.line))
        else:
            yield row


class _Shape:
    """Makes interactions of records, and keeps count of what it did."""

    def __init__(
        self, columns: LogColumns, sample: Sequence[Mapping[str, Any]], notes: list[str],
        weighed: Collection[str],
    ) -> None:
        self.columns, self.notes, self._weighed = columns, notes, weighed
        self._seen: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._meant: Counter[tuple[str, str]] = Counter()
        self._kinds = {kinds.spelling(name): kinds.spelling(kind) for name, kind in columns.kinds.items()}

        def cells(name: str | None) -> list[Any]:
            return [one for row in sample if name and (one := plain(row.get(name))) is not None]

        self._time = time_reader(cells(columns.time), notes)
        self._decimal = {name: _decimal(cells(name)) for name in (columns.user, columns.item) if name}
        self._rate = rating_reader(
            cells(columns.rating), notes, threshold=columns.threshold, dislikes=columns.dislikes
        )
        self._flag = flag_of(columns, sample)
        self._bought = not self._flag and are_orders(columns)
        self._last: tuple[Any, Any, Any] = (None, None, None)  # session, its user and its time
        if self._flag:
            notes.append(f"{self._flag.column!r} says whether there was a {self._flag.yes} (--kind)")
        if self._bought:
            notes.append("rows of orders are purchases (--kinds purchase=KIND)")

    def __call__(self, record: Record) -> Interaction | Rejection:
        if record.problem is not None:
            return Rejection(reason=record.problem, line=record.line)
        try:
            return self._interaction(record)
        except BAD as error:
            return rejected(error, record.cells, line=record.line)

    def _interaction(self, record: Record) -> Interaction:
        columns, cells = self.columns, {name: plain(cell) for name, cell in record.cells.items()}
        user, item = self._id(columns.user, cells), self._id(columns.item, cells)
        session = self._id(columns.session, cells)
        before, last_user, last_time = self._last if session is not None else (None, None, None)
        if user is None and session is not None:
            user = last_user if session == before else session
            if columns.user is not None:
                of = "that of the row above" if session == before else "their session"
                self._done[f"rows name no user, so {of} stands for one (--user, --session)"] += 1
        for name, value in (("user", user), ("item", item)):
            if value is None:
                raise DataError(f"the {name} is missing: every row needs one", field=f"{name}_id")
        said: dict[str, Any] = {"kind": "purchase"} if self._bought else {}
        if self._flag and (kind := self._flag.kind(cells)) is not None:
            said["kind"] = kind
        if columns.kind and (kind := cells.get(columns.kind)) is not None:
            said["kind"] = SIGNS.get(str(kind).strip()[:1], str(kind))
        if columns.weight and cells.get(columns.weight) is not None:
            said["weight"] = number(cells[columns.weight], "weight")
        if columns.rating and cells.get(columns.rating) is not None and (
            "kind" not in said or kinds.spelling(said["kind"]) in _RATED
        ):
            said["kind"], weight = self._rate(number(cells[columns.rating], "rating"))
            said.setdefault("weight", weight)
        if columns.quantity and _is_below_zero(cells.get(columns.quantity)):
            said["kind"] = "refund"
            self._done["rows of a quantity below 0 are refunds"] += 1
        time = self._moment(cells.get(columns.time)) if columns.time else None
        time = last_time if time is None and session == before else time
        self._last = session, user, time
        if time is None:
            said["undated"] = True
        else:
            said["time"] = time
        return Interaction(user_id=user, item_id=item, line=record.line, **said)

    def _id(self, name: str | None, cells: Mapping[str, Any]) -> Any:
        cell = cells.get(name) if name else None
        if isinstance(cell, str):
            if self._decimal.get(name or "") and (whole := _DECIMAL_ID.fullmatch(cell.strip())):
                cell = whole[1]
            elif _SPOILT.fullmatch(cell.strip()):
                self._done[f"ids of {name!r} look spoilt by a spreadsheet (such as {cell.strip()}): export"
                           " that column as text"] += 1
        return None if cell is None else identifier(cell)

    def _moment(self, cell: Any) -> Any:
        if cell is None:
            return None
        try:
            return self._time(cell)
        except (ValueError, OverflowError):
            raise DataError(
                f"the time {cell!r:.100} cannot be read: write ISO 8601 such as '2024-05-01T10:00:00Z', or"
                " seconds since 1970", field="time",
            ) from None

    def counted(self, rows: Iterator[Interaction | Rejection]) -> Iterator[Interaction | Rejection]:
        """The rows, and at their end what there was of them."""
        undated = 0
        for row in rows:
            if isinstance(row, Interaction):
                if row.kind in self._kinds:
                    row = replace(row, kind=self._kinds[row.kind])
                elif row.kind not in self._weighed and (known := meant(row.kind)):
                    self._meant[row.kind, known] += 1
                    row = replace(row, kind=known)
                self._seen[row.kind] += 1
                undated += row.undated
            yield row
        self.notes += [f"{what}: {count:,}" for what, count in self._done.items()]
        if undated:
            self.notes.append(
                f"{undated:,} interactions have no time and count as of now; the same user, item and kind is"
                " recorded once (--time)"
            )
        self.notes += _kinds_told(self._seen, self._weighed, self._meant)


def _is_below_zero(cell: Any) -> bool:
    try:
        return number(cell, "quantity") < 0
    except DataError:
        return False


def _kinds_told(
    seen: Counter[str], weighed: Collection[str], translated: Counter[tuple[str, str]]
) -> list[str]:
    read = {kind: kinds.meaning(kind) for kind in seen if kind not in weighed}
    told = [
        f"{kind!r} as {known} ({seen[kind]:,})" for kind, known in read.items() if known not in (None, kind)
    ]
    told += [f"{kind!r} as {known} ({count:,})" for (kind, known), count in translated.items()]
    unknown = [f"{kind!r} ({seen[kind]:,})" for kind, known in read.items() if known is None]
    notes = []
    if told:
        notes.append(f"kinds were read by their names: {', '.join(told)[:500]} (--kinds NAME=KIND)")
    if unknown:
        notes.append(
            f"unknown kinds count as a click each: {', '.join(unknown)[:500]}; say what they mean by"
            " --kinds NAME=KIND, or give them a weight in `kind_weights` of the settings"
        )
    return notes


def _decimal(ids: Sequence[Any]) -> bool:
    """Whether ids are whole numbers that a tool wrote with decimals, such as "101.0"."""
    texts = [one.strip() for one in ids if isinstance(one, str)]
    return bool(texts) and all(one.isdigit() or _DECIMAL_ID.fullmatch(one) for one in texts)
