"""Who is shown and who is served well: groups of items, groups of users, and what more exposure costs.

Groups of items are the cold ones, the tail, and the values of attributes; those of users are thirds by the
length of their history, as a log knows nothing else of them. All figures are of lists of 20, with 95%
intervals over users: bootstrap, and jackknife for coverage and Gini (`mmrec.evaluate.run`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.evaluate.counting import Baseline
from mmrec.evaluate.frontier import K, Price, frontier
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import (
    Counts,
    Interval,
    Values,
    hits_of,
    mean_interval,
    ratio_interval,
    resampled,
    share_of,
)
from mmrec.evaluate.run import NOBODY, TOTALS, Result, exposure_interval
from mmrec.ranking.groups import tail_of
from mmrec.ranking.request import COLD, TAIL

MOST = 50  # values of an attribute that are told apart, those of most items
THIRDS = ("few", "some", "many")  # interactions in a user's history
ITEM_HEADINGS = ("items", "number", "share of the slots", "x even", "coverage", "gini", "recall", "to find")
USER_HEADINGS = ("users with", "number", "history", "ndcg", "recall", "ndcg less that of the others")
PRICE_HEADINGS = ("group", "asked", "share of the slots", "ndcg", "its change")
Masks = Mapping[str, NDArray[np.bool_]]  # which items [items] are in a group, by its name


class ItemGroup(NamedTuple):
    """Some candidates: the share of the slots that they get, and how well they are found.

    Attributes:
        even: their share over that of candidates; 1 if they are shown as often as others.
        coverage, gini: of the group's candidates; see `mmrec.evaluate.metrics`.
        recall: of the pairs of a user and a relevant item of the group; None if there is none.
        pairs: number of these.
    """

    name: str
    items: int
    exposure: Interval
    even: float
    coverage: Interval
    gini: Interval
    recall: Interval | None
    pairs: int


class UserGroup(NamedTuple):
    """Users whose histories have so many items, and how good their lists are.

    Attributes:
        history: least and most items.
        behind: ndcg less the mean of all other users; None if there are none.
    """

    name: str
    users: int
    history: tuple[int, int]
    ndcg: Interval
    recall: Interval
    behind: Interval | None


@dataclass(frozen=True, slots=True)
class Fairness:
    """One model in one setting, by groups."""

    items: Sequence[ItemGroup]
    users: Sequence[UserGroup]
    prices: Sequence[Price]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; intervals are mean, low and high."""
        return {
            name: [{key: list(astuple(v)) if isinstance(v, Interval) else v
                    for key, v in row._asdict().items()} for row in rows]
            for name, rows in (("items", self.items), ("users", self.users), ("prices", self.prices))
        }


def masks_of(popularity: Counts, attributes: Mapping[str, Sequence[Any]]) -> Masks:
    """Cold items, the tail, and the values of attributes.

    Args:
        popularity: training interactions of each item [items].
        attributes: of each item [items], by name; a list counts for each of its values.
    """
    masks = {COLD: popularity == 0, TAIL: tail_of(popularity.astype(np.float64))}
    for name, values in attributes.items():
        groups: dict[Any, list[int]] = {}
        for position, value in enumerate(values):
            for label in value if isinstance(value, list) else [] if value is None else [value]:
                groups.setdefault(label, []).append(position)
        for label, positions in sorted(groups.items(), key=lambda one: -len(one[1]))[:MOST]:
            masks[f"{name} {label}"] = np.isin(np.arange(len(popularity)), positions)
    return masks


def fairness(
    model: Baseline, result: Result, setting: Setting, validation: Setting, masks: Masks, *,
    rng: np.random.Generator,
) -> Fairness:
    """A fitted model by groups, of its result in a setting.

    Args:
        validation: the setting of the same name, whose users prices are learned from.
    """
    shown = {name: mask for name, mask in masks.items() if mask[setting.candidates].any()}
    items = [_item_group(name, mask, result, setting, rng) for name, mask in shown.items()]
    prices = [
        price for name in (COLD, TAIL) if name in shown
        for price in frontier(model, setting, validation, name, shown[name], rng=rng)
    ]
    return Fairness(items, user_groups(result, setting, rng=rng), prices)


def _item_group(
    name: str, mask: NDArray[np.bool_], result: Result, setting: Setting, rng: np.random.Generator
) -> ItemGroup:
    top, inside = result.top[:, :K], setting.candidates[mask[setting.candidates]]
    theirs = np.where(mask[top] & (top >= 0), top, NOBODY)  # [u, k]
    exposure = mean_interval(share_of(mask, top), rng=rng)
    coverage, gini = (exposure_interval(one, theirs, inside, rng=rng) for one in TOTALS.values())
    hits = (hits_of(top, setting.relevant) & (theirs >= 0)).sum(axis=1)  # [u]
    pairs = np.asarray((setting.relevant[:, mask] != 0).sum(axis=1)).ravel()  # [u]
    recall = ratio_interval(hits, pairs, rng) if pairs.any() else None
    even = exposure.mean * len(setting.candidates) / len(inside)
    return ItemGroup(name, len(inside), exposure, even, coverage, gini, recall, int(pairs.sum()))


def user_groups(result: Result, setting: Setting, *, rng: np.random.Generator) -> list[UserGroup]:
    """Thirds of the users by the length of their history; equal lengths stay together."""
    lengths = np.diff(setting.histories.indptr)  # [u]
    third = np.searchsorted(np.quantile(lengths, [1 / 3, 2 / 3]), lengths)  # [u]
    ndcg, recall = result.values[f"ndcg@{K}"], result.values[f"recall@{K}"]
    found = []
    for number in np.unique(third).tolist():
        inside = third == number
        found.append(UserGroup(
            THIRDS[number], int(inside.sum()), (int(lengths[inside].min()), int(lengths[inside].max())),
            mean_interval(ndcg[inside], rng=rng), mean_interval(recall[inside], rng=rng),
            None if inside.all() else _behind(ndcg, inside, rng),
        ))
    return found


def group_tables(judged: Mapping[str, Fairness]) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """Title, headings and rows of the tables of some models, by name; none if there are none."""
    if not judged:
        return []
    found: dict[tuple[str, Sequence[str]], list[list[str]]] = {}
    for model, one in judged.items():
        for title, headings, rows in (
            ("Groups of items", ITEM_HEADINGS, map(item_cells, one.items)),
            ("Groups of users", USER_HEADINGS, map(user_cells, one.users)),
            ("What more exposure costs", PRICE_HEADINGS, map(price_cells, one.prices)),
        ):
            found.setdefault((title, ("model", *headings)), []).extend([model, *row] for row in rows)
    return [(title, headings, rows) for (title, headings), rows in found.items()]


def item_cells(one: ItemGroup) -> list[str]:
    """A row under `ITEM_HEADINGS`."""
    return [one.name, f"{one.items:,}", str(one.exposure), f"{one.even:.2f}", str(one.coverage),
            str(one.gini), str(one.recall or "-"), f"{one.pairs:,}"]


def user_cells(one: UserGroup) -> list[str]:
    """A row under `USER_HEADINGS`."""
    return [f"{one.name} interactions", f"{one.users:,}", "-".join(map(str, one.history)), str(one.ndcg),
            str(one.recall), str(one.behind or "-")]


def price_cells(one: Price) -> list[str]:
    """A row under `PRICE_HEADINGS`."""
    change = "{:+.1%} [{:+.1%}, {:+.1%}]".format(*astuple(one.change)) if one.asked else "as ranked"
    return [one.group, f"{one.asked:.3f}" if one.asked else "-", str(one.exposure), str(one.ndcg), change]


def _behind(values: Values, inside: NDArray[np.bool_], rng: np.random.Generator) -> Interval:
    """Mean of some users less that of the others; each are resampled by themselves."""
    means = [
        resampled(values[mask][:, None], rng)[:, 0] / np.count_nonzero(mask) for mask in (inside, ~inside)
    ]
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    return Interval(float(values[inside].mean() - values[~inside].mean()), float(low), float(high))
