"""What `mmrec check` finds of planted faults, and in what time: `python tests/benchmarks/checking.py`.

Faults are planted in demo shops (see `planting`): items under two ids, photos encoded, resized and cropped
anew, other colours of a design, placeholders, broken texts, bots. Printed by the fault: how many were planted
and found; then how many findings were false. Thresholds were chosen on seed 101; report others.
`--large DIR` also prints the seconds of a check of the store that `tests/benchmarks/large.py` made there, and
of comparing pictures from their files, a thousand.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image
from planting import Planted, plant
from rich.console import Console
from rich.table import Table

from mmrec import Recommender
from mmrec.check.pictures import looks
from mmrec.check.report import CheckReport

OFFLINE = {"text_encoder": "all-MiniLM-L6-v2", "image_encoder": "efficientnet-lite0"}
DRAWN_ALIKE = 12  # of 255
OF_ITEMS = (
    "same-item", "same-picture", "near-pictures", "placeholder-pictures", "empty-texts", "stock-texts",
    "markup", "encoding", "odd-numbers", "spellings", "like-ids", "future-items",
)


def checked(planted: Planted, folder: Path) -> tuple[CheckReport, float]:
    """The report on a shop that is made of the faulty items and log, and its seconds."""
    with Recommender.open(folder / "shop.mmrec", OFFLINE) as shop:
        shop.ingest(planted.items)
        shop.record(planted.interactions)
        started = time.perf_counter()
        return shop.check(), time.perf_counter() - started


def named(report: CheckReport, name: str) -> list[frozenset[str]]:
    """The ids of each row of a finding."""
    found = report[name]
    return [frozenset(row.ids) for row in found.rows] if found else []


def tally(planted: Planted, report: CheckReport) -> Counter[tuple[str, str]]:
    """Counts by what is counted and whether it was planted, found, or false."""
    counts: Counter[tuple[str, str]] = Counter()
    for name, pairs in planted.pairs.items():
        groups = named(report, name)
        for pair in pairs:
            how = next((planted.changes[i] for i in pair if i in planted.changes), "")
            for what in {name, f"{name}, {how}" if how else name}:
                counts[what, "planted"] += 1
                counts[what, "found"] += any(pair <= group for group in groups)
    for name, ids in planted.ids.items():
        rows = frozenset().union(*named(report, name))
        for one in ids if name not in ("early", "unknown-items", "log-ids") else ():
            counts[name, "planted"] += 1
            counts[name, "found"] += one in rows
    counts += of_log(planted, report)
    return counts + false_ones(planted, report)


def of_log(planted: Planted, report: CheckReport) -> Counter[tuple[str, str]]:
    """Interactions that are named only by their number: those planted, and those told up to that number."""
    counts: Counter[tuple[str, str]] = Counter()
    for name in ("early", "unknown-items", "log-ids"):
        finding = report[name]
        counts[name, "planted"] = len(planted.ids[name])
        counts[name, "found"] = min(len(planted.ids[name]), finding.count if finding else 0)
        counts[name, "false"] = max(0, (finding.count if finding else 0) - len(planted.ids[name]))
    counts["burst", "planted"], counts["burst", "found"] = 1, int(report["burst"] is not None)
    return counts


def false_ones(planted: Planted, report: CheckReport) -> Counter[tuple[str, str]]:
    """Near duplicates that are none, and sound items that some finding names.

    Some products the shop draws alike: no pixel of one differs by more than `DRAWN_ALIKE` from the other.
    """
    counts: Counter[tuple[str, str]] = Counter()
    pictures = {item.item_id: item.images[0] for item in planted.items if item.images}
    origin = {i: planted.origin.get(i, i) for i in pictures}

    @lru_cache(None)
    def drawn_alike(a: str, b: str) -> bool:
        with Image.open(pictures[a]) as one, Image.open(pictures[b]) as other:
            x, y = (np.asarray(each.convert("RGB"), np.int16) for each in (one, other))
        return x.shape == y.shape and int(np.abs(x - y).max()) <= DRAWN_ALIKE

    wrong = {i for pairs in planted.pairs.values() for pair in pairs for i in pair}
    wrong |= {i for ids in planted.ids.values() for i in ids}
    sound = {item.item_id for item in planted.items} - wrong
    counts["sound items", "planted"] = len(sound)
    for name in OF_ITEMS:
        named_falsely = set()
        for group in named(report, name):
            kinds: dict[str, set[str]] = {"true": set(), "drawn alike": set(), "false": set()}
            for a, b in combinations(sorted(group), 2) if name in ("near-pictures", "same-picture") else ():
                first, second = sorted((origin[a], origin[b]))
                kind = "true" if first == second else "drawn alike" if drawn_alike(first, second) else "false"
                counts[f"{name}, pairs told", kind] += 1
                kinds[kind] |= {a, b}
            named_falsely |= (group & sound) - kinds["drawn alike"]
        counts[f"sound items named: {name}", "false"] += len(named_falsely)
    for pair in planted.colours:
        counts["colours of one design told apart", "planted"] += 1
        together = any(pair <= group for group in named(report, "near-pictures"))
        counts["colours of one design told apart", "found"] += not together
    return counts


def main() -> None:
    """Plants, checks and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="of the shops")
    parser.add_argument("--products", type=int, default=600)
    parser.add_argument("--large", type=Path, help="a store of `large.py`, to measure the time")
    asked, console = parser.parse_args(), Console(width=130)
    total: Counter[tuple[str, str]] = Counter()
    for seed in asked.seeds:
        with tempfile.TemporaryDirectory() as folder:
            planted = plant(Path(folder), seed=seed, products=asked.products)
            report, seconds = checked(planted, Path(folder))
            files = {n: str(item.images[0]) for n, item in enumerate(planted.shown.items)}
            started = time.perf_counter()
            looks(files)
            pace = 1_000 * (time.perf_counter() - started) / len(files)
            total += tally(planted, report)
        console.print(f"seed {seed}: {seconds:.1f} s, pictures read {pace:.1f} s a thousand")
    if total:
        console.print(table_of(total))
    if asked.large:
        console.print(f"{asked.large}: {large(asked.large)}")


def table_of(total: Counter[tuple[str, str]]) -> Table:
    """The counts, a row for each thing that was planted or may be false."""
    table = Table("what", "planted", "found", "share", "false", "true", "drawn alike")
    for what in dict.fromkeys(name for name, _ in total):
        put, found = total[what, "planted"], total[what, "found"]
        cells = [str(put), str(found), f"{found / put:.1%}"] if put else ["", "", ""]
        table.add_row(what, *cells, *(str(total[what, kind]) for kind in ("false", "true", "drawn alike")))
    return table


def large(path: Path) -> str:
    """The time of a check of a large store."""
    from large import ENCODERS, peak

    with Recommender.open(path, encoders=ENCODERS, create=False) as shop:
        started = time.perf_counter()
        report = shop.check()
        seconds = time.perf_counter() - started
        found = ", ".join(f"{one.name} {one.count:,}" for one in report.findings)
        return f"{len(shop):,} items, {seconds:.0f} s, {peak() / 1e9:.1f} GB at most; {found}"


if __name__ == "__main__":
    main()
