"""Table files: CSV and TSV, flat JSON lines, flat Parquet.

A CSV or TSV file has a header and is UTF-8; its delimiter is found out. What its columns mean is said by
`Columns` or guessed (`.columns` of the source tells), what they hold (numbers, dates ...) is seen from the
first rows. All three stream: memory does not grow with the file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.sources.columns import Columns
from ingest.sources.layout import table
from ingest.sources.records import Record, Rows, csv_rows, lines, reading, text_file, unreadable
from ingest.sources.values import TYPED, WRITTEN, Dialect
from mmrec.data.formats import parse_row, python_rows
from mmrec.errors import DataError

CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
JSON_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
PARQUET = (".parquet",)
SUFFIXES = (*CSV, *JSON_LINES, *PARQUET)
_DELIMITERS = ",\t;|"
_PEEKED = 100  # first lines that tell the encoding
_BATCH = 128  # rows of a Parquet file in memory, pictures perhaps among them


@dataclass(frozen=True)
class TableFile:
    """A table file: walks through its records, how its values are written, its size if it says so."""

    records: Callable[[], Iterator[Record]]
    dialect: Dialect
    size: int | None = None


def open_table(path: Path, columns: Columns | None = None) -> Rows:
    """The rows of a CSV, TSV, JSON lines or Parquet file as a source.

    Raises:
        DataError: the file is absent, empty or not what its suffix says, or the mapping does not fit.
    """
    file = table_file(path, columns.delimiter if columns else None)
    return table(
        "table", path.parent, file.records,
        origin=str(path), columns=columns, dialect=file.dialect, size=file.size,
    )


def table_file(path: Path, delimiter: str | None = None) -> TableFile:
    """The reader that fits a file's suffix.

    Raises:
        DataError: no reader fits, or the file cannot be read.
    """
    name = path.name.lower()
    if not path.is_file():
        raise DataError(f"{path} is {'a folder' if path.is_dir() else 'not there'}: give the path of a file")
    if name.endswith(CSV + JSON_LINES):
        _check_encoding(path)
    if name.endswith(CSV):
        return TableFile(partial(csv_records, path, delimiter or sniff(path)), WRITTEN)
    if name.endswith(JSON_LINES):
        return TableFile(partial(json_records, path), TYPED)
    if name.endswith(PARQUET):
        with parquet_file(path) as file:
            return TableFile(partial(parquet_records, path), TYPED, file.metadata.num_rows)
    raise DataError(f"{path} has no suffix of a table ({', '.join(SUFFIXES)}): rename it, or save it as one")


def csv_records(path: Path, delimiter: str) -> Iterator[Record]:
    """Rows of a CSV or TSV file, cells as the strings they are; a row of another length has a problem.

    Raises:
        DataError: there is no header that can be used.
    """
    with text_file(path) as file:
        rows = csv_rows(file, delimiter)
        header = _header(path, next(rows, (1, [], "the file is empty")))
        for line, cells, problem in rows:
            if problem is None and len(cells) != len(header):
                beyond = f", too many are {cells[len(header):]!r:.200}" if len(cells) > len(header) else ""
                problem = (
                    f"the row has {len(cells)} cells, the header {len(header)}{beyond}: look for a"
                    f" {delimiter!r} or line break that wants quotes"
                )
            yield Record(dict(zip(header, cells, strict=False)), line, problem)


def json_records(path: Path) -> Iterator[Record]:
    """Objects of a file of JSON lines; blank lines are passed over."""
    with text_file(path) as file:
        for number, line in enumerate(lines(file), start=1):
            if line.strip():
                yield _json_record(line, number)


def parquet_records(path: Path) -> Iterator[Record]:
    """Rows of a Parquet file, a bounded batch in memory at a time."""
    with parquet_file(path) as file:
        yield from arrow_records(file.iter_batches(_BATCH))


def arrow_records(batches: Iterable[pa.RecordBatch]) -> Iterator[Record]:
    """Rows of Arrow data as Python values; times are cut to microseconds."""
    rows = (row for batch in batches for row in python_rows(batch))
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Exception):
            yield Record({}, number, f"the row has a value that cannot be read: {row}")
        else:
            yield Record(row, number)


@contextmanager
def parquet_file(path: Path) -> Iterator[pq.ParquetFile]:
    """An open Parquet file.

    Raises:
        DataError: it is none, or damaged.
    """
    try:
        with reading(path), pq.ParquetFile(path) as file:
            yield file
    except pa.ArrowException as error:
        raise DataError(f"{path} is no Parquet file, or damaged: {error}. Write it again") from error


def sniff(path: Path) -> str:
    """The delimiter that cuts the first rows into most cells of one number; a comma if none does."""
    if ".tsv" in path.suffixes:
        return "\t"
    with text_file(path) as file:
        text = file.read(2**16)

    def score(delimiter: str) -> tuple[float, int]:
        widths = [len(cells) for _, cells, _ in csv_rows(io.StringIO(text, newline=""), delimiter)]
        width = widths[0] if widths else 0
        return (widths.count(width) / len(widths) if width > 1 else 0.0), width

    return max(_DELIMITERS, key=score)


def _check_encoding(path: Path) -> None:
    """One row that is not UTF-8 is rejected alone; if most are, it is the file."""
    with text_file(path) as file:
        first = list(islice(lines(file), _PEEKED))
    problems = [problem for problem in map(unreadable, first) if problem]
    if 2 * len(problems) > len(first):
        raise DataError(f"{path}: {problems[0]}")


def _header(path: Path, row: tuple[int, list[str], str | None]) -> list[str]:
    line, cells, problem = row
    if problem:
        raise DataError(f"{path}, line {line}: {problem}. A header and rows as UTF-8 text were expected")
    names = [cell.strip() or f"column_{position}" for position, cell in enumerate(cells, start=1)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(f"{path} has several columns {', '.join(sorted(twice))}: rename all but one")
    return names


def _json_record(line: str, number: int) -> Record:
    if problem := unreadable(line):
        return Record({}, number, problem)
    try:
        return Record(parse_row(line), number)
    except DataError as error:
        return Record({}, number, str(error))
