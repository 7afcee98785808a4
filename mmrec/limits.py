"""Numbers that a caller may give: checked once, with an error that says what would do."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError

MOST_RESULTS = 10_000


def check_k(k: object, name: str = "k", field: str = "k") -> int:
    """A number of results.

    Raises:
        DataError: it is no whole number from 1 to 10,000.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= MOST_RESULTS:
        raise DataError(f"{name} must be a whole number from 1 to {MOST_RESULTS:,}, got {k!r}", field=field)
    return int(k)


def check_share(value: object, name: str, field: str | None = None) -> float:
    """A setting between two ends.

    Raises:
        DataError: it is no number from 0 to 1.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:  # type: ignore[operator]  # NaN is not in between either
        raise DataError(f"{name} must be a number from 0 to 1, got {value!r}", field=field or name)
    return float(value)  # type: ignore[arg-type]


def check_scores(scores: ArrayLike, name: str = "relevance") -> NDArray[np.float64]:
    """Scores as an array [m].

    Raises:
        DataError: they have another shape, or one is not finite.
    """
    array = np.asarray(scores, np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise DataError(f"{name} must be finite numbers of shape [m], got {shape_of(array)}", field=name)
    return array


def scaled(scores: NDArray[np.float64]) -> Vectors:
    """Scores [m] on a scale where the best candidate has 1 and the worst 0 (min-max); 0 if all are equal."""
    if not len(scores):
        return np.zeros(0, np.float32)
    low, high = scores.min(), scores.max()
    return ((scores - low) / ((high - low) or 1.0)).astype(np.float32)


def shape_of(array: NDArray[np.floating]) -> str:
    """Shape of an array, and how many of its numbers are none."""
    broken = np.count_nonzero(~np.isfinite(array))
    return f"shape {list(array.shape)}" + (f" with {broken} that are NaN or infinite" if broken else "")
