"""What exposure costs, and what it is worth: `python tests/benchmarks/exposure.py CASE [--data DIR]`.

Cases:

films    MovieLens-1M: a head is fitted on published item-cold splits, calibrated as `fit` does for a shop,
         and cold films or the tail get more and more of the slots of lists of 20: ndcg of `warm` (known
         films) and of `overall` (cold ones, too), and of the known films alone where cold ones take their
         slots. Beside the prices over users: a floor in every list.
brands   the drawn shop with 30 brands: the true click rate of lists of 10, as ranked and even to the brands,
         of 400 shoppers whose clicks are recorded, and of many who are not recorded
genres   MovieLens-1M: the dial of diversity of genres, dials that give users of one taste less of it, and
         calibrated recommendations

`films` and `genres` are of test unless `--part validation` is asked for.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from head import World, films, published
from rich.console import Console
from rich.table import Table
from shaping import genres_of

import quality
from ingest.demo.shop import DemoShop, make_shop
from ingest.demo.shoppers import Shopper
from mmrec import Recommender
from mmrec.encoders.base import Vectors
from mmrec.evaluate.frontier import Price, frontier, lists, pools
from mmrec.evaluate.groups import PRICE_HEADINGS, price_cells
from mmrec.evaluate.logs import Setting, Split
from mmrec.evaluate.metrics import METRICS, diversity, hits_of, mean_interval, ratio_interval, share_of
from mmrec.ranking.groups import tail_of
from mmrec.training.model import TwoTower

K, SHOWN = 20, 10  # lengths of the lists of films, and of the shop's
DIALS = (0.1, 0.2, 0.3, 0.4)


def fitted(world: World, split: Split) -> TwoTower:
    """A head of one split, whose new items are calibrated as those of a shop."""
    model = TwoTower(spans=world.spans, even=True)
    model.fit(split.train, world.content)
    return model


def every_list(model: TwoTower, setting: Setting, mask: np.ndarray, slots: int) -> np.ndarray:
    """Lists [u, 20] that each show this many of a group at least."""
    scores, places = pools(model, setting, mask, K)
    members = np.where(mask[places], scores, -np.inf)
    best = np.argsort(-members, axis=1)[:, :slots]
    raised = scores.copy()
    np.put_along_axis(raised, best, np.take_along_axis(scores, best, axis=1) + 1e3, axis=1)
    chosen = np.argsort(-raised, axis=1)[:, :K]
    return lists(np.take_along_axis(scores, chosen, axis=1), np.take_along_axis(places, chosen, axis=1), K)


def known_alone(setting: Setting, cold: np.ndarray) -> Setting:
    """The setting with the known films alone as relevant, so that a cold one in a slot can only cost."""
    relevant = setting.relevant.tolil(copy=True)
    relevant[:, np.flatnonzero(cold)] = 0
    relevant = relevant.tocsr()
    kept = np.flatnonzero(np.diff(relevant.indptr))
    return Setting(setting.name, setting.histories[kept], relevant[kept], setting.candidates)


def case_films(asked: argparse.Namespace) -> None:
    """The frontier of cold films and of the tail."""
    world = films(asked)
    for seed in asked.seeds:
        split = published(world, asked, seed)
        model, judged = fitted(world, split), getattr(split, asked.part)
        popularity = np.asarray(split.train.sum(axis=0)).ravel()
        cold, tail = popularity == 0, tail_of(popularity)
        questions = (
            ("tail", tail, "warm", judged["warm"]), ("tail", tail, "overall", judged["overall"]),
            ("cold", cold, "overall", judged["overall"]),
            ("cold", cold, "overall, known films relevant", known_alone(judged["overall"], cold)),
        )
        for group, mask, name, setting in questions:
            prices = frontier(
                model, setting, split.validation[setting.name], group, mask, rng=np.random.default_rng(0))
            table = Table(*PRICE_HEADINGS, title=f"seed {seed}, {asked.part}, {name}")
            for price in prices:
                table.add_row(*price_cells(price))
            for slots in (1, 2, 4):
                table.add_row(*price_cells(_floor(model, setting, group, mask, slots, prices[0])))
            Console(width=130).print(table)


def _floor(
    model: TwoTower, setting: Setting, group: str, mask: np.ndarray, slots: int, plain: Price
) -> Price:
    """A floor in every list as a row of the same table."""
    rng, relevant = np.random.default_rng(0), np.diff(setting.relevant.indptr)
    tops = [every_list(model, setting, mask, n) for n in (0, slots)]
    before, after = (METRICS["ndcg"](hits_of(top, setting.relevant), relevant) for top in tops)
    return Price(
        f"{group}, {slots} in every list", slots / K, mean_interval(share_of(mask, tops[1]), rng=rng),
        mean_interval(after, rng=rng), ratio_interval(after - before, before, rng),
    )


def case_brands(asked: argparse.Namespace) -> None:
    """Even exposure of 30 brands."""
    table = Table("seed", "shoppers", "lists", "brands from even", "true click rate", "its change")
    for seed in asked.seeds:
        shown = make_shop(seed=seed, shoppers=asked.shoppers, brands=True)
        half = asked.shoppers // 2
        with tempfile.TemporaryDirectory() as folder:
            for name, recorded, served in (
                ("recorded", shown.shoppers[:400], shown.shoppers[:400]),
                ("not recorded", shown.shoppers[:half], shown.shoppers[half:]),
            ):
                with _shop(Path(folder) / "demo.mmrec", shown, recorded) as shop:
                    for row in _rows(shop, shown, served):
                        table.add_row(str(seed), f"{len(served):,} {name}", *row)
    Console(width=130).print(table)


def _shop(path: Path, shown: DemoShop, recorded: list[Shopper]) -> Recommender:
    """The drawn shop, with the clicks of some; brands tell nothing of products, and have no weight there."""
    shop = Recommender.open(path, {**quality.OFFLINE, "weights": {"brand": 0.0}})
    if not len(shop):
        shop.ingest(shown.items)
    ids = {who.user_id for who in recorded}
    shop.record(act for act in shown.interactions if act.user_id in ids)
    return shop


def _rows(shop: Recommender, shown: DemoShop, served: list[Shopper]) -> Iterator[list[str]]:
    """Lists as ranked and even ones: how far the brands are from even, and the true click rate."""
    history: dict[str, list[str]] = {who.user_id: [] for who in served}
    for act in shown.interactions:
        if act.user_id in history and act.kind != "dislike":
            history[act.user_id].append(act.item_id)
    known = set(shop.behaviour.users())
    asked: list[dict[str, Any]] = [
        {"user": user} if user in known else {"history": items} for user, items in history.items()
    ]
    brand = {item.item_id: item.attributes["brand"] for item in shown.items}
    rng, before = np.random.default_rng(0), None
    for name, exposure in (("as ranked", None), ("even", {"brand": "even"})):
        pages = [shop.recommend(**one, k=SHOWN, exposure=exposure) for one in asked]
        rates = np.array([
            np.mean([shown.affinity(who, r.item_id) for r in page])
            for who, page in zip(served, pages, strict=True)
        ])
        slots = [brand[r.item_id] for page in pages for r in page]
        shares = np.array([slots.count(b) for b in sorted(set(brand.values()))]) * len(set(brand.values()))
        before = rates if before is None else before
        change = ratio_interval(rates - before, before, rng)
        shares = shares / len(slots) - 1
        yield [name, f"{shares.min():+.1%} to {shares.max():+.1%}", str(mean_interval(rates, rng=rng)),
               f"{change.mean:+.1%} [{change.low:+.1%}, {change.high:+.1%}]"]


def case_genres(asked: argparse.Namespace) -> None:
    """Diversity of genres, by dials that know the breadth of the user's taste and by one that does not."""
    world = films(asked)
    genres = genres_of(quality.open_store(asked.data, asked.stores, "movielens-1m"), world.log.item_ids)
    for seed in asked.seeds:
        split = published(world, asked, seed)
        model, setting = fitted(world, split), getattr(split, asked.part)["overall"]
        scores, places = pools(model, setting, np.zeros(genres.shape[0], np.bool_), K)
        relevant = np.diff(setting.relevant.indptr)
        table = Table("dial", "ndcg@20", "diversity of genres", title=f"seed {seed}, {asked.part}")
        base: np.ndarray | None = None
        arms = {name: spread_out(scores, places, genres, dials) for name, dials in _dials(setting, genres)}
        for dial in (0.3, 0.6, 0.9):
            arms[f"{dial} calibrated"] = calibrated(scores, places, setting, genres, dial)
        for name, top in arms.items():
            ndcg = METRICS["ndcg"](hits_of(top, setting.relevant), relevant)
            figures = np.array([ndcg.mean(), diversity(top, genres).mean()])
            base = figures if base is None else base
            table.add_row(name, *(
                f"{one:.3f} ({one / was - 1:+.1%})" for one, was in zip(figures, base, strict=True)))
        Console(width=130).print(table)


def _dials(setting: Setting, genres: Vectors) -> Iterator[tuple[str, np.ndarray]]:
    """Weights of diversity by user [u]: alike for all, and in proportion to the diversity of the history."""
    sums, counts = setting.histories @ genres, np.asarray(setting.histories @ genres.any(axis=1))
    pairs = np.maximum(counts * (counts - 1), 1)
    breadth = 1 - ((sums**2).sum(axis=1) - counts) / pairs
    breadth /= breadth.mean()
    yield "as ranked", np.zeros(len(breadth))
    for dial in DIALS:
        yield f"{dial} for all", np.full(len(breadth), dial)
        for power in (1, 3):
            yield f"{dial} by breadth of taste ^ {power}", np.clip(dial * breadth**power, 0, 0.9)


def spread_out(scores: Vectors, places: np.ndarray, x: Vectors, weights: np.ndarray) -> np.ndarray:
    """Lists [u, 20] by maximal marginal relevance, as `mmrec.ranking.diversity.select` chooses each."""
    found = []
    for start in range(0, len(scores), 500):
        part = slice(start, start + 500)
        s, at, w = scores[part], places[part], weights[part, None]
        finite = np.where(np.isfinite(s), s, np.inf)
        low = finite.min(axis=1, keepdims=True)
        worth = (1 - w) * (s - low) / (s.max(axis=1, keepdims=True) - low)
        vectors, users = x[at], np.arange(len(s))
        described, added = vectors.any(axis=2), np.zeros_like(worth)
        taken = np.zeros((len(s), K), np.intp)
        for slot in range(K):
            best = taken[:, slot] = (worth + added).argmax(axis=1)
            worth[users, best] = -np.inf
            similar = np.einsum("upd,ud->up", vectors, vectors[users, best])
            added += 2 * w / (K - 1) * (described - similar) * described[users, best][:, None]
        found.append(np.take_along_axis(at, taken, axis=1)[
            users[:, None], np.argsort(-np.take_along_axis(s, taken, axis=1), axis=1, kind="stable")])
    return np.concatenate(found)


def calibrated(
    scores: Vectors, places: np.ndarray, setting: Setting, x: Vectors, dial: float
) -> np.ndarray:
    """Lists [u, 20] whose genres are near to those of the history, in the order of relevance.

    Source: Steck 2018, Calibrated recommendations, eq. 6 and 8, with alpha .01 and relevance in [0, 1].
    """
    labels = (x > 0).astype(np.float32)
    labels /= np.maximum(1, labels.sum(axis=1, keepdims=True))
    wanted = setting.histories @ labels
    wanted /= np.maximum(wanted.sum(axis=1, keepdims=True), 1e-9)
    found = []
    for start in range(0, len(scores), 500):
        part = slice(start, start + 500)
        s, at, p = scores[part], places[part], wanted[part, None]  # p [u, 1, genres]
        low = np.where(np.isfinite(s), s, np.inf).min(axis=1, keepdims=True)
        worth, users = (1 - dial) * (s - low) / (s.max(axis=1, keepdims=True) - low), np.arange(len(s))
        taken, sums = np.zeros((len(s), K), np.intp), np.zeros((len(s), 1, x.shape[1]), np.float32)
        for slot in range(K):
            shown = 0.99 * (sums + labels[at]) / (slot + 1) + 0.01 * p
            best = taken[:, slot] = (worth + dial * (p * np.log(shown + 1e-9)).sum(axis=2)).argmax(axis=1)
            worth[users, best] = -np.inf
            sums += labels[at[users, best]][:, None]
        found.append(np.take_along_axis(at, taken, axis=1)[
            users[:, None], np.argsort(-np.take_along_axis(s, taken, axis=1), axis=1, kind="stable")])
    return np.concatenate(found)


CASES: dict[str, Callable[[argparse.Namespace], None]] = {
    "films": case_films, "brands": case_brands, "genres": case_genres,
}


def main() -> None:
    """Runs one case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--stores", type=Path, default=Path("stores"), help="kept for the next run")
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="of the splits, or of the shop")
    parser.add_argument("--shoppers", type=int, default=4_000, help="drawn for `brands`")
    asked = parser.parse_args()
    CASES[asked.case](asked)


if __name__ == "__main__":
    main()
