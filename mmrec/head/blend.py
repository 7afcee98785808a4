"""How the halves of a head are weighed against each other, and cold items against those that are known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Blend:
    """Chosen on validation, each by the question that it decides.

    Both halves' scores are brought to deviation 1 over the catalogue for each user before they are mixed.

    Attributes:
        mix: share of the contrastive half in an item that somebody chose, by `warm`.
        short_mix: the same for histories of at most `SHORT` items.
        cold_mix: share of the contrastive half in an item that nobody chose, by `cold`.
        cold_gain: what the scores of such items are multiplied by, by `overall`.
        cold_offset: what is added to them, in deviations of a user's scores, by `overall`.
        prior: an item that n users chose is n / (n + prior) its behaviour, the rest what content predicts.
        fade: weight of an item of a history against the one after it; 1 heeds no order.
    """

    mix: float = 0.4
    short_mix: float = 0.4
    cold_mix: float = 0.5
    cold_gain: float = 1.0
    cold_offset: float = 0.0
    prior: float = 0.0
    fade: float = 1.0


SHORT = 5  # items of a history that is called short
