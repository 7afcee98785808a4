"""Figures against hand-worked numbers."""

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from mmrec.errors import DataError
from mmrec.monitor.figures import Tally, clicked, figures, windows
from mmrec.monitor.impressions import CLICKS, IMPRESSIONS

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def shown(*rows):
    """Rows of the log: request, item, rung, cold, latency."""
    names = ("request_id", "item_id", "rung", "cold", "latency_ms")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    columns["time"] = [NOON] * len(rows)
    return pa.table([
        pa.array(columns.get(field.name, [None] * len(rows)), field.type) for field in IMPRESSIONS
    ], schema=IMPRESSIONS)


def clicks(*rows):
    return pa.table([pa.array(c) for c in zip(*[(*row, NOON) for row in rows], strict=True)], schema=CLICKS)


ROWS = shown(
    ("q1", "a", "history", False, 10.0), ("q1", "b", "history", True, 10.0),
    ("q1", "c", "popular", None, 10.0),
    ("q2", "a", "history", False, 20.0), ("q2", "c", "popular", True, 20.0),
    ("q3", "a", "popular", False, 90.0), ("q4", None, None, None, None),
)
HIT = clicked(ROWS, clicks(
    ("q1", "b", "click"), ("q1", "b", "purchase"), ("q2", "a", "like"), ("q2", "c", "view"),
    ("q3", "b", "click"), ("q9", "a", "click"),
), ["click", "like", "purchase"])


def test_a_click_counts_once_for_the_item_of_the_request_it_names():
    """A view is no click, q3 did not show b, and nobody knows q9."""
    assert HIT.tolist() == [False, True, False, True, False, False, False]


def test_the_figures_of_a_window_by_hand():
    found = figures(NOON, ROWS, HIT, items=5)
    assert (found.start, found.requests) == (NOON, 4)
    assert found.latency_ms == pytest.approx((20, 83))  # of 10, 20 and 90: the 95th lies .9 of the way to 90
    assert found.all == Tally(6, 2)
    assert found.rungs == {"history": Tally(3, 2), "popular": Tally(3, 0)}
    assert (found.cold, found.aged) == (Tally(2, 1), Tally(3, 1))
    assert found.cold_share == 2 / 5
    assert found.cold.rate == 1 / 2
    # a, b, c, d, e were shown 3, 1, 2, 0, 0 times: (-4*0 - 2*0 + 0*1 + 2*2 + 4*3) / (4 * 6)
    assert found.gini == pytest.approx(16 / 24)
    assert found.coverage == 3 / 5


def test_items_that_have_left_the_catalogue_count_as_shown():
    assert figures(NOON, ROWS, HIT, items=1).coverage == 1


def test_a_window_of_answers_that_found_nothing():
    empty = shown(("q1", None, None, None, None), ("q2", None, None, None, 5.0))
    found = figures(NOON, empty, clicked(empty, CLICKS.empty_table(), ["click"]), items=0)
    assert (found.requests, found.all, found.rungs) == (2, Tally(0, 0), {})
    assert (found.all.rate, found.cold_share, found.gini, found.coverage) == (None, None, 0, 0)
    assert found.latency_ms == (5, 5)


def test_windows_are_whole_hours_and_days_of_utc():
    since = datetime(2025, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    # which is half past eleven, the day before
    hours = list(windows(since, since + timedelta(hours=1), "hour"))
    assert [start.strftime("%d %H:%M") for start, _ in hours] == ["28 23:00", "01 00:00"]
    assert all(end - start == timedelta(hours=1) for start, end in hours)
    days = list(windows(datetime(2025, 2, 27, 15), datetime(2025, 3, 1), "day"))  # without a zone: UTC
    assert [start.strftime("%d %H:%M") for start, _ in days] == ["27 00:00", "28 00:00"]


@pytest.mark.parametrize(("since", "until", "window", "said"), [
    (NOON, NOON - timedelta(days=1), "day", "earlier start"), (NOON, NOON, "week", "hour, day"),
    (NOON, NOON + timedelta(days=60), "hour", "1,000 windows"),
])
def test_periods_that_make_no_sense_are_refused(since, until, window, said):
    with pytest.raises(DataError, match=said):
        list(windows(since, until, window))
