"""Feedback that nobody selected: `python tests/benchmarks/coat.py [--data DIR] [--seeds N]`.

290 users rated 24 coats each that they chose, and 16 that were drawn for them. Models learn from the chosen
ones alone (a rating of 4 or 5 is a like, 1 a dislike) and rank each user's 16; ndcg@5 with gain
2^rating - 1, as published with the data. Prints a line for each model, with the 95% interval over users; of
`fit`, the mean over its seeds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table

from mmrec import Interaction, Item, Recommender
from mmrec.evaluate.metrics import Values, mean_interval

K = 5
TOY = {"text_encoder": "toy", "image_encoder": "toy"}  # there is no text and no picture to encode
DISCOUNTS = 1 / np.log2(np.arange(2, K + 2))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=10)
    asked = parser.parse_args()
    ratings = pd.read_parquet(asked.data / "coat" / "ratings.parquet")
    chosen, drawn = (ratings[ratings.part == part] for part in ("selected", "random"))
    table = Table("model", "ndcg@5 on coats drawn at random")
    for name, values in found(chosen, drawn, asked.data / "coat" / "items.jsonl", asked.seeds).items():
        table.add_row(name, str(mean_interval(values, rng=np.random.default_rng(0))))
    Console().print(table)


def found(chosen: pd.DataFrame, drawn: pd.DataFrame, items: Path, seeds: int) -> dict[str, Values]:
    """Ndcg@5 of each user [u], by the model's name."""
    rng = np.random.default_rng(0)
    likes = chosen[chosen.rating >= 4]
    popularity, mean = likes.groupby("item").size(), chosen.groupby("item").rating.mean()
    values = {
        "random order": np.mean(
            [judged(drawn, lambda _, ids: rng.random(len(ids))) for _ in range(seeds)], axis=0
        ),
        "popularity of likes": judged(drawn, lambda _, ids: popularity.reindex(ids, fill_value=0).to_numpy()),
        "mean rating of the item": judged(drawn, lambda _, ids: mean.reindex(ids, fill_value=0).to_numpy()),
    }
    liked = likes.groupby("user").item.apply(list).to_dict()
    with tempfile.TemporaryDirectory() as folder, Recommender.open(Path(folder) / "coat.mmrec", TOY) as shop:
        rows = [json.loads(line) for line in items.read_text(encoding="utf-8").splitlines()]
        shop.ingest(Item(item_id=row.pop("item_id"), attributes=row) for row in rows)
        acts = chosen[(chosen.rating >= 4) | (chosen.rating == 1)]
        shop.record(
            Interaction(user_id=user, item_id=item, kind="like" if rating >= 4 else "dislike")
            for user, item, rating in zip(acts.user, acts.item, acts.rating, strict=True)
        )

        def scores(user: str, ids: list[str]) -> Values:
            return shop.score(history=liked[user], items=ids) if user in liked else np.zeros(len(ids))

        values["plain content"] = judged(drawn, scores)
        fits = []
        for seed in range(seeds):
            report = shop.fit(seed=seed)
            fits.append(judged(drawn, scores))
        told = report.exposure or "nothing"
        values[f"after fit ({seeds} seeds), corrected by {told}"] = np.mean(fits, axis=0)
    return values


def judged(drawn: pd.DataFrame, scores: Callable[[str, list[str]], ArrayLike]) -> Values:
    """Ndcg@5 of each user [u] of a ranking of the coats that were drawn for the user."""
    found = []
    for user, rows in drawn.groupby("user"):
        gains = 2.0 ** rows.rating.to_numpy() - 1
        order = np.argsort(-np.asarray(scores(user, rows.item.tolist())), kind="stable")[:K]
        found.append(gains[order] @ DISCOUNTS / (np.sort(gains)[::-1][:K] @ DISCOUNTS))
    return np.array(found)


if __name__ == "__main__":
    main()
