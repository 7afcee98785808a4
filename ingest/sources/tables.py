"""Table files: CSV and its kin, workbooks, JSON, XML, Parquet; several of one kind are one table.

What a file is and how it is written is found out from its content, unless `ReadOptions` says it. What its
columns mean is said by `Columns` or guessed (`.columns` of the source tells), what they hold (numbers, dates
...) is seen from the first rows. All but workbooks stream: memory does not grow with the file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.sources.columns import Columns
from ingest.sources.containers import Content, unpacked
from ingest.sources.delimited import split_rows
from ingest.sources.encodings import NAMES, errors_of, sample, sniff_encoding
from ingest.sources.grids import apart, grid_records
from ingest.sources.json_text import document_records, is_json, is_lines, line_records, script_before
from ingest.sources.layout import table
from ingest.sources.records import Record, Row, Rows, Tally, lines, reading
from ingest.sources.sniffing import NO_HEADER, SAMPLED, ReadOptions, sniff_form, sniff_rows, without_header
from ingest.sources.values import TYPED, WRITTEN, Dialect, natural
from ingest.sources.web_pages import MAX_PAGE, is_page, product_records, table_rows
from ingest.sources.workbooks import Numbered, sheet_rows
from ingest.sources.xml_feeds import repeated_element, xml_records
from mmrec.data.formats import python_rows
from mmrec.errors import DataError, Rejection

Kind = Literal["csv", "json", "xml", "page", "workbook", "parquet"]
_BATCH = 128  # rows of a Parquet file in memory, pictures perhaps among them
_SCANNED = 64 * 2**20  # first bytes in which one beyond ASCII is looked for
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_INDEX = "__index_level_"  # of columns that pandas writes to Parquet
_KEPT = 2**26  # characters of a document whose records are kept, for it cannot be read in parts


@dataclass(frozen=True)
class TableFile:
    """A table file.

    Attributes:
        kind: what it is.
        content: its bytes.
        records: walks through its records.
        dialect: how its values are written.
        size: number of its records, if it says so.
        notes: what was guessed, mended or left out; complete after a walk.
    """

    kind: Kind
    content: Content
    records: Callable[[], Iterator[Record]]
    dialect: Dialect
    size: int | None = None
    notes: list[str] = field(default_factory=list)


def open_table(path: Path, columns: Columns | None = None, options: ReadOptions | None = None) -> Rows:
    """The rows of one file as a source.

    Raises:
        DataError: the file is absent, empty or no table, or the mapping does not fit.
    """
    file = table_file(path, columns.delimiter if columns else None, options)
    rows = table(
        "table", path.parent, file.records, origin=file.content.origin, columns=columns, dialect=file.dialect,
        size=file.size, notes=file.notes,
    )
    rows = replace(rows, kind=file.kind)
    if file.content.pictures:
        return replace(
            rows, shape=lambda record: _with_pictures(rows.shape(record), file.content), plain=None
        )
    return rows


def table_file(path: Path, delimiter: str | None = None, options: ReadOptions | None = None) -> TableFile:
    """The reader that fits a file's content.

    Raises:
        DataError: no reader fits, or the file cannot be read.
    """
    options = options or ReadOptions()
    content = unpacked(path)
    notes, head = list(content.notes), content.head()
    if head.startswith(b"PAR1"):
        with parquet_file(content) as file:
            size = file.metadata.num_rows
        return TableFile("parquet", content, lambda: _parquet_records(content, notes), TYPED, size, notes)
    if head.startswith((b"PK", _OLD_OFFICE)):
        return _workbook(content, options, notes)
    encoding = options.encoding or _encoding(content, head)
    if encoding in NAMES and options.encoding is None:
        notes.append(f"{NAMES[encoding]} (--encoding)")
    text = sample(head, encoding)
    if is_page(text):
        return _page(content, encoding, options, notes)
    if text.lstrip()[:1] == "<":
        tag = repeated_element(content)
        notes.append(f"each <{tag.rpartition('}')[2]}> is a row")
        return TableFile("xml", content, lambda: xml_records(content, tag), WRITTEN, None, notes)
    before = script_before(text)
    if before or is_json(text) or is_lines(text):  # also where the first line is damaged
        read = line_records if is_lines(text) else partial(document_records, skipped=len(before))
        if before:
            notes.append(f"what stands before the JSON was left out: {before.strip()[-60:]!r}")
        records: Callable[[], Iterator[Record]] = partial(_json_records, content, encoding, read, notes)
        if not is_lines(text) and text[len(before) :].lstrip()[:1] == "{":
            records = _parsed_once(records, content, encoding)
        return TableFile("json", content, records, TYPED, None, notes)
    return _csv(content, encoding, text, delimiter, options, notes)


def _json_records(
    content: Content, encoding: str, read: Callable[[io.TextIOWrapper, Tally], Iterator[Record]],
    notes: list[str],
) -> Iterator[Record]:
    tally = Tally()
    with text_file(content, encoding) as file:
        yield from read(file, tally)
    tally.tell(notes)


def _parsed_once(
    records: Callable[[], Iterator[Record]], content: Content, encoding: str
) -> Callable[[], Iterator[Record]]:
    """A walk through the records of a document, which is parsed at the first one, if it is not too long."""
    kept: list[Record] = []

    def walk() -> Iterator[Record]:
        if not kept:
            with text_file(content, encoding) as file:
                short = len(file.read(_KEPT + 1)) <= _KEPT
            if not short:
                yield from records()
                return
            kept.extend(records())
        yield from kept

    return walk


def _page(content: Content, encoding: str, options: ReadOptions, notes: list[str]) -> TableFile:
    """The products that a web page describes for machines, else the rows of its longest table."""
    with text_file(content, encoding) as file:
        text = file.read(MAX_PAGE + 1)
    if kept := list(product_records(text, content.origin)):
        notes.append("the rows are the products that the page describes in JSON-LD")
        return TableFile("page", content, lambda: iter(kept), TYPED, None, notes)
    return _grid("page", content, table_rows(text, content.origin), options, notes)


def _csv(
    content: Content, encoding: str, text: str, delimiter: str | None, options: ReadOptions, notes: list[str]
) -> TableFile:
    form = sniff_form(text, name=content.name, delimiter=delimiter, options=options)
    if content.name.lower().endswith((".json", ".jsonl", ".ndjson")) and '{"' in text[:10_000]:
        raise DataError(
            f"{content.origin} does not begin as JSON does, with [ or {{: take away what stands there,"
            f" such as {text[:40]!r}"
        )
    if form is None:
        raise DataError(f"{content.origin} has no header: a line with the names of columns was expected")
    if form.guesses:
        notes[:] = [", ".join([*notes, *form.guesses])] if notes else [", ".join(form.guesses)]

    def records() -> Iterator[Record]:
        tally = Tally()
        with text_file(content, encoding, form.newline) as file:
            rows = split_rows(
                lines(file), form.delimiter, form.quoting, width=len(form.rows[0]), tally=tally
            )
            yield from grid_records(rows, form.rows, form.header_line, tally, notes, form.delimiter)
        tally.tell(notes)

    return TableFile("csv", content, records, WRITTEN, None, notes)


def _workbook(content: Content, options: ReadOptions, notes: list[str]) -> TableFile:
    rows, told = sheet_rows(content, options.sheet)
    return _grid("workbook", content, rows, options, [*notes, *told])


def _grid(
    kind: Kind, content: Content, rows: list[Numbered], options: ReadOptions, notes: list[str]
) -> TableFile:
    """Rows of cells that are in memory, one of which is the header."""
    told: list[str] = []
    at = sniff_rows([(number, cells) for number, cells, _ in rows[:SAMPLED]], options.header_line)
    first, line = [cells for _, cells, _ in rows[at : at + SAMPLED]], rows[at][0]
    if unnamed := without_header(first, options.header_line):
        first, line = unnamed, line - 1
        told.append(NO_HEADER)
    elif at > 0 and options.header_line is None:
        told.append(f"header in line {line} (--header-line)")
    notes += told

    def records() -> Iterator[Record]:
        tally = Tally()
        yield from grid_records(iter(rows), first, line, tally, notes)
        tally.tell(notes)

    return TableFile(kind, content, records, WRITTEN, None, notes)


def _encoding(content: Content, head: bytes) -> str:
    """The encoding; where the head is ASCII, by the first bytes that are not."""
    encoding = sniff_encoding(head, content.origin)
    if encoding != "utf-8" or not head.isascii():
        return encoding
    with content.opened() as file:
        read = 0
        while read < _SCANNED and (block := file.read(2**20)):
            if not block.isascii():
                return sniff_encoding(block, content.origin)
            read += len(block)
    return encoding


@contextmanager
def text_file(content: Content, encoding: str, newline: str = "\n") -> Iterator[io.TextIOWrapper]:
    """A text, bytes that its encoding does not know as lone surrogates (see `mended`)."""
    plain = "utf-8-sig" if encoding == "utf-8" else encoding
    with content.opened() as file:
        yield io.TextIOWrapper(file, plain, errors_of(encoding), newline)


def _parquet_records(content: Content, notes: list[str]) -> Iterator[Record]:
    with parquet_file(content) as file:
        names = file.schema_arrow.names
        left_out = [name for name in names if name.startswith(_INDEX) and _whole(file.schema_arrow, name)]
        if left_out and (told := "the index of pandas was left out") not in notes:
            notes.append(told)
        kept = [name for name in names if name not in left_out]
        batches = file.iter_batches(_BATCH, columns=kept if left_out else None)
        if len(set(kept)) < len(kept):
            doubled: list[str] = []
            once = apart(kept, doubled)
            notes += [note for note in doubled if note not in notes]
            batches = (batch.rename_columns(once) for batch in batches)
        yield from arrow_records(batches)


def _whole(schema: pa.Schema, name: str) -> bool:
    return bool(pa.types.is_integer(schema.field(name).type))


def arrow_records(batches: Iterable[pa.RecordBatch]) -> Iterator[Record]:
    """Rows of Arrow data as Python values; times in microseconds; what cannot be read is its error."""
    rows = (row for batch in batches for row in _with_text(batch.schema, python_rows(batch)))
    for number, row in enumerate(rows, start=1):
        yield Record(row, number)


def _with_text(schema: pa.Schema, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose binary values that are texts are strings."""
    for name in [one.name for one in schema if one.type in (pa.binary(), pa.large_binary())]:
        for row in rows:
            row[name] = natural(row[name])
    return rows


@contextmanager
def parquet_file(source: Content | Path) -> Iterator[pq.ParquetFile]:
    """An open Parquet file.

    Raises:
        DataError: it is none, or damaged.
    """
    path = source if isinstance(source, Path) else source.path
    origin = source if isinstance(source, Path) else source.origin
    try:
        if path is not None:
            with reading(origin), pq.ParquetFile(path) as file:
                yield file
        elif isinstance(source, Content):
            with source.seekable() as packed, reading(origin), pq.ParquetFile(packed) as file:
                yield file
    except pa.ArrowException as error:
        raise DataError(f"{origin} is no Parquet file, or damaged: {error}. Write it again") from error


def _with_pictures(row: Row | Rejection, content: Content) -> Row | Rejection:
    """The row with the pictures that lie beside the table in its archive."""
    if isinstance(row, Rejection) or row["image"] is None:
        return row
    images = row["image"] if isinstance(row["image"], list) else [row["image"]]
    found: list[Any] = [(isinstance(one, str) and content.picture(one)) or one for one in images]
    return row | {"image": found if len(found) > 1 else found[0]}
