import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.read import cleaned, open_rows, read_source
from ingest.sources import Columns, from_frame
from mmrec.data.files import write_items
from mmrec.data.media import Refused
from mmrec.errors import DataError, Rejection
from mmrec.types import Item


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
    table.write_text(table.read_text() + "4.00638E+12,Late,photos/e.jpg,5\n")
    *_, bad = read_source(table, columns=COLUMNS)
    assert bad.item_id == "4.00638E+12"
    assert bad.row["image"] == str(table.parent / "photos" / "e.jpg")
    json.dumps(bad.row)


@pytest.mark.parametrize("name", ["items.jsonl", "items.parquet"])
@pytest.mark.parametrize("format", ["auto", "items"])
def test_a_canonical_file_is_tidied_as_every_other(tmp_path, format, name):
    written = [Item(item_id="a", text={"title": "<b>bold</b>"}), Item(item_id="b", text={"title": "x"})]
    write_items(tmp_path / name, written)
    opened = open_rows(tmp_path / name, format=format)
    assert [item.title for item in opened.rows] == ["bold", "x"]
    assert (opened.total(), opened.folder) == (2, tmp_path)


def test_a_row_of_a_canonical_parquet_file_that_cannot_be_read_is_rejected_as_it_is(tmp_path):
    twice, mended = [("title", "a"), ("title", "b")], [("title", "KÃ¤se"), ("size", "5 &lt; 6")]
    texts = pa.array([twice, mended], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"item_id": ["a", "b"], "text": texts}), tmp_path / "items.bin")
    opened = open_rows(tmp_path / "items.bin")
    bad, item = opened.rows
    assert (bad.item_id, bad.line, bad.row["text"]) == ("a", 1, [["title", "a"], ["title", "b"]])
    assert "stands twice" in bad.reason
    assert (item.line, dict(item.text)) == (2, {"title": "Käse", "size": "5 < 6"})
    assert any("broken letters" in note and "line 2" in note for note in opened.notes)


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


# where the pictures of a source may lie


def csv_feed(folder, path):
    (folder / "feed.csv").write_text(f'sku,title,photo\na,Mug,"{path}"\n')
    return folder / "feed.csv", {"columns": COLUMNS_OF_FEED}


def flat_feed(folder, path):
    (folder / "feed.jsonl").write_text(json.dumps({"sku": "a", "title": "Mug", "photo": [path]}))
    return folder / "feed.jsonl", {"columns": COLUMNS_OF_FEED}


def flat_parquet_feed(folder, path):
    columns = {"sku": ["a"], "title": ["Mug"], "photo": [{"bytes": None, "path": path}]}
    pq.write_table(pa.table(columns), folder / "feed.parquet")
    return folder / "feed.parquet", {"columns": COLUMNS_OF_FEED}


def canonical_feed(folder, path):
    (folder / "items.jsonl").write_text(json.dumps({"item_id": "a", "text": {"title": "Mug"}, "image": path}))
    return folder / "items.jsonl", {}


def canonical_parquet_feed(folder, path):
    pq.write_table(pa.table({"item_id": ["a"], "image": [path]}), folder / "items.parquet")
    return folder / "items.parquet", {}


def movielens_feed(folder, path):
    row = {"item_id": "a", "title": "Mug", "year": 1995, "genres": ["War"], "plot": "Short.", "image": path}
    (folder / "items.jsonl").write_text(json.dumps(row))
    return folder, {"format": "movielens"}


def folder_feed(folder, path):
    (folder.parent / "table.csv").write_text(f'sku,title,photo\na,Mug,"{path}"\n')
    return folder, {"table": folder.parent / "table.csv", "columns": COLUMNS_OF_FEED}


COLUMNS_OF_FEED = Columns(id="sku", text="title", image="photo", attributes=())
each_feed = pytest.mark.parametrize("make", [
    csv_feed, flat_feed, flat_parquet_feed, canonical_feed, canonical_parquet_feed, movielens_feed,
    folder_feed,
])


@pytest.fixture
def feed(tmp_path, picture):
    """A feed's folder with a picture and links, and a picture that is not its own."""
    picture("feed/photos/in.png", "red")
    picture("private/out.png", "blue")
    (tmp_path / "feed/leaving.png").symlink_to(tmp_path / "private/out.png")
    return tmp_path / "feed"


def first_of(source, options, **allowed):
    return next(iter(read_source(source, **options, **allowed)))


def refusal(item):
    """Why the one picture of an item that was taken without it may not be followed."""
    (picture,) = item.images
    assert isinstance(picture, Refused)
    return picture


def followed(items):
    return [not any(isinstance(picture, Refused) for picture in item.images) for item in items]


@each_feed
@pytest.mark.parametrize("path", ["photos/in.png", "{feed}/photos/in.png", "photos/../photos/in.png"])
def test_a_picture_in_the_folder_of_the_source_is_taken(feed, make, path):
    item = first_of(*make(feed, path.format(feed=feed)))
    assert [Path(image).resolve() for image in item.images] == [feed / "photos/in.png"]


@each_feed
@pytest.mark.parametrize("path", ["../private/out.png", "{feed}/../private/out.png", "leaving.png"])
def test_a_picture_outside_is_taken_if_that_is_allowed_alone(feed, make, path):
    path = path.format(feed=feed)
    refused = refusal(first_of(*make(feed, path)))
    assert "--allow-outside" in refused.reason
    assert refused.given == str(feed / path)
    refused = refusal(first_of(*make(feed, path), image_root=feed / "photos"))
    assert "--image-root DIR" in refused.reason
    for allowed in ({"allow_outside": True}, {"image_root": feed.parent / "private"}):
        assert first_of(*make(feed, path), **allowed).images == (str(feed / path),)


@each_feed
def test_a_picture_that_is_not_in_the_folder_is_looked_for_in_the_image_root(feed, make):
    item = first_of(*make(feed, "out.png"), image_root=feed.parent / "private")
    assert item.images == (str(feed.parent / "private" / "out.png"),)


@each_feed
def test_a_file_url_is_refused_whatever_is_allowed(feed, make):
    item = first_of(*make(feed, f"file://{feed}/photos/in.png"), allow_outside=True)
    assert "file: URL" in refusal(item).reason


def test_a_picture_of_a_folder_that_is_a_link_to_elsewhere_is_refused(feed):
    items = list(read_source(feed, format="images"))
    taken = dict(zip([item.item_id for item in items], followed(items), strict=True))
    assert taken == {"photos/in": True, "leaving": False}


def test_a_table_in_memory_has_its_pictures_in_the_working_directory(feed, monkeypatch):
    monkeypatch.chdir(feed)
    photos = ["photos/in.png", "../private/out.png"]
    frame = pa.table({"sku": ["a", "b"], "title": ["Mug", "Cup"], "photo": photos})
    source = from_frame(frame, columns=COLUMNS_OF_FEED)
    assert followed(cleaned(source)) == [True, False]
    assert followed(cleaned(source, allow_outside=True)) == [True, True]


def test_a_picture_that_stands_in_two_columns_is_taken_once(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text("sku,title,image,image_2\na,Oak lamp,a.jpg,a.jpg\nb,Wool blanket,b.jpg,c.jpg\n")
    found = [[Path(image).name for image in item.images] for item in open_rows(path).rows]
    assert found == [["a.jpg"], ["b.jpg", "c.jpg"]]
