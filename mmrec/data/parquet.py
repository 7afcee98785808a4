"""The Parquet form of canonical files; `mmrec.data.files` describes its columns and is the way in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.data.rows import (
    BAD,
    INTERACTION_KEYS,
    Row,
    check_keys,
    dump_row,
    json_ready,
    parse_row,
    portable,
    rejected,
)
from mmrec.errors import DataError
from mmrec.types import Interaction, Item, Rejection

BATCH_BYTES = 64 * 2**20
BATCH_ROWS = 16_384

_TIME = pa.timestamp("us", "UTC")
ITEMS = pa.schema([
    pa.field("item_id", pa.string(), nullable=False), ("text", pa.map_(pa.string(), pa.string())),
    ("image", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
    ("attributes", pa.string()), ("added_at", _TIME),
])
INTERACTIONS = pa.schema([
    pa.field("user_id", pa.string(), nullable=False), pa.field("item_id", pa.string(), nullable=False),
    ("kind", pa.string()), ("weight", pa.float64()), ("time", _TIME),
])


def rows(path: Path, keys: Sequence[str]) -> Iterator[tuple[int, Row | Rejection]]:
    """Row numbers (1-based) and rows of a file in the canonical form of JSON, some `BATCH_BYTES` at a time.

    Raises:
        DataError: the file has a column that is not in `keys`, or lacks an id.
    """
    with pq.ParquetFile(path) as file:
        columns = dict.fromkeys(file.schema_arrow.names, True)
        check_keys(columns, keys, required=[key for key in keys if key.endswith("_id")])
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
        mean = max(1, size // max(1, file.metadata.num_rows))
        batches = file.iter_batches(max(1, min(BATCH_ROWS, BATCH_BYTES // mean)))
        for line, row in enumerate((row for batch in batches for row in _batch_rows(batch)), 1):
            yield line, rejected(row, None, line=line) if isinstance(row, Exception) else _plain(row, line)


def count(path: Path) -> int:
    """Rows of a file, from its footer."""
    with pq.ParquetFile(path) as file:
        return int(file.metadata.num_rows)


def item_record(item: Item, folder: Path) -> dict[str, Any]:
    """An item as a row of `ITEMS`; paths of pictures inside `folder` become relative to it."""
    images = [portable(image, folder) for image in item.images]
    return {
        "item_id": item.item_id,
        "text": list(item.text.items()) or None,
        "image": [{"bytes" if isinstance(image, bytes) else "path": image} for image in images] or None,
        "attributes": dump_row(json_ready(item.attributes)).decode().strip() if item.attributes else None,
        "added_at": item.added_at,
    }


def interaction_record(interaction: Interaction) -> dict[str, Any]:
    """An interaction as a row of `INTERACTIONS`."""
    return {name: getattr(interaction, name) for name in INTERACTION_KEYS}


def write(file: BinaryIO, records: Iterable[dict[str, Any]], schema: pa.Schema) -> int:
    """Write records as Parquet, in row groups of bounded size; returns their number.

    Raises:
        DataError: a record holds what Parquet cannot.
    """
    total = 0
    try:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in _batches(records):
                writer.write_table(pa.Table.from_pylist(batch, schema))
                total += len(batch)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise DataError(f"Parquet cannot hold a row: {error}. JSON lines may: write .jsonl") from error
    return total


def _batches(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for record in records:
        batch.append(record)
        size += sum(len(value) for _, value in record.get("text") or ())
        size += sum(len(picture.get("bytes", b"")) for picture in record.get("image") or ())
        if len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _batch_rows(batch: pa.RecordBatch) -> Iterable[dict[str, Any] | Exception]:
    for i, column in enumerate(batch.schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # datetime holds microseconds
            micro = batch.column(i).cast(pa.timestamp("us", column.type.tz), safe=False)
            batch = batch.set_column(i, column.name, micro)
    try:
        return batch.to_pylist()
    except BAD:  # one value that Python cannot hold: find its row, keep the others
        return [_one_row(batch.slice(i, 1)) for i in range(batch.num_rows)]


def _one_row(batch: pa.RecordBatch) -> dict[str, Any] | Exception:
    try:
        return batch.to_pylist()[0]
    except BAD as error:
        return error


def _plain(row: dict[str, Any], line: int) -> Row | Rejection:
    """Maps as dicts, attributes parsed, pictures without their struct."""
    try:
        for name in ("text", "attributes"):
            if isinstance(row.get(name), list):
                row[name] = _unique(row[name], name)
        if isinstance(row.get("attributes"), str):
            row["attributes"] = parse_row(row["attributes"])
        if row.get("image") is not None:
            images = row["image"] if isinstance(row["image"], list) else [row["image"]]
            row["image"] = [_picture(image) for image in images]
    except BAD as error:
        return rejected(error, row, line=line)
    return row


def _unique(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise DataError(f"a name stands twice in {name}: keep one", field=name)
    return mapping


def _picture(cell: Any) -> Any:
    if not isinstance(cell, dict) or not {"bytes", "path"} & set(cell):
        return cell
    return cell.get("path") if cell.get("bytes") is None else cell["bytes"]
