"""RecTools' eSASRec on the next film of users: `python tests/benchmarks/rectools_next_item.py --data DIR`.

The same question as `head.py next-item`: MovieLens-1M, every rating, the last film of each user by `order` is
asked for, the one before it is kept for validation, and all films not yet rated are ranked. eSASRec is SASRec
with LiGR layers and a sampled softmax, with the settings that its authors publish: 64 numbers, 2 blocks, 1
head, 256 negatives, dropout .1, the latest 200 films. It learns for so many minutes, or epochs.

RecTools wants an older NumPy than mmrec, so that it has an environment of its own, which this script runs in:
`python -m venv rectools && rectools/bin/pip install rectools pytorch-lightning torch 'pyarrow<24'`.

Source: Tikhonovich et al. 2025, eSASRec: enhancing transformer-based recommendations in a modular fashion.
"""

from __future__ import annotations

import argparse
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from pytorch_lightning import Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers

K = 10


def films(data: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Ratings to learn from, each user's oldest first, and the film [users] that comes last of each."""
    table = pd.read_parquet(data / "movielens-1m" / "ratings.parquet").sort_values(["user", "order"])
    backwards = table.groupby("user").cumcount(ascending=False)
    last = table[backwards == 0].set_index("user")["item"]
    known = table[backwards > 0]
    rows = pd.DataFrame({
        Columns.User: known["user"], Columns.Item: known["item"], Columns.Weight: 1.0,
        Columns.Datetime: pd.Timestamp(0) + pd.to_timedelta(known["order"], unit="s"),
    })
    return rows, last


def main() -> None:
    """Trains, ranks and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--minutes", type=float, default=25, help="of training at most")
    parser.add_argument("--epochs", type=int, default=100, help="of training at most")
    parser.add_argument("--seed", type=int, default=42)
    asked = parser.parse_args()
    rows, last = films(asked.data)
    learned = rows[rows.groupby(Columns.User).cumcount(ascending=False) > 0]  # without what validates

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=asked.epochs, max_time=timedelta(minutes=asked.minutes), accelerator="cpu",
            enable_progress_bar=False, enable_model_summary=False, logger=False, enable_checkpointing=False,
        )

    np.random.seed(asked.seed)
    model = SASRecModel(
        n_factors=64, n_blocks=2, n_heads=1, dropout_rate=0.1, session_max_len=200, loss="sampled_softmax",
        n_negatives=256, lr=1e-3, batch_size=128, transformer_layers_type=LiGRLayers,
        get_trainer_func=trainer, recommend_torch_device="cpu",
    )
    began = time.perf_counter()
    model.fit(Dataset.construct(learned))
    minutes = (time.perf_counter() - began) / 60
    users = last.index[last.index.isin(learned[Columns.User])]
    found = model.recommend(users=users, dataset=Dataset.construct(rows), k=K, filter_viewed=True)
    right = found[found[Columns.Item].to_numpy() == last.loc[found[Columns.User]].to_numpy()]
    gains = (1 / np.log2(right[Columns.Rank].to_numpy() + 1)).sum()
    print(f"eSASRec of RecTools, {model.fit_trainer.current_epoch} epochs, {minutes:.1f} minutes:"
          f" HR@10 {len(right) / len(last):.3f}, NDCG@10 {gains / len(last):.3f} of {len(last):,} users")


if __name__ == "__main__":
    main()
