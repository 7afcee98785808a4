"""Masked fields: each field of an item as its other fields let expect it, and how ill its own value fits.

Nothing is labelled by hand: a field is hidden, and a kernel ridge on the likeness of the others predicts it.
An item takes no part in its own prediction (exactly left out); other colours of its design do. What is odd
is told by values exchanged by lot: only where the others tell a field is its misfit rare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from mmrec.encoders.base import Vectors
from mmrec.model.content import NUMBER_REACH
from mmrec.model.kernel_ridge import FieldKernel, Smoother, Spans, smoothed

FITTED = 10_000  # items that predictions are learned from
LANDMARKS = 2_000  # of these, in the kernel ridge
RIDGE = 1.0
MAIN = 64  # directions of an embedding that are predicted
OTHERS = 1_000  # items whose values are compared with an item's own
SHRUNK = 0.1  # of a covariance, towards a multiple of the identity
FEWEST, MOST_VALUES = 5, 300  # items of a value of a category that can be predicted, and such values
TELLING = 0.5  # share of items that have such a value, in a category that is predicted
MOST_ODD = 0.1  # share of items that do not fit, from which on the other fields tell nothing of a field
STEEPER = 3.0  # nats for an e times steeper softmax, if wrong values explain a flatter one as well
DRAWS = 10  # sound values of each item
SURE = 0.8  # least estimated share of odd items among those that are named
Indices = NDArray[np.intp]
Own = NDArray[Any]  # the values of n items: [n] or [n, m]


def _none() -> Vectors:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Masked:
    """Targets as fields let expect them.

    Attributes:
        centre: mean of the targets [t], which is expected of an item without any of the fields.
        rows: the items that it was learned from [f], ascending.
        left_out: what all others of them let expect of each [f, t].
    """

    smoother: Smoother
    centre: Vectors
    rows: Indices
    left_out: Vectors

    @classmethod
    def of(
        cls, content: Vectors, spans: Spans, weights: dict[str, float], targets: Vectors, rows: Indices,
        rng: np.random.Generator,
    ) -> Masked:
        """Learns targets [f, t] of items with content [f, c] from the fields at these spans."""
        kernel, centre = FieldKernel.of(content, spans, weights), targets.mean(axis=0)
        smoother, left_out = smoothed(kernel, content, targets - centre, RIDGE, LANDMARKS, rng)
        return cls(smoother, centre, rows, left_out + centre)

    def __call__(self, rows: Indices, content: Vectors) -> Vectors:
        """What is expected [n, t] of the items of these indices, with content [n, c]."""
        expected = self.smoother(content) + self.centre
        place = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        known = self.rows[place] == rows
        expected[known] = self.left_out[place[known]]
        return expected


class Judge(Protocol):
    """What a field's own values are worth beside what is expected; one kind of field each."""

    def targets(self, own: Own) -> Vectors:
        """What is to be predicted [n, t] of items with these values."""

    def learned(self, expected: Vectors, own: Own) -> Self:
        """The judge that has seen items [n, t] that took no part in what is expected of them."""

    def misfit(self, expected: Vectors, own: Own) -> Vectors:
        """How ill values fit what is expected [n]."""


@dataclass(frozen=True)
class Category:
    """Judges values of a category by their probabilities. Own values are indices; -1 are rare or absent.

    Attributes:
        values: those that enough items have.
        steepness: of the softmax.
        levels, shares: probabilities of best values, and how often these were right, for interpolation.
    """

    values: tuple[Any, ...]
    steepness: float = 1.0
    levels: tuple[float, ...] = (0.0, 1.0)
    shares: tuple[float, ...] = (0.0, 1.0)

    @classmethod
    def of(cls, values: Sequence[Any]) -> Category | None:
        """Of these values, None where absent; None if too few items have one that can be predicted."""
        held = {str(value): value for value in values if value is not None}
        counts = Counter(str(value) for value in values if value is not None)
        often = [name for name, count in counts.most_common(MOST_VALUES) if count >= FEWEST]
        enough = sum(counts[name] for name in often) >= TELLING * counts.total()
        return cls(tuple(held[name] for name in sorted(often))) if len(often) > 1 and enough else None

    def own(self, values: Sequence[Any]) -> Indices:
        """The index of each value [n]."""
        index = {str(value): i for i, value in enumerate(self.values)}
        return np.array([-1 if value is None else index.get(str(value), -1) for value in values], np.intp)

    def targets(self, own: Own) -> Vectors:
        """1 for the own value, 0 for others [n, v]."""
        return (own[:, None] == np.arange(len(self.values))).astype(np.float32)

    def learned(self, expected: Vectors, own: Own) -> Self:
        """With probabilities that hold for such items, of which some have the value of a random one.

        Source: Guo et al. 2017, On calibration of modern neural networks, sect. 4.2 (temperature); Zadrozny &
        Elkan 2002 (isotonic regression), for how often the best value is right, rare ones included.
        """
        from scipy.optimize import minimize
        from sklearn.isotonic import IsotonicRegression

        known = np.flatnonzero(own >= 0)
        common = np.bincount(own[known], minlength=len(self.values))[own[known]] / len(known)

        def loss(at: NDArray[np.float64]) -> float:
            wrong = MOST_ODD / (1 + np.exp(-at[1]))
            likely = softmax(np.exp(at[0]) * expected[known], axis=1)[np.arange(len(known)), own[known]]
            return float(-np.log((1 - wrong) * likely + wrong * common).sum() - STEEPER * at[0])

        start, bounds = (3.0, -1.0), ((-2.0, 6.0), (-9.0, 9.0))
        steepness = float(np.exp(minimize(loss, start, method="Nelder-Mead", bounds=bounds, tol=1e-2).x[0]))
        certain = self._certain(steepness * expected)
        fit = IsotonicRegression(out_of_bounds="clip").fit(certain, expected.argmax(axis=1) == own)
        levels, shares = (tuple(map(float, x)) for x in (fit.X_thresholds_, fit.y_thresholds_))
        return replace(self, steepness=steepness, levels=levels, shares=shares)

    def best(self, expected: Vectors) -> tuple[Indices, Vectors]:
        """The index of the most probable value [n], and how often such a value is right [n]."""
        certain = self._certain(self.steepness * expected)
        return expected.argmax(axis=1), np.interp(certain, self.levels, self.shares).astype(np.float32)

    def misfit(self, expected: Vectors, own: Own) -> Vectors:
        """Logarithm [n] of how many times as probable the best other value is; no number for rare ones."""
        n, others = np.arange(len(own)), expected.copy()
        others[n, own] = -np.inf
        odds = self.steepness * (others.max(axis=1) - expected[n, own])
        return np.where(own >= 0, odds, np.float32(np.nan)).astype(np.float32)

    def sound(self, expected: Vectors, rng: np.random.Generator) -> Vectors:
        """Of values drawn by their probabilities, ten for each item."""
        noise = rng.gumbel(size=(DRAWS, *expected.shape)).astype(np.float32)
        drawn = (self.steepness * expected + noise).argmax(axis=2)  # [draws, n]: the softmax's, by its noise
        return np.concatenate([self.misfit(expected, own) for own in drawn])

    @staticmethod
    def _certain(logits: Vectors) -> Vectors:
        certain: Vectors = softmax(logits, axis=1).max(axis=1)
        return certain


@dataclass(frozen=True)
class Number:
    """Judges numbers [n] by their distance from what is expected, in robust deviations; NaN is absent.

    Attributes:
        middle, spread: of the distances; before anything is learned, of the numbers.
    """

    middle: float
    spread: float

    @classmethod
    def of(cls, own: Own) -> Number:
        """Of numbers, or of their distances from what is expected."""
        middle = float(np.nanmedian(own))
        spread = 1.4826 * float(np.nanmedian(np.abs(own - middle)))  # the deviation, if they were normal
        return cls(middle, spread or float(np.nanstd(own)) or 1.0)

    def targets(self, own: Own) -> Vectors:
        """The numbers [n, 1]; those out of reach would bend what is expected of others."""
        reach = NUMBER_REACH * self.spread
        return np.clip(own[:, None], self.middle - reach, self.middle + reach).astype(np.float32)  # [n, 1]

    def learned(self, expected: Vectors, own: Own) -> Self:
        """With the deviation of such items."""
        return replace(self, **vars(Number.of(own - expected[:, 0])))

    def misfit(self, expected: Vectors, own: Own) -> Vectors:
        """Deviations from what is expected [n]."""
        return (np.abs(own - expected[:, 0] - self.middle) / self.spread).astype(np.float32)


@dataclass(frozen=True)
class Embedding:
    """Judges embeddings [n, m] by those of others: which share of them would fit better.

    Residuals are taken for normal, and an embedding fits by the logarithm of its density given the other
    fields to that without them: what is common everywhere says little.

    Attributes:
        residual, marginal: what brings residuals, and embeddings, to unit covariance [m, m].
        expected, others: what is expected of some items, and their embeddings [o, m], residuals whitened.
        common: half the squared norms of these embeddings, whitened [o].
    """

    residual: Vectors = field(default_factory=_none)
    marginal: Vectors = field(default_factory=_none)
    expected: Vectors = field(default_factory=_none)
    others: Vectors = field(default_factory=_none)
    common: Vectors = field(default_factory=_none)

    def targets(self, own: Own) -> Vectors:
        """The embeddings [n, m]."""
        return own

    def learned(self, expected: Vectors, own: Own) -> Self:
        """With evenly spaced ones of these items to compare with."""
        some = slice(None, None, -(-len(own) // OTHERS))
        residual, marginal = _whitening(own - expected), _whitening(own)
        common = np.square(own[some] @ marginal).sum(axis=1) / 2  # [o, m] @ [m, m] -> [o]
        return replace(
            self, residual=residual, marginal=marginal, expected=expected[some] @ residual,
            others=own[some] @ residual, common=common,
        )

    def misfit(self, expected: Vectors, own: Own) -> Vectors:
        """Share of others that fit better [n]; of a random embedding .5.

        Both ways: others in the place of the own, and the own in the place of others; the smaller share.
        """
        x, y = expected @ self.residual, own @ self.residual  # [n, m] @ [m, m]
        common = np.square(own @ self.marginal).sum(axis=1) / 2  # [n]
        fit = -np.square(x - y).sum(axis=1)[:, None] / 2 + 1e-5  # [n, 1]
        there = _fit(x, self.others) + self.common > fit + common[:, None]  # [n, o]
        here = _fit(y, self.expected) > fit
        return np.minimum(there.mean(axis=1), here.mean(axis=1)).astype(np.float32)


def least_odd(misfit: Vectors, chance: Vectors, sound: Vectors) -> float:
    """From which misfit [n] a value is odd; infinite if none is.

    Args:
        chance: misfits of values that were exchanged by lot [m]. Where the others tell little of a field,
            more of its values are beyond most of these than can be wrong, and none is odd.
        sound: misfits of values that were drawn by what is expected: as many of the own are beyond a limit
            and not wrong. Where that is not known, those beyond the median of chance do not belong to their
            items, and are half of all such: so it is known how many of these are beyond a lower limit.

    Source: Storey 2002, A direct approach to false discovery rates, sect. 3 (with lambda = 1/2).
    """
    held, chance, sound = (np.sort(x[np.isfinite(x)]) for x in (misfit, chance, sound))
    if not len(held) or not len(chance):
        return np.inf
    wrong = 2 * _beyond(held, np.median(chance))
    if wrong > MOST_ODD:
        return np.inf
    for limit in np.quantile(chance, np.linspace(0.01, 0.5, 50)):
        named = _beyond(held, limit)
        right = named - _beyond(sound, limit) if len(sound) else wrong * _beyond(chance, limit)
        if named and right >= SURE * named:
            return float(limit)
    return np.inf


def _beyond(ordered: Vectors, limit: Any) -> float:
    return 1 - float(np.searchsorted(ordered, limit)) / len(ordered)


def _fit(a: Vectors, b: Vectors) -> Vectors:
    """Minus half the squared distances [n, m] of rows [n, d] and [m, d]."""
    products: Vectors = a @ b.T
    products -= np.square(a).sum(axis=1)[:, None] / 2
    products -= np.square(b).sum(axis=1) / 2
    return products


def _whitening(x: Vectors) -> Vectors:
    """What brings rows [n, m] to unit covariance, shrunk [m, m]."""
    spread = np.atleast_2d(np.cov(x.T.astype(np.float64)))
    spread = (1 - SHRUNK) * spread + SHRUNK * np.trace(spread) / len(spread) * np.eye(len(spread))
    values, axes = np.linalg.eigh(spread)
    return (axes / np.sqrt(np.maximum(values, 1e-12))).astype(np.float32)
