"""What users were shown and did not choose: how likely they looked at it, and how often each was shown."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

from mmrec.evaluate.exposure import CLIP, Exposure, exposure_by
from mmrec.evaluate.logs import Log

STEPS, CLOSE = 500, 1e-5  # turns at most, and the change after which there are no more
POSITIONS = 50  # of a page; those below are looked at as often as the last of these
FEW = 100  # items shown, without which nothing is learned of them
LEAST = 0.01  # probability that a position is looked at
COVERED = 0.5  # share of what was chosen that must have been seen being shown
PRIOR = 2.0  # views of an average item that each item begins with
Counts = NDArray[np.float64]
Codes = NDArray[np.intp]


class Shown(NamedTuple):
    """What a log of impressions says.

    Attributes:
        refused: how likely users looked at what they did not choose [users and others, items].
        exposure: how often items were looked at; None if most of what was chosen was not seen being shown, as
            where the log is older than the impressions, so that these do not speak for it.
    """

    refused: csr_matrix
    exposure: Exposure | None


def shown_of(rows: pa.Table, log: Log) -> Shown | None:
    """What was shown and not chosen; None if hardly anything was shown.

    Args:
        rows: as of `Impressions.shown`, of the items of the log.
        log: what users chose.
    """
    if rows.num_rows < FEW:
        return None
    items = rows["item"].to_numpy().astype(np.intp)
    positions = np.minimum(rows["position"].to_numpy(), POSITIONS - 1).astype(np.intp)
    users, n_users = _users(rows, log)
    n = len(log.item_ids)
    chosen = np.isin(users * n + items, log.users.astype(np.int64) * n + log.items)
    looked = examination(items, positions, chosen)[positions]  # [rows]
    chances = rows["propensity"].to_numpy()
    views = average_views(items, looked, chosen, chances, n)
    passed = coo_matrix((looked[~chosen], (users[~chosen], items[~chosen])), (n_users, n)).tocsr()
    passed.data = np.minimum(passed.data, 1.0).astype(np.float32)  # seen again and again is refused once
    counts = np.bincount(log.items, minlength=n).astype(np.float64)
    known = int(np.isfinite(chances).sum())
    why = f"{rows.num_rows:,} items that were shown" + (f", {known:,} with known chances" if known else "")
    covered = len(np.unique((users * n + items)[chosen])) >= COVERED * len(log.items)
    return Shown(passed, exposure_by(views, counts, why) if covered else None)


def average_views(
    items: Codes, looked: Counts, chosen: NDArray[np.bool_], propensities: Counts, n: int
) -> Counts:
    """How often each item was looked at [n], in looks of an average user.

    An item that is shown to those whom it fits is chosen more often by each look than others would choose it.
    So its choices are divided by the rate at which an average user chooses it: the self-normalised estimate,
    in which each look weighs the inverse of the chance that the item was shown, clipped.

    Args:
        items: positions of what was shown [rows].
        looked: probability that it was looked at [rows].
        propensities: the chance that it was shown [rows]; what is no number is not known, and weighs 1.

    Source: Swaminathan & Joachims 2015, The self-normalized estimator for counterfactual learning, eq. 8.
    """
    views, choices = np.bincount(items, looked, n), np.bincount(items, chosen, n)
    if np.isnan(propensities).all() or not chosen.any():
        return views.astype(np.float64)
    weights = np.nan_to_num(1 / propensities, nan=1.0)
    weights = np.minimum(weights, CLIP * weights.mean())
    rate = np.average(chosen, weights=looked * weights)
    found = np.bincount(items, chosen * weights, n) + PRIOR * rate
    rates = found / (np.bincount(items, looked * weights, n) + PRIOR)
    return np.where(choices > 0, choices / rates, views).astype(np.float64)


def examination(items: Codes, positions: Codes, chosen: NDArray[np.bool_]) -> Counts:
    """The probability that each position is looked at [positions], that of the most looked at being 1.

    An item is chosen if it is looked at and liked, independently given item and position. So the choices at a
    position are expected to be its probability times the likes of what stood there, and those of an item its
    like times the looks at where it stood; both are solved by turns.

    Args:
        items, positions: of what was shown [n].
        chosen: whether it was chosen [n].

    Source: Richardson, Dominowska & Ragno 2007, Predicting clicks, eq. 3 (the examination hypothesis);
    solved by iterative proportional fitting, Deming & Stephan 1940.
    """
    at = coo_matrix((np.ones(len(items)), (positions, items))).tocsr()  # [positions, items] shown
    by_place, by_item = np.bincount(positions, chosen), np.bincount(items, chosen, at.shape[1])
    by_item = by_item + PRIOR * chosen.mean()
    looked = np.ones(at.shape[0])
    for _ in range(STEPS):
        liked = by_item / (at.T @ looked + PRIOR)
        now = by_place / np.maximum(at @ liked, 1e-12)
        now = np.maximum(now / (now.max() or 1.0), LEAST)
        if np.abs(now - looked).max() < CLOSE:
            break
        looked = now
    return now


def together(disliked: csr_matrix, passed: csr_matrix) -> csr_matrix:
    """Dislikes and what was passed over [users and others, items]; the stronger counts of two.

    Only the log's users are the same rows in both; others may share a row, as nobody asks who they are.
    """
    size = max(disliked.shape[0], passed.shape[0]), disliked.shape[1]
    both = [one.copy() for one in (disliked, passed)]
    for one in both:
        one.resize(size)
    return both[0].maximum(both[1]).tocsr()


def _users(rows: pa.Table, log: Log) -> tuple[NDArray[np.int64], int]:
    """The row of each user [n]: those of the log first, then others; and how many there are."""
    names = rows["user_id"].combine_chunks().dictionary_encode()
    at = pc.index_in(names.dictionary, value_set=pa.array(log.user_ids, pa.string()))
    known = at.fill_null(-1).to_numpy().astype(np.int64)
    new = known < 0
    known[new] = len(log.user_ids) + np.arange(int(new.sum()))
    return known[names.indices.to_numpy()], len(log.user_ids) + int(new.sum())
