"""How well the demo's shoppers are served, measured against their true taste, and the page that shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.demo import DemoShop, Shopper
from ingest.demo.products import LOG_END
from mmrec.evaluate.metrics import Interval, mean_interval, ndcg_at_k, recall_at_k
from mmrec.recommender import Recommender
from mmrec.service.gallery import Bar, Chart, GalleryPage, Visitor, gallery_of

TOP = 10  # results that are measured
COLD = f"added_at > '{LOG_END.isoformat()}'"
OURS, CEILING = "mmrec", "oracle"
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


def measurable(shown: DemoShop) -> list[Shopper]:
    """The shoppers who would click on at least one cold item."""
    return [who for who in shown.shoppers if shown.held_out[who.user_id]]


def measure(
    shop: Recommender, shown: DemoShop, *, seed: int, advance: Callable[[int], None]
) -> list[Measured]:
    """Recall and ndcg of mmrec and of three other rankings of the same cold items.

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
        ours.append([r.item_id for r in shop.recommend(user=who.user_id, k=TOP, where=COLD)])
        advance(1)
    return {
        OURS: ours,
        "newest first": [newest for _ in shoppers],
        "random order": [rng.permutation(newest).tolist() for _ in shoppers],
        CEILING: [_by_taste(shown, who, newest) for who in shoppers],
    }


def _by_taste(shown: DemoShop, who: Shopper, item_ids: Sequence[str]) -> list[str]:
    """The order of somebody who knows the probability of each click: what can be reached at best."""
    return sorted(item_ids, key=lambda item_id: -shown.affinity(who, item_id))


def describe(shop: Recommender, shown: DemoShop, results: Sequence[Measured]) -> GalleryPage:
    """The page: what was measured, some visitors, some items, some searches."""
    page = gallery_of(
        shop, title="The demo shop of mmrec", visitors=_visitors(shop, shown), item_ids=_items(shown),
        queries=QUERIES, by=("content", "description", "image"), new_since=LOG_END,
    )
    people = f"{len(shown.shoppers):,}, {sum(who.new for who in shown.shoppers)} of them new"
    return page._replace(
        lead="Every product here was drawn and described by a program, every shopper has a taste, and the log"
        " of clicks follows from it. mmrec saw the catalogue and the log, not the tastes. It was not trained:"
        " what you see comes from pretrained encoders alone.",
        facts=(("products", f"{len(shown.items):,}, {len(shown.cold)} of them cold"), ("shoppers", people),
               *page.facts[1:]),
        charts=_charts(results),
        note=f"What is ranked: the {len(shown.cold)} products that came after the last click of the log. What"
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
