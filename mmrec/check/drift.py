"""Drift: how newer items differ from older ones, in their content and attribute by attribute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmrec.check.findings import Finding, Row, found
from mmrec.encoders.base import Vectors
from mmrec.errors import DataError, StoreMismatch
from mmrec.evaluate.metrics import Values
from mmrec.model.content import ContentPlan, is_number
from mmrec.search.snapshot import Snapshot
from mmrec.store import schema

ALPHA = 0.01  # largest p-value that counts as drift: one false alarm in a hundred tests
FEWEST = 30  # items that each side needs for a test
MOST = 500  # items drawn from each side, which bounds the kernel to 1,000 x 1,000
PERMUTATIONS = 499  # the smallest p-value is 1 / 500
COMPONENTS, BINS = 5, 10  # of the PSI
LARGE = 0.25  # a PSI that means something
ARRIVING = timedelta(days=7)  # over which items came at least, if there are older and newer ones
FILLED, UNSEEN, MOVED = 0.2, 0.5, 0.5  # changes of an attribute that are told: shares, and a PSI
GROUPS = 200  # different values of an attribute, beyond which they are no groups
Mask = NDArray[np.bool_]
Side = tuple[Snapshot, Mask]  # some of the items of a catalogue


@dataclass(frozen=True, slots=True)
class Drift:
    """How new items differ from the others.

    Attributes:
        mmd: squared maximum mean discrepancy, unbiased; around 0 if there is no difference.
        p: probability of a discrepancy at least as large if there is no difference.
        psi: population stability index, the largest along the first principal components. As a rule of
            thumb, below .1 little has changed, above .25 much; few items make it larger.
        incoming: number of new items compared.
        reference: number of items that they were compared with.
    """

    mmd: float
    p: float
    psi: float
    incoming: int
    reference: int

    @property
    def alarm(self) -> bool:
        """Whether the difference is significant: p <= .01. The PSI tells whether it is large."""
        return self.p <= ALPHA


def drift(reference: Vectors, incoming: Vectors, *, rng: np.random.Generator) -> Drift | None:
    """Compares incoming embeddings [n, d] with those of the catalogue [m, d]; None if there are too few.

    At most 500 of each are drawn, so the cost does not grow with the catalogue (about .2 s).

    Raises:
        DataError: an embedding is not finite.
    """
    if min(len(reference), len(incoming)) < FEWEST:
        return None
    x, y = (side[rng.permutation(len(side))[:MOST]].astype(np.float64) for side in (incoming, reference))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("an embedding is not finite: run `mmrec doctor` on the store")
    mmd, p = mmd_test(x, y, rng=rng)
    return Drift(mmd, p, psi(y, x), len(x), len(y))


def mmd_test(x: Values, y: Values, *, rng: np.random.Generator) -> tuple[float, float]:
    """Unbiased squared MMD of x [n, d] and y [m, d] with a Gaussian kernel, and its permutation p-value.

    The kernel's width is the median distance of all pairs. The p-value is exact for any distribution.

    Source: Gretton et al. 2012, A kernel two-sample test, eq. 3 and section 8 (median heuristic); Phipson &
    Smyth 2010, Permutation p-values should never be zero (the ones added).
    """
    from scipy.spatial.distance import pdist, squareform

    z, n, size = np.concatenate([x, y]), len(x), len(x) + len(y)
    distances = pdist(z, "sqeuclidean")  # of all pairs
    kernel = squareform(np.exp(-distances / (2 * (np.median(distances) or 1.0))))  # [size, size], diagonal 0
    sides = np.zeros((1 + PERMUTATIONS, size))
    sides[0, :n] = 1
    for row in sides[1:]:
        row[rng.permutation(size)[:n]] = 1
    values = _mmd(kernel, sides, n, len(y))
    # equal up to rounding counts as larger, as when all embeddings are the same
    larger = int(np.count_nonzero(values[1:] >= values[0] - 1e-12))
    return float(values[0]), (1 + larger) / (1 + PERMUTATIONS)


def psi(reference: Values, incoming: Values) -> float:
    """Largest population stability index along the first principal components of the reference [m, d].

    Bins hold equal shares of the reference; half an item is added to each, so that no bin is empty.

    Source: Siddiqi 2006, Credit Risk Scorecards, chapter 9: sum of (q - p) ln(q / p) over bins, p of the
    reference and q of the incoming.
    """
    centre = reference.mean(axis=0)
    _, _, axes = np.linalg.svd(reference - centre, full_matrices=False)  # [r, d]
    axes = axes[:COMPONENTS].T  # [c, d] -> [d, c]
    old, new = (reference - centre) @ axes, (incoming - centre) @ axes  # [m, d] @ [d, c], [n, d] @ [d, c]
    return max(_psi(old[:, c], new[:, c]) for c in range(axes.shape[1]))


def _psi(old: Values, new: Values) -> float:
    edges = np.quantile(old, np.arange(1, BINS) / BINS)
    p, q = (
        (np.bincount(np.searchsorted(edges, values), minlength=BINS) + 0.5) / (len(values) + 0.5 * BINS)
        for values in (old, new)
    )
    return float(((q - p) * np.log(q / p)).sum())


def _mmd(kernel: Values, sides: Values, n: int, m: int) -> Values:
    """Squared MMD of each division [divisions, s] into n ones and m zeros."""
    sums = sides @ kernel  # [divisions, s] @ [s, s]
    within = (sums * sides).sum(axis=1)  # pairs of ones [divisions]
    across = sums.sum(axis=1) - within
    rest = kernel.sum() - within - 2 * across
    return within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * across / (n * m)


def check_drift(snapshot: Snapshot, against: Snapshot | None = None) -> Iterator[Finding]:
    """How the newer half of a catalogue differs from the older one, or all of it from another.

    Raises:
        StoreMismatch: the other catalogue was embedded by other encoders.
    """
    n, added = len(snapshot), snapshot.facts["added_at"].cast("int64").to_numpy()
    if against is not None:
        ours, theirs = (
            {name: record["fingerprint"] for name, record in one.catalogue.store.facts["encoders"].items()}
            for one in (snapshot, against)
        )
        if ours != theirs:
            raise StoreMismatch("the stores were made with different encoders: compare two of the same")
        yield from _compared((against, np.ones(len(against), np.bool_)), (snapshot, np.ones(n, np.bool_)))
    elif n and np.ptp(added) > ARRIVING.total_seconds() * 1e6:
        new = added > np.median(added)
        yield from _compared((snapshot, ~new), (snapshot, new))


def _compared(old: Side, new: Side) -> Iterator[Finding]:
    """The findings on two sides."""
    (snapshot, newer), rng = new, np.random.default_rng(0)
    if snapshot.plan.dim:
        one = drift(*(contents(*side, snapshot.plan, rng) for side in (old, new)), rng=rng)
        if one and one.alarm and one.psi > LARGE:
            sizes = f"{one.incoming} items against {one.reference}"
            said = f"MMD² {one.mmd:.4f}, p {one.p:.3f}, PSI {one.psi:.2f}: {sizes}"
            yield from found("drift", [Row((), said)], len(newer), int(newer.sum()))
    names = [name for name in snapshot.attributes if name in old[0].attributes]
    rows = []
    for name in names:
        before, now = (side[0].facts[name].filter(side[1]).to_pylist() for side in (old, new))
        if change := changed(before, now):
            rows.append(Row((name,), change))
    yield from found("attribute-drift", rows, len(names))


def contents(snapshot: Snapshot, wanted: Mask, plan: ContentPlan, rng: np.random.Generator) -> Vectors:
    """Content [n, c] of some of the wanted items, without those that have none; reads these rows alone."""
    places = rng.permutation(np.flatnonzero(wanted))[:MOST]
    columns = schema.field_columns(snapshot.table.schema)
    x = plan.embed(schema.fields_of(snapshot.table.read([snapshot.ids[p] for p in places], columns)))
    return x[x.any(axis=1)]


def changed(before: list[Any], now: list[Any]) -> str:
    """How values of newer items differ from those of older ones, None where absent; empty if hardly."""
    if min(len(before), len(now)) < FEWEST:
        return ""
    old, new = ([value for value in side if value is not None] for side in (before, now))
    was, has = len(old) / len(before), len(new) / len(now)
    if abs(has - was) > FILLED:
        return f"{was:.0%} had one, {has:.0%} have"
    if min(len(old), len(new)) < FEWEST:
        return ""
    if isinstance(old[0], int | float) and is_number(old[0]):
        x, y = (np.array(side, np.float64)[:, None] for side in (old, new))
        index = psi(x, y)
        return f"median {np.median(x):g}, now {np.median(y):g} (PSI {index:.2f})" if index > MOVED else ""
    if not isinstance(old[0], str | list):
        return ""  # dates, which are later where items are newer
    known = {label for value in old for label in _labels(value)}
    unseen = float(np.mean([known.isdisjoint(_labels(value)) for value in new]))
    return f"{unseen:.0%} have a value that was not there" if unseen > UNSEEN and len(known) < GROUPS else ""


def _labels(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
