"""Whole calls of a Recommender over a made-up store, beside the bare work that they cannot do without."""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import faiss
import lancedb
import numpy as np
import pyarrow.parquet as pq
from measure import Row, Vectors, catalogue, in_turns, numpy_columns, numpy_top, queries, recall
from numpy.typing import NDArray
from PIL import Image
from stores import store_of

from mmrec import Item, Recommender
from mmrec.ranking.diversity import Spread, select
from mmrec.ranking.request import Request
from mmrec.search.latest import LatestSnapshot
from mmrec.search.topk import Scorer
from mmrec.store import schema
from mmrec.types import WORDS

HISTORIES = 256
POOL = 200  # items of each ranking of a search
QUERIES = [
    f"{what} {thing}" for what in ("red", "organic", "gentle", "dry", "matte")
    for thing in ("lipstick", "shampoo", "face cream", "hair brush", "nail polish")
]


def whole_calls(args: argparse.Namespace) -> list[Row]:
    """`recommend`, `recommend_many`, `similar`, a diverse page, and loading."""
    with tempfile.TemporaryDirectory() as folder:
        x = catalogue(args.n, args.d)
        shop = store_of(Path(folder) / "shop.mmrec", x)
        histories = _histories(shop)
        return [
            *_recommend(shop, x, histories, args), _many(shop, x, histories, args),
            _similar(shop, args), _diverse(shop, histories, args), _loading(shop, Path(folder), args),
        ]


def similar_in(path: Path, args: argparse.Namespace) -> Row:
    """`similar` in a real store."""
    return _similar(Recommender.open(path, create=False), args, path.stem)


def hybrid_in(path: Path, args: argparse.Namespace) -> tuple[Row, str]:
    """`search` in a real store beside its text encoder alone, and the share of each stage."""
    shop = Recommender.open(path, create=False)
    snapshot, encoder = shop.snapshot(), shop.encoders["text"]
    vectors = {words: encoder.embed([[words]])[0] for words in QUERIES}
    times = in_turns({
        "ours": lambda words: shop.search(words, k=args.k),
        "text encoder": lambda words: encoder.embed([[words]]),
        "full text": lambda words: snapshot.match(words, POOL),
        "vectors": lambda words: snapshot.search(WORDS, vectors[words], POOL),
    }, QUERIES, 2 * args.seconds)
    whole = np.median(times["ours"])
    shares = {stage: float(np.median(times[stage]) / whole) for stage in times if stage != "ours"}
    shares["fusion and the rest"] = 1 - sum(shares.values())
    told = ", ".join(f"{stage} {share:.1%}" for stage, share in shares.items())
    row = Row(f"search among {len(snapshot):,} {path.stem}", times["ours"], "its text encoder",
              times["text encoder"], 1.5, None)
    return row, f"shares of a search: {told}"


def fresh_in(path: Path, args: argparse.Namespace) -> Row:
    """A new item with texts and a picture, from `ingest` until `recommend` shows it, in a copy of a store."""
    with tempfile.TemporaryDirectory() as folder:
        shop = Recommender.open(shutil.copytree(path, Path(folder) / path.name), create=False)
        text, image, rng = shop.encoders["text"], shop.encoders["image"], np.random.default_rng(0)
        ids = shop.snapshot().ids[:: max(1, len(shop) // 50)]
        items = [
            Item(
                item_id=f"fresh {n}", image=_photo(rng), attributes=old.attributes,
                text={name: f"{words} {n}" for name, words in old.text.items()},  # a text that nobody has had
            ) for n, old in enumerate(shop.get(ids))
        ]

        def ours(n: int) -> None:
            shop.ingest([items[n]])
            assert items[n].item_id in {r.item_id for r in shop.recommend(history=[ids[n]], k=args.k)}

        def encoders(n: int) -> None:
            text.embed([[words] for words in items[n].text.values()])
            image.embed([items[n].images])

        found: dict[str, list[float]] = {"ours": [], "encoders": []}
        for n in range(len(items)):
            for name, act in (("ours", ours), ("encoders", encoders)):
                started = time.perf_counter()
                act(n)
                found[name].append(time.perf_counter() - started)
    times = {name: np.array(seconds[1:]) for name, seconds in found.items()}  # the first warms up
    limit = 3 + .3 / float(np.median(times["encoders"]))
    case = f"a new item of {path.stem} shown"
    return Row(case, times["ours"], "its encoders", times["encoders"], limit, None)


def growth(args: argparse.Namespace, sizes: Sequence[int], plot: Path) -> None:
    """Time of one query against the number of rows, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    times: dict[str, list[float]] = {}
    for n in sizes:
        x = catalogue(n, args.d)
        flat, scorer = faiss.IndexFlatIP(args.d), Scorer(x)
        flat.add(x)
        found = in_turns({
            "mmrec": lambda q, s=scorer: s.top(q, args.k),
            "X @ q, argpartition": partial(numpy_top, x, args.k),
            "faiss IndexFlatIP": lambda q, f=flat: f.search(q[None], args.k),
        }, queries(x, 50), args.seconds / 2)
        for name, values in found.items():
            times.setdefault(name, []).append(1e3 * float(np.median(values)))
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for name, values in times.items():
        axes.loglog(sizes, values, marker="o", label=name)
    axes.set(xlabel="items", ylabel="milliseconds of one exact query", title=f"d = {args.d}, k = {args.k}")
    axes.grid(visible=True, which="both", alpha=.3)
    axes.legend()
    figure.savefig(plot, dpi=150)
    pyplot.close(figure)


def _recommend(
    shop: Recommender, x: Vectors, histories: list[list[str]], args: argparse.Namespace
) -> list[Row]:
    users = _users(shop, histories)
    flat = faiss.IndexFlatIP(args.d)
    flat.add(x)
    table = lancedb.connect(shop.path).open_table("items")
    calls: dict[str, Callable[[int], object]] = {
        "ours": lambda i: shop.recommend(history=histories[i], k=args.k),
        "X @ q, argpartition": lambda i: numpy_top(x, args.k, users[i]),
        "faiss IndexFlatIP": lambda i: flat.search(users[i][None], args.k),
        "LanceDB flat search": lambda i: table.search(users[i]).distance_type("dot").select(
            ["item_id", "_distance"]).limit(args.k).to_arrow(),
    }
    times = in_turns(calls, range(len(histories)), 2 * args.seconds)
    some = range(40)
    place = shop.snapshot().position
    results = [shop.recommend(history=histories[i], k=args.k) for i in some]
    found = [np.array([place[r.item_id] for r in page]) for page in results]
    others = [np.setdiff1d(np.arange(len(x)), [place[h] for h in histories[i]]) for i in some]
    right = float(np.mean([
        recall(x[rows], users[i][None], args.k, [np.searchsorted(rows, hits)])
        for i, rows, hits in zip(some, others, found, strict=True)
    ]))
    limits = {"X @ q, argpartition": .6, "faiss IndexFlatIP": 1.0, "LanceDB flat search": 1 / 15}
    return [Row(f"recommend among {len(x):,}", times["ours"], name, times[name], limit, right)
            for name, limit in limits.items()]


def _many(shop: Recommender, x: Vectors, histories: list[list[str]], args: argparse.Namespace) -> Row:
    Q = _users(shop, histories)
    times = in_turns({
        "ours": lambda asked: shop.recommend_many(asked, k=args.k),
        "X @ Q.T, argpartition": lambda _: numpy_columns(x, args.k, Q),
    }, [histories], args.seconds)
    same = np.mean([
        many == shop.recommend(history=h, k=args.k)
        for h, many in zip(histories[:40], shop.recommend_many(histories[:40], k=args.k), strict=True)
    ])
    beside = "X @ Q.T, argpartition"
    return Row(f"recommend_many of {len(Q)}", times["ours"], beside, times[beside], .5, float(same))


def _similar(shop: Recommender, args: argparse.Namespace, name: str = "made-up items") -> Row:
    snapshot = shop.snapshot()
    x, ids = snapshot.space("content"), snapshot.ids[:: max(1, len(snapshot) // 200)]
    rows = [snapshot.position[i] for i in ids]
    times = in_turns({
        "ours": lambda i: shop.similar(ids[i], k=args.k),
        "X @ q, argpartition": lambda i: numpy_top(x, args.k, x[rows[i]]),
    }, range(len(ids)), args.seconds)
    found = [[snapshot.position[r.item_id] for r in shop.similar(i, k=args.k)] for i in ids[:20]]
    own = [np.array([row, *hits]) for row, hits in zip(rows, found, strict=False)]  # itself is nearest
    right = recall(x, x[rows[:20]], args.k + 1, own)
    beside = "X @ q, argpartition"
    return Row(f"similar among {len(x):,} {name}", times["ours"], beside, times[beside], 3.0, right)


def _diverse(shop: Recommender, histories: list[list[str]], args: argparse.Namespace) -> Row:
    snapshot = shop.snapshot()
    x, pool = snapshot.space("content"), Request(k=args.k, diversity=.3).pool
    hits = [snapshot.search("content", user, pool) for user in _users(shop, histories[:50])]
    times = in_turns({
        "ours": lambda i: select(hits[i].scores, args.k, spreads=[Spread(x[hits[i].positions], .3)]),
        "whole call": lambda i: shop.recommend(history=histories[i], k=args.k, diversity=.3),
    }, range(len(hits)), args.seconds)
    case, beside = f"MMR of {args.k} from {pool}", "recommend(diversity)"
    return Row(case, times["ours"], beside, times["whole call"], .25, None)


def _loading(shop: Recommender, folder: Path, args: argparse.Namespace) -> Row:
    """From the table on disk to vectors that can be searched."""
    file, column = folder / "vectors.parquet", shop.catalogue.vector_column
    pq.write_table(shop.catalogue.table.scan(["item_id", column]), file, compression="none")
    times = in_turns({
        "ours": lambda _: LatestSnapshot(shop.catalogue).now().scorer("content"),
        "pyarrow": lambda _: pq.read_table(file, columns=[column]),
    }, [0], args.seconds)
    stored = schema.matrix(pq.read_table(file)[column], args.d).values
    same = np.mean(LatestSnapshot(shop.catalogue).now().space("content") == stored)
    beside = "pyarrow, the column"
    return Row(f"loading {args.n:,}", times["ours"], beside, times["pyarrow"], 3.0, float(same))


def _photo(rng: np.random.Generator) -> bytes:
    """A JPEG of 400 x 600 pixels that nobody has had."""
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (12, 8, 3), np.uint8)).resize((400, 600)).save(file, "JPEG")
    return file.getvalue()


def _histories(shop: Recommender) -> list[list[str]]:
    """Of one to five items each."""
    ids, rng = shop.snapshot().ids, np.random.default_rng(4)
    return [[ids[p] for p in rng.integers(0, len(ids), rng.integers(1, 6))] for _ in range(HISTORIES)]


def _users(shop: Recommender, histories: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    snapshot = shop.snapshot()
    places = [[snapshot.position[i] for i in history] for history in histories]
    return snapshot.towers.users(snapshot.remembered, places, [np.ones(len(p)) for p in places])
