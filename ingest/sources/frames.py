"""Tables in memory: pandas, polars and pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest.sources.columns import Columns
from ingest.sources.layout import table
from ingest.sources.records import Rows
from ingest.sources.tables import arrow_records
from mmrec.errors import DataError


def from_frame(frame: Any, columns: Columns | None = None) -> Rows:
    """The rows of a pandas or polars DataFrame or a pyarrow Table as a source, mapped as a table file is.

    An index of pandas is left out (`frame.reset_index()` makes columns of it). Relative paths of pictures
    begin at the working directory.

    Raises:
        DataError: it is no such table, a column mixes types, or the mapping does not fit.
    """
    arrow = arrow_table(frame)
    names = arrow.column_names
    if len(set(names)) < len(names):
        raise DataError(f"the frame has several columns of one name: {', '.join(names)[:500]}. Rename them")
    return table(
        "frame", Path.cwd(), lambda: arrow_records(arrow.to_batches(max_chunksize=1_024)),
        origin="the frame", columns=columns, size=arrow.num_rows,
    )


def arrow_table(frame: Any) -> pa.Table:
    """A pandas or polars DataFrame or a pyarrow Table as the latter, without an index of pandas.

    Raises:
        DataError: it is no such table, or a column mixes types.
    """
    try:
        if type(frame).__module__.split(".")[0] == "pandas":  # by Arrow's protocol its index would come too
            return pa.Table.from_pandas(frame, preserve_index=False)
        if hasattr(frame, "__arrow_c_stream__"):
            return pa.table(frame)
    except (pa.ArrowException, AttributeError, TypeError, ValueError) as error:
        kind = type(frame).__name__
        raise DataError(f"the {kind} is no table of plain columns: {error}. Convert it") from error
    raise DataError(
        f"expected a pandas or polars DataFrame or a pyarrow Table, got {type(frame).__name__}: convert it"
        " (a polars LazyFrame by `.collect()`)"
    )
