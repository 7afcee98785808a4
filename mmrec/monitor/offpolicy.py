"""Policies that the log can judge, and the part of the log that they are judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from mmrec.errors import DataError
from mmrec.evaluate.metrics import Interval
from mmrec.monitor.figures import Mask

Values = NDArray[np.float64]
Codes = NDArray[np.intp]

FEW = 100  # effective number of shoppers below which an estimate is to be doubted
FEW_CLICKS = 30
Z = 1.96  # of a 95% interval
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Logged:
    """Slots of pages that were shown, [n] each.

    Attributes:
        reward: 1 where the item was clicked, or another worth, not below 0.
        propensity: chance that the slot showed its item, given the slots above; above 0.
        page: number of the answer.
        slot: place on the page, from 0.
        shopper: number of whoever saw it, from 0 without gaps; what one shopper does is not independent.

    Raises:
        DataError: lengths differ, or a value is out of range.
    """

    reward: Values
    propensity: Values
    page: Codes
    slot: Codes
    shopper: Codes

    def __post_init__(self) -> None:
        parts = (self.reward, self.propensity, self.page, self.slot, self.shopper)
        if len({len(part) for part in parts}) != 1 or not len(self.reward):
            raise DataError(
                f"a log needs at least one slot, and as many of each part: got {[len(p) for p in parts]}"
            )
        if not (np.isfinite(self.reward).all() and (self.reward >= 0).all()):
            raise DataError("rewards must be finite and not below 0", field="reward")
        if not ((self.propensity > 0) & (self.propensity <= 1 + ROUNDING)).all():
            raise DataError("propensities must be above 0, and 1 at most", field="propensity")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a policy would have got for each item shown, with 95% intervals.

    Attributes:
        policy: its name.
        logged: what was got by the policy that served.
        ips: unbiased if the propensities are right and nothing that the policy shows was impossible.
        snips: the same divided by the mean weight: a little biased, mostly more precise.
        mean_weight: is 1 but for chance if those two conditions hold.
        effective: number of shoppers that would tell as much without weights (Kish).
        warnings: why the estimate is to be doubted, if it is.
    """

    policy: str
    logged: Interval
    ips: Interval
    snips: Interval
    mean_weight: Interval
    effective: float
    warnings: tuple[str, ...]


def estimate(policy: str, logged: Logged, target: ArrayLike) -> Estimate:
    """IPS and SNIPS estimates of a policy.

    Args:
        policy: its name.
        target: chance that the policy shows the logged item in the slot, given the items above [n].

    Source: Horvitz & Thompson 1952 (IPS); Swaminathan & Joachims 2015, The self-normalized estimator for
    counterfactual learning, eq. 7 (SNIPS); Owen 2013, Monte Carlo theory, methods and examples, chapter 9
    (intervals by the delta method, effective size), here with sums over shoppers in place of single draws.

    Raises:
        DataError: there is not one chance from 0 to 1 for each slot.
    """
    chances = np.asarray(target, np.float64)
    fits = chances.shape == logged.reward.shape
    if not fits or not ((chances >= 0) & (chances <= 1 + ROUNDING)).all():
        raise DataError("a policy must give one chance from 0 to 1 for each slot", field="target")
    weight = page_weights(chances / logged.propensity, logged.page, logged.slot)
    one = np.ones_like(weight)
    parts = (one, weight * logged.reward, weight, logged.reward)
    total, gained, weights, plain = (_sums(part, logged.shopper) for part in parts)  # [shoppers] each
    mean_weight = _ratio(weights, total)
    scaled = weights / (weights.max() or 1.0)  # whose squares cannot vanish
    effective = float(scaled.sum() ** 2 / (np.square(scaled).sum() or 1.0))
    return Estimate(
        policy, logged=_ratio(plain, total, 0.0), ips=_ratio(gained, total, 0.0),
        snips=_ratio(gained, weights, 0.0), mean_weight=mean_weight, effective=effective,
        warnings=_warnings(mean_weight, effective, int(np.count_nonzero(weight * logged.reward))),
    )


def page_weights(ratio: Values, page: Codes, slot: Codes) -> Values:
    """Weight of each slot [n]: the product of the ratios of its page from the first slot to this one [n].

    A slot is only as likely as all that is above it, and the chances are given what is above.

    Source: Precup, Sutton & Singh 2000, Eligibility traces for off-policy policy evaluation (per-decision
    importance sampling), with a slot as a decision.
    """
    weight, so_far = np.empty_like(ratio), np.ones(page.max(initial=0) + 1)
    order = np.argsort(slot, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(slot[order])) + 1):  # one slot of all pages
        so_far[page[rows]] *= ratio[rows]
        weight[rows] = so_far[page[rows]]
    return weight


def _sums(values: Values, shopper: Codes) -> Values:
    """Sum over each shopper's slots, [shoppers]."""
    return np.bincount(shopper, values).astype(np.float64)


def _ratio(above: Values, below: Values, least: float = -np.inf) -> Interval:
    """Ratio of the sums of two values [shoppers], with a 95% interval by the delta method.

    Source: Cochran 1977, Sampling Techniques, eq. 6.13.
    """
    n, whole = len(above), below.sum()
    if not whole:
        return Interval(0.0, 0.0, 0.0)
    ratio = float(above.sum() / whole)
    scatter = np.square(above - ratio * below).sum() * n / max(1, n - 1)
    reach = Z * float(np.sqrt(scatter) / whole)
    return Interval(ratio, max(least, ratio - reach), ratio + reach)


def _warnings(mean_weight: Interval, effective: float, clicks: int) -> tuple[str, ...]:
    """What speaks against an estimate; a mean weight may miss 1 by three standard errors."""
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
