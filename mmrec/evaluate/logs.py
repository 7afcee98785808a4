"""What is evaluated: logs of interactions, splits of a log, and the checks that a split leaks nothing.

A `Log` is made of a shop's recorded behaviour, or of positions. `splits` divides it into a `Split`, which has
training and, for validation and test, `Setting`s: questions that a `Baseline` answers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from mmrec.errors import DataError
from mmrec.store.interactions import Interactions

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

log = logging.getLogger(__name__)

Places = NDArray[np.int32]

USUAL, TIMES, FEWEST = 0.95, 10, 100  # quantile of users, times of what they have, and items at least


@dataclass(frozen=True, slots=True)
class Log:
    """Interactions by position, each user's oldest first.

    Attributes:
        user_ids: of all users; a position in it is a user.
        item_ids: of all items of the catalogue; a position in it is an item.
        users, items: of each interaction [n], in the order of users.
        times: microseconds since 1970 of each interaction [n].
    """

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    users: Places
    items: Places
    times: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Setting:
    """One question put to a model: rank these candidates for these histories.

    Attributes:
        name: such as `cold`, `warm`, `overall`, `5 revealed`.
        histories: what the model sees of u users, [u, items]; none of it is ever ranked.
        relevant: what is right, [u, items]; every row has at least one.
        candidates: items that are ranked, in ascending order: all of the setting's catalogue, never a sample.
    """

    name: str
    histories: csr_matrix
    relevant: csr_matrix
    candidates: Places


@dataclass(frozen=True, slots=True)
class Split:
    """A log divided once, by protocol and seed.

    Attributes:
        train: what models are fitted on, [users, items].
        cold: items without an interaction in training.
        validation: settings to choose hyper-parameters by.
        test: settings to report, of the same names.
    """

    protocol: str
    seed: int
    train: csr_matrix
    cold: Places
    validation: Mapping[str, Setting]
    test: Mapping[str, Setting]


def log_of_shop(behaviour: Interactions, item_ids: Sequence[str], *, every_kind: bool = False) -> Log:
    """The recorded positive interactions with items of the catalogue; those with other items are left out.

    Args:
        item_ids: of the whole catalogue, in the order of the rows of the content.
        every_kind: whether interactions of every kind and weight count, dislikes too (as the published
            cold-start protocols take every rating); else those of positive weight alone.
    """
    return log_and_refused(behaviour, item_ids, every_kind=every_kind)[0]


def log_and_refused(
    behaviour: Interactions, item_ids: Sequence[str], *, every_kind: bool = False
) -> tuple[Log, Log]:
    """`log_of_shop`, and the log of dislikes, which is empty if every kind is positive."""
    rows = behaviour.table.scan(["user_id", "item_id", "kind", "weight", "time"])
    items = pc.index_in(rows["item_id"], value_set=pa.array(item_ids, pa.string()))
    known = pc.is_valid(items)
    weights = behaviour.weights_of(rows)
    wanted = pa.array(np.full(len(weights), True) if every_kind else weights > 0)
    if lost := pc.sum(pc.and_(wanted, pc.invert(known))).as_py():
        log.warning("%d interactions with items outside the catalogue are left out", lost)
    disliked = pc.and_(pa.array((weights < 0) & (not every_kind)), known)
    logs = (
        _log_of(rows.filter(one), items.filter(one), item_ids) for one in (pc.and_(wanted, known), disliked)
    )
    return next(logs), next(logs)


def _log_of(rows: pa.Table, items: pa.ChunkedArray, item_ids: Sequence[str]) -> Log:
    """The log of rows of interactions, whose items are these positions [n]."""
    users = rows["user_id"].combine_chunks().dictionary_encode()
    return log_of_positions(
        users.dictionary.to_pylist(), item_ids, users=users.indices.to_numpy(),
        items=items.to_numpy().astype(np.int64), times=rows["time"].cast(pa.int64()).to_numpy(),
    )


def log_of_positions(
    user_ids: Sequence[str], item_ids: Sequence[str], *, users: ArrayLike, items: ArrayLike, times: ArrayLike
) -> Log:
    """The log of interactions given as arrays [n]: positions in the ids, and times in microseconds.

    A user-item pair counts once, at its earliest time. Times may be any numbers that order each user's
    interactions, where only that order is known. Every id must be there once.
    """
    who, what, when = (np.asarray(values, np.int64) for values in (users, items, times))
    order = np.lexsort((when, who))  # stable: what is equal keeps its order
    keys = who[order] * len(item_ids) + what[order]
    order = order[np.sort(np.unique(keys, return_index=True)[1])]  # the first of each pair, in order of time
    positions = who[order].astype(np.int32), what[order].astype(np.int32)
    return Log(tuple(user_ids), tuple(item_ids), *positions, when[order])


def usual_most(counts: NDArray[Any]) -> int:
    """More interactions than any ordinary user has: so many times what nearly all have.

    Args:
        counts: interactions of each user [users]; those without any do not count.
    """
    some = counts[counts > 0]
    return max(FEWEST, int(TIMES * np.quantile(some, USUAL))) if len(some) else FEWEST


def bounded(log: Log) -> Log:
    """A log in which no user has more than `usual_most` items: of those who have, their latest.

    So one account, be it a bot's, a reseller's or a family's, weighs no more than that in what is learned.
    """
    counts = np.bincount(log.users, minlength=len(log.user_ids))
    later = np.cumsum(counts)[log.users] - 1 - np.arange(len(log.users))  # [n], of the same user
    kept = later < usual_most(counts)
    return replace(log, users=log.users[kept], items=log.items[kept], times=log.times[kept])


def check_log(log: Log, recorded: int, *, by_time: bool = False) -> None:
    """Refuses a log that no protocol can ask anything of.

    Args:
        recorded: number of interactions from which the log was made.
        by_time: whether the protocol divides the log by time.

    Raises:
        DataError: there is no wish, every user has one alone, or all; or all happened at one moment.
    """
    users, items = len(set(log.users.tolist())), len(set(log.items.tolist()))
    most = np.bincount(log.users).max(initial=0)
    if not recorded:
        raise DataError("nothing is recorded: tell first what users did, by `mmrec record` or in Python")
    if not most:
        raise DataError(
            f"none of the {recorded:,} recorded interactions is a wish for an item of the catalogue (all are"
            " dislikes, weigh nothing or are of other items): record clicks, purchases or likes"
        )
    if most == 1:
        raise DataError(
            f"each of the {users:,} users has one interaction only: to hide one and ask for it by the others,"
            " some users need two or more"
        )
    if len(log.items) == users * items:
        raise DataError(
            f"each of the {users:,} users has all {items:,} items that anybody has: there is nothing to tell"
            " apart"
        )
    if by_time and log.times.min() == log.times.max():
        raise DataError(
            f"all {len(log.times):,} interactions happened at one moment, and this protocol divides them by"
            " time: record them with their times, or evaluate by the protocols item-cold, user-cold or warm"
        )


def summary(log: Log) -> str:
    """A sentence about a log, for errors."""
    moments = ", all at one moment" if len(log.times) and log.times.min() == log.times.max() else ""
    return (
        f"The log has {len(log.items):,} wishes of {len(set(log.users.tolist())):,} users for"
        f" {len(set(log.items.tolist())):,} items{moments}"
    )


def check(split: Split) -> None:
    """Refuses a split that leaks, or that cannot be measured.

    Raises:
        DataError: the split leaks or is too small, or `check_setting` refuses a setting of it.
    """
    if not split.train.nnz:
        raise DataError(f"{split.protocol}: no interaction is left for training, the log is too small")
    if len(leaked := np.intersect1d(split.train.indices, split.cold)):
        raise DataError(f"{split.protocol}: {_some(leaked)} cold and occur in training, which is a leak")
    if not split.test:
        raise DataError(f"{split.protocol}: there is nothing to ask of any user, the log is too small")
    for name, setting in split.test.items():
        for part in (split.validation[name], setting):
            check_setting(part)
            if name == "cold" and len(warm := np.setdiff1d(part.candidates, split.cold)):
                raise DataError(f"cold: {_some(warm)} candidates and not cold, which makes it easier")


def check_setting(setting: Setting) -> None:
    """Refuses a setting whose answers are seen, cannot be found, or are missing.

    Raises:
        DataError: a relevant pair is in its own history, candidates lack a relevant item, or there are no
            users.
    """
    name, relevant = setting.name, setting.relevant
    if not relevant.shape[0]:
        raise DataError(f"{name}: no user has both a history and something relevant, the log is too small")
    if given_away := setting.histories.multiply(relevant).nnz:
        raise DataError(f"{name}: {given_away} relevant pairs are in their own history")
    if len(lost := np.setdiff1d(relevant.indices, setting.candidates)):
        raise DataError(f"{name}: {_some(lost)} relevant and no candidates, so nobody could find them")


def _some(places: Places) -> str:
    """The subject of a sentence: some positions, and how many there are."""
    shown = ", ".join(map(str, places[:5].tolist()))
    return f"{len(places)} items (positions {shown}{', ...' if len(places) > 5 else ''}) are"
