"""What order costs a recommendation: `python tests/benchmarks/next_click.py [--data DIR] [--stores DIR]`.

A copy of the store of MovieLens-1M learns from its ratings, in one epoch. Then the same head serves twice, as
it is and beside a sequence tower of the size that `fit` learns, and recommends to histories of several
lengths, in turns in one process. The tower's weights are drawn at random, which take as long as others; how
well a learned one ranks is printed by `head.py next-item`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from measure import in_turns
from rich.console import Console
from rich.table import Table

import quality
from mmrec import Interaction, Recommender
from mmrec.model.ordered_towers import SequencePart
from mmrec.model.saved import Head
from mmrec.model.sequence import SequenceNet, SequenceRecipe

LENGTHS = (1, 10, 50, 200)
USERS = 100  # asked for each length


def beside_a_sequence(head: Head) -> Head:
    """The head with a sequence tower of random weights."""
    torch.manual_seed(0)
    tower, items = SequenceNet(len(head.towers.ids), SequenceRecipe()).served()
    coefficients = np.zeros((len(head.towers.smoother.landmarks), items.shape[1]), np.float32)
    return head._replace(sequence=SequencePart(tower, items, coefficients, 0.5))


def main() -> None:
    """Prints a row for each length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--stores", type=Path, default=Path("stores"), help="kept for the next run")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each length")
    asked = parser.parse_args()
    quality.open_store(asked.data, asked.stores, "movielens-1m").close()
    table = Table("items of the history", "without order, ms", "with it, ms", "ratio")
    with tempfile.TemporaryDirectory(dir=asked.stores) as folder:
        shops = {}
        for name in ("plain", "ordered"):
            path = Path(folder) / f"{name}.mmrec"
            source = Path(folder) / "plain.mmrec" if shops else asked.stores / "movielens-1m.mmrec"
            shutil.copytree(source, path)
            shops[name] = Recommender.open(path)
            if name == "plain":
                ratings = pq.read_table(asked.data / "movielens-1m" / "ratings.parquet").to_pandas()
                some = ratings[ratings.user.astype(int) <= 1_000]
                shops[name].record(
                    Interaction(user_id=str(user), item_id=str(item))
                    for user, item in zip(some.user, some.item, strict=True)
                )
                shops[name].fit(epochs=1)
        shops["ordered"].catalogue.adopt(beside_a_sequence(shops["plain"].catalogue.head()))
        rng, ids = np.random.default_rng(0), shops["plain"].snapshot().ids
        for length in LENGTHS:
            histories = [rng.choice(ids, length, replace=False).tolist() for _ in range(USERS)]
            times = in_turns({
                name: lambda history, shop=shop: shop.recommend(history=history, k=10)
                for name, shop in shops.items()
            }, histories, asked.seconds)
            plain, ordered = (1_000 * float(np.median(times[name])) for name in shops)
            table.add_row(str(length), f"{plain:.2f}", f"{ordered:.2f}", f"{ordered / plain:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
