"""The head beside baselines: `python tests/benchmarks/head.py CASE [--data DIR] [--stores DIR]`.

Cases, one configuration for all; figures are of test unless `--part validation` is asked for:

item-cold      MovieLens-1M, the published splits, beside EASE and the content ridge
user-cold      five items of a new user revealed, beside EASE tuned for just that
next-item      leave-last-out, hit rate and ndcg at 10; with `--beauty` of Amazon-Beauty; with `--epochs` of a
               shorter training
next-cold      the same with a fifth of the films in nobody's training, cold and warm next items apart
missing-field  item-cold, half of the items without one of their fields, for each field, beside content kNN
sparse         item-cold on Amazon-Beauty (titles alone), beside all baselines that can rank cold items
artists        the same on Last.fm-2K: by names and song titles, by stored sound vectors, and by both
time           seconds and memory of a fit beside implicit's ALS in one run; a warm start beside a whole fit

A film whose row was rejected at ingest has no content: it stays a candidate, and is found by nobody.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

import quality
from dropoutnet import DropoutNet
from mmrec import Item, Recommender
from mmrec.encoders.base import Vectors, unit
from mmrec.evaluate.baselines import ALS, EASE, Baseline, ContentKNN, ContentRidge, Popularity
from mmrec.evaluate.contest import tune
from mmrec.evaluate.logs import Log, Setting, Split, log_of_positions
from mmrec.evaluate.run import evaluate
from mmrec.evaluate.splits import item_cold, item_cold_from, leave_last_out, user_cold
from mmrec.model.behaviour import Settings
from mmrec.model.saved import Head
from mmrec.training.fit import refining
from mmrec.training.model import TwoTower
from mmrec.training.validation import kept

TEXTS, SOUNDS = ("title", "songs"), ("audio_vggish", "audio_whisper")  # fields of Last.fm-2K
SHOWN = ("recall@20", "ndcg@20", "hit_rate@10", "ndcg@10")


class World(NamedTuple):
    """A catalogue with its behaviour: content [items, c], and where its fields lie in it."""

    log: Log
    content: Vectors
    spans: Mapping[str, slice]


def films(asked: argparse.Namespace) -> World:
    """MovieLens-1M: every rating as a positive, and all films that were rated or ingested."""
    shop = quality.open_store(asked.data, asked.stores, "movielens-1m")
    table = pq.read_table(asked.data / "movielens-1m" / "ratings.parquet").to_pandas()
    snapshot = shop.snapshot()
    rated = table["item"].astype(str)
    missing = sorted(set(rated) - set(snapshot.ids))
    ids = [*snapshot.ids, *missing]
    users = sorted(set(table["user"].astype(str)))
    place, row = {i: n for n, i in enumerate(ids)}, {u: n for n, u in enumerate(users)}
    log = log_of_positions(
        users, ids, users=table["user"].astype(str).map(row), items=rated.map(place),
        times=table["order"],
    )
    content = snapshot.content_by(snapshot.plan)
    content = np.vstack([content, np.zeros((len(missing), content.shape[1]), np.float32)])
    return World(log, content, snapshot.plan.spans)


def beauty(asked: argparse.Namespace) -> World:
    """Amazon-Beauty: every purchase as a positive, in the order of the sequences."""
    shop = quality.open_store(asked.data, asked.stores, "amazon-beauty", "items.jsonl")
    snapshot = shop.snapshot()
    with (asked.data / "amazon-beauty" / "sequences.jsonl").open() as file:
        rows = [json.loads(line) for line in file]
    users, items, times = np.array([
        (u, snapshot.position[i], n) for u, row in enumerate(rows) for n, i in enumerate(row["item_ids"])
    ]).T
    log = log_of_positions(
        [row["user_id"] for row in rows], snapshot.ids, users=users, items=items, times=times
    )
    return World(log, snapshot.content_by(snapshot.plan), snapshot.plan.spans)


def artists(asked: argparse.Namespace) -> World:
    """Last.fm-2K: artists by name, song titles and stored sound vectors; the tags came from listeners."""
    folder, columns = asked.data / "lastfm-2k", ("item_id", "name", "songs", *SOUNDS)
    shop = Recommender.open(asked.stores / "lastfm-2k-sound.mmrec", quality.OFFLINE)
    shop.ingest(
        Item(
            item_id=row["item_id"], text={"title": row["name"], "songs": "; ".join(row["songs"])},
            embeddings={name: row[name] for name in SOUNDS},
        )
        for row in pq.read_table(folder / "items.parquet", columns=[*columns]).to_pylist()
    )
    snapshot, table = shop.snapshot(), pq.read_table(folder / "interactions.parquet").to_pandas()
    users = sorted(set(table["user"]))[: asked.users]
    table = table[table["user"].isin(users)]
    log = log_of_positions(
        users, snapshot.ids, users=table["user"].map({u: n for n, u in enumerate(users)}),
        items=table["item"].map(snapshot.position), times=np.arange(len(table)),
    )
    return World(log, snapshot.content_by(snapshot.plan), snapshot.plan.spans)


def of_fields(world: World, names: Collection[str]) -> World:
    """A world whose items have these fields alone."""
    spans, start = {}, 0
    for name in names:
        width = world.spans[name].stop - world.spans[name].start
        spans[name] = slice(start, start := start + width)
    return World(world.log, unit(np.hstack([world.content[:, world.spans[name]] for name in names])), spans)


def published(world: World, asked: argparse.Namespace, seed: int) -> Split:
    """The item-cold split of a seed."""
    parts = pq.read_table(asked.data / "movielens-1m" / "splits" / f"item-cold-{seed}.parquet")
    return item_cold_from(world.log, parts, seed=seed)


def judged(model: Baseline, split: Split, content: Vectors, part: str) -> dict[str, dict[str, float]]:
    """Fits a model; prints and returns its means by setting."""
    started = time.perf_counter()
    model.fit(split.train, content)
    seconds, found = time.perf_counter() - started, {}
    for name, setting in getattr(split, part).items():
        means = evaluate(model, setting, rng=np.random.default_rng(0)).means
        found[name] = {figure: interval.mean for figure, interval in means.items()}
        shown = [f"{figure} {means[figure]}" for figure in SHOWN]
        print(f"  {model.name}, {name}: {', '.join(shown)}", flush=True)
    print(f"  {model.name} fitted in {seconds:.1f} s", flush=True)
    if isinstance(model, TwoTower) and (part_of := model.sequence):
        print(f"  of a sequence tower {part_of.share:.1f}, cold items"
              f" {part_of.cold_offset:+.2f}", flush=True)
    return found


def tuned(make: Callable[..., Baseline], split: Split, content: Vectors, setting: str) -> Baseline:
    """A baseline with the settings that do best on a validation setting."""
    settings, _ = tune(make, make.grid, split, content, setting=setting, rng=np.random.default_rng(0))
    print(f"  {make().name}: {settings or 'as it is'}", flush=True)
    return make(**settings)


def case_item_cold(asked: argparse.Namespace) -> None:
    """The published splits, and the mean of the seeds."""
    world, found = films(asked), {}
    for seed in asked.seeds:
        split = published(world, asked, seed)
        print(f"seed {seed}")
        for model in (EASE(), ContentRidge(blend=2.0), TwoTower(spans=world.spans)):
            for name, means in judged(model, split, world.content, asked.part).items():
                found.setdefault((model.name, name), []).append((means["recall@20"], means["ndcg@20"]))
    for (model_name, name), pairs in found.items():
        recall, ndcg = np.mean(pairs, axis=0)
        print(f"mean of {len(pairs)} seeds, {model_name}, {name}: {recall:.4f} / {ndcg:.4f}")


def case_user_cold(asked: argparse.Namespace) -> None:
    """New users of whom five items are known."""
    world = films(asked)
    for seed in asked.seeds:
        split = user_cold(world.log, seed)
        print(f"seed {seed}")
        ease = judged(tuned(EASE, split, world.content, "5 revealed"), split, world.content, asked.part)
        head = judged(TwoTower(spans=world.spans), split, world.content, asked.part)
        ratio = head["5 revealed"]["recall@20"] / ease["5 revealed"]["recall@20"]
        print(f"seed {seed}, 5 revealed, recall@20: head / EASE {ratio:.3f}")


def case_next_item(asked: argparse.Namespace) -> None:
    """The next item of every user."""
    world = beauty(asked) if asked.beauty else films(asked)
    split = leave_last_out(world.log)
    settings = Settings()
    if asked.epochs:
        settings = replace(settings, sequence=replace(settings.sequence, epochs=asked.epochs))
    for model in (EASE(), TwoTower(spans=world.spans, ordered=True, settings=settings, watch=told)):
        judged(model, split, world.content, asked.part)


def told(report: Mapping[str, Any]) -> None:
    """Prints how far a training is."""
    if "epoch" not in report or report["epoch"] % 5 == 0:
        figures = (f"{name} {x:.4g}" for name, x in report.items() if name != "stage")
        print("   ", report["stage"], *figures, flush=True)


def case_next_cold(asked: argparse.Namespace) -> None:
    """The next item of every user, where a fifth of the films is new."""
    world = films(asked)
    whole = leave_last_out(world.log)
    films_rated = np.unique(world.log.items)
    cold = np.random.default_rng(asked.seeds[0]).permutation(films_rated)[: len(films_rated) // 5]
    split = without(whole, cold.astype(np.int32))
    head = TwoTower(spans=world.spans, ordered=True, even=True, watch=told)  # as `fit` learns
    for model in (Popularity(), ContentKNN(), ContentRidge(), head):
        judged(model, split, world.content, asked.part)


def without(split: Split, cold: NDArray[np.int32]) -> Split:
    """A split of which training knows nothing of some items; by whether these are what comes next.

    `cold` and `warm` rank all items, `warm alone` the others, as if there were no cold ones.
    """
    train, known = split.train.copy(), ~np.isin(np.arange(split.train.shape[1]), cold)
    every = np.arange(len(known), dtype=np.int32)

    def parts(setting: Setting) -> dict[str, Setting]:
        new = ~known[setting.relevant.indices]
        histories = setting.histories.copy()
        histories.data = histories.data * known[histories.indices]
        histories = kept(histories, histories.data > 0)
        some = np.diff(histories.indptr) > 0
        return {
            name: Setting(name, histories[rows & some], setting.relevant[rows & some], candidates)
            for name, rows, candidates in (
                ("cold", new, every), ("warm", ~new, every), ("warm alone", ~new, every[known]))
        }

    (validation,), (test,) = split.validation.values(), split.test.values()
    train = kept(train, known[train.indices])
    return Split(split.protocol, split.seed, train, cold, parts(validation), parts(test))


def case_missing_field(asked: argparse.Namespace) -> None:
    """Half of the items, drawn at random, lack one field."""
    world = films(asked)
    split = published(world, asked, asked.seeds[0])
    whole = judged(TwoTower(spans=world.spans), split, world.content, asked.part)["cold"]["recall@20"]
    for name in asked.fields or world.spans:
        span = world.spans[name]
        content = world.content.copy()
        content[np.random.default_rng(0).random(len(content)) < 0.5, span] = 0
        content = unit(content)
        print(f"half without {name}")
        plain = judged(ContentKNN(), split, content, asked.part)["cold"]["recall@20"]
        head = judged(TwoTower(spans=world.spans), split, content, asked.part)["cold"]["recall@20"]
        change = f"{head / whole - 1:+.1%}"
        print(f"half without {name}: cold recall@20 {change}; content kNN {plain / head:.2f} of it")


def case_sparse(asked: argparse.Namespace) -> None:
    """Amazon-Beauty."""
    new_items(beauty(asked), asked)


def case_artists(asked: argparse.Namespace) -> None:
    """Last.fm-2K by texts alone, by sounds alone, and by both."""
    world = artists(asked)
    for told, names in (("text", TEXTS), ("sound", SOUNDS), ("text and sound", (*TEXTS, *SOUNDS))):
        print(f"--- by {told}", flush=True)
        new_items(of_fields(world, names), asked)


def new_items(world: World, asked: argparse.Namespace) -> None:
    """The head beside all baselines that can rank cold items, each tuned on validation, by splits."""
    found: dict[str, list[float]] = {}
    for seed in asked.seeds:
        split = item_cold(world.log, seed)
        print(f"seed {seed}")
        for make in (Popularity, ContentKNN, ContentRidge, DropoutNet):
            model = tuned(make, split, world.content, "cold")
            means = judged(model, split, world.content, asked.part)["cold"]
            found.setdefault(model.name, []).append(means["recall@20"])
        head = TwoTower(spans=world.spans)
        means = judged(head, split, world.content, asked.part)["cold"]
        found.setdefault(head.name, []).append(means["recall@20"])
    for name, recalls in found.items():
        print(f"mean of {len(asked.seeds)} seeds, {name}, cold recall@20: {np.mean(recalls):.4f}")
    ours = np.array(found.pop("mmrec"))
    print("head / best baseline, by seed:", (ours / np.max([*found.values()], axis=0)).round(3).tolist())
    print(f"head / best baseline, of the means: {ours.mean() / max(map(np.mean, found.values())):.3f}")


def case_time(asked: argparse.Namespace) -> None:
    """A whole fit beside ALS; then 5% of the interactions come in, and a warm start beside a whole fit."""
    world = films(asked)
    split = published(world, asked, asked.seeds[0])
    late = np.random.default_rng(0).random(split.train.nnz) < 0.05
    early = split.train.copy()
    early.data = np.where(late, 0, early.data)
    early.eliminate_zeros()
    als, before = ALS(factors=128, iterations=12), TwoTower(spans=world.spans)
    seconds = {"ALS": _seconds(als, split.train, world.content)}
    before.fit(early, world.content)
    whole = TwoTower(spans=world.spans)
    seconds["whole"] = _seconds(whole, split.train, world.content)
    head = Head(before.towers, before.behaviour.embeddings, {})
    warm = refining(head, TwoTower(spans=world.spans), split.train.shape[0])
    seconds["warm"] = _seconds(warm, split.train, world.content)
    figures = {
        name: {n: evaluate(m, s, rng=np.random.default_rng(0)).means["ndcg@20"].mean
               for n, s in getattr(split, asked.part).items()}
        for name, m in (("whole", whole), ("warm", warm))
    }
    print({name: round(one, 1) for name, one in seconds.items()})
    print(f"whole fit / ALS {seconds['whole'] / seconds['ALS']:.1f}, warm start / whole fit"
          f" {seconds['warm'] / seconds['whole']:.3f}")
    for name in figures["whole"]:
        print(f"{name}: ndcg@20 after a warm start / a whole fit"
              f" {figures['warm'][name] / figures['whole'][name]:.4f}")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"most memory {most:.2f} GB, with the data and all models")


def _seconds(model: Baseline, train: object, content: Vectors) -> float:
    started = time.perf_counter()
    model.fit(train, content)
    return time.perf_counter() - started


CASES = {
    "item-cold": case_item_cold, "user-cold": case_user_cold, "next-item": case_next_item,
    "next-cold": case_next_cold,
    "missing-field": case_missing_field, "sparse": case_sparse, "artists": case_artists, "time": case_time,
}


def main() -> None:
    """Runs a case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--beauty", action="store_true", help="next-item of Amazon-Beauty")
    parser.add_argument("--users", type=int, help="artists with the first so many users alone, as a trial")
    parser.add_argument("--stores", type=Path, default=Path("stores"), help="kept for the next run")
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--epochs", type=int, help="of the sequence tower, in next-item")
    parser.add_argument("--fields", nargs="+", help="that are missing in turn; every one, if none is named")
    asked = parser.parse_args()
    CASES[asked.case](asked)


if __name__ == "__main__":
    main()
