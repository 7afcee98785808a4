"""Tables in memory: pandas, polars, pyarrow, and rows as dicts."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest.sources.columns import Columns
from ingest.sources.grids import apart
from ingest.sources.layout import table
from ingest.sources.records import Record, Rows
from ingest.sources.tables import arrow_records
from ingest.sources.values import natural
from mmrec.data.media import portable
from mmrec.errors import DataError

_STRANGE = ("Object", "period", "interval")  # types of polars and pandas that Arrow would take amiss
_ADDRESS = re.compile(r"<.* object at 0x[0-9a-f]+>")  # what says nothing of an object
_REFUSED = (pa.ArrowException, AttributeError, TypeError, ValueError, OverflowError)


def from_frame(frame: Any, columns: Columns | None = None) -> Rows:
    """The rows of a pandas or polars frame, a pyarrow Table or a list of dicts, mapped as a table file is.

    The levels of an index of pandas are columns if they have names. Relative paths of pictures begin at the
    working directory.

    Raises:
        DataError: it is no such table, or the mapping does not fit.
    """
    notes: list[str] = []
    records, size = frame_records(frame, notes)
    return table(
        "frame", Path.cwd(), records, origin="the frame", columns=columns, size=size, notes=notes
    )


def frame_records(frame: Any, notes: list[str]) -> tuple[Callable[[], Iterator[Record]], int]:
    """What walks through the rows of a table in memory, and their number.

    Args:
        frame: a pandas or polars frame, a pyarrow Table, an iterable of dicts, or a dict of columns.
        notes: gets a sentence for what is read in another way than it stands there.

    Raises:
        DataError: it is no such table.
    """
    if isinstance(frame, Mapping):
        frame = [dict(zip(frame, row, strict=True)) for row in zip(*frame.values(), strict=True)]
    if isinstance(frame, Iterator | list | tuple) and not hasattr(frame, "__arrow_c_stream__"):
        rows = [{str(name): cell for name, cell in row.items()} for row in frame if isinstance(row, Mapping)]
        if rows or not frame:
            return lambda: (Record(row, number) for number, row in enumerate(rows, start=1)), len(rows)
    arrow = _arrow_table(frame, notes)
    names = arrow.column_names
    if len(set(names)) < len(names):
        arrow = arrow.rename_columns(apart(names, notes))
    return lambda: arrow_records(arrow.to_batches(max_chunksize=1_024)), arrow.num_rows


def _arrow_table(frame: Any, notes: list[str]) -> pa.Table:
    """A frame as a table of Arrow; a column that mixes types, or holds unknown objects, is one of strings."""
    kind = type(frame)
    package = kind.__module__.split(".")[0]
    try:
        if package == "polars" and kind.__name__ == "LazyFrame":
            frame = frame.collect()
        if package == "pandas" and kind.__name__ == "DataFrame":
            frame = _with_index(frame, notes)
        if package in ("pandas", "polars") and kind.__name__ in ("DataFrame", "LazyFrame"):
            places = range(frame.shape[1])
            series = [frame.iloc[:, at] if package == "pandas" else frame.to_series(at) for at in places]
            arrays = [_array(column, notes) for column in series]
            return pa.Table.from_arrays(arrays, [_name(column.name) for column in series])
        if hasattr(frame, "__arrow_c_stream__") and package != "pandas":
            return pa.table(frame)
    except _REFUSED as error:
        raise DataError(f"the {kind.__name__} is no table of plain columns: {error}. Convert it") from error
    raise DataError(
        f"expected a pandas or polars DataFrame, a pyarrow Table or a list of dicts, got {kind.__name__}:"
        " convert it"
    )


def _with_index(frame: Any, notes: list[str]) -> Any:
    """The frame of pandas with the levels of its index that have names as columns."""
    names = [name for name in frame.index.names if name is not None and name not in frame.columns]
    if names:
        return frame.reset_index(names)
    numbered = list(frame.index[:100]) == list(range(len(frame)))[:100]
    if type(frame.index).__name__ != "RangeIndex" and not numbered:
        notes.append("the index has no name and was left out (`frame.reset_index()` makes a column of it)")
    return frame


def _name(name: Any) -> str:
    return "_".join(str(part) for part in name if part != "") if isinstance(name, tuple) else str(name)


def _array(column: Any, notes: list[str]) -> pa.Array:
    """A column as Arrow holds it."""
    sets = any(isinstance(one, set | frozenset) for one in column.head(100).to_list())
    known = not (str(column.dtype).startswith(_STRANGE) or sets)
    for values in (column, None) if known else (None,):
        try:
            array = pa.array([_plain(one) for one in column.to_list()] if values is None else values)
            return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        except _REFUSED:
            continue
    notes.append(f"column {str(column.name)!r} mixes types: its values are read as strings")
    return pa.array([_string(_plain(value)) for value in column.to_list()], pa.string())


def _plain(value: Any) -> Any:
    if hasattr(value, "convert"):  # a picture
        return portable(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value) if isinstance(value, Path) else natural(value)


def _string(value: Any) -> str | None:
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, bytes):  # as addresses, for paths may stand beside them
        return "data:;base64," + base64.b64encode(value).decode()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=str)
    return None if _ADDRESS.fullmatch(text := str(value)) else text
