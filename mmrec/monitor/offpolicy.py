"""Off-policy estimates: the click-through that another policy would have had, from the log alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from mmrec.errors import DataError
from mmrec.evaluate.exposure import Z, effective_size, ratio
from mmrec.evaluate.metrics import Interval, Values
from mmrec.monitor.figures import Mask

Codes = NDArray[np.intp]
# Rows of `judged` [n] -> probability that the policy shows the row's item in its slot, given those above [n].
Policy = Callable[[pa.Table], Values]

COLUMNS = ("request_id", "time", "user", "explore", "slot", "item_id", "propensity", "reward")
FEW = 100  # effective number of users below which an estimate has a warning
FEW_CLICKS = 30
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Logged:
    """Slots of pages that were shown, [n] each.

    Attributes:
        reward: 1 where the item was clicked, or another value from 0 up.
        propensity: probability that the slot showed its item, given the slots above; above 0.
        page: number of the answer.
        slot: position on the page, from 0.
        user: number of the user who saw it, from 0 without gaps; one user's clicks are not independent.
    """

    reward: Values
    propensity: Values
    page: Codes
    slot: Codes
    user: Codes


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean reward of each item shown, had a policy served, with 95% intervals.

    Attributes:
        policy: its name.
        logged: mean reward of the policy that served.
        ips: by inverse propensity scoring. Unbiased if the propensities are right and the policy shows only
            what the one that served could have shown.
        snips: self-normalized, that is divided by the mean weight: slightly biased, mostly more precise.
        mean_weight: 1 up to chance if those two conditions hold.
        effective: effective sample size in users (Kish): as many without weights would tell as much.
        warnings: reasons to doubt the estimate.
    """

    policy: str
    logged: Interval
    ips: Interval
    snips: Interval
    mean_weight: Interval
    effective: float
    warnings: tuple[str, ...]


def estimates(parts: Sequence[pa.Table], policies: Mapping[str, Policy]) -> tuple[Estimate, ...]:
    """Estimates of policies by name, from rows of `judged`; none if there are no rows."""
    if not sum(part.num_rows for part in parts):
        return ()
    rows = pa.concat_tables(parts)
    logged = _logged(rows)
    return tuple(estimate(name, logged, policy(rows)) for name, policy in policies.items())


def estimate(policy: str, logged: Logged, target: ArrayLike) -> Estimate:
    """IPS and SNIPS estimates of a policy.

    Args:
        target: probability that the policy shows the logged item in the slot, given the items above [n].

    Source: Horvitz & Thompson 1952 (IPS); Swaminathan & Joachims 2015, The self-normalized estimator for
    counterfactual learning, eq. 7 (SNIPS); Owen 2013, Monte Carlo theory, methods and examples, chapter 9
    (intervals by the delta method, effective size), here with sums over users in place of single draws.
    """
    weight = page_weights(np.asarray(target) / logged.propensity, logged.page, logged.slot)
    parts = (np.ones_like(weight), weight * logged.reward, weight, logged.reward)
    sums: list[Values] = [np.bincount(logged.user, part).astype(np.float64) for part in parts]
    total, gained, weights, plain = sums  # [users] each
    mean_weight = ratio(weights, total)
    effective = effective_size(weights)
    return Estimate(
        policy, logged=ratio(plain, total, 0.0), ips=ratio(gained, total, 0.0),
        snips=ratio(gained, weights, 0.0), mean_weight=mean_weight, effective=effective,
        warnings=_warnings(mean_weight, effective, int(np.count_nonzero(weight * logged.reward))),
    )


def page_weights(ratio: Values, page: Codes, slot: Codes) -> Values:
    """Weight of each slot [n]: the product of the ratios of its page from the first slot to this one [n].

    The probability of a slot's item is given the items above, so those count as well.

    Source: Precup, Sutton & Singh 2000, Eligibility traces for off-policy policy evaluation (per-decision
    importance sampling), with a slot as a decision.
    """
    weight, so_far = np.empty_like(ratio), np.ones(page.max(initial=0) + 1)
    order = np.argsort(slot, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(slot[order])) + 1):  # one slot of all pages
        so_far[page[rows]] *= ratio[rows]
        weight[rows] = so_far[page[rows]]
    return weight


def judged(shown: pa.Table, hit: Mask) -> pa.Table:
    """Rows of `IMPRESSIONS` [n] of answers of `recommend` whose slots all have a propensity.

    Their reward is 1 where they were clicked (`hit` [n]), else 0.
    """
    shown = shown.append_column("reward", pa.array(hit.astype(np.float64)))
    shown = shown.filter(pc.and_(pc.equal(shown["route"], "recommend"), pc.is_valid(shown["item_id"])))
    unknown = shown.filter(pc.is_null(shown["propensity"]))["request_id"].combine_chunks()
    return shown.filter(pc.invert(pc.is_in(shown["request_id"], unknown))).select(COLUMNS)


def with_share(share: float) -> Policy:
    """The policy that gives another share of the slots to new items, and is otherwise the logged one.

    It needs the log alone. A slot shows its item with probability s w + (1 - s) b: s is the share, w is the
    item's probability among the new ones, b is 1 for the best of the ranking and 0 for others. With s below
    one half, the ranking's best has a probability of at least 1 - s, and others of at most s; so b and w
    follow. A page that had used up its ranking is treated as one that had not.

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


def _logged(rows: pa.Table) -> Logged:
    """Rows of `judged` as a log; each answer to an unknown user counts as a user of its own."""
    request, user = rows["request_id"], pc.binary_join_element_wise("user", rows["user"], " ")
    return Logged(
        rows["reward"].to_numpy(), rows["propensity"].to_numpy(), _codes(request),
        rows["slot"].to_numpy().astype(np.intp), _codes(pc.coalesce(user, request)),
    )


def _codes(names: pa.ChunkedArray) -> Codes:
    return names.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.intp)


def _warnings(mean_weight: Interval, effective: float, clicks: int) -> tuple[str, ...]:
    """Reasons to doubt an estimate; the mean weight may differ from 1 by three standard errors."""
    miss, error = abs(mean_weight.mean - 1), (mean_weight.high - mean_weight.mean) / Z
    found = []
    if effective < FEW:
        found.append(
            f"only as telling as {effective:.0f} shoppers ({FEW} should be): log for longer, explore more, or"
            " ask for a policy nearer to the one that served"
        )
    if clicks < FEW_CLICKS:
        found.append(f"rests on {clicks} clicks ({FEW_CLICKS} should be): the interval may be too short")
    if miss > 3 * error + ROUNDING:
        found.append(
            f"the mean weight is {mean_weight.mean:.3f} and should be 1: propensities are wrong, or the"
            " policy shows what was never shown by chance"
        )
    return tuple(found)
