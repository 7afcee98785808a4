"""Tables in whatever they come: packed, zipped, workbooks, JSON and XML of any shape, parts, pipes."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ingest.read import open_rows
from ingest.sources import ReadOptions, containers, detect, open_source, several
from ingest.sources.containers import unpacked
from ingest.sources.tables import table_file
from mmrec.data.files import write_items
from mmrec.errors import DataError, Rejection
from mmrec.types import Item

CSV = "id,title,price\na,Lamp,10\nb,Cup,5\n"
ROWS: list[dict[str, Any]] = [{"id": "a", "title": "Lamp"}, {"id": "b", "title": "Cup"}]
BOMB = b"id,title\n" + (b"a," + b"b" * 2_000 + b"\n") * 4_000
RSS = (
    '<?xml version="1.0"?><rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>'
    "<title>Shop</title>{}</channel></rss>"
)


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zipped(path: Path, **files: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return packed


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, "png")
    return file.getvalue()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    """A minimal .xlsx: numbers, and strings inline."""
    main, rel = "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://schemas.openxmlformats.org"
    kinds = f"{rel}/package/2006/content-types"
    office = f"{rel}/officeDocument/2006/relationships"
    names = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(sheets, 1)
    )
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{office}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n, _ in enumerate(sheets, 1)
    )
    sheet_type = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{sheet_type}.worksheet+xml"/>'
        for n, _ in enumerate(sheets, 1)
    )
    files = {
        "[Content_Types].xml": f'<Types xmlns="{kinds}"><Default Extension="rels" ContentType="application/'
        f'vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="'
        f'{sheet_type}.sheet.main+xml"/>{parts}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{rel}/package/2006/relationships"><Relationship Id="r" Type="'
        f'{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{rel}/package/2006/relationships">{links}'
        "</Relationships>",
    }
    for n, rows in enumerate(sheets.values(), 1):
        body = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
        sheet = f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>'
        files[f"xl/worksheets/sheet{n}.xml"] = sheet
    return zipped(path, **files)


def _cell(value: Any) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def rows(path: Path, **options: Any) -> list[dict[str, Any]]:
    """Cells of the records, all of them sound."""
    records = list(table_file(path, options=ReadOptions(**options)).records())
    assert [record.problem for record in records] == [None] * len(records)
    return [dict(record.cells) for record in records]


# ---- packed files

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd,
}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["x.csv.{}", "x.csv", "x", "X.CSV.{}", "x.jsonl"])
def test_packed_tables_are_read_under_any_name(tmp_path: Path, packer: str, name: str) -> None:
    path = written(tmp_path / name.format(packer), PACKERS[packer](CSV.encode()))
    assert [row["title"] for row in rows(path)] == ["Lamp", "Cup"]
    assert any("its name does not say" in note for note in table_file(path).notes) is ("{}" not in name)
    assert detect(path) == "table"


def test_packed_parquet_workbooks_and_packs_in_packs_are_read(tmp_path: Path) -> None:
    assert rows(written(tmp_path / "x.parquet.gz", gzip.compress(parquet(ROWS)))) == ROWS
    book = workbook(tmp_path / "b.xlsx", {"A": [["id", "title"], ["a", "Lamp"], ["b", "Cup"]]})
    assert rows(zipped(tmp_path / "x.zip", **{"b.xlsx": book.read_bytes()})) == ROWS
    inner = zipped(tmp_path / "inner.zip", **{"x.csv": CSV}).read_bytes()
    assert len(rows(written(tmp_path / "x.zip.gz", gzip.compress(inner)))) == 2
    assert len(rows(zipped(tmp_path / "y.zip", **{"x.csv.gz": gzip.compress(CSV.encode())}))) == 2


def test_a_text_under_the_name_of_a_pack_is_read_and_told(tmp_path: Path) -> None:
    for name in ("x.csv.gz", "x.zip", "x.csv.zst"):
        file = table_file(written(tmp_path / name, CSV))
        assert len(list(file.records())) == 2
        assert any("not packed" in note for note in file.notes)


@pytest.mark.parametrize("packer", PACKERS)
def test_a_bomb_is_refused_while_it_is_read(
    tmp_path: Path, packer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "ALWAYS", 2**20)
    bomb = PACKERS[packer](BOMB)
    with pytest.raises(DataError, match="times its size"):
        list(table_file(written(tmp_path / "x.csv", bomb)).records())


def test_a_zipped_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "ALWAYS", 2**20)
    with pytest.raises(DataError, match="times its size"):
        rows(zipped(tmp_path / "x.zip", **{"x.csv": BOMB}))


@settings(max_examples=60)
@given(packer=st.sampled_from(sorted(PACKERS)), cut=st.integers(1, 60))
def test_a_pack_that_is_cut_off_is_damaged(
    packer: str, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = "id,title\n" + "".join(f"{n},{n * 7919 % 65537:x}\n" for n in range(300))
    packed = PACKERS[packer](text.encode())
    path = written(tmp_path_factory.getbasetemp() / "cut", packed[:-cut])
    with pytest.raises(DataError, match=r"damaged|cannot read"):
        list(table_file(path).records())


# ---- zip archives


def test_the_one_table_of_a_zip_is_found_among_other_files(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", **{
        "export/products.csv": CSV, "readme.txt": "Hello", "__MACOSX/products.csv": b"\0\1",
        ".hidden.csv": "x",
    })
    assert len(rows(path)) == 2
    assert any("products.csv in x.zip" in note for note in table_file(path).notes)


def test_pictures_in_the_zip_are_found(tmp_path: Path) -> None:
    table = "id,title,image\na,Lamp,pics/A.PNG\nb,Cup,./pics/b.png\nc,Jug,c.png\nd,Pot,https://h.example/d.png\n"
    path = zipped(tmp_path / "x.zip", **{
        "shop/products.csv": table, "shop/pics/a.png": png(), "shop/pics/b.png": png("blue"),
    })
    source = open_source(path)
    assert [row["image"] for row in source if isinstance(row, dict)] == [
        png(), png("blue"), "c.png", "https://h.example/d.png",
    ]
    assert any("pictures" in note for note in source.notes)
    assert [type(item) for item in open_rows(path).rows] == [Item] * 4


@pytest.mark.parametrize(("files", "words"), [
    ({"a.csv": CSV, "b.csv": CSV}, "a.csv, b.csv"), ({"a.png": b"x"}, "none"), ({"x/": ""}, "none"),
])
def test_a_zip_without_one_table_says_what_it_holds(
    tmp_path: Path, files: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        detect(zipped(tmp_path / "x.zip", **files))


# ---- workbooks


def test_a_workbook_reads_as_the_same_table_in_csv(tmp_path: Path) -> None:
    table = [["sku", "title", "price", "sale", "ean"], ["a", "Lamp, red", 10, True, 4006381333931],
             ["b", "Cup", 5.5, False, None]]
    book = open_source(workbook(tmp_path / "x.xlsx", {"Sheet1": table}))
    text = "sku,title,price,sale,ean\na,\"Lamp, red\",10,true,4006381333931\nb,Cup,5.5,false,\n"
    assert list(book) == list(open_source(written(tmp_path / "x.csv", text)))
    assert book.notes == []
    assert list(open_source((tmp_path / "x.xlsx").rename(tmp_path / "x.csv.bak"))) == list(book)


def test_the_first_sheet_with_rows_is_taken_or_the_one_that_is_said(tmp_path: Path) -> None:
    sheets = {
        "Notes": [["read me"]], "Goods": [["id", "title"], ["a", "Lamp"]], "More": [["id"], ["z"], ["y"]],
    }
    path = workbook(tmp_path / "x.xlsx", sheets)
    assert rows(path) == [{"id": "a", "title": "Lamp"}]
    assert table_file(path).notes == ["sheet 'Goods' of 'Notes', 'Goods', 'More' (--sheet)"]
    assert rows(path, sheet="More") == [{"id": "z"}, {"id": "y"}]
    with pytest.raises(DataError, match=r"no sheet 'Fish'.*Notes, Goods, More"):
        rows(path, sheet="Fish")


def test_lines_above_the_header_of_a_sheet_are_passed_over(tmp_path: Path) -> None:
    sheet = [
        ["Report", None, None], ["Date", "2024", None], ["id", "title", "price"], ["a", "Lamp", 1],
        ["b", "Cup", 2],
    ]
    path = workbook(tmp_path / "x.xlsx", {"A": sheet})
    assert [row["title"] for row in rows(path)] == ["Lamp", "Cup"]
    assert any("header in line 3 (--header-line)" in note for note in table_file(path).notes)


@pytest.mark.parametrize("content", [
    {"[Content_Types].xml": "<Types/>"}, {"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook"},
    {"mimetype": "application/vnd.oasis.opendocument.spreadsheet"},
])
def test_a_broken_workbook_is_named_for_what_it_is(tmp_path: Path, content: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"workbook that cannot be read.*save it as"):
        detect(zipped(tmp_path / "book.xlsx", **content))


def test_a_workbook_that_swells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "ALWAYS", 2**20)
    path = workbook(tmp_path / "x.xlsx", {"A": [["id", "title"], ["a", "b" * 2**22]]})
    with pytest.raises(DataError, match="too many"):
        detect(path)


# ---- JSON

OBJECT = {"count": 2, "filters": [{"name": "x"}], "data": {"products": ROWS}, "page": {"next": None}}


@pytest.mark.parametrize("text", [
    json.dumps(ROWS), json.dumps(ROWS, indent=2), "\n\n" + json.dumps(ROWS), "\ufeff" + json.dumps(ROWS),
    "".join(json.dumps(row, indent=1) for row in ROWS), "\n".join(json.dumps(row, indent=1) for row in ROWS),
    " ".join(map(json.dumps, ROWS)), "".join(json.dumps(row) + "\n\n" for row in ROWS),
    "[\n" + ",\n".join(map(json.dumps, ROWS)) + ",\n]", ",\n".join(map(json.dumps, ROWS)),
    json.dumps({"products": ROWS}), json.dumps(OBJECT), json.dumps(OBJECT, indent=2),
    json.dumps([ROWS[:1], ROWS[1:]]),
    "\n".join(json.dumps({"products": [row], "page": n}) for n, row in enumerate(ROWS)),
    json.dumps({"id": "feed", "items": ROWS}), "".join(f"\x1e{json.dumps(row)}\n" for row in ROWS),
    json.dumps({"data": {"products": {"edges": [{"node": row, "cursor": "x"} for row in ROWS]}}}),
    "".join(f"{row}\n" for row in ROWS),
])
@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.txt"])
def test_json_of_any_shape_is_its_objects(tmp_path: Path, text: str, name: str) -> None:
    path = written(tmp_path / name, text)
    assert rows(path) == ROWS
    assert detect(path) == "table"


def test_hits_of_a_search_engine_keep_their_id(tmp_path: Path) -> None:
    hits = [{"_id": row["id"], "_score": 1, "_source": {"title": row["title"]}} for row in ROWS]
    path = written(tmp_path / "x.json", json.dumps({"took": 1, "hits": {"total": 2, "hits": hits}}))
    assert rows(path) == [{"_id": row["id"], "title": row["title"]} for row in ROWS]


@pytest.mark.parametrize("value", [
    {row["id"]: {"title": row["title"]} for row in ROWS}, {f"x{n}": row for n, row in enumerate(ROWS)},
    {name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ("id", "title")},
])
def test_an_object_of_objects_is_a_table_too(tmp_path: Path, value: dict[str, Any]) -> None:
    assert rows(written(tmp_path / "x.json", json.dumps(value))) == ROWS


def test_the_list_that_is_taken_is_told(tmp_path: Path) -> None:
    file = table_file(written(tmp_path / "x.json", json.dumps(OBJECT)))
    assert len(list(file.records())) == 2
    assert file.notes == ["the rows are the objects of the list 'products'"]


def test_a_product_with_a_list_of_objects_is_a_product(tmp_path: Path) -> None:
    bundle = {"sku": "a", "title": "Set", "items": [{"sku": "b"}, {"sku": "c"}]}
    variants = {"id": "a", "title": "Shirt", "variants": [{"id": 1}, {"id": 2}]}
    for row in (bundle, variants):
        assert rows(written(tmp_path / "x.jsonl", f"{json.dumps(row)}\n{json.dumps(row)}\n")) == [row, row]
    assert rows(written(tmp_path / "x.json", json.dumps(variants))) == [variants]


def test_the_line_of_an_object_is_where_it_begins(tmp_path: Path) -> None:
    file = table_file(written(tmp_path / "x.json", json.dumps(ROWS, indent=1)))
    assert [record.line for record in file.records()] == [2, 6]


def test_json_streams_with_objects_across_the_parts_that_are_read(tmp_path: Path) -> None:
    many = [{"id": str(n), "title": "é" * (n % 700), "tags": ["a", {"b": None}]} for n in range(9_000)]
    path = written(tmp_path / "x.json", json.dumps(many, indent=1, ensure_ascii=False))
    assert path.stat().st_size > 3 * 2**20
    assert rows(path) == many


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_absent_and_told(tmp_path: Path, number: str) -> None:
    flat = f'{{"id":"a","title":"Lamp","price":{number}}}\n{{"id":"b","title":"Cup","price":5.0}}\n'
    canonical = f'{{"item_id":"a","attributes":{{"price":{number}}}}}\n{{"item_id":"b"}}\n'
    for text in (flat, f"[{flat.strip().replace(chr(10), ',')}]", canonical):
        opened = open_rows(written(tmp_path / "x.jsonl", text))
        items = list(opened.rows)
        assert [item.item_id for item in items] == ["a", "b"]
        assert isinstance(items[0], Item)
        assert "price" not in items[0].attributes
        assert any("NaN and Infinity were taken as absent: 1 time" in note for note in opened.notes)


@pytest.mark.parametrize(("text", "good", "words"), [
    ('[{"id":"a"},{"id":"b"', ["a"], "breaks off in line 1"),
    ('[{"id":"a"},\n{"id" "b"},{"id":"c"}]', ["a"], "breaks off in line 2"),
    ('[{"id":"a"},5,{"id":"c"}]', ["a", "c"], "got int"),
    ('[{"id":"a"},{"id":"b"}', ["a", "b"], "ends inside a list"),
    ('{"id":"a"}\n{"id":"b","id":"c"}\n{"id":"d"}\n', ["a", "d"], "stands twice"),
    ('{"id":"a"}\nnonsense\n{"id":"d"}\n', ["a", "d"], "no valid JSON"),
])
def test_broken_json_costs_what_is_broken_and_is_told(
    tmp_path: Path, text: str, good: list[str], words: str
) -> None:
    found = list(table_file(written(tmp_path / "x.json", text)).records())
    assert [record.cells["id"] for record in found if record.problem is None] == good
    (problem,) = [record.problem for record in found if record.problem is not None]
    assert words in problem


def test_a_canonical_file_is_one_in_any_container_and_encoding(tmp_path: Path) -> None:
    items = [Item(item_id="a", text={"title": "Lämpchen"}, attributes={"price": 3}), Item(item_id="b")]
    write_items(tmp_path / "items.jsonl", items)
    plain = (tmp_path / "items.jsonl").read_text(encoding="utf-8")
    array = json.dumps([json.loads(line) for line in plain.splitlines()])
    for content in (
        plain.encode("utf-16"), plain.encode("utf-16-le"), gzip.compress(plain.encode()), array.encode(),
    ):
        path = written(tmp_path / "x.jsonl", content)
        assert detect(path) == "items"
        assert list(open_rows(path).rows) == items


def test_a_line_of_a_canonical_file_that_is_no_json_goes_to_the_quarantine_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", '{"item_id": "a"}\n{"item_id": \n')
    _, bad = open_rows(path).rows
    assert isinstance(bad, Rejection)
    assert (bad.line, bad.row) == (2, {"unparsed": '{"item_id":'})


# ---- XML


def test_a_merchant_feed_in_rss_has_its_fields_as_columns(tmp_path: Path) -> None:
    item = (
        "<item><g:id>a</g:id><title>Shop's own</title><g:title>Lamp</g:title><link>https://h.example/a</link>"
        "<g:image_link>a.png</g:image_link><g:additional_image_link>b.png</g:additional_image_link>"
        "<g:additional_image_link>c.png</g:additional_image_link><g:price>10.00 EUR</g:price>"
        "<g:shipping><g:country>DE</g:country><g:price>5 EUR</g:price></g:shipping>"
        "<description><![CDATA[<b>Warm</b>]]></description></item>"
    )
    (row,) = rows(written(tmp_path / "feed.xml", RSS.format(item)))
    assert row == {
        "id": "a", "title": "Lamp", "link": "https://h.example/a", "image_link": "a.png",
        "additional_image_link": '["b.png", "c.png"]', "price": "10.00 EUR", "shipping_country": "DE",
        "shipping_price": "5 EUR", "description": "<b>Warm</b>",
    }


def test_an_atom_feed_is_read(tmp_path: Path) -> None:
    entry = (
        '<entry><id>{0}</id><title>Lamp {0}</title><link href="https://h.example/{0}"/><g:price>5</g:price>'
        "</entry>"
    )
    spaces = 'xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"'
    feed = f"<feed {spaces}><id>x</id>{{}}</feed>"
    path = written(tmp_path / "feed", feed.format(entry.format("a") + entry.format("b")))
    assert rows(path) == [
        {"id": one, "title": f"Lamp {one}", "link": f"https://h.example/{one}", "price": "5"} for one in "ab"
    ]


def test_any_other_xml_is_read_by_its_repeated_element(tmp_path: Path) -> None:
    ware = (
        '<ware nr="{0}" neu="ja"><name>Lampe {0}</name><preis waehrung="EUR">10</preis>'
        "<bilder><bild>{0}1.png</bild><bild>{0}2.png</bild></bilder>"
        '<merkmal name="Farbe">rot</merkmal><merkmal name="Holz">Eiche</merkmal>'
        "<varianten><v><sku>1</sku></v><v><sku>2</sku></v></varianten></ware>"
    )
    wares = ware.format("a") + ware.format("b")
    text = f"<shop><kopf><stand>heute</stand></kopf><waren>{wares}</waren></shop>"
    first, second = rows(written(tmp_path / "x.xml", text))
    assert first == {
        "nr": "a", "neu": "ja", "name": "Lampe a", "preis": "10", "preis_waehrung": "EUR",
        "bilder": '["a1.png", "a2.png"]', "Farbe": "rot", "Holz": "Eiche",
        "varianten": '[{"sku": "1"}, {"sku": "2"}]',
    }
    assert second["name"] == "Lampe b"
    assert table_file(tmp_path / "x.xml").notes == ["each <ware> is a row"]


LAMP = '<{0} id="1" name="Lamp" price="12"/>'
MUG = '<{0} id="2" name="Mug" price="3"/>'


@pytest.mark.parametrize(("text", "tag", "count"), [
    ("<r>" + LAMP + MUG + "</r>", "product", 2), ("<r>" + LAMP + "</r>", "product", 1), (LAMP, "product", 1),
    ("<r>" + LAMP + MUG + "</r>", "ware", 2), ('<r at="today"><stand a="1"/>' + LAMP + "</r>", "ware", 1),
    ("<r><list>" + LAMP + MUG + "</list></r>", "ware", 2), ("<r><list>" + LAMP + "</list></r>", "product", 1),
    ('<r><list n="2">' + LAMP + MUG + "</list><sums><sum><of>2</of></sum></sums></r>", "product", 2),
    ('<r><kinds><kind id="9" of="x"/></kinds><list>' + LAMP + MUG + "</list></r>", "ware", 2),
])
def test_rows_of_xml_that_are_attributes_alone(tmp_path: Path, text: str, tag: str, count: int) -> None:
    path = written(tmp_path / "x.xml", text.format(tag))
    assert rows(path) == [
        {"id": "1", "name": "Lamp", "price": "12"}, {"id": "2", "name": "Mug", "price": "3"},
    ][:count]
    assert table_file(path).notes == [f"each <{tag}> is a row"]


def test_attributes_beside_a_text_or_below_parts_are_no_rows_of_their_own(tmp_path: Path) -> None:
    picture = '<bild url="a.png" breite="9"/>'
    ware = f'<ware id="1"><name>Lamp</name><bilder>{picture}{picture}</bilder></ware>'
    for text in (f"<r>{ware}</r>", f'<r><info a="1" b="2"/>{ware}</r>'):
        (row,) = rows(written(tmp_path / "x.xml", text))
        assert (row["id"], row["name"]) == ("1", "Lamp")
    (row,) = rows(written(tmp_path / "x.xml", '<r><item id="1" price="3">Red lamp</item></r>'))
    assert row == {"id": "1", "price": "3", "item": "Red lamp"}
    (row,) = rows(written(tmp_path / "x.xml", "<product><id>1</id><name>Lamp</name></product>"))
    assert row == {"id": "1", "name": "Lamp"}


def test_many_rows_of_attributes_are_found_by_the_first(tmp_path: Path) -> None:
    text = "<r>" + "".join(f'<ware id="{n}" name="Lamp"/>' for n in range(60_000)) + "</r>"
    assert len(rows(written(tmp_path / "x.xml", text))) == 60_000


def test_xml_is_read_in_its_own_encoding_and_packed(tmp_path: Path) -> None:
    text = "<?xml version='1.0' encoding='{}'?><r><item><id>a</id><title>Lämpchen</title></item></r>"
    for encoding in ("utf-8", "iso-8859-1", "windows-1252", "utf-16"):
        content = text.format(encoding).encode(encoding)
        for path in (written(tmp_path / "x.xml", content), written(tmp_path / "x", gzip.compress(content))):
            assert rows(path) == [{"id": "a", "title": "Lämpchen"}]


def test_xml_that_is_broken_hostile_or_no_feed_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><r><item><id>&b;</id></item></r>'
    for text, words in (
        ("<r><item><id>a</id></item>", "well-formed"), (bomb, "entities"), ("<r>words</r>", "no element"),
        ("<!DOCTYPE html><html><body>Please log in</body></html>", "a web page"),
        ("<html><head/></html>", "a web page"),
    ):
        with pytest.raises(DataError, match=words):
            rows(written(tmp_path / "x.xml", text))


def test_a_large_feed_is_not_held_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    item = "<item><g:id>{}</g:id><title>" + "x" * 500 + "</title></item>"
    path = written(tmp_path / "feed.xml", RSS.format("".join(map(item.format, range(20_000)))))
    file = table_file(path)
    tracemalloc.start()
    count = sum(1 for _ in file.records())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < path.stat().st_size / 3


# ---- what is no table


@pytest.mark.parametrize(("content", "words"), [
    (b"%PDF-1.7 x", "a PDF"), (png(), "a picture"), (b"SQLite format 3\0" + b"x" * 90, "SQLite"),
    (bytes(range(256)) * 40, "no text"), (b"  \n", "empty"), (b"", "empty"),
])
@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x"])
def test_what_is_no_table_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        detect(written(tmp_path / name, content))


# ---- several files


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_folder_of_parts_is_one_table_and_its_folders_are_columns(tmp_path: Path, suffix: str) -> None:
    for colour, one in (("dark%20red", ROWS[0]), ("__HIVE_DEFAULT_PARTITION__", ROWS[1])):
        content = {
            "parquet": parquet([one]), "csv": "id,title\n{id},{title}\n".format(**one),
            "jsonl": json.dumps(one),
        }[suffix]
        written(tmp_path / "shop" / f"colour={colour}" / f"part-0.{suffix}", content)
    written(tmp_path / "shop" / "_SUCCESS", "")
    written(tmp_path / "shop" / "colour=dark%20red" / ".part-0.crc", "x")
    assert detect(tmp_path / "shop") == "table"
    source = open_source(tmp_path / "shop")
    found = {row["item_id"]: row["attributes"] for row in source if isinstance(row, dict)}
    assert found == {"a": {"colour": "dark red"}, "b": {}}


def test_the_index_of_pandas_in_parquet_is_left_out(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "title": ["Lamp"], "__index_level_0__": [7]})
    pq.write_table(table, tmp_path / "x.parquet")
    assert rows(tmp_path / "x.parquet") == [{"id": "a", "title": "Lamp"}]
    assert any("index" in note for note in open_source(tmp_path / "x.parquet").notes)


def test_standard_input_is_a_file_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several.piped.cache_clear()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(CSV.encode()))))
    assert detect("-") == "table"
    assert [row["item_id"] for row in open_source("-") if isinstance(row, dict)] == ["a", "b"]
    several.piped.cache_clear()


def test_content_says_where_its_bytes_lie(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv.gz", gzip.compress(CSV.encode()))
    content = unpacked(path)
    assert (content.name, content.path, content.origin) == ("x.csv", None, str(path))
    with pytest.raises(DataError, match="a folder"):
        unpacked(tmp_path)
