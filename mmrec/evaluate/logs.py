"""From interactions, or from arrays of positions, to a log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmrec.config import Config
from mmrec.errors import DataError
from mmrec.evaluate.setting import Log
from mmrec.types import Interaction

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def log_of(
    interactions: Iterable[Interaction], item_ids: Sequence[str], *,
    kind_weights: Mapping[str, float] | None = None,
) -> Log:
    """The log of what users wanted; a user-item pair counts once, at its earliest time.

    Left out is what says no wish: a kind of negative weight (a dislike), and what weighs 0. An item that is
    not in the catalogue is an error and not dropped: a question that nobody can answer must not vanish.

    Args:
        interactions: in any order; those of one user and one moment keep theirs.
        item_ids: of the whole catalogue, in the order of the rows of the content.
        kind_weights: weight by kind, as in `Config`, whose defaults hold here too; any other kind weighs 1.

    Raises:
        DataError: an interaction is with an item outside the catalogue, or an id of it occurs twice.
    """
    weights = Config().kind_weights if kind_weights is None else kind_weights
    wanted = [i for i in interactions if weights.get(i.kind, 1.0) * i.weight > 0]
    place = {item_id: n for n, item_id in enumerate(item_ids)}
    _check_known({i.item_id for i in wanted} - place.keys())
    user_ids = sorted({i.user_id for i in wanted})
    position = {user_id: n for n, user_id in enumerate(user_ids)}
    return log_of_positions(
        user_ids, item_ids, users=[position[i.user_id] for i in wanted],
        items=[place[i.item_id] for i in wanted], times=[(i.time - _EPOCH) // _MICROSECOND for i in wanted],
    )


def log_of_positions(
    user_ids: Sequence[str], item_ids: Sequence[str], *, users: ArrayLike, items: ArrayLike, times: ArrayLike
) -> Log:
    """The same from arrays [n], for logs of millions: positions in the ids, and times in microseconds.

    Times may be any numbers that order each user's interactions, where only that order is known.

    Raises:
        DataError: the arrays differ in length, a position is out of range, or an id occurs twice.
    """
    who, what = np.asarray(users, np.int64), np.asarray(items, np.int64)
    when = np.asarray(times, np.int64)
    if not len(who) == len(what) == len(when):
        raise DataError(f"{len(who)} users, {len(what)} items, {len(when)} times: give one of each per row")
    _check_range(who, user_ids, "user")
    _check_range(what, item_ids, "item")
    order = np.lexsort((when, who))  # stable: what is equal keeps its order
    keys = who[order] * len(item_ids) + what[order]
    order = order[np.sort(np.unique(keys, return_index=True)[1])]  # the first of each pair, in order of time
    positions = who[order].astype(np.int32), what[order].astype(np.int32)
    return Log(tuple(user_ids), tuple(item_ids), *positions, when[order])


def _check_known(unknown: set[str]) -> None:
    if unknown:
        raise DataError(
            f"{len(unknown)} items of the interactions are not in the catalogue, such as {min(unknown)!r}:"
            " ingest them, or leave their interactions out and say so", field="item_id",
        )


def _check_range(places: NDArray[np.int64], ids: Sequence[str], what: str) -> None:
    if len(set(ids)) < len(ids):
        raise DataError(f"a {what} id occurs twice among the {len(ids)}: give each once", field=f"{what}_id")
    if len(places) and not 0 <= places.min() <= places.max() < len(ids):
        found = f"{places.min()} to {places.max()}"
        raise DataError(f"{what} positions must lie in 0 to {len(ids) - 1}, got {found}")
