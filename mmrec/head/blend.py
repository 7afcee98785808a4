"""How the parts of a head are weighed against each other, and cold items against those that are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Shares(NamedTuple):
    """Shares of a head's parts in a score; each part's scores deviate by 1 for every user before."""

    linear: float
    places: float
    metric: float

    @classmethod
    def of(cls, places: float, metric: float) -> Shares:
        """With the metric's share in all, and the places' share in what is left."""
        return cls((1 - metric) * (1 - places), (1 - metric) * places, metric)


USUAL_PLACES, USUAL_METRIC = 0.5, 0.1
USUAL = Shares.of(USUAL_PLACES, USUAL_METRIC)


@dataclass(frozen=True, slots=True)
class Blend:
    """Chosen on validation, each by the question that it decides.

    Attributes:
        warm: shares in an item that somebody chose, by `warm`.
        short: the same for histories of at most `SHORT` items.
        cold: shares in an item that nobody chose, by `cold`.
        cold_gain: what the scores of such items are multiplied by, by `overall`.
        cold_offset: what is added to them, in deviations of a user's scores, by `overall`.
        prior: an item that n users chose is n / (n + prior) its behaviour, the rest what content predicts.
        fade: weight of an item of a history against the one after it; 1 heeds no order.
    """

    warm: Shares = USUAL
    short: Shares = USUAL
    cold: Shares = USUAL
    cold_gain: float = 2.0
    cold_offset: float = 0.5
    prior: float = 0.0
    fade: float = 1.0


SHORT = 5  # items of a history that is called short
