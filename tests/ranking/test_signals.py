"""Signals: named scores that a request adds to relevance, each told as a reason."""

import numpy as np
import pytest

from mmrec.errors import DataError
from mmrec.ranking.request import Request
from mmrec.ranking.signals import SIGNALS, Context, newness, popularity


@pytest.fixture
def context(red_blue_shop):
    snapshot = red_blue_shop.snapshot()
    return Context(snapshot, Request(), lambda: {"b0": 4.0, "r0": 1.0})


def test_newness_halves_in_thirty_days(context):
    ages, positions = context.snapshot.ages, np.arange(8)
    assert newness(context, positions).tolist() == pytest.approx((0.5 ** (ages / 30)).tolist())
    assert newness(context, positions).max() == 1


def test_popularity_is_the_share_of_the_most_popular(context):
    assert popularity(context, np.array([0, 4, 5])).tolist() == [1.0, 0.25, 0.0]


def test_a_signal_lifts_items_by_its_share_of_the_range_of_relevance(red_blue_shop):
    plain = {r.item_id: r.score for r in red_blue_shop.recommend(history=["r0"], k=7)}
    lifted = red_blue_shop.recommend(history=["r0"], k=7, signals={"newness": 0.5})
    snapshot = red_blue_shop.snapshot()
    spread = max(plain.values()) - min(plain.values())
    for result in lifted:
        added = 0.5 * spread * 0.5 ** (snapshot.ages[snapshot.position[result.item_id]] / 30)
        assert result.score == pytest.approx(plain[result.item_id] + added, abs=1e-5)
        (told,) = [r.contribution for r in result.reasons if r.name == "newness"]
        assert told == pytest.approx(added, abs=1e-5)
    assert [r.score for r in lifted] == sorted((r.score for r in lifted), reverse=True)


def test_a_signal_of_ones_own_needs_one_function_and_its_name(red_blue_shop, monkeypatch):
    """A toy: the shop's margin, which is highest for b0."""
    def margin(context, positions):
        return (positions == context.snapshot.position["b0"]).astype(np.float32)

    monkeypatch.setitem(SIGNALS, "margin", margin)
    assert red_blue_shop.recommend(history=["r0"], k=7)[0].item_id != "b0"
    (first, *_) = red_blue_shop.recommend(history=["r0"], k=7, signals={"margin": 1.0})
    assert first.item_id == "b0"
    assert "margin" in [reason.name for reason in first.reasons]
    many = red_blue_shop.recommend_many([["r0"], ["r1"]], k=3, signals={"margin": 1.0})
    assert [results[0].item_id for results in many] == ["b0", "b0"]


def test_signals_do_not_touch_what_is_popular_or_new(red_blue_shop):
    plain, asked = (red_blue_shop.recommend(k=3, signals=signals) for signals in (None, {"newness": 1.0}))
    assert [(r.item_id, r.score) for r in asked] == [(r.item_id, r.score) for r in plain]


def test_an_unknown_signal_is_refused_with_those_there_are(red_blue_shop):
    with pytest.raises(DataError, match="no signal 'luck': choose newness, popularity") as error:
        red_blue_shop.recommend(history=["r0"], signals={"luck": 0.5})
    assert error.value.field == "signals"
