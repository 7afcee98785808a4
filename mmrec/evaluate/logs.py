"""What is evaluated: logs of interactions, splits of a log, and the checks that a split leaks nothing.

A `Log` is made of a shop's recorded behaviour, or of positions. `splits` divides it into a `Split`, which has
training and, for validation and test, `Setting`s: questions that a `Model` answers.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.store.interactions import Interactions

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

log = logging.getLogger(__name__)

Places = NDArray[np.int32]
WHOLE_ROWS = frozenset({"item-cold", "warm"})  # protocols whose histories are whole rows of training


@dataclass(frozen=True, slots=True)
class Log:
    """Interactions by position, each user's oldest first.

    Attributes:
        user_ids: of all users; a position in it is a user.
        item_ids: of all items of the catalogue; a position in it is an item.
        users, items: of each interaction [n].
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
        candidates: items that are ranked, all of the setting's catalogue, never a sample.
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


class Model(Protocol):
    """What can be evaluated: it knows a user by a history alone, so that unseen users are ordinary."""

    name: str

    def fit(self, train: csr_matrix, content: Vectors) -> None:
        """Learns from histories [users, items] and the items' content [items, c] (cold ones included)."""

    def score(self, histories: csr_matrix) -> Vectors:
        """Scores [u, items] of all items for u histories; higher is better."""


def log_of_shop(behaviour: Interactions, item_ids: Sequence[str], *, every_kind: bool = False) -> Log:
    """The recorded positive interactions with items of the catalogue; those with other items are left out.

    Args:
        item_ids: of the whole catalogue, in the order of the rows of the content.
        every_kind: whether interactions of every kind and weight count, dislikes too (as the published
            cold-start protocols take every rating); else those of positive weight alone.
    """
    rows = behaviour.table.scan(["user_id", "item_id", "kind", "weight", "time"])
    if not every_kind:
        rows = rows.filter(pa.array(behaviour.weights_of(rows) > 0))
    items = pc.index_in(rows["item_id"], value_set=pa.array(item_ids, pa.string()))
    known = pc.is_valid(items)
    if lost := rows.num_rows - (pc.sum(known).as_py() or 0):
        log.warning("%d interactions with items outside the catalogue are left out", lost)
    rows, items = rows.filter(known), items.filter(known)
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
    interactions, where only that order is known.

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


def check_log(log: Log, recorded: int, *, by_time: bool = False) -> None:
    """Refuses a log that no protocol can ask anything of.

    Args:
        recorded: number of interactions from which the log was made.
        by_time: whether the protocol divides the log by time.

    Raises:
        DataError: there is no wish, every user has one alone, or all; or all happened at one moment.
    """
    users, items, most = len(set(log.users.tolist())), len(set(log.items.tolist())), 0
    if len(log.items):
        most = int(np.bincount(log.users).max())
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

    A setting does not name its users. Where histories are whole rows of training, users of validation and of
    test are matched by a row that only one user has; where the history of the test includes what was relevant
    in validation, `check_setting` finds the pair. Unseen users are drawn apart by their protocol, and cannot
    be matched.

    Raises:
        DataError: the split leaks or is too small, its parts differ in their settings, or `check_setting`
            refuses one.
    """
    if not split.train.nnz:
        raise DataError(f"{split.protocol}: no interaction is left for training, the log is too small")
    if len(leaked := np.intersect1d(split.train.indices, split.cold)):
        raise DataError(f"{split.protocol}: {_some(leaked)} cold and occur in training, which is a leak")
    if set(split.validation) != set(split.test) or not split.test:
        asked, tested = (", ".join(map(repr, part)) or "nothing" for part in (split.validation, split.test))
        raise DataError(
            f"{split.protocol}: validation asks {asked}, test asks {tested};"
            " both must ask the same, and at least one setting: the log may be too small"
        )
    for name, setting in split.test.items():
        for part in (split.validation[name], setting):
            check_setting(part)
            if name == "cold" and len(warm := np.setdiff1d(part.candidates, split.cold)):
                raise DataError(f"cold: {_some(warm)} candidates and not cold, which makes it easier")
        if split.protocol in WHOLE_ROWS:
            _check_apart(split.train, split.validation[name], setting)


def check_setting(setting: Setting) -> None:
    """Refuses a setting whose answers are seen, cannot be found, or are missing.

    Raises:
        DataError: a relevant pair is in its own history, candidates lack a relevant item or are not sorted,
            a user has nothing relevant, or there are no users.
    """
    name, seen, relevant = setting.name, setting.histories, setting.relevant
    if seen.shape != relevant.shape:
        raise DataError(f"{name}: histories {seen.shape} and relevant {relevant.shape} must have one shape")
    if not relevant.shape[0]:
        raise DataError(f"{name}: no user has both a history and something relevant, the log is too small")
    if idle := np.count_nonzero(np.diff(relevant.indptr) == 0):
        raise DataError(f"{name}: {idle} users have nothing relevant")
    if given_away := seen.multiply(relevant).nnz:
        raise DataError(f"{name}: {given_away} relevant pairs are in their own history")
    candidates, items = setting.candidates, relevant.shape[1]
    if not len(candidates) or (np.diff(candidates) <= 0).any():  # ties are broken by this order
        raise DataError(f"{name}: candidates must be different positions in ascending order")
    if candidates[0] < 0 or candidates[-1] >= items:
        raise DataError(f"{name}: candidates must be positions of the {items} items")
    if len(lost := np.setdiff1d(relevant.indices, candidates)):
        raise DataError(f"{name}: {_some(lost)} relevant and no candidates, so nobody could find them")


def _check_apart(train: csr_matrix, validation: Setting, test: Setting) -> None:
    """Refuses a pair that is relevant in validation and in test."""
    owners = Counter(_histories(train))
    rows = {seen: row for row, seen in enumerate(_histories(validation.histories)) if owners[seen] == 1}
    same = [(rows[seen], row) for row, seen in enumerate(_histories(test.histories)) if seen in rows]
    if not same:
        return
    in_validation, in_test = np.array(same).T  # [users of both, 2] -> two of [users of both]
    if twice := validation.relevant[in_validation].multiply(test.relevant[in_test]).nnz:
        raise DataError(f"{test.name}: {twice} pairs are relevant in validation and in test")


def _histories(rows: csr_matrix) -> list[bytes]:
    """Each row's items as a key that does not depend on their order."""
    return [np.sort(items).tobytes() for items in np.split(rows.indices, rows.indptr[1:-1])]


def _some(places: Places) -> str:
    """The subject of a sentence: some positions, and how many there are."""
    shown = ", ".join(map(str, places[:5].tolist()))
    return f"{len(places)} items (positions {shown}{', ...' if len(places) > 5 else ''}) are"


def _check_range(places: NDArray[np.int64], ids: Sequence[str], what: str) -> None:
    if len(set(ids)) < len(ids):
        raise DataError(f"a {what} id occurs twice among the {len(ids)}: give each once", field=f"{what}_id")
    if len(places) and not 0 <= places.min() <= places.max() < len(ids):
        found = f"{places.min()} to {places.max()}"
        raise DataError(f"{what} positions must lie in 0 to {len(ids) - 1}, got {found}")
