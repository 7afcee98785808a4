"""Tables in memory: pandas, polars and pyarrow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest.sources.columns import Columns
from ingest.sources.layout import table
from ingest.sources.records import Rows
from ingest.sources.tables import arrow_records
from ingest.sources.values import natural
from mmrec.errors import DataError

_STRANGE = ("Object", "period", "interval")  # types of polars and pandas that Arrow would take amiss
_REFUSED = (pa.ArrowException, AttributeError, TypeError, ValueError, OverflowError)


def from_frame(frame: Any, columns: Columns | None = None) -> Rows:
    """The rows of a pandas or polars DataFrame or a pyarrow Table as a source, mapped as a table file is.

    An index of pandas is left out (`frame.reset_index()` makes columns of it). Relative paths of pictures
    begin at the working directory.

    Raises:
        DataError: it is no such table, or the mapping does not fit.
    """
    notes: list[str] = []
    arrow = arrow_table(frame, notes)
    names = arrow.column_names
    if len(set(names)) < len(names):
        raise DataError(f"the frame has several columns of one name: {', '.join(names)[:500]}. Rename them")
    return table(
        "frame", Path.cwd(), lambda: arrow_records(arrow.to_batches(max_chunksize=1_024)),
        origin="the frame", columns=columns, size=arrow.num_rows, notes=notes,
    )


def arrow_table(frame: Any, notes: list[str] | None = None) -> pa.Table:
    """A pandas or polars DataFrame or a pyarrow Table as the latter, without an index of pandas.

    A column that mixes types, or holds objects that Arrow does not know, becomes one of strings.

    Args:
        notes: gets a sentence for such columns.

    Raises:
        DataError: it is no such table.
    """
    kind = type(frame)
    package = kind.__module__.split(".")[0]
    try:
        if package in ("pandas", "polars") and kind.__name__ == "DataFrame":
            places = range(frame.shape[1])
            series = [frame.iloc[:, at] if package == "pandas" else frame.to_series(at) for at in places]
            arrays = [_array(column, [] if notes is None else notes) for column in series]
            return pa.Table.from_arrays(arrays, [str(column.name) for column in series])
        if hasattr(frame, "__arrow_c_stream__") and package != "pandas":
            return pa.table(frame)
    except _REFUSED as error:
        raise DataError(f"the {kind.__name__} is no table of plain columns: {error}. Convert it") from error
    raise DataError(
        f"expected a pandas or polars DataFrame or a pyarrow Table, got {kind.__name__}: convert it"
        " (a polars LazyFrame by `.collect()`)"
    )


def _array(column: Any, notes: list[str]) -> pa.Array:
    """A column as Arrow holds it."""
    known = not str(column.dtype).startswith(_STRANGE)
    for values in (column, None) if known else (None,):
        try:
            array = pa.array([natural(one) for one in column.to_list()] if values is None else values)
            return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        except _REFUSED:
            continue
    notes.append(f"column {str(column.name)!r} mixes types: its values are read as strings")
    return pa.array([_string(natural(value)) for value in column.to_list()], pa.string())


def _string(value: Any) -> str | None:
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, list | tuple | dict | set):
        return json.dumps(sorted(value, key=str) if isinstance(value, set) else value, default=str)
    return str(value)
