import json

import pytest

from ingest.read import cleaned, open_rows, read_source
from ingest.sources import Columns, from_frame
from mmrec.data.files import write_items
from mmrec.errors import DataError
from mmrec.types import Item, Rejection


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text(
        "sku,title,photo,price\n"
        "a,<b>Blue</b> mug,photos/a.jpg,9.5\n"
        ",No id,photos/b.jpg,1\n"
        "c,Lamp,https://shop.example/c.jpg,2\n"
    )
    return path


COLUMNS = Columns(id="sku", text="title", image="photo", attributes="price")


def test_a_table_becomes_items_and_rejections_in_order(table):
    a, bad, c = read_source(table, columns=COLUMNS)
    assert a == Item(
        item_id="a", text={"title": "Blue mug"}, image=str(table.parent / "photos" / "a.jpg"),
        attributes={"price": 9.5},
    )
    assert c.images == ("https://shop.example/c.jpg",)
    assert isinstance(bad, Rejection)
    assert [a.line, bad.line, c.line] == [2, 3, 4]
    assert bad.row["image"] == str(table.parent / "photos" / "b.jpg")


def test_a_row_its_source_rejects_finds_its_picture_from_anywhere(table):
    good = [f"d{i},Chair,photos/d.jpg,{i}\n" for i in range(2000)]
    table.write_text(table.read_text() + "".join(good) + "e,Late,photos/e.jpg,cheap\n")
    *_, bad = read_source(table, columns=COLUMNS)
    assert (bad.item_id, bad.field) == ("e", "price")
    assert bad.row["image"] == str(table.parent / "photos" / "e.jpg")
    json.dumps(bad.row)


@pytest.mark.parametrize("format", ["auto", "items"])
def test_a_canonical_file_is_read_as_it_is(tmp_path, format):
    written = [Item(item_id="a", text={"title": "<b>kept</b>"}), Item(item_id="b", text={"title": "x"})]
    write_items(tmp_path / "items.jsonl", written)
    rows, total = open_rows(tmp_path / "items.jsonl", format=format)
    assert (list(rows), total()) == (written, 2)


def test_the_rows_of_a_table_are_counted(table):
    assert open_rows(table, columns=COLUMNS).total() == 3


def test_a_table_in_memory_is_read_too():
    import pandas as pd

    frame = pd.DataFrame({"id": [1, 2], "title": ["Blue mug", None], "price": [9.5, float("nan")]})
    rows = list(cleaned(from_frame(frame, columns=Columns(id="id", text="title", attributes="price"))))
    assert rows == [
        Item(item_id="1", text={"title": "Blue mug"}, attributes={"price": 9.5}), Item(item_id="2"),
    ]


def test_options_without_meaning_and_absent_paths_are_errors(tmp_path, table):
    write_items(tmp_path / "items.jsonl", [Item(item_id="a")])
    with pytest.raises(DataError, match="no columns to choose"):
        read_source(tmp_path / "items.jsonl", format="items", columns=COLUMNS)
    with pytest.raises(DataError, match="no source of format"):
        read_source(table, format="excel")
    with pytest.raises(DataError, match="check the path"):
        read_source(tmp_path / "absent.csv")
