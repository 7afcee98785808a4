"""What `ingest` costs as a catalogue grows: `python tests/benchmarks/ingestion.py [--items N]`.

Items with a title, a category and a price go into a new store, in one call and in calls of a thousand. The
toy encoder embeds the words, whose own work is small, so that most of what is timed is the store's. Prints
the rows a second of the first, the median and the last thousand, and the last over the first: a cost that
does not grow with the catalogue gives about 1. What is done after the last row (indices, compaction) is a
column of its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mmrec import Item, Recommender

THOUSAND = 1_000
KINDS = "mug", "lamp", "chair", "blanket", "dress", "jacket", "scarf"
COLOURS = "red", "blue", "green", "black", "white"


def made_up(number: int) -> Item:
    """An item whose title no other has."""
    kind, colour = KINDS[number % len(KINDS)], COLOURS[number % len(COLOURS)]
    return Item(
        item_id=f"i{number:07d}", text={"title": f"{colour} {kind} number {number}"},
        attributes={"category": kind, "price": float(number % 100)},
    )


def measured(path: Path, n: int, call: int) -> tuple[NDArray[np.float64], float]:
    """Seconds of each thousand of n items, in calls of so many; and those after the last row."""
    rows, seconds = [0], [0.0]

    def progress(done: int) -> None:
        rows.append(rows[-1] + done)
        seconds.append(time.perf_counter() - started)

    with Recommender.open(path, {"text_encoder": "toy", "image_encoder": "none"}) as shop:
        started = time.perf_counter()
        for first in range(0, n, call):
            shop.ingest(map(made_up, range(first, min(n, first + call))), progress=progress)
        rest = time.perf_counter() - started - seconds[-1]
    ends = np.interp(np.arange(0, n + 1, THOUSAND), rows, seconds)  # a chunk may end between two thousands
    return np.diff(ends), rest


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=20_000, help="a thousand or more")
    parser.add_argument("--calls", type=int, nargs="+", help="items of a call; all at once and 1,000 if none")
    asked = parser.parse_args()
    table = Table("items", "of a call", "first thousand", "median, rows/s", "last thousand", "last / first",
                  "after the last row s")
    with tempfile.TemporaryDirectory() as folder:
        for call in asked.calls or (asked.items, THOUSAND):
            seconds, rest = measured(Path(folder) / f"{call}.mmrec", asked.items, call)
            speeds = THOUSAND / seconds
            table.add_row(
                f"{asked.items:,}", f"{call:,}",
                *(f"{speed:,.0f}" for speed in (speeds[0], np.median(speeds), speeds[-1])),
                f"{speeds[-1] / speeds[0]:.2f}", f"{rest:.2f}",
            )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
