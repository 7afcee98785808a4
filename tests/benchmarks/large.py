"""A large catalogue of real widths: `python tests/benchmarks/large.py --items 1000000 --store DIR`.

Each item has two text fields of 384 numbers, a picture of 1,280, a price, a category of 30 and a brand of
500; its content is 2,048 numbers and more. The embeddings are made up: clusters, and around each a noise
whose spectrum falls as that of real ones. If DIR is absent, it is built: a head is trained on the first 5,000
items, by the behaviour of users who like few clusters, and the others are ingested after that.

Printed: rows a second of `ingest` and the memory it took; then, in a fresh process, the memory that serving
holds and the time until the first answer; then the times of calls beside faiss's flat index and NumPy's
product of the same rows, in turns in one process, with the recall of each.

With `--straight`, only the first items go through encoders: the compact content of the others is mixed from
theirs and written straight through the table. faiss then searches the first million rows, and its time for
all of them is extrapolated; the recall is of a sample of calls.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from measure import Row, Vectors, in_turns, numpy_top, recall
from PIL import Image
from rich.console import Console
from rich.table import Table

from mmrec import Interaction, Item, Recommendation, Recommender
from mmrec.encoders.base import Encoder, Fingerprint, unit
from mmrec.search.rows import Rows
from mmrec.store import schema

CLUSTERS, NOISES = 300, 4_096
LEARNED = 5_000  # items of the shop that the head is trained in
USERS, LIKED = 3_000, 12  # of that shop, and the items that each likes
BATCH, SEARCHED = 250_000, 1_000_000  # rows of one write, and those that faiss searches, with `--straight`
HEADINGS = ("case", "p50 ms", "p99 / p50", "beside it", "its p50", "ratio", "to reach", "recall@k")
SERVING = """
import json, sys, time
sys.path[:0] = {path!r}
began = time.perf_counter()
from mmrec import Recommender
from large import ENCODERS, TITLES, peak, resident
shop = Recommender.open({store!r}, encoders={encoders}, memory={memory!r}, create=False)
base = resident()
shop.recommend(history=["i0000003", "i0000007"], k=10)
opened = time.perf_counter() - began
ids = shop.snapshot().ids[:: max(1, len(shop) // 200)]
recommended = resident()
for item_id in ids:
    shop.recommend(history=[item_id], k=10)
    shop.similar(item_id, k=10)
print(json.dumps([opened, base, recommended, resident(), peak()]))
"""


class MadeUp(Encoder):
    """Embeds a word such as "17-345": the centre of cluster 17, and a noise that 345 tells."""

    batch_size = 4_096

    def __init__(self, modality: str, dim: int) -> None:
        self._fingerprint = Fingerprint(
            model=f"made-up-{dim}", modality=modality, dim=dim, revision="1", preprocessing="none",
            sha256="none",
        )
        rng = np.random.default_rng(dim)
        axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0] / np.sqrt(np.arange(1, dim + 1))[:, None]
        self.centres = unit((rng.standard_normal((CLUSTERS, dim)) @ axes).astype(np.float32))
        self.noises = unit((rng.standard_normal((NOISES, dim)) @ axes).astype(np.float32))

    @property
    def fingerprint(self) -> Fingerprint:
        return self._fingerprint

    def pieces(self, value: Any) -> list[tuple[int, int]]:
        cluster, _, told = (value if isinstance(value, str) else _told(value)).partition("-")
        return [(int(cluster) % CLUSTERS if cluster.isdigit() else 0, zlib.crc32(told.encode()))]

    def forward(self, pieces: Sequence[tuple[int, int]]) -> Vectors:
        clusters, noises = np.array(pieces).T
        first, second = self.noises[noises % NOISES], self.noises[noises // NOISES % NOISES]
        return unit(self.centres[clusters] + 0.5 * first + 0.4 * second)


def _told(picture: Any) -> str:
    """What the one pixel of a picture says."""
    with Image.open(io.BytesIO(picture.data)) as image:
        red, green, blue = image.convert("RGB").getpixel((0, 0))
    return f"{red + 256 * (green % 2)}-{green // 2 + 128 * blue}"


@lru_cache(maxsize=200_000)
def _picture(cluster: int, noise: int) -> bytes:
    """A PNG of one pixel that says its cluster and a noise."""
    file = io.BytesIO()
    pixel = cluster % 256, cluster // 256 + 2 * (noise % 128), noise // 128
    Image.new("RGB", (1, 1), pixel).save(file, "PNG")
    return file.getvalue()


ENCODERS = {"text": MadeUp("text", 384), "image": MadeUp("image", 1280)}

TITLES = {"text": MadeUp("text", 256)}  # narrow, as each row has room for an embedding, though it has none


def made_up(first: int, end: int) -> Iterator[Item]:
    """Items of the numbers from `first` to `end`."""
    for number in range(first, end):
        rng = zlib.crc32(str(number).encode())
        cluster = rng % CLUSTERS
        yield Item(
            item_id=f"i{number:07d}", image=_picture(cluster, rng // CLUSTERS % 200),
            text={"title": f"{cluster}-{number}", "description": f"{cluster}-words {number}"},
            attributes={"price": float(rng % 997), "category": f"c{cluster % 30}", "brand": f"b{rng % 500}"},
        )


def clicks(items: int) -> Iterator[Interaction]:
    """Users who like items of three clusters."""
    rng, of = np.random.default_rng(5), [zlib.crc32(str(n).encode()) % CLUSTERS for n in range(items)]
    for user in range(USERS):
        near = np.flatnonzero(np.isin(of, rng.choice(CLUSTERS, 3, replace=False)))
        for number in rng.choice(near, min(LIKED, len(near)), replace=False):
            yield Interaction(user_id=f"u{user}", item_id=f"i{number:07d}", kind="like")


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    """Bytes of memory that this process held at most (`ru_maxrss` is at least that of its parent)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def build(path: Path, n: int, learned: int) -> list[str]:
    """Trains a head on the first items, then ingests the others up to n; lines that say what it took."""
    with Recommender.open(path, encoders=ENCODERS) as shop:
        shop.ingest(made_up(0, learned))
        shop.record(clicks(learned))
        shop.fit(epochs=5)
        base, began = resident(), time.perf_counter()
        done: list[tuple[int, float]] = [(0, 0.0)]
        shop.ingest(made_up(learned, n), progress=lambda rows: done.append(
            (done[-1][0] + rows, time.perf_counter() - began)))
        seconds = time.perf_counter() - began
    middle = min(done, key=lambda one: abs(one[0] - n / 2))
    halves = middle[0] / middle[1], (done[-1][0] - middle[0]) / (done[-1][1] - middle[1])
    return [
        f"ingest of {n - learned:,} items, encoders of this benchmark included: {seconds / 60:.1f} minutes,"
        f" {halves[0]:,.0f} rows/s in the first half, {halves[1]:,.0f} in the second, of which"
        f" {(seconds - done[-1][1]) / 60:.1f} minutes are indices and compaction;"
        f" {(peak() - base) / 2**30:.2f} GB above the base"
    ]


def build_straight(path: Path, n: int, learned: int) -> list[str]:
    """Ingests the first items, then writes mixtures of their compact content as that of the others."""
    began, x = time.perf_counter(), np.zeros((0, 0), np.float32)
    with Recommender.open(path, encoders=TITLES) as shop:
        shop.ingest(
            Item(item_id=f"i{number:07d}", text={"title": f"{zlib.crc32(str(number).encode())}-{number}"},
                 attributes={"price": float(number % 997)}) for number in range(learned)
        )
        x, catalogue = shop.snapshot().space("content")[:], shop.catalogue
        for start in range(learned, n, BATCH):
            numbers = np.arange(start, min(start + BATCH, n))
            one, other = np.random.default_rng(start).integers(0, learned, (2, len(numbers)))
            ids = [f"i{number:07d}" for number in numbers]
            rows = schema.vector_rows(ids, unit(x[one] + 0.6 * x[other]), catalogue.vector_column)
            times = pa.array([datetime.now(UTC)] * len(rows), schema.TIME)
            rows = rows.append_column("added_at", times)
            with catalogue.store.writer():
                catalogue.table.upsert(rows.append_column("a_price", pa.array((numbers % 997).astype(float))))
    return [f"{n:,} rows of {x.shape[1]} numbers written in {(time.perf_counter() - began) / 60:.1f} minutes,"
            f" at most {peak() / 2**30:.2f} GB"]


def served(path: Path, memory: str, encoders: str = "ENCODERS") -> list[str]:
    """What a fresh process says that it took to open the store and to answer."""
    paths = [str(Path(__file__).parent)]
    code = SERVING.format(path=paths, store=str(path), memory=memory, encoders=encoders)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    opened, base, first, later, most = json.loads(told.splitlines()[-1])
    gb = 2**30
    return [
        f"from the start of a process to its first answer: {opened:.1f} s; resident {base / gb:.2f} GB when"
        f" open, {first / gb:.2f} after it, {later / gb:.2f} after 400 calls more, at most {most / gb:.2f}"
    ]


def timed(path: Path, memory: str, k: int, seconds: float) -> list[Row]:
    """Calls beside faiss and NumPy over the same rows."""
    shop = Recommender.open(path, encoders=ENCODERS, memory=memory, create=False)
    snapshot, rng, rows = shop.snapshot(), np.random.default_rng(4), []
    ids = snapshot.ids
    histories = [[ids[p] for p in rng.integers(0, len(ids), rng.integers(1, 6))] for _ in range(200)]
    places = [[snapshot.position[i] for i in history] for history in histories]
    users = np.array([
        snapshot.towers.user(snapshot.remembered[p], np.ones(len(p), np.float32)) for p in places
    ], np.float32)
    where = "price >= 100 and price < 110"  # of 997
    shop.recommend(history=histories[0], where=where)  # whose mask is then known
    content = snapshot.space("content")
    calls: dict[str, tuple[Rows, Vectors, Callable[[int], list[Recommendation]]]] = {
        "recommend": (snapshot.space(snapshot.serving), users,
                      lambda i: shop.recommend(history=histories[i], k=k)),
        "similar": (content, content[[p[0] for p in places]], lambda i: shop.similar(histories[i][0], k=k)),
    }
    for name, (x, Q, ours) in calls.items():
        flat, whole = faiss.IndexFlatIP(x.shape[1]), x[:]
        flat.add(whole)
        contenders = {
            "ours": ours, "faiss IndexFlatIP": lambda i, Q=Q, f=flat: f.search(Q[i][None], k),
            "X @ q, argpartition": lambda i, Q=Q, whole=whole: numpy_top(whole, k, Q[i]),
        }
        if name == "recommend":
            contenders["1% allowed"] = lambda i: shop.recommend(history=histories[i], k=k, where=where)
        times = in_turns(contenders, range(len(histories)), seconds)
        found = []
        for i in range(30):
            hidden = places[i] if name == "recommend" else places[i][:1]
            left = np.setdiff1d(np.arange(len(ids)), hidden)
            hits = np.array([snapshot.position[r.item_id] for r in ours(i)])
            found.append(recall(whole[left], Q[i][None], k, [np.searchsorted(left, hits)]))
        right, case = float(np.mean(found)), f"{name} among {len(ids):,}, {x.shape[1]} numbers"
        rows.append(Row(case, times["ours"], "faiss IndexFlatIP", times["faiss IndexFlatIP"], .5, right))
        rows.append(Row(case, times["ours"], "X @ q, argpartition", times["X @ q, argpartition"], .5, right))
        if name == "recommend":
            rows.append(Row("1% allowed", times["1% allowed"], "no filter", times["ours"], 1.0, None))
        del flat, whole
    return rows + changed(shop, k)


def timed_straight(path: Path, memory: str, k: int, seconds: float) -> list[Row]:
    """`recommend` beside faiss over the first million rows, whose time is extrapolated to all."""
    shop = Recommender.open(path, encoders=TITLES, memory=memory, create=False)
    snapshot, rng = shop.snapshot(), np.random.default_rng(4)
    x, n = snapshot.space(snapshot.serving), len(snapshot.ids)
    places = [rng.integers(0, n, rng.integers(1, 6)) for _ in range(200)]
    histories = [[snapshot.ids[p] for p in some] for some in places]
    Q = np.array([snapshot.towers.user(snapshot.remembered[p], np.ones(len(p), np.float32)) for p in places])
    flat = faiss.IndexFlatIP(x.shape[1])
    for _, block in Rows.of(x[:SEARCHED]).blocks():
        flat.add(block)
    where = "price >= 100 and price < 110"  # of 997
    shop.recommend(history=histories[0], where=where)  # whose mask is then known
    times = in_turns({
        "ours": lambda i: shop.recommend(history=histories[i], k=k),
        "1% allowed": lambda i: shop.recommend(history=histories[i], k=k, where=where),
        "faiss": lambda i, f=flat: f.search(Q[i][None], k),
    }, range(len(histories)), seconds)
    del flat
    shares = []
    for i in range(10):
        scores = np.concatenate([block @ Q[i] for _, block in x.blocks(65_536)])  # [b, d] @ [d] -> [b]
        scores[places[i]] = -np.inf
        hits = [snapshot.position[r.item_id] for r in shop.recommend(history=histories[i], k=k)]
        shares.append(len(np.intersect1d(np.argpartition(scores, -k)[-k:], hits)) / k)
    case, all_of_it = f"recommend among {n:,}, {x.shape[1]} numbers", times["faiss"] * max(1, n / SEARCHED)
    return [
        Row(case, times["ours"], "faiss, extrapolated", all_of_it, .3, float(np.mean(shares))),
        Row("1% allowed", times["1% allowed"], "no filter", times["ours"], 1.0, None),
    ]


def changed(shop: Recommender, k: int) -> list[Row]:
    """A new item until `similar` shows it, and a click until it counts."""
    n, shown, counted = len(shop), [], []
    for turn in range(5):
        item, = made_up(n + turn, n + turn + 1)
        began = time.perf_counter()
        shop.ingest([item])
        assert shop.similar(item.item_id, k=k)
        shown.append(time.perf_counter() - began)
        shop.recommend(history=[item.item_id], k=k)  # else its vectors of this space are yet to come
        began = time.perf_counter()
        shop.record([Interaction(user_id="somebody", item_id=item.item_id)])
        assert shop.recommend(user="somebody", k=k)[0].rung == "history"
        counted.append(time.perf_counter() - began)
    second = np.ones(1)
    shop.delete([f"i{n + turn:07d}" for turn in range(5)])
    return [
        Row("a new item until shown", np.array(shown[1:]), "a second", second, 1.0, None),
        Row("a click until it counts", np.array(counted[1:]), "a second", second, .2, None),
    ]


def main() -> None:
    """Builds, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000, help="of the catalogue")
    parser.add_argument("--learned", type=int, default=LEARNED, help="of these, what the head learns from")
    parser.add_argument("--straight", action="store_true", help="write compact content through the table")
    parser.add_argument("--store", type=Path, required=True, help="folder that keeps the store")
    parser.add_argument("--memory", default="3GB", help="for vectors")
    parser.add_argument("--k", type=int, default=10, help="results of a call")
    parser.add_argument("--seconds", type=float, default=8, help="for each case")
    args = parser.parse_args()
    make, times = (build_straight, timed_straight) if args.straight else (build, timed)
    notes = [] if args.store.exists() else make(args.store, args.items, args.learned)
    print("\n".join(notes), flush=True)
    notes += served(args.store, args.memory, "TITLES" if args.straight else "ENCODERS")
    table = Table(*HEADINGS, title=f"{args.items:,} items, memory={args.memory}, k = {args.k}")
    for row in times(args.store, args.memory, args.k, args.seconds):
        table.add_row(*row.cells)
    console = Console(width=150)
    console.print(table)
    console.print("\n".join(notes))


if __name__ == "__main__":
    main()
