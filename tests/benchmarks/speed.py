"""How fast scoring is: `python tests/benchmarks/speed.py [--n 100000] [--large 1000000] [--users 256]`.

Every row of the table is a ratio against something run beside it, in turns, in the same process: NumPy's
matrix product with argpartition, faiss's flat index, or the same search without its filter. The vectors are
made up: rows of norm 1 with the spectrum of a real text embedding (the i-th principal axis has a variance of
1 / i), queries that are means of one to five rows and a little noise. Recall is measured against float64
scores of all rows.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mmrec.scoring import Scorer

Vectors = NDArray[np.float32]
Times = Mapping[str, NDArray[np.float64]]
TURN = 6  # calls of one contender in a row; the first warms the caches that the one before has filled
LARGE = 1_000_000  # rows from which the figure to reach is that of a large catalogue
HEADINGS = ("case", "p50 ms", "p99 / p50", "beside it", "its p50", "ratio", "to reach", "recall@k")


@dataclass(frozen=True)
class Row:
    """One line of the table; seconds.

    Attributes:
        case: what was measured.
        ours: of each call.
        beside: what it was measured against.
        theirs: of each of its calls.
        limit: the ratio of the medians to reach, or none.
        recall: share of the true k nearest that were found.
    """

    case: str
    ours: NDArray[np.float64]
    beside: str
    theirs: NDArray[np.float64]
    limit: float | None
    recall: float

    @property
    def cells(self) -> list[str]:
        """As the table shows it."""
        mine, other = np.median(self.ours), np.median(self.theirs)
        limit = "" if self.limit is None else f"<= {self.limit:g}"
        mark = "" if self.limit is None or mine <= self.limit * other else " missed"
        return [
            self.case, f"{1e3 * mine:.3f}", f"{np.percentile(self.ours, 99) / mine:.2f}", self.beside,
            f"{1e3 * other:.3f}", f"{mine / other:.3f}", limit + mark, f"{self.recall:.4f}",
        ]


def catalogue(n: int, d: int, seed: int = 0) -> Vectors:
    """Unit rows [n, d] with a spectrum that falls as 1 / i, turned so that no column is an axis."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0] / np.sqrt(np.arange(1, d + 1))[:, None]
    x = rng.standard_normal((n, d), dtype=np.float32) @ turn.astype(np.float32)  # [n, d] @ [d, d] -> [n, d]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def shoppers(x: Vectors, b: int, seed: int = 1) -> Vectors:
    """Queries [b, d] of norm 1: means of one to five rows, and noise."""
    rng = np.random.default_rng(seed)
    means = np.array([x[rng.integers(0, len(x), rng.integers(1, 6))].mean(axis=0) for _ in range(b)])
    noisy = means + rng.normal(0, .02, means.shape)
    return (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)


def numpy_top(x: Vectors, k: int, q: Vectors) -> NDArray[np.intp]:
    """The plain way for one query [d]."""
    return np.argpartition(x @ q, -k)[-k:]  # [n, d] @ [d] -> [n]


def numpy_columns(x: Vectors, k: int, Q: Vectors) -> list[NDArray[np.intp]]:
    """The plain way for many queries [b, d]."""
    return [np.argpartition(scores, -k)[-k:] for scores in (x @ Q.T).T]  # [n, d] @ [d, b] -> [n, b]


def numpy_rows(x: Vectors, k: int, Q: Vectors) -> list[NDArray[np.intp]]:
    """The plain way, faster: each query's scores side by side in memory."""
    return [np.argpartition(scores, -k)[-k:] for scores in Q @ x.T]  # [b, d] @ [d, n] -> [b, n]


def in_turns(
    contenders: Mapping[str, Callable[[Any], object]], queries: Sequence[Any], seconds: float
) -> Times:
    """Seconds of each call, the contenders by turns until the time is up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    end, call = time.perf_counter() + seconds, 0
    while call == 0 or time.perf_counter() < end:
        for name, contender in contenders.items():
            for i in range(TURN):
                started = time.perf_counter()
                contender(queries[(call + i) % len(queries)])
                if i:
                    times[name].append(time.perf_counter() - started)
        call += TURN
    return {name: np.array(values) for name, values in times.items()}


def recall(x: Vectors, Q: Vectors, k: int, found: Sequence[NDArray[np.intp]]) -> float:
    """Share of the k rows with the highest float64 scores that were found, over the queries."""
    shares = []
    for q, rows in zip(Q, found, strict=True):
        scores = np.concatenate([part.astype(np.float64) @ q for part in np.array_split(x, 16)])
        shares.append(len(np.intersect1d(np.argpartition(scores, -k)[-k:], rows)) / k)
    return float(np.mean(shares))


def one_by_one(n: int, args: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """One query at a time among n rows, and with a filter that keeps 1%; lines about memory."""
    x = catalogue(n, args.d)
    Q, k = shoppers(x, 200), args.k
    started = time.perf_counter()
    scorer = Scorer(x)
    built = time.perf_counter() - started
    flat = faiss.IndexFlatIP(args.d)
    flat.add(x)
    few = np.random.default_rng(2).random(n) < .01
    times = in_turns({
        "ours": lambda q: scorer.top(q, k),
        "1% allowed": lambda q: scorer.top(q, k, allowed=few),
        "X @ q, argpartition": partial(numpy_top, x, k),
        "faiss IndexFlatIP": lambda q: flat.search(q[None], k),
    }, Q, args.seconds)
    Q = Q[:50]
    kept = np.flatnonzero(few)
    right = recall(x, Q, k, [scorer.top(q, k).positions for q in Q])
    among = recall(x[kept], Q, k, [np.searchsorted(kept, scorer.top(q, k, allowed=few).positions) for q in Q])
    limits = {"X @ q, argpartition": .6, "faiss IndexFlatIP": 1.0 if n < LARGE else .35}
    case = f"one query among {n:,}"
    rows = [Row(case, times["ours"], name, times[name], limit, right) for name, limit in limits.items()]
    rows.append(Row(f"1% of {n:,} allowed", times["1% allowed"], "without filter", times["ours"], 1.0, among))
    size = scorer.nbytes / x.nbytes
    return rows, [f"{n:,} rows: resident {size:.2f} x the float32 matrix, ready in {built:.2f} s"]


def many_at_once(args: argparse.Namespace) -> list[Row]:
    """A batch of users, their histories hidden; the time of the whole batch."""
    x, k = catalogue(args.n, args.d), args.k
    Q, scorer = shoppers(x, args.users), Scorer(x)
    history = list(np.random.default_rng(3).integers(0, args.n, (args.users, 20)))
    times = in_turns({
        "ours": lambda Q: scorer.top_many(Q, k, exclude=history),
        "X @ Q.T, argpartition": partial(numpy_columns, x, k),
        "Q @ X.T, argpartition": partial(numpy_rows, x, k),
    }, [Q], args.seconds)
    right = recall(x, Q, k, [hits.positions for hits in scorer.top_many(Q, k)])
    case = f"{args.users} queries among {args.n:,}"
    return [Row(case, times["ours"], name, times[name], .5, right) for name in times if name != "ours"]


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000, help="rows of the usual catalogue")
    parser.add_argument("--large", type=int, default=LARGE, help="rows of the large one; 0 leaves it out")
    parser.add_argument("--users", type=int, default=256, help="queries of a batch")
    parser.add_argument("--d", type=int, default=128, help="numbers of a vector")
    parser.add_argument("--k", type=int, default=10, help="results of a query")
    parser.add_argument("--seconds", type=float, default=4, help="for each case")
    args = parser.parse_args()
    rows, notes = one_by_one(args.n, args)
    rows += many_at_once(args)
    if args.large:
        more = one_by_one(args.large, args)
        rows, notes = rows + more[0], notes + more[1]
    table = Table(*HEADINGS, title=f"d = {args.d}, k = {args.k}, {faiss.omp_get_max_threads()} threads")
    for row in rows:
        table.add_row(*row.cells)
    console = Console()
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print("\n".join([*notes, f"peak of this process, with its contenders: {peak:,.0f} MB"]))


if __name__ == "__main__":
    main()
