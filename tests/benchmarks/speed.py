"""How fast search is: `python tests/benchmarks/speed.py [--n 100000] [--large 1000000] [--plot FILE]`.

First bare scoring, then whole calls of a Recommender (`calls.py`) over a store that is made for it.

Every row of the table is a ratio against something run beside it, in turns, in the same process: NumPy's
matrix product with argpartition, faiss's flat index, or the same search without its filter. The vectors are
made up: rows of norm 1 with the spectrum of a real text embedding (the i-th principal axis has a variance of
1 / i), queries that are means of one to five rows and a little noise. Recall is measured against float64
scores of all rows. torch is loaded, as in any process that embeds words, trains or serves.
"""

from __future__ import annotations

import argparse
import resource
import time
from functools import partial
from pathlib import Path

import calls
import faiss
import numpy as np
from measure import Row, catalogue, in_turns, numpy_columns, numpy_rows, numpy_top, queries, recall
from rich.console import Console
from rich.table import Table

from mmrec.search.topk import Scorer
from mmrec.threads import set_threads

LARGE = 1_000_000  # rows from which the figure to reach is that of a large catalogue
HEADINGS = ("case", "p50 ms", "p99 / p50", "beside it", "its p50", "ratio", "to reach", "recall@k")


def one_by_one(n: int, args: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """One query at a time among n rows, and with a filter that keeps 1%; lines about memory."""
    x = catalogue(n, args.d)
    Q, k = queries(x, 200), args.k
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
    size = 1 + scorer.nbytes / x.nbytes
    return rows, [f"{n:,} rows: resident {size:.2f} x the float32 matrix, ready in {built:.2f} s"]


def many_at_once(args: argparse.Namespace) -> list[Row]:
    """A batch of users, their histories hidden; the time of the whole batch."""
    x, k = catalogue(args.n, args.d), args.k
    Q, scorer = queries(x, args.users), Scorer(x)
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
    parser.add_argument("--similar", type=Path, action="append", default=[], help="a store, for `similar`")
    parser.add_argument("--hybrid", type=Path, action="append", default=[], help="a store, for `search`")
    parser.add_argument("--fresh", type=Path, action="append", default=[], help="a store, for a new item")
    parser.add_argument("--plot", type=Path, help="picture of time against rows, from 10,000 to --large")
    args = parser.parse_args()
    set_threads()
    import torch  # noqa: F401  (as in a service; the codes are then scanned by it)

    rows, notes = one_by_one(args.n, args)
    rows += many_at_once(args)
    rows += calls.whole_calls(args)
    rows += [calls.similar_in(path, args) for path in args.similar]
    rows += [calls.fresh_in(path, args) for path in args.fresh]
    for path in args.hybrid:
        row, shares = calls.hybrid_in(path, args)
        rows, notes = [*rows, row], [*notes, shares]
    if args.plot:
        sizes = [n for n in (10_000, 30_000, 100_000, 300_000, 1_000_000) if n <= max(args.n, args.large)]
        calls.growth(args, sizes, args.plot)
    if args.large:
        more = one_by_one(args.large, args)
        rows, notes = rows + more[0], notes + more[1]
    table = Table(*HEADINGS, title=f"d = {args.d}, k = {args.k}, {faiss.omp_get_max_threads()} threads")
    for row in rows:
        table.add_row(*row.cells)
    console = Console(width=150)
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print("\n".join([*notes, f"peak of this process, with its contenders: {peak:,.0f} MB"]))


if __name__ == "__main__":
    main()
