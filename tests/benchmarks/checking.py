"""What `mmrec check` finds of planted faults, and in what time: `python tests/benchmarks/checking.py`.

Faults are planted in demo shops (see `planting`): items under two ids, photos encoded, resized and cropped
anew, other colours of a design, placeholders, broken texts, bots. Printed by the fault: how many were planted
and found; then how many findings were false. Thresholds were chosen on seed 101; report others.
`--photos FOLDER --large DIR` also prints the seconds of a check of a large store: it is made in DIR, if it is
not there, of as many files as `--items`, each a window of a photo of FOLDER in its own colours. Its pictures
have 1,280 numbers and its texts 384, so that there are as many bytes to compare as in a shop.
"""

from __future__ import annotations

import argparse
import colorsys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from large import MadeUp, peak
from PIL import Image
from planting import Planted, plant
from rich.console import Console
from rich.table import Table

from mmrec import Item, Recommender
from mmrec.check.pictures import looks
from mmrec.check.report import CheckReport
from mmrec.data import images
from mmrec.encoders.base import Encoder, Fingerprint, Vectors

OFFLINE = {"text_encoder": "all-MiniLM-L6-v2", "image_encoder": "efficientnet-lite0"}
DRAWN_ALIKE = 12  # of 255
WINDOW, PIXELS = 0.6, (256, 384)  # share of a photo's sides that a file shows, and its size
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
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs, for `--large`")
    parser.add_argument("--large", type=Path, help="a folder for a large store, to measure the time")
    parser.add_argument("--items", type=int, default=100_000, help="of the large store")
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
        console.print(large(asked.large, asked.photos, asked.items))


def table_of(total: Counter[tuple[str, str]]) -> Table:
    """The counts, a row for each thing that was planted or may be false."""
    table = Table("what", "planted", "found", "share", "false", "true", "drawn alike")
    for what in dict.fromkeys(name for name, _ in total):
        put, found = total[what, "planted"], total[what, "found"]
        cells = [str(put), str(found), f"{found / put:.1%}"] if put else ["", "", ""]
        table.add_row(what, *cells, *(str(total[what, kind]) for kind in ("false", "true", "drawn alike")))
    return table


class Thumbnails(Encoder):
    """A picture's 12 x 12 colours, turned into 1,280 numbers: near for pictures that look alike."""

    batch_size, decodes = 256, True

    def __init__(self) -> None:
        self.axes = np.random.default_rng(0).standard_normal((12 * 12 * 3, 1280)).astype(np.float32)

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(
            model="thumbnails-1280", modality="image", dim=1280, revision="1", preprocessing="none",
            sha256="none",
        )

    def pieces(self, value: Any) -> list[Any]:
        return [np.asarray(images.decode(value, side=48).resize((12, 12)), np.float32).ravel() - 128]

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        return np.stack(pieces) @ self.axes


def photos(folder: Path, made: Path, n: int) -> Iterator[Path]:
    """Files of n different pictures: windows of the photos of a folder, in colours of their own."""
    made.mkdir(parents=True, exist_ok=True)
    sources, rng = sorted(folder.glob("*.jpg")), np.random.default_rng(3)
    for number in range(n):
        left, top = rng.uniform(0, 1 - WINDOW, 2)
        colour = colorsys.hsv_to_rgb(rng.random(), 0.4, 1.0)
        path = made / f"{number}.jpg"
        if not path.exists():
            with Image.open(sources[number % len(sources)]) as photo:
                box = (np.array([left, top, left + WINDOW, top + WINDOW]) * (photo.size * 2)).tolist()
                x = np.asarray(photo.convert("RGB").resize(PIXELS, box=box), np.float32) * colour
            Image.fromarray(x.astype(np.uint8)).save(path, quality=90)
        yield path


def large(path: Path, folder: Path | None, n: int) -> str:
    """The time of a check of a large store whose picture files are there."""
    encoders = {"text": MadeUp("text", 384), "image": Thumbnails()}
    with Recommender.open(path / "shop.mmrec", encoders=encoders) as shop:
        if folder and not len(shop):
            shop.ingest(
                Item(item_id=f"i{number:06d}", image=file, attributes={"price": 1.0 + number % 997}, text={
                    "title": f"{number % 300}-{number}", "description": f"{number % 300}-words {number}",
                }) for number, file in enumerate(photos(folder, path / "files", n))
            )
        started = time.perf_counter()
        report = shop.check()
        seconds = time.perf_counter() - started
        found = ", ".join(f"{one.name} {one.count:,}" for one in report.findings)
        return f"{len(shop):,} items, {seconds:.0f} s, {peak() / 1e9:.1f} GB at most; {found}"


if __name__ == "__main__":
    main()
