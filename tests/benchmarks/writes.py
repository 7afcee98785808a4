"""What a write costs the next reader: `python tests/benchmarks/writes.py [--n ITEMS] [--acts CLICKS]`.

Over a store of made-up vectors and interactions, in turns in one process: the catalogue with one item more,
beside loading it as a whole; popularity with one click more, beside counting all; a user's history asked for
again, beside finding it in the table; and recording a click, beside a bare LanceDB table of the same rows
that has no index on its keys. What both ways of reading give in the end is compared. What `ingest` costs as a
catalogue grows is measured by `ingestion.py`.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
from measure import Row, Times, catalogue
from rich.console import Console
from rich.table import Table
from stores import store_of

from mmrec import Interaction, Item, Recommender
from mmrec.search.latest import LatestSnapshot
from mmrec.search.vectors import CONTENT
from mmrec.store.interactions import Popularity

HEADINGS = ("case", "p50 ms", "p99 / p50", "beside it", "its p50", "ratio", "to reach", "same")
START = datetime(2024, 1, 1, tzinfo=UTC)
USERS = 10_000
TURNS = 15
Act = Callable[[], object]


def by_turns(acts: Mapping[str, Act], write: Act | None = None) -> Times:
    """Seconds of each act, in turns; before each a write that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _, (name, act) in itertools.product(range(TURNS), acts.items()):
        if write:
            write()
        started = time.perf_counter()
        act()
        times[name].append(time.perf_counter() - started)
    return {name: np.array(seconds) for name, seconds in times.items()}


def items(shop: Recommender) -> Row:
    """One item written, until the catalogue can be searched with it."""
    serial, index = itertools.count(), LatestSnapshot(shop.catalogue)

    def write() -> None:
        shop.ingest([Item(item_id=f"new {next(serial)}", attributes={"brand": f"b{next(serial) % 500}"})])

    write()  # gives brands a place in the content
    index.now().space(CONTENT)
    times = by_turns({
        "ours": lambda: index.now().scorer(CONTENT),
        "whole": lambda: LatestSnapshot(shop.catalogue).now().scorer(CONTENT),
    }, write)
    same = np.mean(index.now().space(CONTENT) == LatestSnapshot(shop.catalogue).now().space(CONTENT))
    case = f"an item more among {len(shop):,}"
    return Row(case, times["ours"], "loading all", times["whole"], None, float(same))


def popularity(shop: Recommender, click: Act, acts: int) -> Row:
    """One click recorded, until what is popular is known."""
    behaviour, half_life = shop.behaviour, shop.config.popularity_half_life

    def whole() -> Popularity:
        return Popularity().at(behaviour.table.frozen(), behaviour.weights_of, half_life)

    behaviour.popularity()
    times = by_turns({"ours": behaviour.popularity, "whole": whole}, click)
    ours, theirs = behaviour.popularity(), whole().counts
    same = np.mean([np.isclose(ours[item_id], count) for item_id, count in theirs.items()])
    case = f"a click more among {acts:,}"
    return Row(case, times["ours"], "counting all", times["whole"], None, float(same))


def histories(shop: Recommender) -> Row:
    """A user's history, for the second time."""
    names, behaviour = [f"u{n}" for n in range(TURNS)], shop.behaviour
    users = itertools.cycle(names)

    def found(user: str) -> list[tuple[str, float]]:
        rows = behaviour.table.scan(["item_id", "kind", "weight", "time"], f"user_id = '{user}'")
        rows = rows.sort_by([("time", "ascending"), ("item_id", "ascending")])
        return list(zip(rows["item_id"].to_pylist(), behaviour.weights_of(rows).tolist(), strict=True))

    before = {user: behaviour.history(user) for user in names}
    times = by_turns({"ours": lambda: behaviour.history(next(users)), "table": lambda: found(next(users))})
    same = np.mean([behaviour.history(user) == rows == found(user) for user, rows in before.items()])
    return Row("a history asked for again", times["ours"], "finding it", times["table"], None, float(same))


def clicks(shop: Recommender, click: Act, folder: Path, acts: int) -> Row:
    """One click recorded on the disk, indices included."""
    columns = ["key", "user_id", "item_id", "kind", "weight", "time"]
    rows = pa.table(dict(zip(columns, shop.behaviour.table.scan(columns), strict=True)))  # of no primary key
    bare, serial = lancedb.connect(folder).create_table("bare", rows), itertools.count()

    def merge() -> None:
        one = rows.slice(0, 1).set_column(0, "key", pa.array([f"another {next(serial)}"]))
        bare.merge_insert("key").when_not_matched_insert_all().execute(one)

    times = by_turns({"ours": click, "bare": merge})
    case = f"a click recorded among {acts:,}"
    return Row(case, times["ours"], "a bare table", times["bare"], None, None)


def main() -> None:
    """Measures and prints the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--n", type=int, default=100_000, help="items")
    options.add_argument("--acts", type=int, default=1_000_000, help="interactions")
    options.add_argument("--d", type=int, default=128, help="numbers of a vector")
    asked = options.parse_args()
    rng, later = np.random.default_rng(0), itertools.count(asked.acts)

    def act(second: int) -> Interaction:
        user, item = rng.integers(USERS), rng.integers(asked.n)
        return Interaction(user_id=f"u{user}", item_id=f"i{item:07d}", time=START + timedelta(seconds=second))

    with tempfile.TemporaryDirectory() as folder:
        shop = store_of(Path(folder) / "shop.mmrec", catalogue(asked.n, asked.d))
        shop.record(map(act, range(asked.acts)))

        def click() -> None:
            shop.record([act(next(later))])

        rows = [
            items(shop), popularity(shop, click, asked.acts), histories(shop),
            clicks(shop, click, Path(folder), asked.acts),
        ]
    table = Table(*HEADINGS, title=f"d = {asked.d}")
    for row in rows:
        table.add_row(*row.cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
