"""From requests to results: candidates -> page -> exploration -> reasons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from mmrec.data.files import replacing
from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.ranking.page import Origin, Slot, Source, page_of, with_exploration
from mmrec.ranking.reasons import Reasons, by_fields, by_history
from mmrec.ranking.request import Request, check_k, listed
from mmrec.ranking.signals import Context, Popularity
from mmrec.ranking.users import Event, Point, Query, User, point_of, users_with
from mmrec.search.hits import Hits, Mask, Positions, best, exact_scores
from mmrec.search.snapshot import Snapshot
from mmrec.search.vectors import BEHAVIOUR
from mmrec.store.interactions import Interactions
from mmrec.types import Recommendation, Rung, normal_id

MOST_NEW = 200  # new items among which exploration draws
BATCH = 1_000  # users of an export that are served at once
EXPORTED = pa.schema([
    ("user_id", pa.string()), ("rank", pa.int32()), ("item_id", pa.string()), ("score", pa.float32()),
    ("rung", pa.string()),
])


def recommend(
    snapshot: Snapshot, requests: Sequence[Request], users: Sequence[User], popularity: Popularity,
    recorded: Interactions | None = None,
) -> list[list[Recommendation]]:
    """Results of each user, from the rungs history -> taste -> popular -> newest until k items are found."""
    return [
        results_of(snapshot, page, by_history(snapshot, user, page))
        for user, page in zip(users, pages(snapshot, requests, users, popularity, recorded), strict=True)
    ]


def recommend_many(
    snapshot: Snapshot, histories: Sequence[Sequence[str]], request: Request, behaviour: Interactions
) -> list[list[Recommendation]]:
    """Results of one request for many histories of liked items, oldest first."""
    request = replace(request, rng=request.generator)  # else one seed would draw the same for every user
    users = users_with(snapshot, _liked(histories))
    return recommend(snapshot, [request] * len(users), users, behaviour.popularity, behaviour)


def export(
    path: Path, snapshot: Snapshot, behaviour: Interactions, request: Request, users: Sequence[str] | None,
    batch: int, progress: Callable[[int], None] | None = None,
) -> int:
    """Writes the pages of users to a Parquet file, batch by batch; returns how many users there are.

    Args:
        users: None for all whose interactions are recorded.
        batch: users served at once.
        progress: called with the number of users done since the last call.
    """
    import pyarrow.parquet as pq

    size = check_k(batch, "batch")
    served = behaviour.users() if users is None else listed(users, "users")
    with replacing(path) as file, pq.ParquetWriter(file, EXPORTED, compression="zstd") as writer:
        for start in range(0, len(served), size):
            some = served[start : start + size]
            acts = behaviour.histories(some)
            known = users_with(snapshot, [acts[user] for user in some])
            found = pages(snapshot, [request] * len(known), known, behaviour.popularity, behaviour)
            rows = [
                {"user_id": user, "rank": rank, "item_id": snapshot.ids[slot.position], "score": slot.score,
                 "rung": slot.rung}
                for user, page in zip(some, found, strict=True) for rank, slot in enumerate(page, start=1)
            ]
            writer.write_table(pa.Table.from_pylist(rows, EXPORTED))
            if progress:
                progress(len(some))
    return len(served)


def scores(snapshot: Snapshot, user: User, items: Sequence[str]) -> Vectors:
    """Scores [n] of items as the user's first rung ranks them; zeros if nothing is known of the user."""
    positions = snapshot.positions_of(items)
    if user.point is None:
        return np.zeros(len(positions), np.float32)
    return exact_scores(snapshot.space(user.point.space), positions, user.point.vector)


def scores_of_many(
    snapshot: Snapshot, histories: Sequence[Sequence[str]], items: Sequence[str]
) -> Vectors:
    """Scores [users, items] for histories of liked items, oldest first."""
    x = snapshot.space(snapshot.serving)[snapshot.positions_of(items)]  # [items, d]
    vectors = np.zeros((len(histories), x.shape[1]), np.float32)
    for row, user in zip(vectors, users_with(snapshot, _liked(histories)), strict=True):
        if user.point is not None:
            row[:] = user.point.vector
    return vectors @ x.T  # [users, d] @ [d, items]


def pages(
    snapshot: Snapshot, requests: Sequence[Request], users: Sequence[User], popularity: Popularity,
    recorded: Interactions | None = None,
) -> list[list[Slot]]:
    """The page of each user; users with the same space, condition and pool share one search."""
    hidden = [
        snapshot.known(request.exclude).union(user.positions.tolist())
        for request, user in zip(requests, users, strict=True)
    ]
    first = _nearest_of_many(snapshot, requests, users, hidden)
    return [
        _page(Context(snapshot, request, popularity, recorded), user, hidden[i], first.get(i))
        for i, (request, user) in enumerate(zip(requests, users, strict=True))
    ]


def similar(
    snapshot: Snapshot, item_id: str | None, query: Query, by: str, request: Request,
    popularity: Popularity = dict,
) -> list[Recommendation]:
    """The k items nearest to one of the catalogue, or to a query, in the space `by`."""
    if by == BEHAVIOUR:
        snapshot.space(by)  # raises an error if no head was trained, even in an empty catalogue
    if (item_id is None) == (query.text is None and not query.wordless):
        raise DataError("similar takes either an item_id, or text, image and/or audio", field="item_id")
    if item_id is not None:
        position = int(snapshot.positions_of([normal_id(item_id)])[0])
        point = Point(by, snapshot.space(by)[position])
        return nearest(snapshot, point, request, exclude=[position], popularity=popularity)
    snapshot.mask(request.where)  # refuses a condition that cannot be used, even in an empty catalogue
    if not len(snapshot):
        return []
    return nearest(snapshot, point_of(snapshot, query, by), request, popularity=popularity)


def nearest(
    snapshot: Snapshot, point: Point, request: Request, *, exclude: Iterable[int] = (),
    popularity: Popularity = dict,
) -> list[Recommendation]:
    """The k items nearest to a point of a space, without these positions."""
    mask, hidden = snapshot.mask(request.where), snapshot.known(request.exclude) | set(exclude)
    context = Context(snapshot, request, popularity)
    page = page_of(context, [_nearest("similar", snapshot, point, mask)], hidden)
    return results_of(snapshot, page, by_fields(snapshot, point.space, point.vector, page))


def results_of(
    snapshot: Snapshot, page: Sequence[Slot], reasons: Sequence[Reasons]
) -> list[Recommendation]:
    """A page as the caller sees it."""
    return [
        Recommendation(
            item_id=snapshot.ids[slot.position], score=slot.score, rung=slot.rung, reasons=why,
            propensity=slot.propensity,
        )
        for slot, why in zip(page, reasons, strict=True)
    ]


def _liked(histories: Sequence[Sequence[str]]) -> list[list[Event]]:
    return [[(item_id, 1.0) for item_id in listed(history, "history")] for history in histories]


def _nearest_of_many(
    snapshot: Snapshot, requests: Sequence[Request], users: Sequence[User], hidden: Sequence[set[int]]
) -> dict[int, Hits]:
    """The first candidates of each user of whom something is known, by index of the user."""
    alike = defaultdict[tuple[str, str | None, int], list[tuple[int, Point]]](list)
    for i, (request, user) in enumerate(zip(requests, users, strict=True)):
        if user.point is not None:
            alike[user.point.space, request.where, request.pool].append((i, user.point))
    found: dict[int, Hits] = {}
    for (space, where, pool), some in alike.items():
        hits = snapshot.scorer(space).top_many(
            np.array([point.vector for _, point in some]), pool, allowed=snapshot.mask(where),
            exclude=[sorted(hidden[i]) for i, _ in some],
        )
        found |= zip((i for i, _ in some), hits, strict=True)
    return found


def _page(context: Context, user: User, hidden: set[int], first: Hits | None) -> list[Slot]:
    """One user's page; `first` are the candidates nearest to the user."""
    snapshot, request, point = context.snapshot, context.request, user.point
    mask = snapshot.mask(request.where)
    page = page_of(context, _rungs(context, user, mask, first), hidden)
    if policy := request.exploration:
        young = _allowed(snapshot, mask, sorted(hidden)) & (snapshot.ages <= policy.max_age_days)
        rung: Rung = "newest" if point is None else user.rung
        new = _newest(snapshot, MOST_NEW, young) if point is None else (
            snapshot.search(point.space, point.vector, MOST_NEW, mask=young))
        page = with_exploration(page, new, snapshot.ages[new.positions], policy, request, rung)
    return page


def _rungs(context: Context, user: User, mask: Mask | None, first: Hits | None) -> Iterator[Source]:
    snapshot = context.snapshot
    if user.point is not None:
        yield _nearest(user.rung, snapshot, user.point, mask, first)
    counts = snapshot.popular(context.popularity())
    yield Source("popular", lambda k, out: best(counts, k, _allowed(snapshot, mask, out) & (counts > 0)))
    yield Source("newest", lambda k, out: _newest(snapshot, k, _allowed(snapshot, mask, out) & (counts == 0)))


def _newest(snapshot: Snapshot, k: int, allowed: Mask) -> Hits:
    return best(-snapshot.ages.astype(np.float32), k, allowed)


def _nearest(
    rung: Origin, snapshot: Snapshot, point: Point, mask: Mask | None, first: Hits | None = None
) -> Source:
    """The items nearest to a point; `first` is the answer to the first call, if it is known already."""
    known = [] if first is None else [first]

    def find(k: int, out: Positions) -> Hits:
        if known:
            return known.pop()
        return snapshot.search(point.space, point.vector, k, exclude=out, mask=mask)

    return Source(rung, find)


def _allowed(snapshot: Snapshot, mask: Mask | None, out: Positions | Sequence[int]) -> Mask:
    allowed = np.ones(len(snapshot), np.bool_) if mask is None else mask.copy()
    allowed[out] = False
    return allowed
