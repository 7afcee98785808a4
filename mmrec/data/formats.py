"""Rows of canonical files on disk, as JSON lines and as Parquet; `mmrec.data.files` describes them."""

from __future__ import annotations

import codecs
import gzip
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.data.media import portable
from mmrec.data.rows import BAD, INTERACTION_KEYS, Row, checked, json_ready, rejected
from mmrec.errors import DataError, Rejection
from mmrec.types import NOUNS, Interaction, Item

MAX_LINE = 64 * 2**20  # bytes of a JSON line
BATCH_BYTES = 64 * 2**20  # of a Parquet file in memory
BATCH_ROWS = 16_384

_TIME = pa.timestamp("us", "UTC")
_MICRO = {pa.duration("ns"): pa.duration("us"), pa.time64("ns"): pa.time64("us")}
_FILES = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
ITEMS = pa.schema([
    pa.field("item_id", pa.string(), nullable=False), ("text", pa.map_(pa.string(), pa.string())),
    *((field, _FILES) for field in NOUNS),
    ("embeddings", pa.map_(pa.string(), pa.list_(pa.float32()))),
    ("attributes", pa.string()), ("added_at", _TIME),
])
INTERACTIONS = pa.schema([
    pa.field("user_id", pa.string(), nullable=False), pa.field("item_id", pa.string(), nullable=False),
    ("kind", pa.string()), ("weight", pa.float64()), ("time", _TIME),
])


def parse_row(data: bytes | str) -> dict[str, Any]:
    """The object of one JSON line.

    Raises:
        DataError: it is no UTF-8, no JSON, no object, or says one thing twice.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        row = json.loads(text, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise DataError(f"byte {error.start} of the line is no UTF-8: save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"the line is no valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise DataError(f"the line must be a JSON object {{...}}, got {type(row).__name__}")
    return row


def dump_row(row: Row) -> bytes:
    """One JSON line of JSON-ready values, its newline included."""
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8, but an escape
        return json.dumps(row, allow_nan=False).encode() + b"\n"


def json_rows(path: Path) -> Iterator[tuple[int, Row | Rejection]]:
    """Line numbers (1-based) and rows of a file of JSON lines, blank ones left out."""
    with _opened(path) as file:
        for line, data in enumerate(_lines(file), 1):
            if data is None:
                reason = f"the line is longer than {MAX_LINE:,} bytes: split it"
                yield line, Rejection(reason=reason, line=line)
            elif data.strip():
                yield line, _parsed(data.removeprefix(codecs.BOM_UTF8) if line == 1 else data, line)


def count_lines(path: Path) -> int:
    """Lines of a file, blank ones too."""
    last, count = b"\n", 0
    with _opened(path) as file:
        while data := file.read(2**20):
            count += data.count(b"\n")
            last = data
    return count + (not last.endswith(b"\n"))


def write_json(file: BinaryIO, rows: Iterable[Row], *, packed: bool) -> int:
    """Writes rows as JSON lines, by gzip if `packed`; returns their number."""
    count = 0
    with gzip.GzipFile("", "wb", fileobj=file, mtime=0) if packed else nullcontext(file) as out:
        for row in rows:
            out.write(dump_row(row))
            count += 1
    return count


def parquet_rows(path: Path | pq.ParquetFile, keys: Sequence[str]) -> Iterator[tuple[int, Row | Rejection]]:
    """Row numbers (1-based) and rows of a file in the canonical form of JSON; its columns must be `keys`."""
    with path if isinstance(path, pq.ParquetFile) else pq.ParquetFile(path) as file:
        checked(dict.fromkeys(file.schema_arrow.names, True), keys)
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
        mean = max(1, size // max(1, file.metadata.num_rows))
        batches = file.iter_batches(max(1, min(BATCH_ROWS, BATCH_BYTES // mean)))
        for line, row in enumerate((row for batch in batches for row in python_rows(batch)), 1):
            yield line, _plain(row, line)


def python_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Arrow rows as Python values, times cut to microseconds; what Python cannot hold is its error."""
    for i, column in enumerate(batch.schema):  # datetime and its kin hold microseconds
        if (micro := _MICRO.get(column.type)) or (
            pa.types.is_timestamp(column.type) and column.type.unit == "ns"
            and (micro := pa.timestamp("us", column.type.tz))
        ):
            batch = batch.set_column(i, column.name, batch.column(i).cast(micro, safe=False))
    try:
        return batch.to_pylist()
    except BAD:  # text that is no UTF-8, the year 20000: find it, keep the others
        if batch.num_rows == 1:
            return [{name: _cell(batch[name]) for name in batch.schema.names}]
    return [row for i in range(batch.num_rows) for row in python_rows(batch.slice(i, 1))]


def _cell(column: pa.Array) -> Any:
    try:
        return column[0].as_py()
    except BAD as error:
        return error


def item_record(item: Item, folder: Path) -> dict[str, Any]:
    """An item as a row of `ITEMS`; paths of files inside `folder` become relative to it."""
    files = {field: [portable(one, folder) for one in getattr(item, field)] for field in NOUNS}
    return {
        "item_id": item.item_id,
        "text": list(item.text.items()) or None,
        **{field: [{"bytes" if isinstance(one, bytes) else "path": one} for one in several] or None
           for field, several in files.items()},
        "embeddings": [(name, list(vector)) for name, vector in item.vectors.items()] or None,
        "attributes": dump_row(json_ready(item.attributes)).decode().strip() if item.attributes else None,
        "added_at": item.added_at,
    }


def interaction_record(interaction: Interaction) -> dict[str, Any]:
    """An interaction as a row of `INTERACTIONS`."""
    return {name: getattr(interaction, name) for name in INTERACTION_KEYS}


def write_parquet(file: BinaryIO, records: Iterable[dict[str, Any]], schema: pa.Schema) -> int:
    """Writes records as Parquet, in row groups of bounded size; returns their number."""
    total = 0
    try:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in _batches(records):
                writer.write_table(pa.Table.from_pylist(batch, schema))
                total += len(batch)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise DataError(f"Parquet cannot hold a row: {error}. JSON lines may: write .jsonl") from error
    return total


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
        raise DataError(f"the key {twice!r} stands twice in one object: keep one", field=twice)
    return row


def _opened(path: Path) -> io.BufferedIOBase:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _lines(file: io.BufferedIOBase) -> Iterator[bytes | None]:
    """Lines of a file, None for one that is too long to be held."""
    while data := file.readline(MAX_LINE + 1):
        if len(data) <= MAX_LINE:
            yield data
            continue
        while data and not data.endswith(b"\n"):
            data = file.readline(MAX_LINE)
        yield None


def _parsed(data: bytes, line: int) -> Row | Rejection:
    try:
        return parse_row(data)
    except DataError as error:
        return rejected(error, {"unparsed": data.decode("utf-8", "replace").strip()}, line=line)


def _plain(row: dict[str, Any], line: int) -> Row | Rejection:
    """Maps as dicts, attributes parsed, files without their struct."""
    try:
        for name in ("text", "attributes", "embeddings"):
            if isinstance(row.get(name), list):
                row[name] = _object(row[name])
        if isinstance(row.get("attributes"), str):
            with suppress(DataError):  # which `Item` refuses as they are
                row["attributes"] = parse_row(row["attributes"])
        for field in NOUNS:
            if (given := row.get(field)) is not None:
                row[field] = [_file(one) for one in (given if isinstance(given, list) else [given])]
    except BAD as error:
        return rejected(error, row, line=line)
    return row


def _file(cell: Any) -> Any:
    if not isinstance(cell, dict) or not {"bytes", "path"} & set(cell):
        return cell
    return cell.get("path") if cell.get("bytes") is None else cell["bytes"]


def _batches(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for record in records:
        batch.append(record)
        size += sum(len(value) for _, value in record.get("text") or ())
        size += sum(len(file.get("bytes", b"")) for field in NOUNS for file in record.get(field) or ())
        size += sum(4 * len(vector) for _, vector in record.get("embeddings") or ())
        if len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
