"""The guard of an adaptation: old and new embeddings compared, on items that taught nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmrec.config import Config
from mmrec.encoders.base import Vectors, unit
from mmrec.evaluate.baselines import Baseline, ContentKNN, ContentRidge
from mmrec.evaluate.counting import MOST_ITEMS
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import Interval, Values, hits_of, mean_interval, recall
from mmrec.evaluate.run import rank
from mmrec.model.content import ContentPlan, Embedded, Fields
from mmrec.training.validation import kept
from mmrec.types import LABELS

K, ALIKE = 20, 10  # length of the lists, and items that are known to be alike to one
MOST_USERS, MOST_QUERIES = 2_000, 1_000
LEAST = 0.98  # of a field's search figure, that must be left


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure by the old and by the new embeddings.

    Attributes:
        name: what was asked.
        before, after: recall@20.
        difference: with its 95% interval over those who asked.
        asked: users, or items that were queries.
    """

    name: str
    before: float
    after: float
    difference: Interval
    asked: int

    @classmethod
    def of(cls, name: str, before: Values, after: Values) -> Figure:
        """From the recall of each who asked, by both."""
        rng = np.random.Generator(np.random.PCG64(0))
        return cls(
            name=name, before=float(before.mean()), after=float(after.mean()), asked=len(before),
            difference=mean_interval(after - before, rng=rng),
        )


class Sides(NamedTuple):
    """All fields of n items, by the encoder that serves and by the adapted one, which fills some of them."""

    old: Fields
    new: Fields
    adapted: Sequence[str]


def cold_recall(
    sides: Sides, config: Config, histories: csr_matrix, judge: NDArray[np.bool_], *, single: bool
) -> Figure | None:
    """How well users find those of their items that judge [n], as if new; None if nobody can be asked.

    Args:
        histories: what users chose [users, n].
        single: whether histories are of one item mostly, so that content alone ranks; else a content tower.
    """
    new = judge[histories.indices]
    seen, relevant = kept(histories, ~new), kept(histories, new)
    asked = np.flatnonzero(np.diff(seen.indptr) * np.diff(relevant.indptr))
    asked = asked[:: -(-len(asked) // MOST_USERS) or 1]
    if len(asked) < 2:
        return None
    candidates = np.unique(relevant.indices).astype(np.int32)
    setting = Setting("cold", seen[asked], relevant[asked], candidates)
    alone = single or len(np.unique(seen.indices)) > MOST_ITEMS
    found = []
    for fields in (sides.old, sides.new):
        model: Baseline = ContentKNN() if alone else ContentRidge()
        model.fit(seen, ContentPlan().fitted(fields, config).embed(fields))
        hits = hits_of(rank(model, setting, k=K), setting.relevant)
        found.append(recall(hits, np.diff(setting.relevant.indptr)))
    return Figure.of(f"cold recall@{K}", *found)


def searches(sides: Sides, config: Config, judge: NDArray[np.bool_]) -> list[Figure]:
    """How well items that judge [n] are found through each adapted field.

    By the words of another adapted field of their own; where there is none, items that are alike by all
    fields that were not adapted.
    """
    names, found = [name for name in sides.adapted if name != LABELS], []
    queries = np.flatnonzero(judge)[:MOST_QUERIES]
    for name in names:
        if len(names) > 1:
            others = [other for other in names if other != name]
            found += [_figure(f"{name} found by {one}", _own(sides.old, one, name, queries),
                              _own(sides.new, one, name, queries)) for one in others]
        else:
            alike = _alike(sides.old, names, config, queries)
            found.append(_figure(f"alike in other fields, by {name}",
                                 *(_near(fields, name, alike, queries) for fields in (sides.old, sides.new))))
    return [one for one in found if one]


def fallen(figures: Sequence[Figure]) -> list[Figure]:
    """Those that fall by more than may be, and surely fall: few queries vary by more than that."""
    return [one for one in figures if one.after < LEAST * one.before and one.difference.high < 0]


def _figure(name: str, before: Values | None, after: Values | None) -> Figure | None:
    return None if before is None or after is None or not len(before) else Figure.of(name, before, after)


def _centred(part: Embedded) -> Vectors:
    """Unit embeddings [n, e] around their mean, as content has them; zeros where absent."""
    return unit((part.values - part.values[part.present].mean(axis=0)) * part.present[:, None])


def _own(fields: Fields, asked: str, name: str, queries: NDArray[np.intp]) -> Values | None:
    """Whether each query's own item is among the first 20 by one field for its words in another [q]."""
    one, other = fields.embeddings[asked], fields.embeddings[name]
    queries = queries[one.present[queries] & other.present[queries]]
    if not len(queries):
        return None
    scores = _centred(one)[queries] @ _centred(other).T  # [q, e] @ [e, n]
    own = scores[np.arange(len(queries)), queries]
    return np.asarray((scores > own[:, None]).sum(axis=1) < K, np.float64)


def _alike(
    fields: Fields, without: Sequence[str], config: Config, queries: NDArray[np.intp]
) -> NDArray[np.intp] | None:
    """The 10 items [q, 10] most alike to each query by all other fields; None if there is no other."""
    embeddings: Mapping[str, Embedded] = {
        name: part for name, part in fields.embeddings.items() if name not in without
    }
    others = replace(fields, embeddings=embeddings)
    plan = ContentPlan().fitted(others, config)
    return _first(plan.embed(others), queries, ALIKE) if plan.dim and fields.n > K else None


def _near(
    fields: Fields, name: str, alike: NDArray[np.intp] | None, queries: NDArray[np.intp]
) -> Values | None:
    """Share of what is alike to each query that is among the 20 nearest by a field [q]."""
    part = fields.embeddings[name]
    if alike is None:
        return None
    good = part.present[queries]
    near = _first(_centred(part), queries, K)
    shares = [np.isin(one, other).mean() for one, other in zip(alike[good], near[good], strict=True)]
    return np.asarray(shares, np.float64)


def _first(x: Vectors, queries: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    """The k rows of x [n, c] nearest to each query [q, k], but for itself."""
    scores = x[queries] @ x.T  # [q, c] @ [c, n]
    scores[np.arange(len(queries)), queries] = -np.inf
    return np.argpartition(-scores, k, axis=1)[:, :k]
