"""What shoppers would click on, before and after `fit`: `python tests/benchmarks/clicks.py [--stores DIR]`.

In the drawn shop the true chance of every click is known, which no log tells. For each seed a shop is drawn,
ingested with the offline encoders (or reopened from an earlier run) and trained on its biased log. Prints a
line for each seed, and the mean gain over the seeds with its 95% interval.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import t

from ingest.demo import make_shop
from ingest.demo.results import Clicks, click_rates
from mmrec import Recommender

OFFLINE = {"text_encoder": "all-MiniLM-L6-v2", "image_encoder": "efficientnet-lite0"}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9, 10, 11])
    parser.add_argument("--stores", type=Path, default=Path("stores"), help="where the shops are, or will be")
    asked = parser.parse_args()
    table = Table("seed", "among", "untrained", "trained", "oracle", "trained / untrained", "corrected by")
    gains: dict[str, list[float]] = {}
    for seed in asked.seeds:
        clicks, exposure = measured(asked.stores, seed)
        for one in clicks:
            gains.setdefault(one.among, []).append(one.gain.mean)
            rates = (str(rate) for rate in (one.before, one.after, one.ceiling, one.gain))
            table.add_row(str(seed), one.among, *rates, exposure)
    console = Console(width=200)
    console.print(table)
    for among, found in gains.items():
        console.print(f"{among}: trained / untrained {over_seeds(found)} over {len(found)} seeds")


def measured(stores: Path, seed: int) -> tuple[list[Clicks], str]:
    """Clicks in the shop of a seed, and what its log betrayed of exposure."""
    shown = make_shop(stores / f"demo-{seed}-pictures", seed=seed)
    with Recommender.open(stores / f"demo-{seed}.mmrec", OFFLINE) as shop:
        shop.ingest(shown.items)
        shop.record(shown.interactions)
        report = shop.fit()
        return click_rates(shop, shown, seed=seed), report.exposure or "nothing"


def over_seeds(values: list[float]) -> str:
    """The mean with its 95% interval by Student's t."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return f"{mean:.3f}"
    reach = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5)
    return f"{mean:.3f} [{mean - reach:.3f}, {mean + reach:.3f}]"


if __name__ == "__main__":
    main()
