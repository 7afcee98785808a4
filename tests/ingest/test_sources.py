"""Sources: one contract for all kinds, and what each kind adds to it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ingest.sources import Columns, Source, detect, from_frame, grouplens, open_interactions, open_source
from ingest.sources.columns import valid_names
from ingest.sources.folders import words_of
from ingest.sources.guesses import infer
from ingest.sources.records import MAX_LINE
from mmrec.data.files import read_items, write_interactions, write_items
from mmrec.errors import DataError, Rejection
from mmrec.types import RESERVED, Interaction, Item

LAMP = {
    "item_id": "a1", "title": "Red lamp", "price": 12.5, "stock": 3, "sale": True, "kind": "lamp",
    "since": "2024-05-01", "tags": ["warm", "desk"], "image": "a1.png",
}
MUG = {
    "item_id": "a2", "title": "Blue mug", "price": 7, "stock": 0, "sale": False, "kind": "mug",
    "since": "2024-06-01T12:00:00Z", "tags": ["tea"], "image": None,
}
FILM = {
    "item_id": "1", "title": "A Film", "year": 1995, "genres": ["Drama", "War"], "plot": "They meet.",
    "director": "Ann Onym", "actors": "Bo Bo, Cy Cy", "language": "French, English", "country": "Chad",
    "runtime_min": 90, "imdb_id": "7", "image": "posters/1.jpg",
}
NO_PLOT: dict[str, Any] = {"item_id": "2", "title": "Other", "year": None, "genres": [], "plot": None}
SOCK = {
    "item_id": "0100000001", "product_code": "0100", "title": "2-pack", "product_type": "Socks",
    "product_group": "Socks & Tights", "pattern": "Solid", "colour": "Black", "department": "Basics",
    "section": "Men", "description": "Soft.", "image": "images/0100000001.jpg",
}
ARTICLES = (
    "article_id,product_code,prod_name,product_type_name,product_group_name,graphical_appearance_name,"
    "colour_group_name,department_name,section_name,detail_desc\n"
    '0100000001,0100,2-pack,Socks,Socks & Tights,Solid,Black,Basics,Men,"Soft, warm."\n'
    "100000002,0100,2-pack,Socks,Socks & Tights,Solid,White,Basics,Men,\n"
)


def jsonl(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), "red").save(path)
    return path


def as_csv(*rows: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({k: "|".join(v) if isinstance(v, list) else v for k, v in row.items()})
    return text.getvalue()


def folder_of_pictures(tmp: Path) -> Path:
    for name in ("red-lamp.png", "mugs/IMG_0012.jpg", "mugs/.hidden.jpg"):
        picture(tmp / "shop" / name)
    return tmp / "shop"


def release_100k(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    flags = ("0|1|1", "1|0|0")
    titles = ("Cité, La (Town, The) (1995)", "unknown")
    films = [f"{n}|{titles[n - 1]}|01-Jan-1995||http://x|{flags[n - 1]}\n" for n in (1, 2)]
    written(folder / "u.item", "".join(films), "latin-1")
    written(folder / "u.genre", "unknown|0\nDrama|1\nWar|2\n\n")
    written(folder / "u.data", "7\t1\t5\t881250949\n7\t2\t3\t881250950\n8\t1\t1\t881250951\n")
    return folder


def release_1m(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    films = "1::Café, The (1995)::Drama|War\n2::Broken line\n3::Up::Comedy\n"
    written(folder / "movies.dat", films, "latin-1")
    written(folder / "ratings.dat", "7::1::5::881250949\n7::3::9::1\n8::3::2::x\n8::3::2::881250951\n")
    return folder


def release_csv(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = '1,"Matrix, The (1999)",Action|Sci-Fi\n2,Short,(no genres listed)\n'
    written(folder / "movies.csv", "movieId,title,genres\n" + rows)
    written(folder / "ratings.csv", "userId,movieId,rating,timestamp\n7,1,4.0,881250949\n7,2,0.5,881250950\n")
    written(folder / "links.csv", "movieId,imdbId\n1,2\n")
    return folder


def zipped(folder: Path) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{folder.name}/{file.name}")
    return target


def parquet(tmp: Path) -> Path:
    pq.write_table(pa.Table.from_pylist([LAMP, MUG]), tmp / "shop.parquet")
    return tmp / "shop.parquet"


def articles(tmp: Path) -> Path:
    picture(tmp / "hm" / "images" / "010" / "0100000001.jpg")
    return written(tmp / "hm" / "articles.csv", ARTICLES).parent


MAKERS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "csv": ("table", lambda tmp: written(tmp / "shop.csv", as_csv(LAMP, MUG))),
    "tsv": ("table", lambda tmp: written(tmp / "shop.tsv", "id\ttitle\n1\tA\n2\tB\n")),
    "jsonl": ("table", lambda tmp: jsonl(tmp / "shop.jsonl", LAMP, MUG)),
    "parquet": ("table", parquet),
    "pictures": ("images", folder_of_pictures),
    "enriched films": ("movielens", lambda tmp: jsonl(tmp / "ml" / "items.jsonl", FILM, NO_PLOT).parent),
    "ml-100k": ("movielens", lambda tmp: release_100k(tmp / "ml-100k")),
    "ml-1m zip": ("movielens", lambda tmp: zipped(release_1m(tmp / "ml-1m"))),
    "ml-latest": ("movielens", lambda tmp: release_csv(tmp / "ml-latest")),
    "garments": ("fashion", lambda tmp: jsonl(tmp / "hm" / "items.jsonl", SOCK).parent),
    "articles": ("fashion", articles),
}


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    format, make = MAKERS[request.param]
    return format, make(tmp_path)


def good(source: Source) -> list[dict[str, Any]]:
    return [row for row in source if not isinstance(row, Rejection)]


def bad(source: Any) -> list[Rejection]:
    return [row for row in source if isinstance(row, Rejection)]


# ---- the contract of all kinds


def test_the_kind_is_found_from_the_path_alone(made: tuple[str, Path]) -> None:
    format, path = made
    assert detect(path) == format
    assert open_source(path).format == format


def test_a_source_can_be_walked_twice_and_knows_its_total(made: tuple[str, Path]) -> None:
    source = open_source(made[1])
    rows = list(source)
    assert rows == list(source)
    assert source.total == len(rows) > 0


def test_every_row_makes_an_item(made: tuple[str, Path]) -> None:
    source = open_source(made[1])
    for row in good(source):
        assert set(row) - {"added_at"} == {"item_id", "text", "image", "attributes", "line"}
        item = Item(**row)
        assert item.item_id
        assert all(isinstance(path, str) for path in item.images)
    assert source.folder.is_dir()


def test_an_absent_path_says_so(tmp_path: Path) -> None:
    for format in ("auto", "table", "images", "movielens", "fashion"):
        with pytest.raises(DataError, match="nowhere"):
            open_source(tmp_path / "nowhere", format=format)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"id,title\n"])
@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
def test_a_file_without_rows_is_refused_with_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        open_source(tmp_path / name)


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl", "x.parquet", "x.zip", "x.csv.gz", "x.xlsx"])
def test_binary_junk_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(5_000))
    with pytest.raises(DataError, match=name):
        open_source(tmp_path / name)


@pytest.mark.parametrize(("format", "name"), [("movielens", "items.jsonl"), ("fashion", "articles.csv")])
def test_empty_data_sets_are_refused(tmp_path: Path, format: str, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="empty"):
        open_source(tmp_path, format=format)


def test_options_without_a_meaning_are_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "shop.jsonl", LAMP)
    with pytest.raises(DataError, match="read_items"):
        open_source(path, format="items")
    with pytest.raises(DataError, match="use one of table"):
        open_source(path, format="excel")
    with pytest.raises(DataError, match="table beside"):
        open_source(path, format="table", table=path)
    with pytest.raises(DataError, match="columns are for tables"):
        open_source(tmp_path, format="images", columns=Columns(id="x"))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "jsonl.gz"])
def test_canonical_files_are_told_from_flat_ones(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"items.{suffix}"
    write_items(path, [Item(item_id="1", text={"title": "A"}, attributes={"price": 3})])
    assert detect(path) == "items"
    assert detect(path, Columns(id="item_id")) == "table"
    assert detect(jsonl(tmp_path / "flat.jsonl", {"item_id": "1", "text": "A"})) == "table"


def test_a_folder_with_a_table_beside_its_pictures_is_asked_about(tmp_path: Path) -> None:
    written(folder_of_pictures(tmp_path) / "shop.csv", as_csv(LAMP))
    with pytest.raises(DataError, match=r"shop\.csv: give the path of the table"):
        detect(tmp_path / "shop")
    assert len(good(open_source(tmp_path / "shop", format="images"))) == 2


# ---- tables

def test_columns_get_their_meaning_and_type_from_names_and_first_rows(tmp_path: Path) -> None:
    for path in (written(tmp_path / "s.csv", as_csv(LAMP, MUG)), jsonl(tmp_path / "s.jsonl", LAMP, MUG)):
        source = open_source(path)
        assert source.columns == Columns(
            id="item_id", text=("title",), image=("image",),
            attributes=("price", "stock", "sale", "kind", "since", "tags"),
        )
        lamp, mug = good(source)
        assert lamp["text"] == {"title": "Red lamp"}
        assert lamp["image"] == "a1.png"
        assert mug["image"] is None
        assert lamp["attributes"] == {
            "price": 12.5, "stock": 3, "sale": True, "kind": "lamp",
            "since": datetime(2024, 5, 1, tzinfo=UTC), "tags": ["warm", "desk"],
        }
        assert mug["attributes"]["since"] == datetime(2024, 6, 1, 12, tzinfo=UTC)
        assert mug["attributes"]["tags"] == ["tea"]


def test_a_cell_of_another_type_costs_the_cell_and_is_told(tmp_path: Path) -> None:
    row = {"name": "A thing", "Sale Price": 1, "day": "2024-01-01"}
    rows: list[dict[str, Any]] = [{"sku": f"s{n}", **row} for n in range(1_200)]
    rows[1_100] |= {"Sale Price": "cheap"}
    rows[1_150] |= {"day": "soon", "Sale Price": "n/a"}
    source = open_source(written(tmp_path / "x.csv", as_csv(*rows)))
    taken = list(source)
    assert len(good(taken)) == 1_200  # type: ignore[arg-type]
    assert taken[1_100]["attributes"] == {"day": datetime(2024, 1, 1, tzinfo=UTC)}  # type: ignore[index]
    assert taken[1_150]["attributes"] == {}  # type: ignore[index]
    assert source.notes == [
        "column 'Sale Price': what is not a number up to 2**53 was left out, such as 'cheap' (--types):"
        " 1 time, first in line 1,102",
        "column 'day': what is not a date was left out, such as 'soon' (--types): 1 time, first in line"
        " 1,152",
    ]
    assert list(source) == taken
    assert len(source.notes) == 2  # another walk tells nothing twice


def test_bad_rows_are_rejected_with_the_line_where_they_begin(tmp_path: Path) -> None:
    text = (
        'id,title,size\n1,"two\nlines",3\n2\n\n3,a,b,c\n4,"x"y,5\n5,good,6\n6,caf\udce9,7\n7,"open,8\n'
        "8,good,9\n"
    )
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    source = open_source(path)
    assert [(row["item_id"], row["line"], row["text"].get("title")) for row in good(source)] == [
        ("1", 2, "two\nlines"), ("4", 7, '"x"y'), ("5", 8, "good"), ("6", 9, "café"), ("7", 10, '"open'),
        ("8", 11, "good"),
    ]
    few, many = bad(source)
    assert (few.line, few.item_id, many.line) == (4, "2", 6)
    assert "1 cells, the header 3" in few.reason
    assert "['c']" in many.reason
    assert any("Windows-1252 (--encoding)" in note for note in source.notes)
    assert any("stray quote" in note and "2 times, first in line 7" in note for note in source.notes)


def test_a_line_without_end_is_a_rejection_and_not_a_memory(tmp_path: Path) -> None:
    long = json.dumps({"id": "2", "title": "x" * MAX_LINE})
    lines = ['{"id": "1"}', long, '{"id": "3"}', "not json", "[1]", '{"id": "4"}']
    source = open_source(written(tmp_path / "x.jsonl", "\n".join(lines)))
    assert [row["item_id"] for row in good(source)] == ["1", "3", "4"]
    assert [row.line for row in bad(source)] == [2, 4, 5]


def test_a_named_column_that_is_absent_gives_the_closest_name(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", LAMP)
    with pytest.raises(DataError, match=r"did you mean 'title'.*'price'"):
        open_source(path, columns=Columns(text=("titel",)))
    with pytest.raises(DataError, match=r"no column looks like the item's id.*'colour'"):
        open_source(jsonl(tmp_path / "y.jsonl", {"colour": "red"}))


def test_columns_that_are_named_are_taken_as_named(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "code;a;b;when\n7;x;https://h/1.png|l.png;2024-02-03\n8;y;;never\n")
    columns = Columns(id="code", text=("a",), image=("b",), attributes=("a",), added_at="when")
    source = open_source(path, columns=columns)
    assert source.columns == columns
    assert good(source) == [{
        "item_id": "7", "text": {"a": "x"}, "image": ["https://h/1.png", "l.png"], "attributes": {"a": "x"},
        "added_at": datetime(2024, 2, 3, tzinfo=UTC), "line": 2,
    }, {"item_id": "8", "text": {"a": "y"}, "image": None, "attributes": {"a": "y"}, "line": 3}]
    assert any("'never'" in note for note in source.notes)


def test_a_lone_name_stands_for_itself_and_a_bad_delimiter_is_refused() -> None:
    assert Columns(text="title").text == ("title",)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="such as"):
        Columns(delimiter="::::")


def test_keys_that_turn_up_late_are_attributes_too(tmp_path: Path) -> None:
    rows: list[Any] = [{"id": n, "nested": {"a": 1}} for n in range(1_001)]
    path = jsonl(tmp_path / "x.jsonl", *rows, {"id": 9, "Size": 4, "more": {}})
    *_, last = open_source(path)
    assert last == {"item_id": "9", "text": {}, "image": None, "attributes": {"size": 4}, "line": 1_002}
    with pytest.raises(DataError, match=r"did you mean 'nested\.a'"):
        open_source(path, columns=Columns(attributes=("nested",)))


def test_packed_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(as_csv(LAMP, MUG).encode()))
    assert len(good(open_source(tmp_path / "x.csv.gz"))) == 2


def test_parquet_reads_typed_values_and_survives_bad_ones(tmp_path: Path) -> None:
    text = pa.array([b"Lamp", b"\xff\xfe", b"Mug"], pa.binary()).view(pa.string())
    times = pa.array([1, 2, None], pa.timestamp("ns"))
    pictures = pa.array([{"bytes": b"png", "path": None}, None, {"bytes": None, "path": "m.png"}])
    sizes = [1.0, 2.0, np.nan]
    table = {"id": [1, 2, 3], "name": text, "day": times, "size": sizes, "image": pictures}
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    source = open_source(tmp_path / "x.parquet")
    lamp, nameless, mug = good(source)
    assert (lamp["item_id"], lamp["image"], lamp["line"]) == ("1", b"png", 1)
    assert lamp["attributes"] == {"day": datetime(1970, 1, 1, tzinfo=UTC), "size": 1.0}
    assert (mug["image"], mug["attributes"]) == ("m.png", {})
    assert (nameless["line"], nameless["text"], nameless["attributes"]["size"]) == (2, {}, 2.0)
    assert ["'name'" in note and "utf-8" in note for note in source.notes] == [True]


def test_a_time_that_python_cannot_hold_costs_itself_in_a_table(tmp_path: Path) -> None:
    day = datetime(2024, 5, 1, tzinfo=UTC)
    times = pa.array([day] * 8, pa.timestamp("us", "UTC"))
    times = pa.concat_arrays([times, pa.array([2**62], pa.int64()).cast(times.type)])
    pq.write_table(pa.table({"id": range(9), "name": ["red mug"] * 9, "made": times}), tmp_path / "x.parquet")
    source = open_source(tmp_path / "x.parquet")
    assert [row["attributes"].get("made") for row in good(source)] == [day] * 8 + [None]
    assert any("'made': what is not a date" in note for note in source.notes)


@pytest.mark.parametrize(("text", "kind", "value"), [
    ("12", "number", 12), ("-1.5e3", "number", -1500.0), (".5", "number", 0.5), ("007", "category", "007"),
    ("9" * 20, "category", "9" * 20), ("1,299", "category", "1,299"), ("inf", "category", "inf"),
    ("TRUE", "bool", True), (" red ", "category", "red"), ("N/A", "category", "N/A"),
    ("2024-05-01", "date", datetime(2024, 5, 1, tzinfo=UTC)), ("2024-13-01", "category", "2024-13-01"),
    ("a|b", "list", ["a", "b"]), ('["a", "b"]', "list", ["a", "b"]),
])
def test_written_cells_have_one_kind(text: str, kind: str, value: Any) -> None:
    reading = infer("x", [text])
    assert reading is not None
    assert (reading.kind, reading.read(text)) == (kind, value)


def test_objects_have_their_types_and_strings_are_read_as_in_any_format() -> None:
    columns: list[list[Any]] = [
        ["12"], [12], [True], [["a"], "b"], [{"a": 1}], [1, "a"], [float("inf")], [12.0, "13.5"],
    ]
    kinds = ["number", "number", "bool", "list", None, "category", None, "number"]
    assert [reading and reading.kind for reading in (infer("x", cells) for cells in columns)] == kinds
    number = infer("x", [12])
    assert number is not None
    assert number.read("n/a") is None
    with pytest.raises(ValueError, match="inf"):
        number.read(float("inf"))


@given(st.lists(st.text(max_size=80), unique=True, max_size=8))
def test_column_names_become_valid_and_stay_apart(names: list[str]) -> None:
    valid = valid_names([*names, "image", "Image", "Größe"])
    Item(item_id="1", text=dict.fromkeys(valid.values(), "x"))
    assert len(set(valid.values())) == len({*names, "image", "Image", "Größe"})
    assert not RESERVED & set(valid.values())


def test_names_read_as_one_expects() -> None:
    names = ["Product Type", "product-type", "Größe", "2nd", "产品", "content"]
    assert list(valid_names(names).values()) == [
        "product_type", "product_type_2", "Größe", "_2nd", "产品", "content_",
    ]


# ---- frames


@pytest.mark.parametrize("frame", [
    pd.DataFrame([LAMP, MUG], index=[5, 7]), pl.DataFrame([LAMP, MUG], strict=False),
    pa.Table.from_pylist([LAMP, MUG]),
], ids=["pandas", "polars", "pyarrow"])
def test_frames_are_mapped_as_files_are(frame: Any, tmp_path: Path) -> None:
    source = from_frame(frame)
    assert source.format == "frame"
    assert source.total == 2
    assert list(source) == list(open_source(jsonl(tmp_path / "x.jsonl", LAMP, MUG)))


def test_what_is_no_frame_is_refused() -> None:
    for thing, hint in (
        ([1, 2], "list of dicts"), (pl.Series([1, 2]), "Series"), (pd.DataFrame(), "no rows"),
        ([], "no rows"),
    ):
        with pytest.raises(DataError, match=hint):
            from_frame(thing)


# ---- folders of pictures


def test_a_picture_is_an_item_named_by_its_path(tmp_path: Path) -> None:
    mug, lamp = good(open_source(folder_of_pictures(tmp_path)))
    picture(tmp_path / "shop" / "red-lamp.jpg")
    assert mug == {
        "item_id": "mugs/IMG_0012", "text": {}, "image": "mugs/IMG_0012.jpg",
        "attributes": {"folder": "mugs"}, "line": None,
    }
    assert (lamp["item_id"], lamp["text"], lamp["attributes"]) == ("red-lamp", {"title": "red lamp"}, {})
    assert ["red-lamp.jpg", "red-lamp.png"] in [row["image"] for row in good(open_source(tmp_path / "shop"))]


@pytest.mark.parametrize(("stem", "words"), [
    ("red_lamp-01", "red lamp"), ("IMG_1234", ""), ("00208c77-ee58-4b63-bc1a-b9b3aa4f1be0", ""), ("0042", ""),
    ("d41d8cd98f00b204e9800998ecf8427e", ""), ("Café au lait", "Café au lait"), ("photo-3", ""),
])
def test_a_file_name_is_a_title_if_it_has_words(stem: str, words: str) -> None:
    assert words_of(stem) == words


def test_a_table_tells_about_the_pictures_of_a_folder(tmp_path: Path) -> None:
    folder = folder_of_pictures(tmp_path)
    picture(folder / "extra.png")
    table = written(
        tmp_path / "t.csv",
        "id,title,image\nred-lamp,By id,\nm,By file name,IMG_0012.jpg\nn,None,\nx,Gone,gone.png\n"
        "extra,Another picture,IMG_0012.jpg\n",
    )
    source = open_source(folder, table=table)
    rows = {row["item_id"]: row for row in good(source)}
    assert {name: row["image"] for name, row in rows.items()} == {
        "red-lamp": "red-lamp.png", "m": "mugs/IMG_0012.jpg", "n": None, "x": "gone.png",
        "extra": "mugs/IMG_0012.jpg",
    }
    assert rows["m"]["attributes"]["folder"] == "mugs"
    assert [row.item_id for row in bad(source)] == ["extra"]
    assert source.total == 6


def test_pictures_without_a_row_are_items_and_those_of_rejected_rows_are_not(tmp_path: Path) -> None:
    folder = folder_of_pictures(tmp_path)
    table = written(tmp_path / "t.csv", "id,title\nred-lamp,too,many\nz,good\ny,good\n")
    source = open_source(folder, table=table)
    assert [row["item_id"] for row in good(source)] == ["z", "y", "mugs/IMG_0012"]
    (rejected,) = bad(source)
    assert rejected.row is not None
    assert (source.folder / rejected.row["image"]).is_file()


# ---- MovieLens


def test_enriched_films_have_their_fields_apart(tmp_path: Path) -> None:
    film, other = open_source(jsonl(tmp_path / "items.jsonl", FILM, NO_PLOT))
    assert film == {
        "item_id": "1",
        "text": {"title": "A Film", "genres": "Drama, War", "plot": "They meet.",
                 "people": "Ann Onym, Bo Bo, Cy Cy"},
        "image": "posters/1.jpg",
        "attributes": {"year": 1995, "runtime_min": 90, "language": "French", "country": "Chad",
                       "genres": ["Drama", "War"]},
        "line": 1,
    }
    assert other == {"item_id": "2", "text": {"title": "Other"}, "image": None, "attributes": {}, "line": 2}


def test_a_film_with_a_year_in_words_goes_without_it(tmp_path: Path) -> None:
    source = open_source(jsonl(tmp_path / "items.jsonl", FILM, {**FILM, "item_id": "3", "year": "old"}))
    assert "year" not in list(source)[1]["attributes"]  # type: ignore[index]
    assert ["'old'" in note for note in source.notes] == [True]


@pytest.mark.parametrize("make", [release_100k, release_1m, release_csv])
def test_a_release_reads_the_same_from_folder_zip_and_file(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = make(tmp_path / "ml")
    film = next(file for file in folder.iterdir() if file.name in {r.movies for r in grouplens.RELEASES})
    rows = list(open_source(folder))
    assert detect(film) == "movielens"
    assert rows == list(open_source(zipped(folder))) == list(open_source(film))
    ratings = list(open_interactions(folder))
    assert ratings == list(open_interactions(zipped(folder)))
    assert ratings[0] == Interaction(
        user_id="7", item_id="1", kind="like", time=datetime.fromtimestamp(881250949, UTC), line=1
    )


def test_titles_years_and_genres_are_taken_apart(tmp_path: Path) -> None:
    old, unknown = good(open_source(release_100k(tmp_path / "a")))
    assert old["text"] == {"title": "La Cité (The Town)", "genres": "Drama, War"}
    assert old["attributes"] == {"year": 1995, "genres": ["Drama", "War"]}
    assert unknown["attributes"] == {}
    matrix, short = good(open_source(release_csv(tmp_path / "b")))
    assert matrix["text"] == {"title": "The Matrix", "genres": "Action, Sci-Fi"}
    assert (short["text"], short["attributes"]) == ({"title": "Short"}, {})


def test_bad_lines_of_a_release_are_rejected_with_their_line(tmp_path: Path) -> None:
    folder = release_1m(tmp_path / "ml-1m")
    assert [row.line for row in bad(open_source(folder))] == [2]
    ratings = list(open_interactions(folder))
    assert [row.line for row in bad(ratings)] == [2, 3]
    assert [row.kind for row in ratings if isinstance(row, Interaction)] == ["like", "dislike"]


def test_a_zip_that_swells_or_is_cut_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ml-1m/movies.dat", "0" * 5_000_000)
    with pytest.raises(DataError, match="100 times its size"):
        open_source(tmp_path / "bomb.zip")
    whole = zipped(release_1m(tmp_path / "ml-1m"))
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(DataError, match="damaged"):
        open_source(tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(DataError, match=r"readme\.txt.* has no rows"):
        open_source(tmp_path / "other.zip")


def ratings_file(path: Path, **columns: list[Any]) -> Iterator[Interaction | Rejection]:
    pq.write_table(pa.table(columns), path)
    return open_interactions(path)


def test_times_of_ratings_keep_the_order_of_each_user(tmp_path: Path) -> None:
    read = list(ratings_file(
        tmp_path / "ratings.parquet",
        user=[1, 2, 1, 1, 3, 2], item=[1, 2, 3, 4, 5, 6], rating=[5, 3, 1, 4, 4, 4],
        timestamp=[None, 500, 100, None, None, 500], order=[0, 1, 1, 2, 0, 0],
    ))
    times = [(row.user_id, row.time.timestamp()) for row in read if isinstance(row, Interaction)]
    assert times == [
        ("1", 100.0), ("2", 500.000001), ("1", 100.000001), ("1", 100.000002), ("3", 100.0), ("2", 500.0),
    ]
    assert [row.kind for row in read if isinstance(row, Interaction)] == [
        "like", "view", "dislike", "like", "like", "like",
    ]


@settings(max_examples=50)
@given(rows=st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=30))
def test_any_gaps_in_the_timestamps_leave_the_order(
    rows: list[tuple[int, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    order = [sum(other == user for other, _ in rows[:n]) for n, (user, _) in enumerate(rows)]
    stamps = [1_000 + n if known else None for n, (_, known) in enumerate(rows)]
    read = ratings_file(
        tmp_path_factory.getbasetemp() / "ratings.parquet",
        user=[user for user, _ in rows], item=[1] * len(rows), rating=[5] * len(rows),
        timestamp=pa.array(stamps, pa.int64()), order=order,
    )
    last: dict[str, datetime] = {}
    for row, stamp in zip(read, stamps, strict=True):
        assert isinstance(row, Interaction)
        assert row.user_id not in last or row.time > last[row.user_id]
        assert stamp is None or int(row.time.timestamp()) == stamp
        last[row.user_id] = row.time


def test_bad_ratings_are_rejected_one_by_one(tmp_path: Path) -> None:
    read = list(ratings_file(
        tmp_path / "r.parquet", user=["u", None, "u"], item=[1, 2, 3], rating=[5, 5, 11], order=[0, 1, 2],
    ))
    assert [isinstance(row, Rejection) for row in read] == [False, True, True]
    with pytest.raises(DataError, match="no ratings"):
        open_interactions(tmp_path, format="movielens")


def test_canonical_interactions_are_read_as_such(tmp_path: Path) -> None:
    one = Interaction(user_id="u", item_id="1", time=datetime(2024, 1, 1, tzinfo=UTC))
    for name in ("clicks.jsonl", "clicks.parquet"):
        write_interactions(tmp_path / name, [one])
        (read,) = open_interactions(tmp_path / name)
        assert isinstance(read, Interaction)
        assert (read.user_id, read.item_id, read.time) == ("u", "1", one.time)
    with pytest.raises(DataError, match="'interactions', 'movielens'"):
        open_interactions(tmp_path / name, format="csv")


# ---- fashion


def test_garments_have_text_and_categories(tmp_path: Path) -> None:
    (sock,) = good(open_source(jsonl(tmp_path / "items.jsonl", SOCK)))
    assert sock["text"] == {"title": "2-pack", "description": "Soft."}
    assert sock["attributes"] == {
        "product_code": "0100", "product_type": "Socks", "product_group": "Socks & Tights",
        "pattern": "Solid", "colour": "Black", "department": "Basics", "section": "Men",
    }
    assert sock["image"] == "images/0100000001.jpg"


def test_kaggles_articles_read_as_the_same_garments(tmp_path: Path) -> None:
    source = open_source(articles(tmp_path))
    black, white = good(source)
    assert black["text"]["description"] == "Soft, warm."
    assert black["attributes"]["product_code"] == "0100"
    assert (source.folder / black["image"]).is_file()
    assert (white["item_id"], white["image"]) == ("0100000002", None)


def test_what_a_source_yields_can_be_written_as_a_canonical_file(tmp_path: Path) -> None:
    source = open_source(jsonl(tmp_path / "shop.jsonl", LAMP, MUG))
    write_items(tmp_path / "items.jsonl", [Item(**row) for row in good(source)])
    read = read_items(tmp_path / "items.jsonl", allow_outside=True)  # the picture of "a1" lies elsewhere
    assert [item.item_id for item in read if isinstance(item, Item)] == ["a1", "a2"]


# ---- hostile input of any kind


@settings(max_examples=120)
@given(
    name=st.sampled_from(["csv", "tsv", "jsonl", "parquet", "zip", "csv.gz"]),
    damage=st.lists(st.tuples(st.integers(0, 20_000), st.binary(max_size=4)), min_size=1, max_size=6),
)
def test_damaged_files_give_rows_rejections_or_a_data_error(
    name: str, damage: list[tuple[int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    makers: dict[str, Callable[[], bytes]] = {
        "jsonl": lambda: jsonl(folder / "x", LAMP, MUG).read_bytes(),
        "parquet": lambda: parquet(folder).read_bytes(),
        "zip": lambda: zipped(release_100k(folder / "ml")).read_bytes(),
        "csv.gz": lambda: gzip.compress(as_csv(LAMP, MUG).encode()),
    }
    content = bytearray(makers.get(name, lambda: as_csv(LAMP, MUG).encode())())
    for place, junk in damage:
        at = place % (len(content) + 1)
        content[at : at + len(junk)] = junk
    path = folder / f"damaged.{name}"
    path.write_bytes(content)
    with suppress(DataError):
        assert all(isinstance(row, dict | Rejection) for row in open_source(path))
