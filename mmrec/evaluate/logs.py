"""What is evaluated: logs of interactions, splits of a log, and the checks that a split leaks nothing.

A `Log` is made of interactions, of positions, or of a shop's recorded behaviour. `splits` divides it into a
`Split`, which has training and, for validation and test, `Setting`s: questions that a `Model` answers.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from mmrec.config import Config
from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.store.interactions import Interactions
from mmrec.types import Interaction

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

log = logging.getLogger(__name__)

Places = NDArray[np.int32]
WHOLE_ROWS = frozenset({"item-cold", "warm"})  # protocols whose histories are whole rows of training
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Log:
    """Interactions by position, each user's oldest first.

    Attributes:
        user_ids: of all users; a position in it is a user.
        item_ids: of all items of the catalogue; a position in it is an item.
        users: user of each interaction [n].
        items: item of each interaction [n].
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


def log_of(
    interactions: Iterable[Interaction], item_ids: Sequence[str], *,
    kind_weights: Mapping[str, float] | None = None,
) -> Log:
    """The log of positive interactions; a user-item pair counts once, at its earliest time.

    Interactions whose weight is not positive are left out: a kind of negative weight (a dislike), or weight
    0. An item that is not in the catalogue is an error, as no model could find it.

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
    if unknown := {i.item_id for i in wanted} - place.keys():
        raise DataError(
            f"{len(unknown)} items of the interactions are not in the catalogue, such as {min(unknown)!r}:"
            " ingest them, or leave their interactions out and say so", field="item_id",
        )
    user_ids = sorted({i.user_id for i in wanted})
    position = {user_id: n for n, user_id in enumerate(user_ids)}
    return log_of_positions(
        user_ids, item_ids, users=[position[i.user_id] for i in wanted],
        items=[place[i.item_id] for i in wanted], times=[(i.time - EPOCH) // MICROSECOND for i in wanted],
    )


def log_of_shop(behaviour: Interactions, item_ids: Sequence[str], *, every_kind: bool = False) -> Log:
    """The recorded positive interactions with items of the catalogue; those with other items are left out.

    Args:
        behaviour: the store's behaviour.
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


def check(split: Split) -> None:
    """Refuses a split that leaks, or that cannot be measured.

    A setting does not name its users. Where histories are whole rows of training, users of validation and of
    test are matched by a row that only one user has; where the history of the test includes what was relevant
    in validation, `check_setting` finds the pair. Unseen users are drawn apart by their protocol, and cannot
    be matched.

    Raises:
        DataError: a cold item occurs in training, a relevant pair is in both parts, training is empty, the
            parts differ in their settings, or a setting is refused by `check_setting`.
    """
    if not split.train.nnz:
        raise DataError(f"{split.protocol}: no interaction is left for training, the log is too small")
    leaked = np.intersect1d(split.train.indices, split.cold)
    if len(leaked):
        raise DataError(f"{split.protocol}: {_some(leaked)} cold and occur in training, which is a leak")
    if set(split.validation) != set(split.test) or not split.test:
        asked, tested = (", ".join(map(repr, part)) or "nothing" for part in (split.validation, split.test))
        raise DataError(
            f"{split.protocol}: validation asks {asked}, test asks {tested};"
            " both must ask the same, and at least one setting: the log may be too small"
        )
    for name, setting in split.test.items():
        check_setting(split.validation[name])
        check_setting(setting)
        if split.protocol in WHOLE_ROWS:
            _check_apart(split.train, split.validation[name], setting)
    for part in (split.validation, split.test):
        if "cold" in part and len(warm := np.setdiff1d(part["cold"].candidates, split.cold)):
            raise DataError(f"cold: {_some(warm)} candidates and not cold, which makes it easier")


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
    if not np.diff(relevant.indptr).all():
        raise DataError(f"{name}: {(np.diff(relevant.indptr) == 0).sum()} users have nothing relevant")
    if seen.multiply(relevant).nnz:
        raise DataError(f"{name}: {seen.multiply(relevant).nnz} relevant pairs are in their own history")
    _check_candidates(name, setting.candidates, relevant)


def _check_candidates(name: str, candidates: Places, relevant: csr_matrix) -> None:
    if not len(candidates) or (np.diff(candidates) <= 0).any():  # ties are broken by this order
        raise DataError(f"{name}: candidates must be different positions in ascending order")
    if candidates[0] < 0 or candidates[-1] >= relevant.shape[1]:
        raise DataError(f"{name}: candidates must be positions of the {relevant.shape[1]} items")
    lost = np.setdiff1d(relevant.indices, candidates)
    if len(lost):
        raise DataError(f"{name}: {_some(lost)} relevant and no candidates, so nobody could find them")


def _check_apart(train: csr_matrix, validation: Setting, test: Setting) -> None:
    """Refuses a pair that is relevant in validation and in test."""
    owners = Counter(_histories(train))
    rows = {seen: row for row, seen in enumerate(_histories(validation.histories)) if owners[seen] == 1}
    same = [(rows[seen], row) for row, seen in enumerate(_histories(test.histories)) if seen in rows]
    if same:
        in_validation, in_test = np.array(same).T  # [users of both, 2] -> two of [users of both]
        twice = validation.relevant[in_validation].multiply(test.relevant[in_test]).nnz
        if twice:
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
