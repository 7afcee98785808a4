"""How well the demo's shoppers are served, measured against their true taste, and the page that shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.demo import DemoShop, Shopper
from ingest.demo.products import LOG_END
from mmrec.evaluate.exposure import ratio
from mmrec.evaluate.metrics import Interval, Values, mean_interval, ndcg_at_k, recall_at_k
from mmrec.model.towers import IdentityTowers
from mmrec.recommender import Recommender
from mmrec.service.gallery import Bar, Chart, GalleryPage, Visitor, gallery_of

TOP = 10  # results that are measured
COLD = f"added_at > '{LOG_END.isoformat()}'"
OURS, UNTRAINED, CEILING = "mmrec", "mmrec, untrained", "oracle"
EVERY, ARRIVALS = "all products", "new arrivals"
NEW, OTHERS, ITEMS = 5, 5, 8  # shown on the page: new shoppers, others, items
QUERIES = ("striped mug", "romantic floral lamp", "something warm for a cold evening")
WORDS = "romantic pink cushions and vases with flowers"


@dataclass(frozen=True, slots=True)
class Measured:
    """One way to rank the cold items, measured over one group of shoppers."""

    group: str
    ranking: str
    recall: Interval
    ndcg: Interval


@dataclass(frozen=True, slots=True)
class Clicks:
    """The true click rate of lists of ten, for all shoppers, before and after training.

    Attributes:
        among: what is recommended.
        gain: the rate after training over that before.
    """

    among: str
    before: Interval
    after: Interval
    ceiling: Interval
    gain: Interval


def measurable(shown: DemoShop) -> list[Shopper]:
    """The shoppers who would click on at least one cold item."""
    return [who for who in shown.shoppers if shown.held_out[who.user_id]]


def measure(
    shop: Recommender, shown: DemoShop, *, seed: int, advance: Callable[[int], None]
) -> list[Measured]:
    """Recall and ndcg of mmrec and of four other rankings of the same cold items.

    Args:
        seed: of the random order, and of the intervals.
        advance: called with 1 after each shopper.
    """
    shoppers = measurable(shown)
    rankings = _rankings(shop, shown, shoppers, np.random.default_rng(seed), advance)
    relevant = [shown.held_out[who.user_id] for who in shoppers]
    new = np.array([who.new for who in shoppers], np.bool_)
    groups = {f"all {len(shoppers)} shoppers": np.ones_like(new), f"the {new.sum()} new ones": new}
    return [
        Measured(
            group, name,
            *(mean_interval(metric(ranked, relevant, TOP)[members], rng=np.random.default_rng(seed))
              for metric in (recall_at_k, ndcg_at_k)),
        )
        for group, members in groups.items() if members.any()
        for name, ranked in rankings.items()
    ]


def _rankings(
    shop: Recommender, shown: DemoShop, shoppers: Sequence[Shopper], rng: np.random.Generator,
    advance: Callable[[int], None],
) -> dict[str, list[list[str]]]:
    """Cold items in order for each shopper, by the name of what ranked them."""
    newest = [item.item_id for item in reversed(shown.items) if item.item_id in shown.cold]
    ours = []
    for who in shoppers:
        ours.append(recommended(shop, who, COLD))
        advance(1)
    return {
        OURS: ours,
        UNTRAINED: untrained(shop, shoppers, COLD),
        "newest first": [newest for _ in shoppers],
        "random order": [rng.permutation(newest).tolist() for _ in shoppers],
        CEILING: [_by_taste(shown, who, newest) for who in shoppers],
    }


def _by_taste(shown: DemoShop, who: Shopper, item_ids: Sequence[str]) -> list[str]:
    """The order of somebody who knows the probability of each click: what can be reached at best."""
    return sorted(item_ids, key=lambda item_id: -shown.affinity(who, item_id))


def recommended(shop: Recommender, who: Shopper, where: str | None) -> list[str]:
    """Ten items for a shopper, as they are served."""
    return [found.item_id for found in shop.recommend(user=who.user_id, k=TOP, where=where)]


def untrained(shop: Recommender, shoppers: Sequence[Shopper], where: str | None) -> list[list[str]]:
    """Ten items for each shopper as they are served before `fit`: by the content of the history alone."""
    snapshot, towers = shop.snapshot(), IdentityTowers(shop.config.dislike_weight)
    content, allowed = snapshot.content_by(snapshot.plan), snapshot.matching(where)
    lists = []
    for who in shoppers:
        acts = shop.behaviour.history(who.user_id)
        history = snapshot.positions_of([item_id for item_id, _ in acts])
        user = towers.user(content[history], np.array([weight for _, weight in acts], np.float32))
        free = np.setdiff1d(allowed, history)
        best = free[np.argsort(-(content[free] @ user), kind="stable")[:TOP]]  # [n, c] @ [c]
        lists.append([snapshot.ids[position] for position in best])
    return lists


def click_rates(shop: Recommender, shown: DemoShop, *, seed: int) -> list[Clicks]:
    """True click rates of lists of ten, of all products and of new arrivals alone."""
    shoppers, every = shown.shoppers, [item.item_id for item in shown.items]
    arrivals = [item_id for item_id in every if item_id in shown.cold]

    def rates(lists: Sequence[Sequence[str]]) -> Values:
        """Mean probability of a click on each of a list's items [u]."""
        likes = [[shown.affinity(who, i) for i in ids] for who, ids in zip(shoppers, lists, strict=True)]
        return np.array([np.mean(one) for one in likes])

    found = []
    for among, where, ids in ((EVERY, None, every), (ARRIVALS, COLD, arrivals)):
        before = rates(untrained(shop, shoppers, where))
        after = rates([recommended(shop, who, where) for who in shoppers])
        known = [{act.item_id for act in shop.interactions(who.user_id)} for who in shoppers]
        best = rates([
            [i for i in _by_taste(shown, who, ids) if i not in seen][:TOP]
            for who, seen in zip(shoppers, known, strict=True)
        ])
        means = [mean_interval(one, rng=np.random.default_rng(seed)) for one in (before, after, best)]
        found.append(Clicks(among, means[0], means[1], means[2], ratio(after, before)))
    return found


def describe(
    shop: Recommender, shown: DemoShop, results: Sequence[Measured], clicks: Sequence[Clicks]
) -> GalleryPage:
    """The page: what was measured, some visitors, some items, some searches."""
    page = gallery_of(
        shop, title="The demo shop of mmrec", visitors=_visitors(shop, shown), item_ids=_items(shown),
        queries=QUERIES, by=("content", "description", "image"), new_since=LOG_END,
    )
    people = f"{len(shown.shoppers):,}, {sum(who.new for who in shown.shoppers)} of them new"
    return page._replace(
        lead="Every product here was drawn and described by a program, every shopper has a taste, and the log"
        " of clicks follows from it, of products that are shown often above all. mmrec saw the catalogue and"
        " the log, not the tastes: pretrained encoders read the products, and a training learned from the log"
        " what shoppers like, corrected for what they were shown.",
        facts=(("products", f"{len(shown.items):,}, {len(shown.cold)} of them cold"), ("shoppers", people),
               *page.facts[1:]),
        charts=[*_click_charts(clicks), *_charts(results)],
        note="Clicks are the probability that a shopper clicks on a product of the list when it is shown, the"
        " mean over ten products and all shoppers. Recall and ndcg: what is ranked are the"
        f" {len(shown.cold)} products that came after the last click of the log. What"
        " is right: the ones that a shopper clicks when shown each of them once. Recall is the share of"
        f" these among the first {TOP}. Whiskers and ranges are 95% bootstrap intervals over shoppers."
        " The oracle knows the real probability of each click: as clicks are left to chance, nobody can be"
        " expected to do better.",
    )


def _charts(results: Sequence[Measured]) -> list[Chart]:
    groups = dict.fromkeys(result.group for result in results)
    return [
        Chart(title=f"{metric}@{TOP} on cold products, {group}", bars=[
            _bar(result.ranking, getattr(result, metric)) for result in results if result.group == group
        ])
        for group in groups for metric in ("recall", "ndcg")
    ]


def _click_charts(clicks: Sequence[Clicks]) -> list[Chart]:
    return [
        Chart(title=f"true clicks on ten of {one.among}, trained / untrained {one.gain}", bars=[
            _bar(OURS, one.after), _bar(UNTRAINED, one.before), _bar(CEILING, one.ceiling),
        ])
        for one in clicks
    ]


def _bar(name: str, interval: Interval) -> Bar:
    return Bar(name=name, value=interval.mean, low=interval.low, high=interval.high, ours=name == OURS)


def _visitors(shop: Recommender, shown: DemoShop) -> list[Visitor]:
    """New shoppers, others, one who has only said something, and one of whom nothing is known."""
    new = [who for who in shown.shoppers if who.new and len(shop.interactions(who.user_id)) <= 3]
    others = [who for who in shown.shoppers if not who.new]
    return [
        *(_visitor(who, "a new shopper") for who in new[:NEW]),
        *(_visitor(who, "a regular") for who in others[:OTHERS]),
        Visitor(name="Somebody with words alone", taste=WORDS, about=("No click yet.",)),
        Visitor(name="Somebody unknown", about=("No click, no words.",)),
    ]


def _visitor(who: Shopper, role: str) -> Visitor:
    return Visitor(name=f"{who.user_id}, {role}", user=who.user_id, about=(f"True taste: {who.taste}",))


def _items(shown: DemoShop) -> list[str]:
    """The newest item of each of some kinds."""
    newest = {item.attributes["category"]: item.item_id for item in shown.items}
    return list(newest.values())[:ITEMS]
