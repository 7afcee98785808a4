"""How text files are written: encodings, delimiters, quotes, headers, and rows with faults."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sources import Columns, ReadOptions, open_source
from ingest.sources.delimited import split_rows
from ingest.sources.encodings import sniff_encoding
from ingest.sources.records import Record, Rows, Tally
from ingest.sources.tables import TableFile, table_file
from mmrec.errors import DataError

GERMAN = "sku;titel;preis\nA1;Lämpchen;10\nA2;Becher groß;5\nA3;Café – “naïf” 5 €;7\n"
TEXTS = {
    "cp1252": [GERMAN, "id,title\n1,Café\n2,Thé\n", "id,title\n1,Señora, ¿qué?\n2,Maçã\n"],
    "cp932": ["商品ID,商品名,価格\nA1,青いマグ,10\nA2,赤い椅子,5\n", "id,title\n1,ランプ\n2,カップ\n"],
    "gb18030": ["编号,标题,价格\nA1,蓝色杯子,10\nA2,红色椅子,5\n", "id,title\n1,台灯\n2,杯子\n"],
    "big5": ["編號,標題,價格\nA1,藍色杯子,10\nA2,紅色椅子,5\n"],
    "euc_jp": ["商品ID,商品名,価格\nA1,青いマグ,10\nA2,赤い椅子,5\n"],
    "cp949": ["번호,제목,가격\nA1,파란 컵,10\nA2,빨간 의자,5\n"],
    "cp1251": ["Артикул;Название;Цена\nA1;Синяя кружка;1200\nA2;Красный стул;9800\n"],
    "cp1250": ["id;nazwa\n1;Łóżko dębowe\n2;Żółta świeca\n"],
    "mac_roman": ["id;titel\r1;Lämpchen\r2;Stühle größe\r"],
    "utf-16-le": ["sku,title\nA1,Lamp\nA2,Cup\n", GERMAN],
    "utf-16-be": ["sku,title\nA1,Lamp\nA2,Cup\n"],
    "utf-16": [GERMAN, "商品ID,商品名\nA1,青いマグ\n"],
    "utf-32": [GERMAN],
    "utf-8-sig": [GERMAN],
    "utf-8": [GERMAN, "id,title\n1,Łóżko 青い мир\n"],
}


def written(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def opened(path: Path, content: str | bytes, encoding: str = "utf-8", **options: Any) -> Rows:
    columns = options.pop("columns", None)
    source = open_source(written(path, content, encoding), columns=columns, options=ReadOptions(**options))
    assert isinstance(source, Rows)
    return source


def cells(file: TableFile) -> list[list[Any]]:
    return [list(record.cells.values()) for record in file.records()]


def read(path: Path, content: str | bytes, written_as: str = "utf-8", **options: Any) -> list[Record]:
    return list(table_file(written(path, content, written_as), options=ReadOptions(**options)).records())


# ---- encodings


@pytest.mark.parametrize(
    ("encoding", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts]
)
def test_the_encoding_is_found_and_no_character_lost(tmp_path: Path, encoding: str, text: str) -> None:
    file = table_file(written(tmp_path / "x.csv", text, encoding))
    newline = "\r" if "\n" not in text else "\n"
    delimiter = ";" if ";" in text else ","
    header, *rows = (line.split(delimiter) for line in text.strip().split(newline))
    expected = [row + [""] * (len(header) - len(row)) for row in rows if len(row) <= len(header)]
    assert [row for row in cells(file) if len(row) == len(header)][: len(expected)]
    records = list(file.records())
    assert list(records[0].cells) == header
    assert [list(record.cells.values()) for record in records if record.problem is None] == expected
    plain = encoding in ("utf-8", "utf-8-sig")
    assert ("(--encoding)" in " ".join(file.notes)) is not plain


def test_bytes_that_windows_1252_lacks_make_it_latin_1() -> None:
    assert sniff_encoding(b"id,title\n" + b"1,caf\xe9\n" * 30 + b"2,th\xe9 \x81\n", "x") == "latin_1"


def test_an_encoding_that_is_said_is_used(tmp_path: Path) -> None:
    text = "id,title\n1,Šárka žije\n"
    (record,) = read(tmp_path / "x.csv", text, "cp1250", encoding="cp1250")
    assert record.cells["title"] == "Šárka žije"
    with pytest.raises(DataError, match="klingon"):
        ReadOptions(encoding="klingon")


def test_bytes_far_from_the_start_tell_the_encoding_too(tmp_path: Path) -> None:
    rows = "".join(f"{n},Mug {n}\n" for n in range(60_000))
    *_, last = read(tmp_path / "x.csv", f"id,title\n{rows}z,Café\n", "cp1252")
    assert last.cells["title"] == "Café"


def test_a_spoilt_row_in_utf_8_costs_itself_at_most(tmp_path: Path) -> None:
    content = "id,title\n1,Größe 青い\n2,".encode() + b"caf\xe9" + "\n3,Été\n".encode()
    source = opened(tmp_path / "x.csv", content)
    assert [row["text"]["title"] for row in source if isinstance(row, dict)] == ["Größe 青い", "café", "Été"]
    assert any("--encoding" in note and "line 3" in note for note in source.notes)


def test_nuls_are_left_out_and_told(tmp_path: Path) -> None:
    source = opened(tmp_path / "x.csv", "id,title\n1,Mug\0\n\0\0\0\0\n2,Cup\n" + "3,Jug\n" * 20)
    assert [row["text"]["title"] for row in source if isinstance(row, dict)][:2] == ["Mug", "Cup"]
    assert any("NUL" in note and "2 times, first in line 2" in note for note in source.notes)


# ---- delimiters and headers


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "\x01", "^"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    rows = [["id", "title", "price"], ["1", "Lamp, red; warm", "2,5"], ["2", "Mug", "3,0"]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    records = read(tmp_path / "x.csv", text.getvalue())
    assert [list(record.cells) for record in records] == [rows[0], rows[0]]
    assert [list(record.cells.values()) for record in records] == rows[1:]


def test_commas_in_prose_do_not_make_columns(tmp_path: Path) -> None:
    rows = "".join(f"s{n}\tA soft, warm, wide chair\t{n},50\n" for n in range(50))
    source = opened(tmp_path / "x.txt", "sku\ttitle\tprice\n" + rows)
    assert len([row for row in source if isinstance(row, dict)]) == 50
    assert any("delimiter" in note and "--delimiter" in note for note in source.notes)


def test_the_suffix_is_a_hint_and_the_content_decides(tmp_path: Path) -> None:
    records = read(tmp_path / "x.tsv", "id,title\n1,Mug\n2,Cup\n")
    assert [list(record.cells) for record in records] == [["id", "title"]] * 2


@pytest.mark.parametrize(("above", "line"), [
    ("sep=;\r\n", 2), ('"sep=;"\n', 2), ("Product report\n", 2),
    ("Product report;;\nGenerated 2024-05-01;;\n;;\n", 4),
    ("Report, all products\nDate;2024-05-01\n\n", 4), ("# by a tool\n# of ours\n", 3), ("", 1),
    ("Shop;Main street;\nExported;2024-01-02;12:00\n", 3),
])
def test_lines_above_the_header_are_passed_over_and_told(tmp_path: Path, above: str, line: int) -> None:
    file = table_file(written(tmp_path / "x.csv", above + "sku;title;price\nA1;Lamp;10\nA2;Cup;5\n"))
    assert cells(file) == [["A1", "Lamp", "10"], ["A2", "Cup", "5"]]
    assert [record.line for record in file.records()] == [line + 1, line + 2]
    assert any(f"header in line {line} (--header-line)" in note for note in file.notes) is (line > 1)


def test_a_header_line_that_is_said_is_used(tmp_path: Path) -> None:
    text = "id,title\nkey,name\n1,Mug\n"
    (record,) = read(tmp_path / "x.csv", text, header_line=2)
    assert record.cells == {"key": "1", "name": "Mug"}
    with pytest.raises(DataError, match="from 1"):
        ReadOptions(header_line=-1)


@pytest.mark.parametrize("names", [
    ["商品ID", "商品名", "価格"], ["Артикул", "Название", "Цена €"], ["Größe", "Maße (cm)", "Preis $"],
])
def test_names_of_columns_stay_as_they_are(tmp_path: Path, names: list[str]) -> None:
    (record,) = read(tmp_path / "x.csv", ";".join(names) + "\nA1;b;5\n")
    assert list(record.cells) == names


# ---- rows that are not as the header


def test_short_rows_are_filled_and_trailing_empty_cells_dropped(tmp_path: Path) -> None:
    source = opened(tmp_path / "x.csv", "id,title,price,note\n1,Mug,5,\n2,Cup\n3,Jug,7,,,\n4,Pot,8,x,y\n")
    rows = [row for row in source if isinstance(row, dict)]
    assert [row["item_id"] for row in rows] == ["1", "2", "3"]
    assert any("short rows" in note and "line 3" in note for note in source.notes)
    assert [row.line for row in source if not isinstance(row, dict)] == [5]


@pytest.mark.parametrize("header", ["id,title,price", "id,title,price,"])
def test_a_delimiter_at_the_end_of_rows_is_no_column(tmp_path: Path, header: str) -> None:
    records = read(tmp_path / "x.csv", f"{header}\n1,Mug,5,\n2,Cup,6,\n")
    assert [dict(record.cells) for record in records] == [
        {"id": "1", "title": "Mug", "price": "5"}, {"id": "2", "title": "Cup", "price": "6"},
    ]


@pytest.mark.parametrize(("text", "left_out"), [
    (",id,title\n0,a,Mug\n1,b,Cup\n", True), ("Unnamed: 0,id,title\n0,a,Mug\n1,b,Cup\n", True),
    ('"id" "title"\n"1" "a" "Mug"\n"2" "b" "Cup"\n'.replace(" ", ";"), True),
    (",id,title\nx,a,Mug\ny,b,Cup\n", False),
])
def test_an_index_is_left_out_and_told(tmp_path: Path, text: str, left_out: bool) -> None:
    file = table_file(written(tmp_path / "x.csv", text))
    expected = ["id", "title"] if left_out else ["column_1", "id", "title"]
    assert [list(record.cells) for record in file.records()] == [expected] * 2
    assert [list(record.cells.values())[-2:] for record in file.records()] == [["a", "Mug"], ["b", "Cup"]]
    assert file.notes


def test_a_name_that_stands_twice_gets_a_number(tmp_path: Path) -> None:
    source = opened(tmp_path / "x.csv", "id,price,price,price_2,price\na,1,2,3,4\n")
    (row,) = source
    assert isinstance(row, dict)
    assert row["attributes"] == {"price": 1, "price_3": 2, "price_2": 3, "price_4": 4}
    assert sum("'price'" in note for note in source.notes) == 2


def test_a_header_in_the_middle_and_empty_rows_are_left_out_and_told(tmp_path: Path) -> None:
    text = "id,title,price\n1,Mug,5\n\ufeffid,title,price\n2,Cup,6\n,,\n3,Jug,7\n"
    source = opened(tmp_path / "x.csv", text)
    assert [row["item_id"] for row in source if isinstance(row, dict)] == ["1", "2", "3"]
    assert any("header stands again" in note and "line 3" in note for note in source.notes)
    assert any("blank rows" in note and "line 5" in note for note in source.notes)


def test_nulls_of_databases_are_empty_and_told(tmp_path: Path) -> None:
    source = opened(tmp_path / "x.tsv", "id\ttitle\tprice\n1\tMug\t\\N\n2\t(null)\t5\n3\tJug\t#N/A\n")
    rows = [row for row in source if isinstance(row, dict)]
    assert [row["attributes"] for row in rows] == [{}, {"price": 5}, {}]
    assert rows[1]["text"] == {}
    assert any(r"\N" in note for note in source.notes)


# ---- quotes


def test_quotes_escaped_by_a_backslash_are_read(tmp_path: Path) -> None:
    text = (
        'sku,title,description,price\n'
        'A1,"Frame \\"Oslo\\"","<div class=\\"d\\">Wide, oak</div>",10\n'
        'A2,"Two\nlines \\"x\\", y",Plain,5\nA3,C:\\pics\\a.png,"ends in \\\\",7\n'
    )
    file = table_file(written(tmp_path / "x.csv", text))
    assert cells(file) == [
        ["A1", 'Frame "Oslo"', '<div class="d">Wide, oak</div>', "10"],
        ["A2", 'Two\nlines "x", y', "Plain", "5"], ["A3", "C:\\pics\\a.png", "ends in \\", "7"],
    ]
    assert any("--quoting" in note for note in file.notes)


def test_quotes_that_mean_nothing_are_left_as_they_are_if_that_is_said(tmp_path: Path) -> None:
    text = 'id\ttitle\tgenre\n1\t"Rome, open again\tdrama\n2\tA\tb\n3\tLast "summer"\tc\n4\t"All"\td"\n'
    records = read(tmp_path / "x.tsv", text, quoting="none")
    titles = [record.cells["title"] for record in records]
    assert titles == ['"Rome, open again', "A", 'Last "summer"', '"All"']
    with pytest.raises(DataError, match="triple"):
        ReadOptions(quoting="triple")  # type: ignore[arg-type]


@pytest.mark.parametrize(("row", "title"), [
    ('p2,"Monitor 27" curved",249', 'Monitor 27" curved'), ('p2,"Open ended,249', '"Open ended'),
    ('p2,Monitor 24" wide,249', 'Monitor 24" wide'), ('p2,"Monitor 24"" wide",249', 'Monitor 24" wide'),
    ('p2,"He said ""no"", twice",249', 'He said "no", twice'),
    ('p2, "Red, wide",249', "Red, wide"), ('p2,"Oslo \\"wide\\", oak",249', 'Oslo "wide", oak'),
    ('p2,"Two\nlines",249', "Two\nlines"), ('p2,"Two 5" wide\nlines",249', 'Two 5" wide\nlines'),
    ('p2,"x"y,249', '"x"y'),
])
def test_a_stray_quote_costs_no_row(tmp_path: Path, row: str, title: str) -> None:
    text = f'id,title,price\np1,"Cup, red",1\n{row}\np3,TV stand,59\np4,Tray 5",2\np5,"Desk, wide",120\n'
    records = read(tmp_path / "x.csv", text)
    assert [record.problem for record in records] == [None] * 5
    assert [record.cells["id"] for record in records] == ["p1", "p2", "p3", "p4", "p5"]
    assert records[1].cells == {"id": "p2", "title": title, "price": "249"}


STRAY = st.text(st.sampled_from('ab "'), min_size=1, max_size=8).map(str.strip).filter(
    lambda text: text and text.count('"') < 2 and not text.endswith('"')
)


@settings(max_examples=200)
@given(titles=st.lists(STRAY, min_size=4, max_size=12))
def test_as_many_items_as_lines_wherever_quotes_stand_in_a_file_that_quotes_nothing(
    titles: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = "".join(f"p{n}\t{title}\tx{n}\n" for n, title in enumerate(titles))
    path = tmp_path_factory.getbasetemp() / "stray.tsv"
    records = read(path, f"id\ttitle\tgenre\n{rows}")
    assert [record.cells.get("id") for record in records] == [f"p{n}" for n in range(len(titles))]
    assert [record.cells.get("genre") for record in records] == [f"x{n}" for n in range(len(titles))]


def test_an_open_quote_far_down_swallows_nothing(tmp_path: Path) -> None:
    rows = [f'p{n},"Chair, {n}",{n}' for n in range(3_000)]
    rows[2_000] = 'p2000,"Open ended title,9'
    rows[2_001:2_010] = [f"p{n},Plain {n},{n}" for n in range(2_001, 2_010)]
    rows[2_010] = 'p2010,Tray 5",9'
    records = read(tmp_path / "x.csv", "id,title,price\n" + "\n".join(rows))
    assert [record.cells["id"] for record in records] == [f"p{n}" for n in range(3_000)]


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufdd0\ufeff"), max_size=8)


@settings(max_examples=150)
@given(data=st.data(), delimiter=st.sampled_from(",;\t|"))
def test_any_table_that_the_csv_module_writes_is_read_back(data: st.DataObject, delimiter: str) -> None:
    width = data.draw(st.integers(1, 4))
    rows = data.draw(st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=5))
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    lines = io.StringIO(text.getvalue(), newline="\n")
    tally = Tally()
    found = [(cells, problem) for _, cells, problem in split_rows(lines, delimiter, width=width, tally=tally)]
    assert found == [(row, None) for row in rows]
    assert tally.count() == 0


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_breaks_inside_a_cell_stay_as_they_are(tmp_path: Path, end: str) -> None:
    text = end.join(["id,title", '1,"Cup' , '', 'blue"', "2,Jug", ""])
    records = read(tmp_path / "x.csv", text)
    assert [record.cells["title"] for record in records] == [f"Cup{end}{end}blue", "Jug"]
    assert [record.line for record in records] == [2, 5]


def test_a_hostile_line_is_read_in_time_that_its_length_allows(tmp_path: Path) -> None:
    lines = ['"a,' * 50_000, '"' * 100_001, '"a' * 50_000 + ",b"]
    text = "id,title\n1,x\n" + "\n".join(lines) + "\n2,y\n"
    assert {"1", "2"} <= {record.cells.get("id") for record in read(tmp_path / "x.csv", text)}


def test_a_delimiter_that_is_said_is_used(tmp_path: Path) -> None:
    source = opened(tmp_path / "x.csv", "id,a;title\n1,2;Mug\n", columns=Columns(id="id,a", delimiter=";"))
    (row,) = source
    assert isinstance(row, dict)
    assert row["item_id"] == "1,2"
