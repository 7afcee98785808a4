"""Small inputs as shops and logs have them, which lie beside the data sets: `pytest -m data`.

Each is read by itself, without an option, and is to be what a person expects of it.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.read import open_rows
from mmrec import Item
from mmrec.errors import DataError, MmrecError

pytestmark = pytest.mark.data


@pytest.fixture
def feeds(data_dir):
    """Where the inputs lie."""
    folder = data_dir("movielens-1m").parents[1] / "feeds"
    if not folder.is_dir():
        pytest.skip(f"needs the small inputs in {folder}")
    return folder


@pytest.fixture
def shop(feeds, open_shop):
    """Makes a shop of one of the inputs."""
    def of(name):
        shop = open_shop()
        shop.ingest(open_rows(feeds / name).rows)
        return shop

    return of


def taken(path):
    """Items of a file by their ids, and what was told of it; every row is to be an item."""
    opened = open_rows(path)
    rows = list(opened.rows)
    assert all(isinstance(row, Item) and row.lost is None for row in rows), rows
    return {row.item_id: row for row in rows}, " | ".join(map(str, opened.notes))


def files(item):
    """Names of the pictures that were found."""
    return [Path(image).name for image in item.images if Path(image).is_file()]


TITLES = {
    "03-tsv-stray-quote/titles.tsv": {
        "f2": '"Rome, open again', "f4": 'A quiet "place"', "f6": "Harbour lights"},
    "03-tsv-stray-quote/inches.csv": {"p1": 'Monitor 24" wide', "p2": 'Monitor 27" curved', "p7": "Desk"},
    "13-sep-line/sep.csv": {"A1": "Lamp", "A2": "Cup"},
    "13-sep-line/preamble.csv": {"A1": "Lamp", "A2": "Cup"},
    "13-sep-line/preamble2.csv": {"A1": "Lamp", "A2": "Cup", "A3": "Jug"},
    "14-utf16/items16.jsonl": {"a": "Lämpchen"},
    "14-utf16/utf16.csv": {"A1": "Lämpchen", "A2": "Becher"},
    "14-utf16/utf16.tsv": {"A1": "Lämpchen", "A2": "Becher"},
    "14-utf16/utf16le_nobom.csv": {"A1": "Lamp", "A2": "Cup"},
    "14-utf16/sjis.csv": {"A1": "青いマグ", "A2": "赤い椅子"},
    "15-backslash-quotes/spark.csv": {"A1": 'Frame "Oslo"', "A2": "Cup", "A3": 'Jug "L"', "A4": "Bowl"},
    "18-float-ids-csv/items.csv": {"101": "Red cup", "102": "Blue cup", "103": "Oak stool"},
    "21-double-escaped-html/feed.csv": {
        "1": "Wool & silk scarf", "2": "Tea & coffee set", "3": "CDATA mug", "4": "Shortcode rug"},
    "30-nonlatin-headers/ja.csv": {"A1": "青いマグ", "A2": "赤い椅子"},
    "30-nonlatin-headers/ru.csv": {"A1": "Синяя кружка", "A2": "Красный стул"},
    "51-same-thing-by-every-road/a.csv": {"B07": "Wool & silk"},
    "51-same-thing-by-every-road/b.jsonl": {"B07": "Wool & silk"},
    "55-quarantine-never-empties/feed.csv": {"A1": 'Frame "Oslo"', "A2": "Cup"},
}
LAMP = ("feed.txt", "feed.xml", "not_gz.csv.gz", "products.csv.zip", "products.zip", "products_obj.json",
        "really_gz.csv")
LAMP_AND_CUP = ("array.jsonl", "cr.csv", "nan.jsonl", "pretty.jsonl", "products.json", "stream.jsonl",
                "trail.csv")


@pytest.mark.parametrize("name", TITLES)
def test_titles_are_those_of_the_file(feeds, name):
    items, _ = taken(feeds / name)
    expected = TITLES[name]
    assert {i: items[i].title for i in expected} == expected
    assert all(item.title for item in items.values())


@pytest.mark.parametrize(("names", "titles"), [
    (LAMP, {"a": "Lamp"}), (LAMP_AND_CUP, {"a": "Lamp", "b": "Cup"}),
])
def test_containers_are_opened_by_what_is_in_them(feeds, names, titles):
    for name in names:
        items, _ = taken(feeds / "23-containers" / name)
        assert {i: item.text["title"] for i, item in items.items()} == titles, name


def test_pictures_alone_and_dates_alone_are_items_too(feeds):
    for name in ("UPPER.CSV", "pair.csv"):
        items, _ = taken(feeds / "23-containers" / name)
        assert all(files(item) == ["x.png"] for item in items.values())
    items, _ = taken(feeds / "23-containers" / "dates.tsv")
    assert items["b"].added_at == datetime(2024, 6, 1, tzinfo=UTC)
    items, told = taken(feeds / "23-containers" / "dup.csv")
    assert (items["a"].attributes["price"], items["a"].attributes["price_2"]) == (10, 11)
    assert "price_2" in told
    items, told = taken(feeds / "23-containers" / "nan_flat.jsonl")
    assert [item.attributes.get("price") for item in items.values()] == [None, None, 5.0]
    assert "NaN" in told


def test_a_broken_workbook_is_named_for_what_it_is(feeds):
    with pytest.raises(DataError, match=r"book\.xlsx is a workbook that cannot be read.*save it"):
        list(open_rows(feeds / "23-containers" / "book.xlsx").rows)


def test_rows_of_one_product_are_one_item_with_all_its_pictures(feeds):
    items, told = taken(feeds / "01-shopify-handle-rows" / "products_export.csv")
    assert set(items) == {"oak-stool", "linen-towel"}
    stool = items["oak-stool"]
    assert (stool.title, stool.text["description"]) == ("Oak stool", "A solid three-legged stool.")
    assert [Path(str(image)).name for image in stool.images] == ["oak-1.jpg", "oak-2.jpg", "oak-3.jpg"]
    assert "an export of Shopify" in told


@pytest.mark.parametrize(("name", "pictures"), [
    ("02-woo-images-comma/wc-product-export.csv", {"101": ["a.png", "b.png"], "102": ["c.png"]}),
    ("07-nfd-filenames/pics/table.csv", {"s1": 1, "s2": 1, "s3": 1, "s4": 1, "s5": 1}),
    ("10-objects-as-images/meta.jsonl", {"B0TEST0001": ["l1.png"], "B0TEST0002": ["l2.png"]}),
    ("10-objects-as-images/woo_rest.jsonl", {"11": ["l1.png"], "12": ["l2.png"]}),
    ("11-python-repr-lists/films.csv", {"1": ["a.png", "b.png"], "2": ["a.png"], "3": [], "4": ["b.png"]}),
    ("22-odd-image-refs/refs.csv", {
        "3": ["a.png"], "4": ["a.png"], "5": ["a.png"], "7": ["my pic.png"], "9": ["a.png"]}),
])
def test_pictures_are_found(feeds, name, pictures):
    rows = [row for row in open_rows(feeds / name).rows if isinstance(row, Item)]
    found = {row.item_id: files(row) for row in rows if row.item_id in pictures}
    assert {i: len(one) if isinstance(pictures[i], int) else one for i, one in found.items()} == pictures


def test_addresses_of_pictures_are_told_from_files(feeds):
    items, _ = taken(feeds / "02-woo-images-comma" / "urls.csv")
    assert [Path(str(i)).name for i in items["1"].images] == ["a.jpg", "b.jpg"]
    rows = {row.item_id: row for row in open_rows(feeds / "22-odd-image-refs" / "refs.csv").rows}
    assert str(rows["1"].images[0]) == "https://cdn.example.test/a.jpg"
    assert isinstance(rows["2"].images[0], bytes)
    assert str(rows["8"].images[0]) == "https://shop.example.test/a.png?v=1&w=2"
    assert str(rows["10"].images[0]) == "https://www.example.test/a.png"
    assert not rows["11"].images


def test_a_picture_that_cannot_be_had_costs_the_picture(feeds, open_shop):
    report = open_shop().ingest(open_rows(feeds / "22-odd-image-refs" / "refs.csv").rows)
    assert (report.added, report.rejected) == (11, 0)
    reasons = {one.item_id: one.reason for one in report.incomplete}
    assert set(reasons) == {"1", "6", "8", "10"}
    assert "is a file: URL: write its path" in reasons["6"]


@pytest.mark.parametrize(("name", "column", "values"), [
    ("11-python-repr-lists/films.csv", "genres", [["Comedy", "Drama"], ["Drama"], None, ["Comedy"]]),
    ("11-python-repr-lists/single.csv", "tags", [["x"], ["y"]]),
    ("11-python-repr-lists/sizes.csv", "sizes", [["S", "M", "L"], ["M", "L"], ["S"]]),
    ("12-prices/excel_de.csv", "preis", [1299.0, 12.9, 8.5]),
    ("12-prices/us.csv", "price", [1299.0, 12.5]),
    ("12-prices/us.csv", "price_currency", ["USD", "USD"]),
    ("42-bools-and-dates/t.csv", "sale", [True, False, True]),
    ("42-bools-and-dates/t.csv", "neu", [True, False, True]),
    ("42-bools-and-dates/t.csv", "launch", [
        datetime(*day, tzinfo=UTC) for day in ((2024, 5, 1), (2024, 5, 13), (2023, 12, 31))]),
    ("30-nonlatin-headers/ja.csv", "価格", [1200, 9800]),
    ("30-nonlatin-headers/ru.csv", "Цвет", ["синий", "красный"]),
    ("30-nonlatin-headers/de.csv", "Größe", ["L", "M"]),
])
def test_values_have_their_types(feeds, name, column, values):
    items, _ = taken(feeds / name)
    assert [item.attributes.get(column) for item in items.values()] == values


def test_long_columns_keep_their_values(feeds):
    items, _ = taken(feeds / "12-prices" / "merchant.tsv")
    assert len(items) == 60
    assert items["SKU1"].attributes["price"] == 11.91
    items, told = taken(feeds / "28-excel-short-rows" / "excel.csv")
    assert len(items) == 33
    assert "short rows were filled up" in told
    items, _ = taken(feeds / "49-columns-dropped" / "shop.csv")
    assert len(items) == 120
    assert {(type(i.attributes["brand"]), type(i.attributes["ean"])) for i in items.values()} == {(str, str)}


def test_times_of_arrival_are_read_and_zero_dates_absent(feeds):
    day = datetime(2024, 5, 1, 10, tzinfo=UTC)
    folder = feeds / "42-bools-and-dates"
    assert taken(folder / "t2.csv")[0]["1"].added_at == day
    items, told = taken(folder / "t3.csv")
    assert [item.added_at for item in items.values()] == [None, day, day.replace(hour=8)]
    assert "dates like '0000-00-00 00:00:00' taken as absent" in told
    assert taken(folder / "t4.csv")[0]["3"].added_at == day.replace(microsecond=123456)


def test_ids_that_a_spreadsheet_spoilt_are_refused_and_others_are_whole(feeds):
    rows = list(open_rows(feeds / "18-float-ids-csv" / "sci.csv").rows)
    assert all("spoilt by a spreadsheet" in row.reason for row in rows)
    rows = list(open_rows(feeds / "18-float-ids-csv" / "f.parquet").rows)
    assert [row.item_id for row in rows] == ["101", None, "103"]


def test_the_same_product_by_every_road_is_the_same_row(feeds):
    folder = feeds / "51-same-thing-by-every-road"
    one, other = (taken(folder / name)[0]["B07"] for name in ("a.csv", "b.jsonl"))
    assert (one.text, one.attributes) == (other.text, other.attributes)


def test_words_and_numbers_are_found_whatever_their_script_or_form(shop):
    kettles = shop("06-nfd-search/items.jsonl")
    for word in ("Kühlschrank", "Ku\u0308hlschrank", "Kuhlschrank"):
        assert kettles.search(word, k=1)[0].item_id == "k1"
    one, other = kettles.get(["st\u00fchle-1", "stu\u0308hle-1"])
    assert one.item_id == other.item_id == "st\u00fchle-1"


def test_full_text_finds_words_of_scripts_without_blanks(shop):
    snapshot = (found := shop("08-japanese-search/items.jsonl")).snapshot()
    titles = {item.item_id: item.title for item in found.get(snapshot.ids)}
    for word in ("ワンピース", "椅子", "连衣裙"):
        ids = [snapshot.ids[p] for p in snapshot.match(word, 3)]
        assert ids
        assert word in titles[ids[0]]


def test_product_numbers_are_found_whole_and_in_part(shop):
    found = shop("09-search-by-sku/items.csv")
    numbers = {"NOR.0707-60": ("NOR.0707-60", "0707-60"), "4006381333931": ("4006381333931", "400638133")}
    for item_id, number in ((i, number) for i, some in numbers.items() for number in some):
        assert found.search(number, k=1)[0].item_id == item_id


def test_clocks_that_are_wrong_do_not_rule(feeds, shop, mmrec, caplog):
    kettles = shop("05-future-timestamp-popular/items.jsonl")
    for name in ("clicks.jsonl", "bad.jsonl", "bad2.jsonl"):
        caplog.clear()
        said = mmrec("record", kettles.path, feeds / "05-future-timestamp-popular" / name)
        assert said.exit_code == 0, said.output
        assert ("dated in the future" in caplog.text) is name.startswith("bad")
    assert kettles.recommend(k=1)[0].item_id == "best"


@pytest.mark.parametrize("name", [
    "canon.csv", "extra.jsonl", "extra.parquet", "good.parquet", "ints.jsonl", "ints.parquet", "log.csv",
    "log.tsv", "rating.jsonl",
])
def test_logs_are_recorded_as_they_are(feeds, shop, mmrec, name):
    made = shop("17-record-a-log/items.jsonl")
    said = mmrec("record", made.path, feeds / "17-record-a-log" / name)
    assert said.exit_code == 0, said.output
    user = {"log.csv": "7", "log.tsv": "7", "ints.jsonl": "7", "ints.parquet": "7"}.get(name, "u7")
    assert made.interactions(user)[0].item_id == "1"


def test_clicks_meet_ids_that_were_floats(feeds, shop, mmrec):
    made = shop("18-float-ids-csv/items.csv")
    assert mmrec("record", made.path, feeds / "18-float-ids-csv" / "clicks.jsonl").exit_code == 0
    assert [one.item_id for one in made.interactions("u1")] == ["101", "103"]
    assert made.recommend(user="u1", k=1)[0].rung == "history"


def test_kinds_of_other_shops_are_understood_and_a_refund_is_no_wish(feeds, shop, mmrec):
    made = shop("54-unknown-kinds/items.jsonl")
    assert mmrec("record", made.path, feeds / "54-unknown-kinds" / "log.jsonl").exit_code == 0
    assert made.recommend(user="u1", k=1)[0].rung == "popular"  # took out of the cart, and sent back
    assert made.recommend(user="u3", k=1)[0].rung == "history"


@pytest.mark.parametrize("name", ["dislikes.jsonl", "sametime.jsonl", "single.jsonl"])
def test_a_log_that_cannot_be_judged_says_why(feeds, shop, mmrec, name):
    made = shop("39-evaluate-edges/items.jsonl")
    assert mmrec("record", made.path, feeds / "39-evaluate-edges" / name).exit_code == 0
    protocol = "global-time" if name == "sametime.jsonl" else "leave-last-out"
    with pytest.raises(MmrecError):
        made.evaluate(protocol=protocol, models=["popularity"])


def test_a_row_that_was_mended_leaves_the_quarantine(feeds, tmp_path, open_shop, mmrec):
    feed, store = tmp_path / "feed.csv", open_shop().path
    whole = (feeds / "55-quarantine-never-empties" / "feed.csv").read_text()
    feed.write_text(whole + ",Without an id\n")
    assert mmrec("ingest", store, feed).exit_code == 3
    assert "item_id" in mmrec("quarantine", store).stdout
    feed.write_text(whole + "A9,Without an id\n")
    assert mmrec("ingest", store, feed).exit_code == 0
    assert "item_id" not in mmrec("quarantine", store).stdout
