"""`fit` on a large log: `python tests/benchmarks/large_fit.py --store STORE`, a store made by `large.py`.

The log is drawn: each user likes three of the clusters and clicks on their items, some far more often than
others. It is written as Parquet, recorded into a copy of the store, and learned from in a process of its own,
so that the memory printed is that of `fit` alone.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from large import CLUSTERS, ENCODERS, peak, resident

from mmrec import Recommender, read_interactions

LIKED = 3  # clusters of each user
STEEP = 0.8  # power of an item's rank by which its clicks fall


def log(path: Path, items: int, users: int, clicks: int) -> None:
    """Writes clicks of users on items of their clusters."""
    rng = np.random.default_rng(7)
    of = np.array([zlib.crc32(str(n).encode()) % CLUSTERS for n in range(items)])
    within = [rng.permutation(np.flatnonzero(of == cluster)) for cluster in range(CLUSTERS)]
    user = np.sort(rng.integers(0, users, clicks))
    cluster = rng.integers(0, CLUSTERS, (users, LIKED))[user, rng.integers(0, LIKED, clicks)]
    item = np.zeros(clicks, np.int64)
    for one, members in enumerate(within):
        here = np.flatnonzero(cluster == one)
        share = np.arange(1, len(members) + 1) ** -STEEP
        item[here] = members[rng.choice(len(members), len(here), p=share / share.sum())]
    pq.write_table(pa.table({
        "user_id": [f"u{one}" for one in user.tolist()], "item_id": [f"i{one:07d}" for one in item.tolist()],
        "kind": ["click"] * clicks,
        "time": pa.array(rng.integers(1.7e9, 1.75e9, clicks), pa.timestamp("s", "UTC")),
    }), path)


def learned(store: Path) -> None:
    """Trains, and prints what it took."""
    with Recommender.open(store, encoders=ENCODERS, create=False) as shop:
        base, began = resident(), time.perf_counter()
        report = shop.fit()
        minutes = (time.perf_counter() - began) / 60
        print(f"{len(shop):,} items, {shop.stats()['interactions']:,} interactions: {minutes:.1f} minutes"
              f" and at most {peak() / 2**30:.2f} GB, {base / 2**30:.2f} of which the open store held")
        print(report)


def main() -> None:
    """Draws the log, records it, trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="made by large.py; it is copied")
    parser.add_argument("--users", type=int, default=200_000, help="of the log")
    parser.add_argument("--clicks", type=int, default=2_000_000, help="of the log")
    parser.add_argument("--ready", action="store_true", help="train on the store as it is, clicks and all")
    args = parser.parse_args()
    if args.ready:
        learned(args.store)
        return
    with tempfile.TemporaryDirectory(dir=args.store.parent) as folder:
        store, clicks = Path(folder) / "copy.mmrec", Path(folder) / "clicks.parquet"
        shutil.copytree(args.store, store)
        with Recommender.open(store, encoders=ENCODERS, create=False) as shop:
            log(clicks, len(shop), args.users, args.clicks)
            began = time.perf_counter()
            shop.record(read_interactions(clicks))
            minutes = (time.perf_counter() - began) / 60
            print(f"{args.clicks:,} clicks recorded in {minutes:.1f} minutes", flush=True)
        subprocess.run([sys.executable, __file__, "--store", store, "--ready"], check=True)


if __name__ == "__main__":
    main()
