"""Figures against hand-worked numbers; drift: as many alarms as promised, and one where something changed."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist, pdist

from mmrec.errors import DataError
from mmrec.monitor.figures import ALPHA, FEWEST, Tally, clicked, drift, figures, mmd_test, psi, windows
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


# drift

def rng(seed=0):
    return np.random.default_rng(seed)


def cloud(n, seed, shift=0.0, d=8):
    """Unit vectors in a cone, as embeddings are."""
    x = rng(seed).normal(size=(n, d)) + 1
    x[:, 0] += shift
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def by_pairs(x, y):
    """Squared MMD, summed over pairs one kind after the other."""
    width = np.median(pdist(np.concatenate([x, y]))) ** 2
    kernels = [np.exp(-cdist(a, b, "sqeuclidean") / (2 * width)) for a, b in ((x, x), (y, y), (x, y))]
    n, m = len(x), len(y)
    within = [(k.sum() - np.trace(k)) / (s * (s - 1)) for k, s in zip(kernels[:2], (n, m), strict=True)]
    return sum(within) - 2 * kernels[2].mean()


def test_mmd_agrees_with_sums_over_pairs():
    x, y = cloud(13, 0).astype(float), cloud(21, 1, shift=1).astype(float)
    # the median of squares is not quite the square of the median where two middle values are averaged
    assert mmd_test(x, y, rng=rng())[0] == pytest.approx(by_pairs(x, y), rel=0.01)


def test_the_p_value_counts_divisions_that_are_as_extreme():
    x, y = np.zeros((4, 1)), np.full((4, 1), 9.0)
    value, p = mmd_test(x, y, rng=rng())
    assert value > 0.5
    # of the 70 divisions of eight items two are as extreme: the true one and its mirror image
    assert p == pytest.approx(2 / 70, abs=0.02)


def test_where_nothing_changed_there_are_as_many_alarms_as_promised():
    values = [mmd_test(cloud(40, 2 * s), cloud(60, 2 * s + 1), rng=rng(s))[1]
              for s in range(300)]
    assert 0.05 <= np.mean(np.array(values) <= 0.1) <= 0.15  # 3 standard errors around .1
    assert np.mean(np.array(values) <= ALPHA) <= 0.03


@pytest.mark.parametrize("seed", range(3))
def test_a_shift_is_found_and_measured(seed):
    same = drift(cloud(2_000, seed), cloud(80, seed + 10), rng=rng(seed))
    moved = drift(cloud(2_000, seed), cloud(80, seed + 10, shift=3), rng=rng(seed))
    assert not same.alarm
    assert moved.alarm
    assert moved.p == 1 / 500
    assert moved.mmd > same.mmd
    assert moved.psi > 0.5 > same.psi
    assert (moved.incoming, moved.reference) == (80, 500)


def test_the_same_embedding_everywhere_is_no_drift():
    found = drift(np.ones((50, 4), np.float32), np.ones((50, 4), np.float32), rng=rng())
    assert (found.p, found.mmd, found.psi) == (1.0, 0.0, 0.0)


def test_too_few_say_nothing_and_what_cannot_be_compared_is_refused():
    assert drift(cloud(100, 0), cloud(FEWEST - 1, 1), rng=rng()) is None
    assert drift(cloud(FEWEST - 1, 0), cloud(100, 1), rng=rng()) is None
    with pytest.raises(DataError, match="doctor"):
        drift(np.full((40, 3), np.nan, np.float32), cloud(40, 1, d=3), rng=rng())


def test_psi_by_hand(monkeypatch):
    # In halves of the reference: 2 and 2 of 4, and 3 and 1 of 4; with half an item more in each bin.
    reference, incoming = np.array([[0.0], [1], [2], [3]]), np.array([[0.0], [0.5], [1], [3]])
    p, q = np.array([2.5, 2.5]) / 5, np.array([3.5, 1.5]) / 5
    expected = ((q - p) * np.log(q / p)).sum()
    monkeypatch.setattr("mmrec.monitor.figures.BINS", 2)
    assert psi(reference, incoming) == pytest.approx(expected)
    assert psi(reference, reference) == 0
