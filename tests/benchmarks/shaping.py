"""What diversity and exploration of a page cost and gain: `python tests/benchmarks/shaping.py [--data DIR]`.

A head is fitted on published item-cold splits of MovieLens-1M, its new items calibrated as `fit` does for
a shop, and ranks all films for each user of `overall`. Its list of 20 is compared with the most diverse one
for a dial, of genres (as of an attribute that lists them) or of the whole content, and with the same after a
share of the slots went to cold films: ndcg, diversity (1 - mean cosine of genres, and of contents), and how
many slots show a cold film. Means over the splits, and of the changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from head import films, published
from rich.console import Console
from rich.table import Table

import quality
from mmrec import Recommender
from mmrec.encoders.base import Vectors, unit
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import METRICS, diversity, hits_of
from mmrec.evaluate.run import best_candidates
from mmrec.ranking.diversity import Spread, label_rows, select
from mmrec.ranking.exploration import Pool, explore
from mmrec.ranking.request import Exploration, Request
from mmrec.training.model import TwoTower

K = 20
POOL = Request(k=K, diversity=0.3).pool
NEW = 200  # cold films among which is drawn
DIALS, SHARES = (0.1, 0.3, 0.5), (0.1, 0.2)


class Lists(NamedTuple):
    """Candidates of each user, best first: positions [u, p] and scores [u, p]."""

    positions: np.ndarray
    scores: Vectors


def best(scores: Vectors, setting: Setting, among: np.ndarray, pool: int) -> Lists:
    """The first of each user by scores [u, items], among some candidates."""
    top = best_candidates(scores[:, among], setting.histories, among, pool)
    return Lists(top, np.take_along_axis(scores, top, axis=1))


def by_diversity(lists: Lists, x: Vectors, dial: float) -> np.ndarray:
    """Lists [u, 20] of films that are unlike each other by unit rows [films, d]."""
    return np.stack([
        places[select(scores, K, spreads=[Spread(x[places], dial)])]
        for places, scores in zip(lists.positions, lists.scores, strict=True)
    ])


def by_exploring(lists: Lists, cold: Lists, share: float) -> np.ndarray:
    """Lists [u, 20] in which a share of the slots goes to cold films, as `recommend(explore=...)` does."""
    policy, rng, ages = Exploration(share=share), np.random.default_rng(0), np.zeros(NEW)
    return np.stack([
        explore(policy, ranking[:K], Pool(new, scores, ages), K, rng=rng).positions
        for ranking, new, scores in zip(lists.positions, *cold, strict=True)
    ])


def genres_of(shop: Recommender, ids: Sequence[str]) -> Vectors:
    """Genres of films as an attribute that lists them is compared [films, genres]; zeros if unknown."""
    known = {item.item_id: item.text.get("genres") for item in shop.get([i for i in ids if i in shop])}
    return label_rows([genres.split(", ") if (genres := known.get(i)) else None for i in ids])


def measured(asked: argparse.Namespace, seed: int) -> dict[str, np.ndarray]:
    """The figures of each way to make a list, on one split."""
    world = films(asked)
    split = published(world, asked, seed)
    setting, content = getattr(split, asked.part)["overall"], unit(world.content)
    model = TwoTower(spans=world.spans, even=True)
    model.fit(split.train, world.content)
    genres = genres_of(quality.open_store(asked.data, asked.stores, "movielens-1m"), world.log.item_ids)
    unchosen = np.asarray(split.train.sum(axis=0)).ravel() == 0
    scores = model.score(setting.histories)
    lists = best(scores, setting, setting.candidates, POOL)
    cold = best(scores, setting, setting.candidates[unchosen[setting.candidates]], NEW)
    arms = {"as ranked": lists.positions[:, :K]}
    for name, x in (("genres", genres), ("content", content)):
        arms |= {f"diversity of {name} {dial}": by_diversity(lists, x, dial) for dial in DIALS}
    arms |= {f"exploring {share}": by_exploring(lists, cold, share) for share in SHARES}
    return {name: figures(top, setting, genres, content, unchosen) for name, top in arms.items()}


def main() -> None:
    """Fits, shapes and prints the means over the splits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--stores", type=Path, default=Path("stores"), help="kept for the next run")
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44], help="of the splits")
    asked = parser.parse_args()
    each = [measured(asked, seed) for seed in asked.seeds]
    table = Table("list", "ndcg@20", "its change by split", "diversity of genres", "of content", "cold slots")
    for name in each[0]:
        changes = [rows[name] / rows["as ranked"] - 1 for rows in each]
        ndcg, *others = (
            f"{one:.3f} ({change:+.1%})"
            for one, change in zip(np.mean([rows[name] for rows in each], axis=0), np.mean(changes, axis=0),
                                   strict=True)
        )
        table.add_row(name, ndcg, " ".join(f"{change[0]:+.1%}" for change in changes), *others)
    Console(width=130).print(table)


def figures(
    top: np.ndarray, setting: Setting, genres: Vectors, content: Vectors, unchosen: np.ndarray
) -> np.ndarray:
    """What lists [u, 20] are worth: the columns of the table."""
    ndcg = METRICS["ndcg"](hits_of(top, setting.relevant), np.diff(setting.relevant.indptr))
    columns = ndcg, diversity(top, genres), diversity(top, content), unchosen[top]
    return np.array([column.mean() for column in columns])


if __name__ == "__main__":
    main()
