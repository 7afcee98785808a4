"""Ingest beside the bare encoders: `python tests/benchmarks/throughput.py [--data DIR] [DATASET ...]`.

For each catalogue, in one process: ingest it into a new store; run the encoders' forward passes alone on the
same inputs (every distinct text that was encoded, every picture, prepared beforehand); ingest it again.
Prints one table. Throughput is the bare passes' time over the ingest's: 1 would be an ingest that costs
nothing but its encoders; it may pass 1 when equal texts are encoded once.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ingest.read import read_source
from mmrec import IngestReport, Item, Recommender
from mmrec.encoders.base import Encoder
from mmrec.encoders.modality import labels
from quality import OFFLINE

BLOCK = 256  # pictures prepared at a time: tensors of a whole catalogue would not fit


@dataclass(frozen=True)
class Row:
    """What one catalogue came to; seconds."""

    name: str
    rows: int
    first: IngestReport
    bare: float
    again: IngestReport


def measure(path: Path, store: Path) -> Row:
    """Ingest, bare passes, ingest again."""
    with Recommender.open(store, OFFLINE) as shop:
        rows = list(read_source(path))
        for encoder in shop.encoders.values():
            warm_up(encoder, rows)
        first = shop.ingest(iter(rows))
        items = [row for row in rows if isinstance(row, Item) and row.item_id in shop]
        texts = {t for item in items for t in (*item.text.values(), *labels(item))}
        bare = forward(shop.encoders["text"], sorted(texts))
        bare += forward(shop.encoders["image"], [image for item in items for image in item.images])
        again = shop.ingest(iter(rows))
    return Row(path.name, len(rows), first, bare, again)


def warm_up(encoder: Encoder, rows: Sequence[Any]) -> None:
    """One batch outside the clock: both sides then run on a model that is loaded and warm."""
    items = [row for row in rows[:40] if isinstance(row, Item)]
    kind = encoder.fingerprint.modality
    encoder.embed([[t] for i in items for t in i.text.values()] if kind == "text" else
                  [i.images for i in items if i.images])


def forward(encoder: Encoder, values: Sequence[Any]) -> float:
    """Seconds in `forward` alone, over batches as ingest makes them; preparing is not counted."""
    seconds = 0.0
    for batch in batches(encoder, values):
        started = time.perf_counter()
        encoder.forward(batch)
        seconds += time.perf_counter() - started
    return seconds


def batches(encoder: Encoder, values: Sequence[Any]) -> Iterator[list[Any]]:
    """Prepared batches; texts by length over the whole catalogue, the best order there is."""
    block = BLOCK if encoder.decodes else len(values)
    for start in range(0, len(values), block or 1):
        pieces = [p for value in values[start : start + block] for p in encoder.pieces(value)]
        pieces.sort(key=encoder.size)
        for first in range(0, len(pieces), encoder.batch_size):
            yield pieces[first : first + encoder.batch_size]


def table(rows: Sequence[Row]) -> Table:
    """The figures, one line a catalogue."""
    shown = Table("catalogue", "rows", "accounted for", "ingest s", "bare encoders s", "throughput",
                  "again s", "of the first", "encoder calls again")
    for row in rows:
        shown.add_row(
            row.name, f"{row.rows:,}", f"{row.first.rows:,}", f"{row.first.seconds:.1f}", f"{row.bare:.1f}",
            f"{row.bare / row.first.seconds:.3f}", f"{row.again.seconds:.2f}",
            f"{row.again.seconds / row.first.seconds:.2%}", str(row.again.encoder_calls),
        )
    return shown


def main() -> None:
    """Measures the catalogues and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("catalogues", nargs="*", default=["movielens-1m", "hm-fashion"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Console(width=140).print(table(
            [measure(asked.data / name, Path(folder) / f"{name}.mmrec") for name in asked.catalogues]
        ))


if __name__ == "__main__":
    main()
