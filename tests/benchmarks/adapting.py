"""What adapting an encoder is worth: `python tests/benchmarks/adapting.py [--catalogues ...]`.

Ingests the catalogues (or reopens stores that an earlier run made) with the offline encoders, adapts a copy
by each method and seed, and prints a line each. Figures are of items that taught nothing:

- `movielens-1m`: cold recall@20 of the guard, films that judge, ratings of 4 and more.
- `hm-fashion`: recall@20 of garments of another design that were bought together with one of a test design,
  among its neighbours; a third of the designs are test, no pair with one of theirs is learned from.
- `clothing-cc0`: share of the 10 nearest pictures that have the label of one; labels teach nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmrec import Interaction, Recommender
from mmrec.evaluate.metrics import mean_interval
from quality import open_store

FIELDS = {"image": ("image",), "text": ("title", "description")}
TEST = 3  # one design in so many
START = datetime(2000, 1, 1, tzinfo=UTC)
Values = Mapping[str, NDArray[np.float64]]  # of each who asks, by what is asked


def is_test(design: str) -> bool:
    """Whether a design judges; the same at every run."""
    return int(hashlib.md5(design.encode()).hexdigest(), 16) % TEST == 0


def garments(data: Path) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The design of each garment, and pairs of different designs that were bought together."""
    folder = data / "hm-fashion"
    rows = map(json.loads, (folder / "items.jsonl").read_text(encoding="utf-8").splitlines())
    design = {row["item_id"]: str(row["product_code"]) for row in rows}
    lines = (line.split("\t") for line in (folder / "copurchase.tsv").read_text().splitlines()[1:])
    known = ((one, other) for one, other, _ in lines if one in design and other in design)
    return design, [(one, other) for one, other in known if design[one] != design[other]]


def bought_together(shop: Recommender, data: Path, fields: Sequence[str]) -> Values:
    """Recall@20 of each garment of a test design, by each field and by all content."""
    design, pairs = garments(data)
    together: dict[str, set[str]] = defaultdict(set)
    for one, other in pairs:
        if is_test(design[one]):
            together[one].add(other)
    found: dict[str, list[float]] = defaultdict(list)
    for item_id, others in together.items():
        for by in (*fields, "content"):
            near = shop.similar(item_id, by=by, k=20, where=f"product_code != '{design[item_id]}'")
            found[by].append(len(others & {one.item_id for one in near}) / len(others))
    return {by: np.array(values) for by, values in found.items()}


def alike(shop: Recommender, data: Path, _: Sequence[str]) -> Values:
    """Share of each picture's 10 nearest that have its label."""
    rows = map(json.loads, (data / "clothing-cc0" / "items.jsonl").read_text().splitlines())
    label = {str(row["item_id"]): row["label"] for row in rows}
    some = [item_id for item_id in shop.snapshot().ids if item_id in label]
    shares = [
        np.mean([label[one.item_id] == label[item_id] for one in shop.similar(item_id, by="image", k=10)])
        for item_id in some
    ]
    return {"image": np.array(shares)}


def films(data: Path, stores: Path) -> None:
    """Records what users liked, once."""
    shop = open_store(data, stores, "movielens-1m")
    if shop.stats()["interactions"]:
        return
    rows = pq.read_table(data / "movielens-1m" / "ratings.parquet").to_pandas()
    rows = rows[rows["rating"] >= 4]
    shop.record(
        Interaction(user_id=str(user), item_id=str(item), time=START + timedelta(seconds=int(order)))
        for user, item, order in zip(rows["user"], rows["item"], rows["order"], strict=True)
    )


def run(
    name: str, method: str, modality: str, seed: int, asked: argparse.Namespace
) -> list[list[Any]]:
    """Adapts a copy of a store; returns rows of the table."""
    figure: Callable[[Recommender, Path, Sequence[str]], Values] | None
    figure = {"hm-fashion": bought_together, "clothing-cc0": alike}.get(name)
    with tempfile.TemporaryDirectory(dir=asked.stores) as folder:
        copy, fields = Path(folder) / "shop.mmrec", FIELDS[modality]
        shutil.copytree(asked.stores / f"{name}.mmrec", copy)
        with Recommender.open(copy) as shop:
            pairs = None
            if name == "hm-fashion":
                design, known = garments(asked.data)
                pairs = [pair for pair in known if not any(is_test(design[one]) for one in pair)]
            before = figure(shop, asked.data, fields) if figure else {}
            report = shop.adapt(
                method=method, modality=modality, minutes=asked.minutes, seed=seed, pairs=pairs, force=True
            )
            after = figure(shop, asked.data, fields) if figure else {}
    head = [name, modality, method, seed, f"{report.minutes:.1f}"]
    rows = [
        [*head, f"by {by}", f"{before[by].mean():.4f}", f"{after[by].mean():.4f}",
         mean_interval(after[by] - before[by], rng=np.random.default_rng(0))]
        for by in before
    ]
    own = [] if figure else report.figures[:1]
    rows += [[*head, one.name, f"{one.before:.4f}", f"{one.after:.4f}", one.difference] for one in own]
    return [[*row, report.why] for row in rows]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--stores", type=Path, default=Path("stores"))
    parser.add_argument("--catalogues", nargs="+", default=["movielens-1m", "hm-fashion", "clothing-cc0"])
    parser.add_argument("--methods", nargs="+", default=["image:behaviour", "image:simclr", "text:behaviour"],
                        help="modality:method")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args()
    print("| catalogue | modality | method | seed | minutes | figure | before | after | difference | guard |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in asked.catalogues:
        open_store(asked.data, asked.stores, name, "items.jsonl" if name == "clothing-cc0" else "")
        if name == "movielens-1m":
            films(asked.data, asked.stores)
        for modality, method in (one.split(":") for one in asked.methods):
            if name == "clothing-cc0" and (modality == "text" or method == "behaviour"):
                continue  # it has neither
            for seed in asked.seeds:
                for row in run(name, method, modality, seed, asked):
                    print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    main()
