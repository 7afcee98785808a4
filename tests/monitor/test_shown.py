"""What a service showed becomes impressions, for users whom it knew, once."""

from datetime import UTC, datetime, timedelta

import pytest

from mmrec.monitor.impressions import ImpressionLog
from mmrec.monitor.shown import keep_shown
from mmrec.types import Recommendation

NOW = datetime.now(UTC).replace(microsecond=0)
FOUND = [
    Recommendation(item_id="a", score=0.5, rung="history", propensity=0.8),
    Recommendation(item_id="b", score=0.25, rung="popular"),
]


@pytest.fixture
def log(shop):
    """The log of a shop's service, at a moment of its own."""
    with ImpressionLog(shop.path, seconds=600, clock=lambda: NOW) as log:
        yield log


def rows(shop):
    table = shop.behaviour.impressions.table.scan(["user_id", "item_id", "position", "propensity", "time"])
    return sorted(tuple(row.values()) for row in table.to_pylist())


def test_answers_to_known_users_are_recorded_once_with_their_propensities(shop, log):
    log.shown("q1", "recommend", {"user": "u1"}, FOUND)
    log.shown("q2", "recommend", {"history": ["a"]}, FOUND)  # nobody knows whose eyes these were
    log.shown("q3", "recommend", {"user": "u2"}, [])
    log.flush()
    assert keep_shown(shop).added == 2
    assert rows(shop) == [("u1", "a", 0, 0.8, NOW), ("u1", "b", 1, 1.0, NOW)]
    again = keep_shown(shop)
    assert (again.added, again.unchanged) == (0, 2)


def test_two_answers_of_one_moment_are_two_pages(shop, log):
    log.shown("q2", "recommend", {"user": "u1"}, FOUND[::-1])
    log.shown("q1", "search", {"user": "u2"}, FOUND)
    log.flush()
    keep_shown(shop)
    assert [row[:3] for row in rows(shop)] == [("u1", "a", 1), ("u1", "b", 0), ("u2", "a", 0), ("u2", "b", 1)]


def test_what_is_past_its_time_is_left_out(shop):
    with ImpressionLog(shop.path, seconds=600, clock=lambda: NOW - timedelta(days=200)) as log:
        log.shown("q1", "recommend", {"user": "u1"}, FOUND)
    assert keep_shown(shop).added == 0


def test_a_shop_that_was_never_served_has_shown_nothing(shop):
    assert keep_shown(shop).added == 0
    assert shop.behaviour.impressions.count() == 0
