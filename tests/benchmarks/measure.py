"""What the speed benchmarks share: made-up vectors, contenders in turns, recall, rows of the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Times = Mapping[str, NDArray[np.float64]]
TURN, WARM = 24, 8  # calls of one contender in a row; the first warm the caches that another has filled
LONG = 0.25  # seconds after which a turn ends, if it has warmed up


@dataclass(frozen=True)
class Row:
    """One line of the table; seconds.

    Attributes:
        case: what was measured.
        ours: of each call.
        beside: what it was measured against.
        theirs: of each of its calls.
        limit: the ratio of the medians to reach, or none.
        recall: share of the true k nearest (or of whatever is compared) that were found, where there are any.
    """

    case: str
    ours: NDArray[np.float64]
    beside: str
    theirs: NDArray[np.float64]
    limit: float | None
    recall: float | None

    @property
    def cells(self) -> list[str]:
        """As the table shows it."""
        mine, other = np.median(self.ours), np.median(self.theirs)
        limit = "" if self.limit is None else f"<= {self.limit:.3g}"
        mark = "" if self.limit is None or mine <= self.limit * other else " missed"
        return [
            self.case, f"{1e3 * mine:.3f}", f"{np.percentile(self.ours, 99) / mine:.2f}", self.beside,
            f"{1e3 * other:.3f}", f"{mine / other:.3f}", limit + mark,
            "" if self.recall is None else f"{self.recall:.4f}",
        ]


def catalogue(n: int, d: int, seed: int = 0) -> Vectors:
    """Unit rows [n, d] with a spectrum that falls as 1 / i, rotated so that no column is an axis."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0] / np.sqrt(np.arange(1, d + 1))[:, None]
    x = rng.standard_normal((n, d), dtype=np.float32) @ rotation.astype(np.float32)  # [n, d] @ [d, d]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def queries(x: Vectors, b: int, seed: int = 1) -> Vectors:
    """Queries [b, d] of norm 1, like users: means of one to five rows, and noise."""
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
    contenders: Mapping[str, Callable[[Any], object]], asked: Sequence[Any], seconds: float
) -> Times:
    """Seconds of each call with one of the queries asked, the contenders in turns until the time is up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    end, calls = time.perf_counter() + seconds, 0
    while calls == 0 or time.perf_counter() < end:
        for name, contender in contenders.items():
            some = [asked[(calls + i) % len(asked)] for i in range(TURN)]
            times[name] += _turn(contender, some)
        calls += TURN
    return {name: np.array(values) for name, values in times.items()}


def _turn(contender: Callable[[Any], object], asked: Sequence[Any]) -> list[float]:
    """Seconds of the calls of one turn, without those that warm up: one call if they are slow."""
    times: list[float] = []
    for query in asked:
        started = time.perf_counter()
        contender(query)
        times.append(time.perf_counter() - started)
        if len(times) > 1 and sum(times) > LONG:
            break
    return times[min(WARM, len(times) // 2):]


def recall(x: Vectors, Q: Vectors, k: int, found: Sequence[NDArray[np.intp]]) -> float:
    """Share of the k rows with the highest float64 scores that were found, over the queries."""
    shares = []
    for q, rows in zip(Q, found, strict=True):
        scores = np.concatenate([part.astype(np.float64) @ q for part in np.array_split(x, 16)])
        shares.append(len(np.intersect1d(np.argpartition(scores, -k)[-k:], rows)) / k)
    return float(np.mean(shares))
