"""Ratings as kinds of interactions: a like from a threshold on, else a view, or nothing, or a dislike."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mmrec.errors import DataError

_NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+(?:[eE][+-]?[0-9]+)?")
_THUMBS = {
    "up": 1.0, "like": 1.0, "liked": 1.0, "👍": 1.0, "positive": 1.0,
    "down": -1.0, "dislike": -1.0, "disliked": -1.0, "👎": -1.0, "negative": -1.0,
}


def rating_reader(
    cells: Sequence[Any], notes: list[str], *, threshold: float | None = None, dislikes: bool = False
) -> Callable[[float], tuple[str, float]]:
    """What gives the kind and weight of a rating, on the scale that the first ones show.

    Args:
        cells: the first of the column.
        notes: gets a sentence that says what ratings mean.
        threshold: rating from which one is a like; None takes 4 of 5, else the upper third of the scale.
        dislikes: whether ratings below the scale's middle third are dislikes; else they weigh nothing.
    """
    ratings = []
    for cell in cells:
        try:
            ratings.append(number(cell, "rating"))
        except DataError:
            continue  # its row will be rejected
    low, high = min(ratings, default=1.0), max(ratings, default=5.0)
    high = high or 10.0  # nothing but 0 is rated
    of_five = 4 < high <= 5 and low > 0
    low, high = (1.0, 5.0) if of_five else (low, high)
    if threshold is None:
        threshold = 4.0 if of_five else low + (high - low) * 2 / 3
    middle = min(low + (high - low) / 3, threshold)
    if ratings:
        below = "a dislike" if dislikes else "no wish (--dislikes makes it one)"
        notes.append(
            f"ratings of {low:g} to {high:g}: from {threshold:g} on a like (--rating-threshold), below"
            f" {middle:.3g} {below}, else a view"
        )
    return partial(_rated, threshold=threshold, middle=middle, dislikes=dislikes)


def _rated(rating: float, *, threshold: float, middle: float, dislikes: bool) -> tuple[str, float]:
    if rating >= threshold:
        return "like", 1.0
    if rating >= middle:
        return "view", 1.0
    return ("dislike", 1.0) if dislikes else ("view", 0.0)


def number(cell: Any, what: str) -> float:
    """The number of a cell, such as 4, "4,5", "4/5", "4 stars" or "★★★★☆"; 1 of "up" and -1 of "down".

    Raises:
        DataError: it has none; `what` names it.
    """
    word = re.sub(r"[\W_]*thumbs?[\W_]*", "", cell.strip().casefold()) if isinstance(cell, str) else ""
    if word in _THUMBS:
        return _THUMBS[word]
    if isinstance(cell, str) and "★" in cell:
        return float(cell.count("★"))
    if isinstance(cell, str) and (found := _NUMBER.match(cell.strip())):
        return float(found[0].replace(",", "."))
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return float(cell)
    raise DataError(f"the {what} must be a number, got {cell!r:.100}", field=what)
