"""How fast a catalogue is read, without encoders: `python tests/benchmarks/reading.py [--rows N] [cases]`.

A made-up catalogue with rows of real width is read from its file to cleaned and checked `Item`s, and beside
that by polars and by DuckDB into a frame of all columns, in turns, in the same process. A ratio is of rows a
second, ours over those of the faster of the two: the median of the rounds, each of one call of each. "shop"
is a file in a shop's own columns, whose meaning is found out; "mmrec" is the canonical form of the same items
(`mmrec.write_items`). All pictures are there: that they are, and that they lie in their folder, is looked up.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from ingest.read import open_rows
from mmrec import Item, write_items
from mmrec.data.formats import dump_row

CASES = {  # by name: the file, and the ratio to reach
    "CSV, shop": ("shop.csv", .05), "JSONL, shop": ("shop.jsonl", .05), "Parquet, shop": ("shop.parquet", .1),
    "JSONL, mmrec": ("mmrec.jsonl", .05), "Parquet, mmrec": ("mmrec.parquet", .1),
}
POLARS: Mapping[str, Callable[..., pl.DataFrame]] = {
    ".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet,
}
WORDS = [
    "oak", "wool", "linen", "brass", "cotton", "glass", "walnut", "leather", "ceramic", "steel", "soft",
    "warm", "heavy", "light", "round", "square", "small", "large", "nordic", "plain", "woven", "folded",
    "hand-made", "durable", "washable", "für", "Küche", "blanket", "lamp", "chair", "table", "mug", "bowl",
    "shelf", "cushion", "carpet", "stool", "vase", "curtain", "towel", "basket", "mirror", "with", "and",
    "for", "the", "of", "in", "every", "season",
]
PLACES = [f"{room} > {part} > {kind}" for room in ("Home", "Garden", "Office", "Kids", "Outdoor")
          for part in ("Textiles", "Furniture", "Lighting", "Tableware")
          for kind in ("Classic", "New", "Sale")]


def products(n: int) -> Iterator[dict[str, Any]]:
    """Rows of a shop's export, about 850 characters each."""
    rng = random.Random(0)
    brands = [" ".join(rng.choices(WORDS, k=2)).title() + f" {number}" for number in range(500)]
    for number in range(n):
        said = [" ".join(rng.choices(WORDS, k=18)).capitalize() for _ in range(5)]
        yield {
            "sku": f"A-{number:07d}",
            "title": " ".join(rng.choices(WORDS, k=10)).title(),
            "description": f"<p>{said[0]} &amp; more.</p><ul><li>{said[1]}</li><li>{said[2]}</li></ul>"
                           f"{said[3]}:&nbsp;<b>{said[4]}</b>",
            "brand": rng.choice(brands),
            "category": rng.choice(PLACES),
            "price": f"{rng.randrange(1, 400)},{rng.randrange(100):02d} EUR",
            "weight": rng.randrange(1, 40_000) / 1_000,
            "stock": rng.randrange(500),
            "created_at": date(2020, 1, 1) + timedelta(days=rng.randrange(2_000)),
            "image": f"pictures/{number % 100:02d}/{number:07d}-front.jpg",
            "image_2": f"pictures/{number % 100:02d}/{number:07d}-back.jpg",
        }


def written(folder: Path, n: int) -> Path:
    """A folder with the catalogue in all its forms, and its pictures (empty files, which are not opened)."""
    folder /= f"{n}-rows"
    if (folder / "mmrec.parquet").exists():
        return folder
    rows = list(products(n))
    for at in range(100):
        (folder / "pictures" / f"{at:02d}").mkdir(parents=True)
    for row in rows:
        (folder / row["image"]).touch()
        (folder / row["image_2"]).touch()
    table = pa.Table.from_pylist(rows)
    pyarrow.csv.write_csv(table, folder / "shop.csv")
    pq.write_table(table, folder / "shop.parquet", compression="zstd")
    with (folder / "shop.jsonl").open("wb") as file:
        file.writelines(dump_row(row | {"created_at": row["created_at"].isoformat()}) for row in rows)
    for name in ("mmrec.jsonl", "mmrec.parquet"):
        read = open_rows(folder / "shop.csv").rows
        write_items(folder / name, (row for row in read if isinstance(row, Item)))
    return folder


def ours(path: Path) -> int:
    """Items of a file; they are not kept, as an ingest keeps some hundred at a time."""
    return sum(isinstance(row, Item) for row in open_rows(path).rows)


def rounds(path: Path, count: int) -> dict[str, np.ndarray]:
    """Seconds of each reader in each round, after one that warms up."""
    readers: dict[str, Callable[[], int]] = {
        "ours": lambda: ours(path),
        "polars": lambda: len(POLARS[path.suffix](path)),
        "DuckDB": lambda: len(duckdb.sql(f"select * from '{path}'").pl()),
    }
    times: dict[str, list[float]] = {name: [] for name in readers}
    read = set()
    for _ in range(count + 1):
        for name, reader in readers.items():
            started = time.perf_counter()
            read.add(reader())
            times[name].append(time.perf_counter() - started)
    assert len(read) == 1, f"readers of {path.name} found {read} rows"
    return {name: np.array(seconds[1:]) for name, seconds in times.items()}


def main() -> None:
    """Writes the files, reads them and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", default=list(CASES), help="names such as 'CSV, shop'")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=Path, help="folder in which the files are kept for the next run")
    asked = parser.parse_args()
    columns = "file", "MB", "ours, rows/s", "polars", "DuckDB", "ratio to the faster", "of rounds", "to reach"
    table = Table(*columns)
    with tempfile.TemporaryDirectory() as folder:
        files = written(asked.files or Path(folder), asked.rows)
        for case in asked.cases:
            name, limit = CASES[case]
            path = files / name
            times = rounds(path, asked.rounds)
            faster = min((times["polars"], times["DuckDB"]), key=np.median)
            ratios = faster / times["ours"]
            reached = np.median(ratios) >= limit
            table.add_row(
                case, f"{path.stat().st_size / 1e6:.0f}",
                *(f"{asked.rows / np.median(seconds):,.0f}" for seconds in times.values()),
                f"{np.median(ratios):.3f}", f"{ratios.min():.3f} - {ratios.max():.3f}",
                f">= {limit}" + ("" if reached else " missed"),
            )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
