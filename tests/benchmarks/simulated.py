"""A drawn log of known truth: `python tests/benchmarks/simulated.py [--data DIR] [--runs 100]`.

The chance that a user of MovieLens-1M likes a film, once shown, is told by the film's mean rating and by
factors of who rated it well, so that it is known for every pair. Each run shows films to users by popularity,
on pages whose lower positions are looked at less, and draws what is chosen and what is disliked. Three models
learn from a part of what was chosen and are judged by the rest, raw and corrected for the exposure that the
log itself betrays (`exposure_of`). The truth is the ndcg@20 of the same models by likes of films that are all
shown equally often.

Printed: how often the raw and the corrected figures choose the model that is truly best, and how often their
95% intervals cover the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.sparse import csr_matrix
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from mmrec.evaluate.baselines import EASE, Baseline, ContentKNN, Popularity
from mmrec.evaluate.exposure import Corrected, Exposure, exposure_of
from mmrec.evaluate.metrics import Interval
from mmrec.evaluate.run import best_candidates

USERS, ITEMS, FACTORS = 2_000, 1_000, 24
PAGES, PAGE = 6, 10  # shown to each user
LOOKED_AT = 1 / np.sqrt(np.arange(1, PAGE + 1))  # chance that a position is looked at
BEST, LEAST = 0.8, 0.01  # chance of a like of what fits best, and of any
TASTE, QUALITY, RARE = 1.5, 0.3, 2.0  # deviations by which taste and mean rating tell, and what is usual
NOISE = 0.5  # length of what says nothing in a film's content, whose length is 1
ANNOYED = 0.3  # of what is looked at and not liked, share that is disliked
HELD_OUT, K, TRUE_DRAWS = 0.25, 20, 60
Chances = NDArray[np.float64]


class World(NamedTuple):
    """What is true.

    Attributes:
        likes: chance that a user likes a film he looks at [users, items].
        shown: how often each film is displayed, relative to each other [items].
        content: what is known of a film without any user [items, c].
    """

    likes: Chances
    shown: Chances
    content: NDArray[np.float32]


def world(data: Path, rng: np.random.Generator) -> World:
    """Likes by the factors of real ratings; what is displayed is what was rated often."""
    ratings = pd.read_parquet(data / "movielens-1m" / "ratings.parquet")
    good = ratings[ratings.rating >= 4]
    films = good["item"].value_counts().index[: 2 * ITEMS : 2]  # every second one, down to rare ones
    some = good[good["item"].isin(films)]
    users = some["user"].value_counts().index[: 2 * USERS]
    users = users[np.sort(rng.choice(len(users), USERS, replace=False))]
    some = some[some["user"].isin(users)]
    row, column = (pd.Index(ids).get_indexer(some[name]) for ids, name in ((users, "user"), (films, "item")))
    x = csr_matrix((np.ones(len(some), np.float32), (row, column)), (USERS, ITEMS))
    model = AlternatingLeastSquares(factors=FACTORS, iterations=10, random_state=0, num_threads=1)
    model.fit(x, show_progress=False)
    taste = model.user_factors @ model.item_factors.T  # [users, f] @ [f, items]
    taste = (taste - taste.mean(axis=0)) / taste.std(axis=0)  # of users for each film, however popular
    quality = ratings.groupby("item").rating.mean()[films].to_numpy()
    quality = (quality - quality.mean()) / quality.std()
    likes = LEAST + (BEST - LEAST) * norm.cdf(TASTE * taste + QUALITY * quality - RARE)
    content = model.item_factors / np.linalg.norm(model.item_factors, axis=1, keepdims=True)
    content += NOISE / FACTORS**0.5 * rng.standard_normal(content.shape)
    return World(likes, np.asarray(x.sum(axis=0), np.float64).ravel() + 1, content.astype(np.float32))


def drawn(true: World, rng: np.random.Generator) -> tuple[csr_matrix, csr_matrix]:
    """What users chose and what they disliked [users, items], of what they were shown."""
    keys = np.log(true.shown) + rng.gumbel(size=true.likes.shape)
    shown = np.argsort(-keys, axis=1)[:, : PAGES * PAGE]  # [users, pages * page], without repetition
    looked = rng.random(shown.shape) < np.tile(LOOKED_AT, PAGES)
    liked = looked & (rng.random(shown.shape) < np.take_along_axis(true.likes, shown, axis=1))
    disliked = looked & ~liked & (rng.random(shown.shape) < ANNOYED)
    return _matrix(shown, liked), _matrix(shown, disliked)


def _matrix(items: NDArray[np.intp], mask: NDArray[np.bool_]) -> csr_matrix:
    users = np.repeat(np.arange(len(items)), mask.sum(axis=1))
    return csr_matrix((np.ones(len(users), np.float32), (users, items[mask])), (len(items), ITEMS))


class Judged(NamedTuple):
    """Figures of a model in one run."""

    raw: Interval
    corrected: Interval
    truth: float


def one_run(true: World, rng: np.random.Generator) -> Mapping[str, Judged]:
    """The models' figures of one log, by name."""
    chosen, disliked = drawn(true, rng)
    held = rng.random(chosen.nnz) < HELD_OUT
    train, test = (_kept(chosen, mask) for mask in (~held, held))
    exposure = exposure_of(*(np.asarray(one.sum(axis=0), np.float64).ravel() for one in (train, disliked)))
    plain = Exposure(np.ones(ITEMS, np.float32), "")
    models: list[Baseline] = [Popularity(), EASE(), ContentKNN()]
    tops = {}
    for model in models:
        model.fit(train, true.content)
        scores = np.asarray(model.score(train), np.float32)
        tops[model.name] = best_candidates(scores, train, np.arange(ITEMS, dtype=np.int32), K)
    truths = _truths(true, tops, train, rng)
    return {
        name: Judged(*(_figure(top, test, one) for one in (plain, exposure or plain)), truths[name])
        for name, top in tops.items()
    }


def _figure(top: NDArray[np.int32], relevant: csr_matrix, exposure: Exposure) -> Interval:
    asked = np.flatnonzero(np.diff(relevant.indptr))
    return Corrected.of(top[asked], relevant[asked], exposure).mean


def _truths(
    true: World, tops: Mapping[str, NDArray[np.int32]], train: csr_matrix, rng: np.random.Generator
) -> dict[str, float]:
    """Mean ndcg of lists [users, k] by likes of films that are all shown equally often, so many in all.

    As many draws that their mean deviates by far less than the estimates do.
    """
    share = HELD_OUT * PAGES * PAGE * LOOKED_AT.mean() / ITEMS
    chance = (share * true.likes * (train.toarray() == 0)).astype(np.float32)
    found: dict[str, list[float]] = {name: [] for name in tops}
    plain = Exposure(np.ones(ITEMS, np.float32), "")
    for _ in range(TRUE_DRAWS):
        relevant = csr_matrix((rng.random(chance.shape, np.float32) < chance).astype(np.float32))
        for name, top in tops.items():
            found[name].append(_figure(top, relevant, plain).mean)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _kept(matrix: csr_matrix, mask: NDArray[np.bool_]) -> csr_matrix:
    kept = matrix.copy()
    kept.data = kept.data * mask
    kept.eliminate_zeros()
    return kept


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=int, default=100)
    asked = parser.parse_args()
    with threadpool_limits(1, "blas"):
        true = world(asked.data, np.random.default_rng(0))
        runs = [one_run(true, np.random.default_rng(seed)) for seed in track(range(1, asked.runs + 1))]
    best = [max(run, key=lambda name, run=run: run[name].truth) for run in runs]
    table = Table("model", "raw", "corrected", "truth", "truly best", "raw covers", "corrected covers")
    for name in runs[0]:
        mine = [run[name] for run in runs]
        covers = (
            sum(one.low <= judged.truth <= one.high for judged in mine for one in (getattr(judged, kind),))
            for kind in ("raw", "corrected")
        )
        means = (np.mean([one.raw.mean for one in mine]), np.mean([one.corrected.mean for one in mine]),
                 np.mean([one.truth for one in mine]))
        table.add_row(name, *(f"{mean:.4f}" for mean in means), str(best.count(name)), *map(str, covers))
    console = Console(width=120)
    console.print(table)
    for kind in ("raw", "corrected"):
        right = sum(
            one == max(run, key=lambda name, run=run: getattr(run[name], kind).mean)
            for one, run in zip(best, runs, strict=True)
        )
        console.print(f"the {kind} figures choose the truly best model in {right} of {len(runs)} runs")


if __name__ == "__main__":
    main()
