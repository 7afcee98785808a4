"""What shoppers would click on, before and after `fit`: `python tests/benchmarks/clicks.py [--stores DIR]`.

In the drawn shop the true chance of every click is known, which no log tells. For each seed a shop is drawn,
ingested with the offline encoders (or reopened from an earlier run) and trained on its biased log. Prints a
line for each seed, and the mean gain over the seeds with its 95% interval.

With `--impressions` the same shop is trained once more on a log without dislikes, as most shops have it, and
again after what shoppers were shown is recorded: what they clicked on, and as many other products as their
clicks tell of, in proportion to how often each was seen, on pages in no order.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import t

from ingest.demo import make_shop
from ingest.demo.dice import Dice
from ingest.demo.products import LOG_END, make_products
from ingest.demo.results import Clicks, click_rates
from ingest.demo.shop import PRODUCTS, DemoShop
from ingest.demo.shoppers import affinities, shared_days
from mmrec import Impression, Recommender

PAGE = 10  # products shown together
OFFLINE = {"text_encoder": "all-MiniLM-L6-v2", "image_encoder": "efficientnet-lite0"}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9, 10, 11])
    parser.add_argument("--stores", type=Path, default=Path("stores"), help="where the shops are, or will be")
    parser.add_argument("--impressions", action="store_true", help="record what was shown, too")
    asked = parser.parse_args()
    table = Table("seed", "among", "untrained", "trained", "oracle", "trained / untrained", "corrected by")
    gains: dict[str, list[float]] = {}
    for seed in asked.seeds:
        for clicks, exposure, what in measured(asked.stores, seed, shown_too=asked.impressions):
            for one in clicks:
                gains.setdefault(one.among + what, []).append(one.gain.mean)
                rates = (str(rate) for rate in (one.before, one.after, one.ceiling, one.gain))
                table.add_row(str(seed), one.among + what, *rates, exposure)
    console = Console(width=200)
    console.print(table)
    for among, found in gains.items():
        console.print(f"{among}: trained / untrained {over_seeds(found)} over {len(found)} seeds")


def measured(stores: Path, seed: int, *, shown_too: bool) -> Iterator[tuple[list[Clicks], str, str]]:
    """Clicks in the shop of a seed, what its log betrayed of exposure, and what was recorded beside it."""
    shown = make_shop(stores / f"demo-{seed}-pictures", seed=seed)
    with Recommender.open(stores / f"demo-{seed}.mmrec", OFFLINE) as shop:
        shop.ingest(shown.items)
        shop.record(shown.interactions)
        report = shop.fit()
        yield click_rates(shop, shown, seed=seed), report.exposure or "nothing", ""
        if shown_too:
            disliked = shop.behaviour.table.scan(["key"], "kind = 'dislike'")["key"].to_pylist()
            shop.behaviour.table.delete(disliked)
            report = shop.fit()
            yield click_rates(shop, shown, seed=seed), report.exposure or "nothing", ", no dislikes"
            shop.record(impressions(shown, seed))
            report = shop.fit()
            yield click_rates(shop, shown, seed=seed), report.exposure or "nothing", ", impressions instead"
            table = shop.behaviour.impressions.table
            table.delete(table.scan(["key"])["key"].to_pylist())


def impressions(shown: DemoShop, seed: int) -> Iterator[Impression]:
    """What shoppers were shown: what they clicked on, and as much else as their clicks tell of."""
    products = list(make_products(len(shown.items), Dice(seed, PRODUCTS)))
    clicked: dict[str, set[str]] = {}
    for act in shown.interactions:
        if act.kind != "dislike":
            clicked.setdefault(act.user_id, set()).add(act.item_id)
    rng = np.random.default_rng(seed)
    for who in shown.shoppers:
        mine, likes = clicked.get(who.user_id, set()), affinities(who, products)
        seen = np.array([one.popularity * shared_days(who, one) for one in products])
        seen *= len(mine) / max((seen * likes).sum(), 1e-9)  # so that as many clicks are expected
        passed = rng.poisson(seen * (1 - likes)) > 0
        page = [p.item_id for p, one in zip(products, passed, strict=True) if one or p.item_id in mine]
        order = rng.permutation(len(page))
        for start in range(0, len(page), PAGE):
            items = [page[n] for n in order[start : start + PAGE]]
            yield Impression(user_id=who.user_id, items=items, time=LOG_END)


def over_seeds(values: list[float]) -> str:
    """The mean with its 95% interval by Student's t."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return f"{mean:.3f}"
    reach = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5)
    return f"{mean:.3f} [{mean - reach:.3f}, {mean + reach:.3f}]"


if __name__ == "__main__":
    main()
