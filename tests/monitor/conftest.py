"""Shoppers of the demo shop whose true click rates are known, and pages that explore."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

from ingest.demo import DemoShop, make_shop
from mmrec.monitor.offpolicy import Logged
from mmrec.ranking.exploration import NextSlot, Pool, explore
from mmrec.ranking.request import Exploration

SERVED = Exploration(share=0.2, temperature=0.5)
PAGE = 3  # slots


@dataclass(frozen=True)
class World:
    """Shoppers, what is ranked for each, and what each really clicks.

    Attributes:
        rates: true click rate of each shopper and item [u, items].
        rankings: positions of warm items, best first, as a recommender that errs would have them [u, r].
        new: positions of cold items [p].
    """

    shown: DemoShop
    item_ids: Sequence[str]
    rates: np.ndarray
    rankings: np.ndarray
    new: np.ndarray

    @cached_property
    def pools(self) -> list[Pool]:
        """Of each shopper: the new items, as likely as a recommender that errs would have them."""
        rng = np.random.default_rng(1)
        return [
            Pool(self.new, rates[self.new] + 0.2 * rng.random(len(self.new)), np.ones(len(self.new)))
            for rates in self.rates
        ]

    def page(self, shopper: int, policy: Exploration, rng: np.random.Generator):
        return explore(policy, self.rankings[shopper], self.pools[shopper], PAGE, rng=rng)

    def chances(self, shopper: int, policy: Exploration, page: Sequence[int]) -> list[float]:
        """Of each item of a page, given those above it."""
        found, slot = [], NextSlot(policy, self.rankings[shopper], self.pools[shopper])
        for item in page:
            places, values = slot.chances()
            found.append(float(values[places == item].sum()))
            slot.fill(item)
        return found

    def truth(self, policy: Exploration) -> float:
        """Expected clicks for each item shown: every page that can be, by its probability."""

        def worth(shopper: int, above: list[int]) -> float:
            if len(above) == PAGE:
                return 0.0
            slot = NextSlot(policy, self.rankings[shopper], self.pools[shopper])
            for place in above:
                slot.fill(place)
            return sum(
                chance * (self.rates[shopper, place] + worth(shopper, [*above, int(place)]))
                for place, chance in zip(*slot.chances(), strict=True)
            )

        return float(np.mean([worth(n, []) for n in range(len(self.rates))])) / PAGE

    def log(self, policy: Exploration, visits: int, rng: np.random.Generator):
        """Pages of random shoppers: the shopper of each visit, positions, propensities, clicks."""
        who = rng.integers(len(self.rates), size=visits)
        pages = [self.page(shopper, policy, rng) for shopper in who]
        clicks = [rng.random(PAGE) < self.rates[s, p.positions] for s, p in zip(who, pages, strict=True)]
        return who, pages, clicks


@pytest.fixture(scope="session")
def world() -> World:
    shown = make_shop(products=48, shoppers=40)
    ids = [item.item_id for item in shown.items]
    rates = np.array([[shown.affinity(who, item_id) for item_id in ids] for who in shown.shoppers])
    new = np.array([n for n, item_id in enumerate(ids) if item_id in shown.cold])
    noisy = rates + 0.3 * np.random.default_rng(0).random(rates.shape)
    noisy[:, new] = -1
    rankings = np.argsort(-noisy, axis=1)[:, : PAGE + 2]
    return World(shown, ids, rates, rankings, new)


@pytest.fixture(scope="session")
def served() -> Exploration:
    """The policy that serves and is logged."""
    return SERVED


@pytest.fixture(scope="session")
def logged_of() -> Callable[..., Logged]:
    """A log of pages, with a shopper for each visit unless told."""

    def make(pages, clicks, shopper=None) -> Logged:
        visit = np.repeat(np.arange(len(pages)), PAGE)
        return Logged(
            np.concatenate(clicks).astype(float), np.concatenate([p.propensities for p in pages]), visit,
            np.tile(np.arange(PAGE), len(pages)), visit if shopper is None else np.repeat(shopper, PAGE),
        )

    return make


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Waits until a condition holds; the limit only ends a test that would never end."""

    def wait(true: Callable[[], bool], seconds: float = 300.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it never came true"
            time.sleep(0.01)

    return wait
