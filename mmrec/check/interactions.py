"""Faults of a log: what no training can use, what no shopper did, and what was never shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.check.findings import SHOWN, Finding, Row, found
from mmrec.check.items import id_key
from mmrec.evaluate.logs import usual_most
from mmrec.evaluate.metrics import gini
from mmrec.search.snapshot import Snapshot
from mmrec.store.interactions import Interactions, key_of
from mmrec.store.schema import AHEAD

SECOND, DAY = 1_000_000, 86_400_000_000  # microseconds
HOUR = 3_600 * SECOND
LATE = DAY  # by which clocks and dates without an hour may differ
NEARLY_ALL = 0.5  # share of clicks before an item was added from which no `added_at` was given
FEWEST = 50  # interactions of a user who is judged, and hours of a log whose bursts are
TIMES = 10  # as many as nearly all users, or hours, have
NEARLY = 0.95
REGULAR = 0.1  # deviation of the pauses of a clockwork, of their mean
SLEEPLESS = 22  # hours of one day
BURST = 0.1  # share of the log
TWICE = 10 * SECOND  # between a click and its repetition
TOP = 0.01  # share of items that are the most popular
CONCENTRATED = 0.25  # share of the log with them from which it is told
GROUPS, LEAST = 200, 10  # values of an attribute that are groups; items and interactions due that one has
HIDDEN = 0.1  # of the interactions that a group should have by its items
Positions = NDArray[np.int64]


class Acts(NamedTuple):
    """The n interactions of a log, in the order of users and times.

    Attributes:
        users, items: positions in `user_ids` and in `item_ids`.
        kinds: positions of their kinds.
        times: microseconds since 1970.
        dated: whether the time is known.
        known: position of each of `item_ids` in the catalogue; -1 where it is not there.
    """

    user_ids: list[str]
    item_ids: list[str]
    users: Positions
    items: Positions
    kinds: Positions
    times: Positions
    dated: NDArray[np.bool_]
    known: Positions

    @classmethod
    def of(cls, behaviour: Interactions, snapshot: Snapshot) -> Acts:
        """Reads it."""
        rows = behaviour.table.scan(["key", "user_id", "item_id", "kind", "time"])
        (user_ids, users), (item_ids, items), (_, kinds) = (
            _coded(rows[name]) for name in ("user_id", "item_id", "kind")
        )
        named = zip(*(rows[name].to_pylist() for name in ("key", "user_id", "item_id", "kind")), strict=True)
        dated = np.fromiter((key != key_of(u, i, kind, "") for key, u, i, kind in named), np.bool_, len(rows))
        times = rows["time"].cast(pa.int64()).to_numpy()
        known = pc.index_in(pa.array(item_ids, pa.string()), value_set=pa.array(snapshot.ids, pa.string()))
        order = np.lexsort((times, users))
        return cls(
            user_ids, item_ids, users[order], items[order], kinds[order], times[order], dated[order],
            known.fill_null(-1).to_numpy().astype(np.int64),
        )

    def rows(self, at: Positions, most: int = SHOWN) -> list[Row]:
        """Some of the interactions at positions: user, item and time."""
        return [
            Row((self.user_ids[self.users[p]], self.item_ids[self.items[p]]), str(when(self.times[p])))
            for p in at[:most].tolist()
        ]

    def among(self, some: NDArray[np.bool_]) -> Acts:
        """Those of the interactions."""
        return self._replace(**{
            name: getattr(self, name)[some] for name in ("users", "items", "kinds", "times", "dated")
        })


def _coded(column: pa.ChunkedArray) -> tuple[list[str], Positions]:
    """The different values, and the position of each row's among them."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64)


def when(microseconds: int) -> datetime:
    """A time since 1970, to the second."""
    return datetime.fromtimestamp(int(microseconds) // SECOND, UTC)


def check_interactions(acts: Acts, snapshot: Snapshot) -> Iterator[Finding]:
    """All that is found in a log."""
    n = len(acts.users)
    if not n:
        return
    yield from unknown_items(acts, snapshot)
    yield from found("undated", [], n, int((~acts.dated).sum()))
    dated = acts.among(acts.dated)
    ahead = np.flatnonzero(dated.times > (datetime.now(UTC) + AHEAD).timestamp() * SECOND)
    yield from found("future", dated.rows(ahead), n, len(ahead))
    yield from early(dated, snapshot, n)
    yield from bots(acts, dated)
    yield from burst(dated, n)
    yield from double_clicks(dated, n)
    yield from concentration(acts, snapshot)
    yield from hidden_groups(acts, snapshot)


def unknown_items(acts: Acts, snapshot: Snapshot) -> Iterator[Finding]:
    """Interactions with items that are not in the catalogue, or there under an id written otherwise."""
    counts, n = np.bincount(acts.items, minlength=len(acts.item_ids)), len(acts.users)
    lost = [int(p) for p in np.argsort(-counts, kind="stable") if acts.known[p] < 0]
    of = dict(zip(id_key(snapshot.ids), snapshot.ids, strict=True))
    missing = [acts.item_ids[p] for p in lost]
    alike = [of.get(key) for key in id_key(missing)]
    for name, wanted in (("log-ids", True), ("unknown-items", False)):
        rows = [
            Row((i, other) if other else (i,), f"{counts[p]:,} interactions")
            for p, i, other in zip(lost, missing, alike, strict=True) if bool(other) is wanted
        ]
        total = sum(int(counts[p]) for p, other in zip(lost, alike, strict=True) if bool(other) is wanted)
        yield from found(name, rows, n, total)


def early(dated: Acts, snapshot: Snapshot, n: int) -> Iterator[Finding]:
    """Interactions before their items were added; nearly all, where a catalogue came without times."""
    added = snapshot.facts["added_at"].cast(pa.int64()).to_numpy()
    item = dated.known[dated.items]
    before = (item >= 0) & (dated.times < added[item] - LATE) if len(added) else item >= 0
    if before.sum() > NEARLY_ALL * len(before):
        yield from found("arrivals", [], n, int(before.sum()))
    else:
        yield from found("early", dated.rows(np.flatnonzero(before)), n, int(before.sum()))


def bots(acts: Acts, dated: Acts) -> Iterator[Finding]:
    """Users who act more often, or more evenly, than people do."""
    n, m = len(acts.users), len(acts.user_ids)
    counts, why = np.bincount(acts.users, minlength=m), dict[int, str]()
    busiest, awake = _paces(dated, m)
    often, fast = usual_most(counts), usual_most(busiest)
    for user in np.flatnonzero(counts >= FEWEST).tolist():
        if counts[user] > often:
            why[user] = "far more than others"
        elif busiest[user] > fast:
            why[user] = f"{busiest[user]:,} in one hour"
        elif awake[user] >= SLEEPLESS:
            why[user] = f"in {awake[user]} hours of one day"
    for user, pause in _clockworks(dated, m):
        why.setdefault(user, f"one every {pause:,.0f} s")
    worst = sorted(why, key=lambda user: -counts[user])
    rows = [Row((acts.user_ids[u],), f"{counts[u]:,} interactions, {why[u]}") for u in worst]
    yield from found("bots", rows, n, int(counts[worst].sum()) if worst else 0)


def _paces(dated: Acts, m: int) -> tuple[Positions, Positions]:
    """Of each user the interactions of the busiest hour, and the hours with any of the busiest day [m]."""
    busiest, awake = np.zeros(m, np.int64), np.zeros(m, np.int64)
    if len(dated.users):
        (who, hour), n = np.unique(np.stack([dated.users, dated.times // HOUR]), axis=1, return_counts=True)
        np.maximum.at(busiest, who, n)
        (who, _), n = np.unique(np.stack([who, hour // 24]), axis=1, return_counts=True)
        np.maximum.at(awake, who, n)
    return busiest, awake


def _clockworks(dated: Acts, m: int) -> Iterator[tuple[int, float]]:
    """Users who act in even pauses of a second or more, and these pauses in seconds."""
    same = dated.users[1:] == dated.users[:-1]
    users, pauses = dated.users[1:][same], np.diff(dated.times)[same] / SECOND
    counts = np.maximum(np.bincount(users, minlength=m), 1)
    means = np.bincount(users, pauses, m) / counts
    deviations = np.sqrt(np.bincount(users, (pauses - means[users]) ** 2, m) / counts)
    even = (counts >= FEWEST) & (means >= 1) & (deviations < REGULAR * means)
    yield from ((user, float(means[user])) for user in np.flatnonzero(even).tolist())


def burst(dated: Acts, n: int) -> Iterator[Finding]:
    """One hour that holds a tenth of the log, and far more than other hours."""
    hours, counts = np.unique(dated.times // HOUR, return_counts=True)
    if len(hours) < FEWEST:
        return
    usual = np.quantile(counts, NEARLY)
    rows = [
        Row((), f"{when(hours[p] * HOUR):%Y-%m-%d %H}:00 UTC, {counts[p]:,} interactions")
        for p in np.argsort(-counts, kind="stable")[:SHOWN].tolist()
        if counts[p] >= BURST * n and counts[p] > TIMES * usual
    ]
    yield from found("burst", rows, n, int(np.sort(counts)[::-1][: len(rows)].sum()))


def double_clicks(dated: Acts, n: int) -> Iterator[Finding]:
    """The same act again within seconds."""
    order = np.lexsort((dated.times, dated.kinds, dated.items, dated.users))
    same = np.logical_and.reduce([
        np.diff(column[order]) == 0 for column in (dated.users, dated.items, dated.kinds)
    ])
    again = order[1:][same & (np.diff(dated.times[order]) <= TWICE)]
    yield from found("double-clicks", dated.rows(again), n, len(again))


def popularity(acts: Acts, items: int) -> NDArray[np.float64]:
    """Number of interactions of each item of the catalogue, [n]."""
    item = acts.known[acts.items]
    return np.bincount(item[item >= 0], minlength=items).astype(np.float64)


def concentration(acts: Acts, snapshot: Snapshot) -> Iterator[Finding]:
    """A log of which a few items have much."""
    counts = popularity(acts, len(snapshot))
    first = np.argsort(-counts, kind="stable")[: max(1, round(TOP * len(counts)))]
    share = counts[first].sum() / max(1.0, counts.sum())
    if share >= CONCENTRATED:
        rows = [Row((snapshot.ids[p],), f"{counts[p]:,.0f} interactions") for p in first.tolist()]
        yield from found("concentration", rows, int(counts.sum()), int(counts[first].sum()))


def hidden_groups(acts: Acts, snapshot: Snapshot) -> Iterator[Finding]:
    """Groups of items with far fewer interactions than their number would have; new items do not count."""
    counts = popularity(acts, len(snapshot))
    added = snapshot.facts["added_at"].cast(pa.int64()).to_numpy()
    known = added <= acts.times.max()
    known = known if known.any() else ~known  # none had a time of arrival
    mean, rows, hidden = counts[known].mean(), [], set[int]()
    for name in snapshot.categories:
        for label, members in _members(snapshot.facts[name].to_pylist(), known).items():
            due, had = mean * len(members), counts[members].sum()
            if min(len(members), due) >= LEAST and had < HIDDEN * due:
                said = f"{had:,.0f} interactions with {len(members):,} items"
                rows.append(Row((), f"{name}: {label!r}, {said}"))
                hidden.update(members)
    yield from found("hidden-groups", rows, int(known.sum()), len(hidden))


def _members(values: Sequence[Any], known: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Positions of the items of each group; none, where there are too many groups to be any."""
    groups: dict[str, list[int]] = {}
    for position in np.flatnonzero(known).tolist():
        value = values[position]
        for label in value if isinstance(value, list) else [value] if value else []:
            groups.setdefault(label, []).append(position)
    return groups if len(groups) <= GROUPS else {}


def figures(acts: Acts, snapshot: Snapshot) -> dict[str, float]:
    """How large a log is, and how unequal: Gini, share of the most popular items, items that nobody chose."""
    counts = popularity(acts, len(snapshot))
    first = np.sort(counts)[::-1][: max(1, round(TOP * len(counts)))]
    return {
        "interactions": len(acts.users), "users": len(acts.user_ids), "gini": gini(counts),
        "top_1_percent": float(first.sum() / max(1.0, counts.sum())),
        "never_chosen": float((counts == 0).mean()) if len(counts) else 0.0,
    }
