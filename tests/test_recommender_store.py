"""Looking through a catalogue page by page."""

import pytest

from mmrec.errors import DataError


def test_pages_come_in_the_order_of_the_ids(red_blue_shop):
    total, items = red_blue_shop.browse(limit=3)
    assert (total, [i.item_id for i in items]) == (8, ["b0", "b1", "b2"])
    assert items == red_blue_shop.get(["b0", "b1", "b2"])
    assert [i.item_id for i in red_blue_shop.browse(offset=6)[1]] == ["r2", "r3"]
    assert red_blue_shop.browse(offset=8) == (8, [])
    assert red_blue_shop.browse(limit=0) == (8, [])


def test_a_condition_is_counted(red_blue_shop):
    total, items = red_blue_shop.browse("category == 'mug' and price > 1", offset=1, limit=1)
    assert (total, [i.item_id for i in items]) == (3, ["r2"])
    assert red_blue_shop.browse("price > 100") == (0, [])


def test_an_empty_shop_has_no_pages(shop):
    assert shop.browse() == (0, [])


@pytest.mark.parametrize("asked", [
    {"offset": -1}, {"limit": -1}, {"limit": True}, {"offset": 1.5}, {"where": "smell == 'good'"},
])
def test_a_page_that_cannot_be_is_refused(red_blue_shop, asked):
    with pytest.raises(DataError) as error:
        red_blue_shop.browse(**asked)
    assert error.value.field in asked
