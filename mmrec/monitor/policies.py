"""Policies that the log can judge, and the part of the log that they are judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.errors import DataError
from mmrec.monitor.figures import Mask
from mmrec.monitor.offpolicy import ROUNDING, Codes, Estimate, Logged, Values, estimate

# Rows of `judged` [n] -> the chance that the policy shows each row's item in its slot, given those above [n].
Policy = Callable[[pa.Table], Values]
ROUTE = "recommend"  # whose answers policies are judged by
COLUMNS = ("request_id", "time", "user", "explore", "slot", "item_id", "propensity", "reward")


def judged(shown: pa.Table, hit: Mask) -> pa.Table:
    """The answers of `recommend` among rows of `IMPRESSIONS` whose slots all have a propensity.

    Args:
        hit: which rows were clicked: their reward is 1.
    """
    shown = shown.append_column("reward", pa.array(hit.astype(np.float64)))
    shown = shown.filter(pc.and_(pc.equal(shown["route"], ROUTE), pc.is_valid(shown["item_id"])))
    unknown = shown.filter(pc.is_null(shown["propensity"]))["request_id"].combine_chunks()
    return shown.filter(pc.invert(pc.is_in(shown["request_id"], unknown))).select(COLUMNS)


def logged_of(rows: pa.Table) -> Logged:
    """Rows of `judged` as a log; of an unknown user nothing ties one answer to the next."""
    request, user = rows["request_id"], pc.binary_join_element_wise("user", rows["user"], " ")
    return Logged(
        rows["reward"].to_numpy(), rows["propensity"].to_numpy(), _codes(request),
        rows["slot"].to_numpy().astype(np.intp), _codes(pc.coalesce(user, request)),
    )


def estimates(parts: Sequence[pa.Table], policies: Mapping[str, Policy]) -> tuple[Estimate, ...]:
    """Of each policy, by rows of `judged`; none if there are no rows.

    Raises:
        DataError: a policy does not fit the log.
    """
    if not sum(part.num_rows for part in parts):
        return ()
    rows = pa.concat_tables(parts)
    logged = logged_of(rows)
    return tuple(estimate(name, logged, policy(rows)) for name, policy in policies.items())


def with_share(share: float) -> Policy:
    """The policy that gives another share of the slots to new items, all else as it was logged.

    The log alone suffices. A slot shows its item with chance s w + (1 - s) b: w is the item's chance among
    the new ones, b is 1 for the best of the ranking and 0 for others. With a share s below one half the
    ranking's best has a chance of at least 1 - s, and others of at most s; so b and w follow.
    A page whose ranking had run out of items is taken for one that had not.

    Raises:
        DataError: the share is not from 0 to 1; and from the policy, if a logged one is one half or more.
    """
    if not 0 <= share <= 1:
        raise DataError(f"share must lie in [0, 1], got {share!r}", field="share")

    def policy(rows: pa.Table) -> Values:
        s = rows["explore"].fill_null(0.0).to_numpy()
        if (s >= 0.5).any():
            raise DataError("a logged share of one half or more does not tell what was ranked: filter it out")
        p = rows["propensity"].to_numpy()
        best = p >= 1 - s - ROUNDING
        drawn = np.divide(p - (1 - s) * best, s, out=np.zeros_like(p), where=s > 0).clip(0, 1)
        return (share * drawn + (1 - share) * best).clip(0, 1)

    return policy


def _codes(names: pa.ChunkedArray) -> Codes:
    return names.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.intp)
