"""Signals: named scores of items that a request may add to their relevance, such as how new an item is.

A signal is a function of a `Context` and positions in the catalogue [m], which returns values from 0 to 1
[m]. What is registered in `SIGNALS` is known to every request by its name, as in
`recommend(signals={"newness": 0.2})`. An item's score then is

    relevance + sum over signals of weight * signal * (range of the candidates' relevance),

so that a weight means the same whatever relevance is measured in, and each part can be told as a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.ranking.request import Request
from mmrec.search.hits import Hits
from mmrec.search.snapshot import Snapshot

HALF_LIFE = 30.0  # days by which an item is older than the newest, at which its newness is 1/2


@dataclass(frozen=True, slots=True)
class Context:
    """What a signal may look at.

    Attributes:
        popularity: decayed count of each item's interactions, worked out when it is called.
    """

    snapshot: Snapshot
    request: Request
    popularity: Callable[[], Mapping[str, float]]


Signal = Callable[[Context, NDArray[np.intp]], Vectors]


def newness(context: Context, positions: NDArray[np.intp]) -> Vectors:
    """1 for the newest item, 1/2 for one that came 30 days before it [m]."""
    return (0.5 ** (context.snapshot.ages[positions] / HALF_LIFE)).astype(np.float32)


def popularity(context: Context, positions: NDArray[np.intp]) -> Vectors:
    """Share of each item in the most popular one's interactions of late [m]."""
    return context.snapshot.popular(context.popularity())[positions]


SIGNALS: dict[str, Signal] = {"newness": newness, "popularity": popularity}


def check_signals(request: Request) -> None:
    """Whether every signal of a request is registered.

    Raises:
        DataError: one is not.
    """
    if unknown := [name for name in request.signals or {} if name not in SIGNALS]:
        raise DataError(
            f"signals names no signal {unknown[0]!r}: choose {', '.join(SIGNALS)}", field="signals"
        )


def range_of(hits: Hits) -> float:
    """How far the best candidate's relevance lies above the worst one's; 1 where they do not differ."""
    return float(hits.scores.max() - hits.scores.min()) or 1.0 if len(hits.scores) else 1.0


def weighed(context: Context, hits: Hits, spread: float) -> tuple[Hits, dict[str, Vectors]]:
    """Candidates ranked by relevance and signals, and what each signal adds to each [m].

    Args:
        hits: candidates by relevance.
        spread: range of relevance that a weight of 1 stands for.
    """
    weights = context.request.signals or {}
    if not weights or not len(hits.positions):
        return hits, {}
    added = {
        name: np.float32(weight * spread) * SIGNALS[name](context, hits.positions)
        for name, weight in weights.items()
    }
    scores = (hits.scores + np.sum(list(added.values()), axis=0)).astype(np.float32)
    order = np.lexsort((hits.positions, -scores))
    ranked = Hits(hits.positions[order], scores[order])
    return ranked, {name: part[order] for name, part in added.items()}
