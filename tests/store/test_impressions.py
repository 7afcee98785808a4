"""Impressions on disk: a row for each item that was shown, once."""

from datetime import UTC, datetime

import pytest

from mmrec import Impression, Interaction
from mmrec.errors import Rejection
from mmrec.store.tables import KeyedTable

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def page(user="u1", items=("a", "b", "c"), **more):
    return Impression(user_id=user, items=items, time=NOON, **more)


def test_impressions_and_interactions_come_by_the_same_road(shop):
    click = Interaction(user_id="u1", item_id="b", time=NOON)
    report = shop.record([page(), click, Rejection(reason="no good"), page("u2", propensities=[1, 1, 0.5])])
    assert (report.added, report.unchanged, report.rejected) == (7, 0, 1)
    again = shop.record([click, page()])
    assert (again.added, again.unchanged, again.rejected) == (0, 4, 0)
    assert [one.item_id for one in shop.interactions("u1")] == ["b"]  # what was shown is no behaviour
    rows = shop.behaviour.impressions.table.scan(["user_id", "item_id", "position", "propensity"])
    assert sorted(tuple(row.values()) for row in rows.to_pylist()) == [
        ("u1", "a", 0, None), ("u1", "b", 1, None), ("u1", "c", 2, None),
        ("u2", "a", 0, 1.0), ("u2", "b", 1, 1.0), ("u2", "c", 2, 0.5),
    ]


def test_what_was_shown_is_told_by_position_in_the_catalogue(shop):
    shop.record([page(items=("a", "gone", "c"))])
    shown = shop.behaviour.impressions.shown(["c", "a"])
    assert sorted(tuple(row.values()) for row in shown.to_pylist()) == [
        ("u1", 0, 2, None), ("u1", 1, 0, None)]


def test_a_store_without_impressions_has_no_table_of_them(shop):
    shop.record([Interaction(user_id="u1", item_id="b")])
    assert shop.behaviour.impressions.count() == 0
    assert shop.behaviour.impressions.shown(["b"]).num_rows == 0
    assert not KeyedTable.exists(shop.store.files, "impressions")


def test_what_is_neither_is_rejected(shop):
    report = shop.record([page(), "a click"])
    assert (report.added, report.rejected) == (3, 1)
    assert "mmrec.Interaction" in report.rejections[0].reason


@pytest.mark.parametrize("count", [1, 60_000])
def test_many_come_in_writes_of_bounded_size(shop, count):
    report = shop.record(page(f"u{n}", items=("a",)) for n in range(count))
    assert (report.added, shop.behaviour.impressions.count()) == (count, count)
