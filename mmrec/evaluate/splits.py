"""Protocols: each divides a log into training, validation and test, by seed.

In every matrix a row lists its items oldest first, for models that use the order (CSR need not be sorted:
call `sort_indices` on a copy). Validation and test are made alike, and every interaction is in one part only.
`cold` are all items without an interaction in training, also those without any. A user who has nothing
relevant in a part, or no history, is not asked there. Where nothing else is said, the whole catalogue is
ranked. Every protocol raises `DataError` for a log that is too small for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.errors import DataError
from mmrec.evaluate.logs import Log, Places, Setting, Split, check

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PARTS = ("train", "warm_val", "warm_test", "cold_val", "cold_test")
TRAIN, WARM_VAL, WARM_TEST, COLD_VAL, COLD_TEST = range(len(PARTS))
REVEALED = (1, 3, 5, 10)
Parts = NDArray[np.int8]  # of each interaction of a log, [n]


def item_cold(log: Log, seed: int) -> Split:
    """New items: 20% of the items are cold, half of them validation and half test; warm interactions 8:1:1.

    Drawn at random among the items that have interactions; only those are ranked. Settings:

    - `cold` ranks all cold items, of validation and test together; relevant: the part's cold interactions.
    - `warm` ranks all warm items; relevant: the part's warm interactions.
    - `overall` ranks both; relevant: both.

    A history is the user's training interactions. A few warm items may have none, if all of theirs are in
    validation and test; ColdRec moves those to training, here they stay.

    Source: the protocol of the code of ALDI (Huang et al. 2023) and of the benchmark ColdRec.
    """
    rng, known = _rng(seed), np.unique(log.items)
    drawn = rng.permutation(known)[: round(0.2 * len(known))]
    part_of = np.full(len(log.item_ids), TRAIN, np.int8)
    part_of[drawn[: len(drawn) // 2]] = COLD_VAL
    part_of[drawn[len(drawn) // 2 :]] = COLD_TEST
    parts = part_of[log.items]
    warm_places = np.flatnonzero(parts == TRAIN)
    parts[warm_places] = _tenths(len(warm_places), rng)
    return _item_cold(log, parts, seed)


def item_cold_from(log: Log, parts: pa.Table, *, seed: int = 0) -> Split:
    """The protocol of `item_cold`, with a division that is given: one row for each interaction of the log.

    Args:
        parts: columns `user` and `item`, whose values as strings are ids of the log, and `part`, which is one
            of `PARTS`.
        seed: what the division was drawn with, for the record alone.

    Raises:
        DataError: the table is not of the same pairs as the log, names an unknown part, or lets an item be
            both warm and cold.
    """
    users = _positions(parts["user"], log.user_ids, "user")
    items = _positions(parts["item"], log.item_ids, "item")
    codes = _positions(parts["part"], PARTS, "part").astype(np.int8)
    keys, wanted = (  # a number for each pair of user and item
        who.astype(np.int64) * len(log.item_ids) + what
        for who, what in ((users, items), (log.users, log.items))
    )
    order = np.argsort(keys)
    if not np.array_equal(keys[order], np.sort(wanted)):
        raise DataError(
            f"the table of parts has {len(keys)} pairs, {len(np.setdiff1d(keys, wanted))} of them not in the"
            f" log of {len(wanted)}: both must hold the same pairs, each once"
        )
    return _item_cold(log, codes[order[np.searchsorted(keys, wanted, sorter=order)]], seed)


def warm(log: Log, seed: int) -> Split:
    """Known users, known items: interactions 8:1:1 at random. One setting, `warm`.

    A history is the user's training interactions.
    """
    parts = _tenths(len(log.items), _rng(seed))
    train = rows_of(log, parts == TRAIN)
    validation, test = (
        {"warm": _setting("warm", train, rows_of(log, parts == part))} for part in (WARM_VAL, WARM_TEST)
    )
    return _split("warm", seed, train, validation, test)


def user_cold(log: Log, seed: int) -> Split:
    """New users: of 10% of the users in validation, and of another 10% in test, training sees nothing.

    A history is what is revealed: in `1 revealed`, `3 revealed`, `5 revealed` and `10 revealed` the user's
    first interactions by time, that many, and relevant is the rest; in `all but last` relevant is the last
    alone. A setting for which validation or test has no user is left out.
    """
    drawn = _rng(seed).permutation(len(log.user_ids))
    tenth = round(0.1 * len(drawn))
    unseen = np.zeros(len(drawn), np.bool_)
    unseen[drawn[: 2 * tenth]] = True
    train = rows_of(log, ~unseen[log.users])
    validation, test = (_revealed(log, users) for users in (drawn[:tenth], drawn[tenth : 2 * tenth]))
    asked = [n for n in test if validation[n].relevant.shape[0] and test[n].relevant.shape[0]]
    return _split("user-cold", seed, train, *({n: part[n] for n in asked} for part in (validation, test)))


def leave_last_out(log: Log) -> Split:
    """The next item: each user's last interaction is test, the one before it validation, the rest training.

    The history of the test holds the validation interaction too. Users with fewer than three interactions are
    training alone. One setting, `next item`. Other users' training interactions may be later than what is
    asked, as always in this protocol; `global_time` has none of that.
    """
    age = _ranks(log)[1]  # [n], 0 for the last
    asked = np.bincount(log.users, minlength=len(log.user_ids))[log.users] >= 3
    train, last, before = ~asked | (age >= 2), asked & (age == 0), asked & (age == 1)
    return _later("leave-last-out", "next item", log, train, before, last)


def global_time(log: Log) -> Split:
    """One moment for all: the last tenth of the interactions is test, the tenth before it validation.

    Nothing that a model sees is later than what it is asked. Interactions of one moment stay together. A
    history is all that the user did before the part, so in test that of validation too. One setting,
    `future`, ranks items that had no interaction by then too.
    """
    size = max(1, round(0.1 * len(log.times)))
    test = _latest(log.times, size)
    validation = np.zeros_like(test)
    validation[~test] = _latest(log.times[~test], size)
    return _later("global-time", "future", log, ~(test | validation), validation, test)


def _item_cold(log: Log, parts: Parts, seed: int) -> Split:
    cold = np.unique(log.items[parts >= COLD_VAL])
    warm_items = np.unique(log.items[parts < COLD_VAL])
    if len(both := np.intersect1d(cold, warm_items)):
        raise DataError(f"item {log.item_ids[both[0]]!r} and {len(both) - 1} others are both warm and cold")
    train = rows_of(log, parts == TRAIN)
    candidates = {"cold": cold, "warm": warm_items, "overall": np.union1d(cold, warm_items)}

    def settings(warm_part: int, cold_part: int) -> dict[str, Setting]:
        relevant = {"cold": [cold_part], "warm": [warm_part], "overall": [warm_part, cold_part]}
        return {
            name: _setting(name, train, rows_of(log, np.isin(parts, relevant[name])), candidates[name])
            for name in candidates
        }

    return _split("item-cold", seed, train, settings(WARM_VAL, COLD_VAL), settings(WARM_TEST, COLD_TEST))


def _revealed(log: Log, users: NDArray[np.int64]) -> dict[str, Setting]:
    """The settings of unseen users."""
    theirs, (rank, age) = np.isin(log.users, users), _ranks(log)
    shown = {f"{n} revealed": rank < n for n in REVEALED} | {"all but last": age > 0}
    return {
        name: _setting(name, rows_of(log, theirs & seen), rows_of(log, theirs & ~seen))
        for name, seen in shown.items()
    }


def _later(
    protocol: str, name: str, log: Log, train: NDArray[np.bool_], validation: NDArray[np.bool_],
    test: NDArray[np.bool_],
) -> Split:
    """A split by time, from masks of interactions [n]; the history of the test includes validation."""
    seen = rows_of(log, train)
    before = _setting(name, seen, rows_of(log, validation))
    after = _setting(name, rows_of(log, train | validation), rows_of(log, test))
    return _split(protocol, 0, seen, {name: before}, {name: after})


def _split(
    protocol: str, seed: int, train: csr_matrix, validation: Mapping[str, Setting],
    test: Mapping[str, Setting],
) -> Split:
    cold = np.setdiff1d(np.arange(train.shape[1], dtype=np.int32), train.indices)
    split = Split(protocol, seed, train, cold, validation, test)
    check(split)
    return split


def _setting(
    name: str, histories: csr_matrix, relevant: csr_matrix, candidates: Places | None = None
) -> Setting:
    """The setting of those users [of all] who have a history and something relevant."""
    asked = np.flatnonzero(np.diff(histories.indptr) * np.diff(relevant.indptr))
    if candidates is None:
        candidates = np.arange(relevant.shape[1], dtype=np.int32)
    return Setting(name, histories[asked], relevant[asked], candidates)


def rows_of(log: Log, mask: NDArray[np.bool_]) -> csr_matrix:
    """Ones [users, items] at the interactions of a mask [n], the items of a row oldest first."""
    from scipy.sparse import csr_matrix

    order = np.flatnonzero(mask)
    order = order[np.argsort(log.users[order], kind="stable")]
    indptr = np.zeros(len(log.user_ids) + 1, np.int32)
    np.cumsum(np.bincount(log.users[order], minlength=len(log.user_ids)), out=indptr[1:])
    shape = (len(log.user_ids), len(log.item_ids))
    return csr_matrix((np.ones(len(order), np.float32), log.items[order], indptr), shape)


def refused_beside(log: Log, refused: Log, train: csr_matrix | None = None) -> csr_matrix:
    """Ones [users + others, items] at a log of dislikes: rows of the log's users first, then of others.

    Args:
        train: training [users, items], where those of its users and items alone shall be seen.
    """
    position = {user: row for row, user in enumerate(log.user_ids)}
    row = np.array([position.setdefault(user, len(position)) for user in refused.user_ids], np.int32)
    every = replace(refused, user_ids=tuple(position), users=row[refused.users])
    seen = np.ones(len(every.items), np.bool_)
    if train is not None:
        users = np.flatnonzero(np.diff(train.indptr))
        seen = np.isin(every.users, users) & np.isin(every.items, train.indices)
    return rows_of(every, seen)


def _latest(times: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """Which of some times [n] are among the last `size`, and all that are equal to the first of these."""
    return times >= np.sort(times)[-size:][0] if len(times) else np.zeros(0, np.bool_)


def _ranks(log: Log) -> tuple[Places, Places]:
    """How many interactions of its user come before each interaction, and how many after, [n] both."""
    order = np.argsort(log.users, kind="stable")
    counts = np.bincount(log.users, minlength=len(log.user_ids))
    starts = np.cumsum(counts) - counts  # [users]
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order)) - starts[log.users[order]]
    return rank, (counts[log.users] - 1 - rank).astype(np.int32)


def _tenths(n: int, rng: np.random.Generator) -> Parts:
    """Parts of n warm interactions at random: eight tenths training, one validation, one test."""
    tenth = n // 10
    parts = np.full(n, TRAIN, np.int8)
    parts[:tenth], parts[tenth : 2 * tenth] = WARM_VAL, WARM_TEST
    return rng.permutation(parts)


def _positions(column: pa.ChunkedArray, known: Sequence[str], what: str) -> Places:
    """Position of each value, read as a string, among the known ones."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    found = pc.index_in(column.cast(pa.string()), pa.array(known, pa.string())).combine_chunks()
    if found.null_count:
        first = column.filter(pc.is_null(found))[0].as_py()
        raise DataError(f"{what} {first!r} of the table of parts is not known to the log", field=what)
    return found.to_numpy()


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))
