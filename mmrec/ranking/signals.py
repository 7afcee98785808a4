"""Signals: named scores of items that a request may add to their relevance, such as how new an item is.

A signal is a function of a `Context` and positions in the catalogue [m] that returns values from 0 to 1 [m].
Every request can name those in `SIGNALS`, as in `recommend(signals={"newness": 0.2})`. The score is then

    relevance + sum over signals of weight * signal * (highest - lowest relevance of the candidates),

so that a weight means the same on any scale of relevance. Each signal's part is one of the reasons. The
prices of `mmrec.ranking.exposure` are added in the same way, as the signal `exposure`.
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
from mmrec.store.interactions import Interactions

HALF_LIFE = 30.0  # days behind the newest item at which newness is 1/2
Popularity = Callable[[], Mapping[str, float]]  # decayed counts of interactions by item, made when called


@dataclass(frozen=True, slots=True)
class Context:
    """What pages and signals are made from; `recorded` is whose behaviour `exposure` learns from."""

    snapshot: Snapshot
    request: Request
    popularity: Popularity
    recorded: Interactions | None = None


Signal = Callable[[Context, NDArray[np.intp]], Vectors]


def newness(context: Context, positions: NDArray[np.intp]) -> Vectors:
    """1 for the newest item, 1/2 for one that was added 30 days before it [m]."""
    return (0.5 ** (context.snapshot.ages[positions] / HALF_LIFE)).astype(np.float32)


def popularity(context: Context, positions: NDArray[np.intp]) -> Vectors:
    """Recent interactions of each item, as a share of the most popular item's [m]."""
    return context.snapshot.popular(context.popularity())[positions]


EXPOSURE = "exposure"  # the name of what prices add
SIGNALS: dict[str, Signal] = {"newness": newness, "popularity": popularity}


def check_signals(request: Request) -> None:
    """Raises DataError if a signal of the request is not registered."""
    if unknown := [name for name in request.signals or {} if name not in SIGNALS]:
        raise DataError(
            f"signals names no signal {unknown[0]!r}: choose {', '.join(SIGNALS)}", field="signals"
        )


def range_of(hits: Hits) -> float:
    """Highest minus lowest relevance of candidates; 1 where they do not differ."""
    return float(np.ptp(hits.scores)) or 1.0 if len(hits.scores) else 1.0


def with_signals(
    context: Context, hits: Hits, spread: float, prices: Vectors | None = None
) -> tuple[Hits, dict[str, Vectors]]:
    """Candidates ranked by relevance and signals, and what each signal adds to each [m].

    Args:
        hits: candidates by relevance [m].
        spread: range of relevance that a signal of weight 1 adds at most.
        prices: of all items [n], in such ranges.
    """
    weights = context.request.signals or {}
    if (not weights and prices is None) or not len(hits.positions):
        return hits, {}
    added = {
        name: np.float32(weight * spread) * SIGNALS[name](context, hits.positions)
        for name, weight in weights.items()
    }
    if prices is not None:
        added[EXPOSURE] = np.float32(spread) * prices[hits.positions]
    scores = (hits.scores + np.sum(list(added.values()), axis=0)).astype(np.float32)
    order = np.lexsort((hits.positions, -scores))
    return Hits(hits.positions[order], scores[order]), {name: part[order] for name, part in added.items()}
