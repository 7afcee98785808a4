"""The head beside the closed-form baselines: `python tests/benchmarks/head.py [--data DIR] [--stores DIR]`.

MovieLens-1M, the item-cold splits of seeds 42 to 44, recall@20 / ndcg@20; `--part validation` for choosing.
A film whose row was rejected at ingest has no content: it stays a candidate, and is found by nobody.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import quality
from mmrec.encoders.base import Vectors
from mmrec.evaluate.baselines import EASE, ContentRidge
from mmrec.evaluate.logs import log_of_positions
from mmrec.evaluate.run import evaluate
from mmrec.evaluate.setting import Log
from mmrec.evaluate.splits import item_cold_from
from mmrec.index import CONTENT
from mmrec.recommender import Recommender
from mmrec.training.model import TwoTower


def log_of_ratings(shop: Recommender, ratings: Path) -> tuple[Log, Vectors]:
    """Every rating as a wish, and the content [items, c] of all films that were rated or ingested."""
    table = pq.read_table(ratings).to_pandas()
    snapshot = shop._index.now()
    rated = table["item"].astype(str)
    missing = sorted(set(rated) - set(snapshot.ids))
    ids = [*snapshot.ids, *missing]
    users = sorted(set(table["user"].astype(str)))
    place, row = {i: n for n, i in enumerate(ids)}, {u: n for n, u in enumerate(users)}
    log = log_of_positions(
        users, ids, users=table["user"].astype(str).map(row), items=rated.map(place),
        times=table["order"],
    )
    content = snapshot.space(CONTENT)
    return log, np.vstack([content, np.zeros((len(missing), content.shape[1]), np.float32)])


def main() -> None:
    """Prints one line for each model and seed, and the means of the head."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--stores", type=Path, default=Path("stores"), help="kept for the next run")
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    asked = parser.parse_args()
    films, folder = quality.open_store(asked.data, asked.stores, "movielens-1m"), asked.data / "movielens-1m"
    log, content = log_of_ratings(films, folder / "ratings.parquet")
    spans = films._index.now().plan.spans
    means: dict[str, list[tuple[float, float]]] = {}
    for seed in asked.seeds:
        split = item_cold_from(log, pq.read_table(folder / "splits" / f"item-cold-{seed}.parquet"), seed=seed)
        for model in (EASE(), ContentRidge(blend=2.0), TwoTower(spans=spans)):
            started = time.perf_counter()
            model.fit(split.train, content)
            seconds, line = time.perf_counter() - started, []
            for name, setting in getattr(split, asked.part).items():
                found = evaluate(model, setting, rng=np.random.default_rng(0)).means
                line.append(f"{name} {found['recall@20']} / {found['ndcg@20']}")
                means.setdefault(f"{model.name} {name}", []).append(
                    (found["recall@20"].mean, found["ndcg@20"].mean)
                )
            print(f"seed {seed}, {model.name}, fit {seconds:.0f} s: {', '.join(line)}", flush=True)
    for name, pairs in means.items():
        recall, ndcg = np.mean(pairs, axis=0)
        print(f"mean of {len(pairs)} seeds, {name}: {recall:.4f} / {ndcg:.4f}")


if __name__ == "__main__":
    main()
