"""Estimates against hand-worked numbers, and against simulated shoppers whose true rates are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.monitor.offpolicy import Logged, estimate, page_weights
from mmrec.ranking.request import Exploration

RUNS, VISITS = 50, 400
OTHERS = {
    "more exploration": Exploration(share=0.4, temperature=0.5),
    "none": Exploration(share=0.0, temperature=0.5),
    "a bolder draw": Exploration(share=0.3, temperature=0.2),
}


def single(reward, propensity, user=None):
    """A log of pages of one slot."""
    n = np.arange(len(reward))
    return Logged(
        np.array(reward, float), np.array(propensity, float), n, np.zeros_like(n),
        n if user is None else np.array(user),
    )


def test_ips_and_snips_by_hand():
    # Weights 2, 1/2, 0 and 1; rewards 1, 1, 1 and 0: 2.5 of 4 shown, or of a weight of 3.5.
    found = estimate("other", single([1, 1, 1, 0], [0.25, 1, 0.5, 0.5]), [0.5, 0.5, 0, 0.5])
    assert found.logged.mean == pytest.approx(3 / 4)
    assert found.ips.mean == pytest.approx(2.5 / 4)
    assert found.snips.mean == pytest.approx(2.5 / 3.5)
    assert found.mean_weight.mean == pytest.approx(3.5 / 4)
    assert found.effective == pytest.approx(3.5**2 / (4 + 0.25 + 1))
    # IPS is a plain mean of 2, .5, 0, 0: its standard error is their deviation (n - 1) / sqrt(n)
    error = np.std([2, 0.5, 0, 0], ddof=1) / 2
    assert found.ips.high == pytest.approx(2.5 / 4 + 1.96 * error)
    assert found.ips.low == 0  # and not below, as no reward is
    # SNIPS by the delta method: deviations w (r - snips), over the sum of the weights
    deviations = np.array([2, 0.5, 0, 1]) * (np.array([1, 1, 1, 0]) - 2.5 / 3.5)
    reach = 1.96 * np.sqrt((deviations**2).sum() * 4 / 3) / 3.5
    assert found.snips.high == pytest.approx(2.5 / 3.5 + reach)


def test_the_policy_that_served_is_estimated_as_what_was_logged():
    log = single([1, 0, 0, 1, 0], [0.3, 0.7, 0.7, 1, 0.2])
    found = estimate("same", log, log.propensity)
    assert found.ips == found.snips == found.logged
    assert found.mean_weight.mean == 1
    assert found.effective == 5


def test_a_slot_s_weight_counts_the_slots_above_it():
    page = np.array([1, 0, 0, 1, 0])
    slot = np.array([1, 0, 1, 0, 2])
    weights = page_weights(np.array([3.0, 0.5, 4.0, 2.0, 0.0]), page, slot)
    np.testing.assert_array_equal(weights, [6, 0.5, 2, 2, 0])


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0.05, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_estimates_are_means_with_weights_and_lie_in_their_intervals(rows):
    reward, propensity, target = (np.array(column, float) for column in zip(*rows, strict=True))
    found = estimate("any", single(reward, propensity), target)
    weights = target / propensity
    assert found.ips.mean == pytest.approx(np.mean(weights * reward))
    if weights.sum():
        assert found.snips.mean == pytest.approx(np.average(reward, weights=weights))
        assert 1 - 1e-9 <= found.effective <= len(rows) + 1e-9
    for interval in (found.ips, found.snips, found.logged, found.mean_weight):
        assert interval.low <= interval.mean <= interval.high


@pytest.fixture(scope="module")
def logs(world, served):
    """What the policy that serves showed to random shoppers in each run, and what they clicked."""
    return [world.log(served, VISITS, np.random.default_rng(seed)) for seed in range(RUNS)]


def covered(world, logs, logged_of, name, spoil=lambda propensities: propensities):
    """Share of runs whose intervals hold the true click-through: by IPS, and by SNIPS."""
    truth, hits = world.truth(OTHERS[name]), np.zeros(2)
    for who, pages, clicks in logs:
        target = [
            world.chances(s, OTHERS[name], page.positions.tolist())
            for s, page in zip(who, pages, strict=True)
        ]
        log = logged_of(pages, clicks)
        log = Logged(log.reward, spoil(log.propensity), log.page, log.slot, log.user)
        found = estimate(name, log, np.concatenate(target))
        hits += [each.low <= truth <= each.high for each in (found.ips, found.snips)]
    return hits / RUNS, found


@pytest.mark.parametrize("name", OTHERS)
def test_intervals_hold_the_true_click_through_of_another_policy(world, logs, logged_of, name):
    held, last = covered(world, logs, logged_of, name)
    print(f"{name}: {world.truth(OTHERS[name]):.3f}, held by IPS and SNIPS in {held}", last)
    assert (held >= 0.85).all()
    assert not last.warnings
    assert abs(last.mean_weight.mean - 1) < 0.3


def test_the_policies_truly_differ(world, served):
    truths = [world.truth(policy) for policy in (served, *OTHERS.values())]
    assert min(abs(a - b) for n, a in enumerate(truths) for b in truths[:n]) > 0.01


def test_wrong_propensities_break_it_and_are_noticed(world, logs, logged_of):
    """As if every slot had been as likely as any other: the ranking's best is then thought rarer."""
    held, last = covered(world, logs, logged_of, "none", lambda p: np.full_like(p, 0.5))
    assert (held < 0.5).any()
    assert any("propensities are wrong" in warning for warning in last.warnings)


def test_a_policy_that_shows_what_was_never_shown_is_noticed(world, served, logged_of):
    """Without exploration in the log, nothing tells how new items would have done."""
    silent = Exploration(share=0.0)
    who, pages, clicks = world.log(silent, VISITS, np.random.default_rng(0))
    target = [world.chances(s, served, page.positions.tolist()) for s, page in zip(who, pages, strict=True)]
    found = estimate("new", logged_of(pages, clicks), np.concatenate(target))
    assert found.mean_weight.mean < 0.9
    assert any("never shown" in warning for warning in found.warnings)


def test_what_one_shopper_does_is_not_independent(world, served, logged_of):
    """Each shopper comes 15 times: intervals over visits are too short, those over shoppers are not."""
    truth, held = world.truth(served), np.zeros(2)
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        who = np.repeat(rng.integers(len(world.rates), size=30), 15)
        pages = [world.page(s, served, rng) for s in who]
        clicks = [rng.random(3) < world.rates[s, p.positions] for s, p in zip(who, pages, strict=True)]
        for n, shopper in enumerate((None, np.repeat(np.arange(30), 15))):
            log = logged_of(pages, clicks, shopper)
            found = estimate("same", log, log.propensity).snips
            held[n] += found.low <= truth <= found.high
    by_visit, by_shopper = held / RUNS
    print(f"held over visits {by_visit}, over shoppers {by_shopper}")
    assert by_shopper >= 0.85
    assert by_visit <= by_shopper - 0.15


def test_few_shoppers_and_few_clicks_are_said():
    found = estimate("other", single([1, 0] * 10, [0.5] * 20), [0.5] * 20)
    assert any("20 shoppers" in warning for warning in found.warnings)
    assert any("10 clicks" in warning for warning in found.warnings)
    skewed = estimate("other", single([1] * 1_000, [0.001] + [1] * 999), [1] * 1_000)
    assert skewed.effective < 10  # one shopper weighs as much as all others
