"""Feedback that nobody selected: `python tests/benchmarks/coat.py [--data DIR] [--seeds N]`.

290 users rated 24 coats each that they chose, and 16 that were drawn for them. Models learn from the chosen
ones alone (a rating of 4 or 5 is a like, 1 a dislike) and rank each user's 16; ndcg@5 with gain
2^rating - 1, as published with the data. Prints a line for each model, with the 95% interval over users; of
`fit`, the mean over its seeds. Matrix factorisation learns from the ratings themselves, its width and its
regularisation chosen on a tenth of them, with the inverse propensities that come with the data and without.

Then the guard is judged: in each of ten halves of the users a shop is fitted, and what it lets serve, the
head or plain content, is compared with what is better on the coats that were drawn for these users.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.table import Table

from mmrec import Interaction, Item, Recommender
from mmrec.evaluate.metrics import Values, mean_interval

K = 5
TOY = {"text_encoder": "toy", "image_encoder": "toy"}  # there is no text and no picture to encode
SPLITS, CLIP = 10, 5.0  # halves of users; times the mean that an inverse propensity may be
Scores = Callable[[str, list[str]], Values]  # of a user for coats
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
    items = asked.data / "coat" / "items.jsonl"
    for name, values in (found(chosen, drawn, items, asked.seeds) | factorised(chosen, drawn)).items():
        table.add_row(name, str(mean_interval(values, rng=np.random.default_rng(0))))
    console = Console(width=110)
    console.print(table)
    right = sum(guarded(chosen, drawn, items, seed) for seed in range(SPLITS))
    console.print(f"the guard lets serve what is better on drawn coats: {right} of {SPLITS} halves of users")


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
    with tempfile.TemporaryDirectory() as folder, Recommender.open(Path(folder) / "coat.mmrec", TOY) as shop:
        scores = filled(shop, chosen, items)
        values["plain content"] = judged(drawn, scores)
        fits = []
        for seed in range(seeds):
            report = shop.fit(seed=seed)
            fits.append(judged(drawn, scores))
        told = report.exposure or "nothing"
        values[f"after fit ({seeds} seeds), corrected by {told}"] = np.mean(fits, axis=0)
    return values


def filled(shop: Recommender, chosen: pd.DataFrame, items: Path) -> Scores:
    """Ingests the coats and records what was chosen; gives the scores of a user's likes for coats."""
    rows = [json.loads(line) for line in items.read_text(encoding="utf-8").splitlines()]
    shop.ingest(Item(item_id=row.pop("item_id"), attributes=row) for row in rows)
    acts = chosen[(chosen.rating >= 4) | (chosen.rating == 1)]
    shop.record(
        Interaction(user_id=user, item_id=item, kind="like" if rating >= 4 else "dislike")
        for user, item, rating in zip(acts.user, acts.item, acts.rating, strict=True)
    )
    liked = chosen[chosen.rating >= 4].groupby("user").item.apply(list).to_dict()

    def scores(user: str, ids: list[str]) -> Values:
        return shop.score(history=liked[user], items=ids) if user in liked else np.zeros(len(ids))

    return scores


def guarded(chosen: pd.DataFrame, drawn: pd.DataFrame, items: Path, seed: int) -> bool:
    """Whether the guard is right for a half of the users; a head that it rejects counts as a wrong choice."""
    users = chosen.user.unique()
    half = set(np.random.default_rng(seed).permutation(users)[: len(users) // 2])
    mine, asked = (part[part.user.isin(half)] for part in (chosen, drawn))
    with tempfile.TemporaryDirectory() as folder, Recommender.open(Path(folder) / "coat.mmrec", TOY) as shop:
        scores = filled(shop, mine, items)
        plain = judged(asked, scores).mean()
        return shop.fit(seed=seed).served and bool(judged(asked, scores).mean() > plain)


def factorised(chosen: pd.DataFrame, drawn: pd.DataFrame) -> dict[str, Values]:
    """Ndcg@5 of matrix factorisation of the ratings, with inverse propensities and without."""
    users, coats = (pd.Index(sorted(chosen[name].unique())) for name in ("user", "item"))
    row, column = users.get_indexer(chosen.user), coats.get_indexer(chosen.item)
    held = np.random.default_rng(0).random(len(chosen)) < 0.1
    inverse = np.minimum(1 / chosen.propensity, CLIP / chosen.propensity.mean()).to_numpy()
    rating, values = chosen.rating.to_numpy(np.float64), {}
    for name, weights in (("matrix factorisation", np.ones(len(chosen))), ("the same, IPS", inverse)):
        weights = weights / weights.mean()

        def learned(some: NDArray[np.bool_], d: int, l2: float, weights: Values = weights) -> Values:
            w, y = (np.zeros((len(users), len(coats))) for _ in range(2))
            w[row[some], column[some]], y[row[some], column[some]] = weights[some], rating[some]
            return factors(w, y, d, l2)

        def error(d: int, l2: float, weights: Values = weights) -> float:
            missed = learned(~held, d, l2)[row[held], column[held]] - rating[held]
            return float(np.average(missed**2, weights=weights[held]))

        d, l2 = min(((d, l2) for d in (2, 4, 8) for l2 in (1.0, 3.0, 10.0)), key=lambda one: error(*one))
        scores = learned(np.ones(len(chosen), bool), d, l2)
        values[f"{name} ({d} factors, l2 {l2:g})"] = judged(
            drawn, lambda user, ids: scores[users.get_loc(user), coats.get_indexer(ids)]  # noqa: B023
        )
    return values


def factors(w: Values, y: Values, d: int, l2: float) -> Values:
    """Ratings [users, items] by d factors and biases, learned from ratings y of weights w by turns.

    Source: Schnabel et al. 2016, Recommendations as treatments, eq. 9; with weights of 1, Koren et al. 2009.
    """
    rng, mean = np.random.default_rng(0), float((w * y).sum() / w.sum())
    left, right = (np.hstack([0.1 * rng.standard_normal((n, d)), np.ones((n, 1))]) for n in w.shape)
    biases = np.zeros(w.shape[1])
    for _ in range(15):
        for u in range(len(w)):  # factors and the bias of the user
            z = right * w[u][:, None]
            left[u] = np.linalg.solve(z.T @ right + l2 * np.eye(d + 1), z.T @ (y[u] - mean - biases))
        part = np.hstack([left[:, :d], np.ones((len(w), 1))])
        for i in range(w.shape[1]):  # factors and the bias of the item
            z = part * w[:, i][:, None]
            found = np.linalg.solve(z.T @ part + l2 * np.eye(d + 1), z.T @ (y[:, i] - mean - left[:, d]))
            right[i, :d], biases[i] = found[:d], found[d]
    return mean + left @ right.T + biases


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
