"""Lines that are no rows, headers of many kinds, and tables without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sources.records import Record
from ingest.sources.sniffing import ReadOptions
from ingest.sources.tables import table_file

ROWS = [["A1", "Red lamp", "12.5"], ["A2", "Blue mug", "7"], ["A3", "Cup", "8"]]


def read(path: Path, text: str, **options: Any) -> tuple[list[Record], list[str]]:
    path.write_text(text, encoding="utf-8")
    file = table_file(path, options=ReadOptions(**options))
    return list(file.records()), file.notes


def written(rows: list[list[str]], mark: str = ",") -> str:
    return "".join(mark.join(row) + "\n" for row in rows)


@pytest.mark.parametrize(("between", "told"), [
    ("# a comment\n", "comments"), ("---,---,---\n", "dashes"), (",,\n", "blank"), ("sku,title,price\n",
    "again"),
    ("\x1a", "blank"), ("-----+-------\n", "dashes"),
])
def test_lines_that_are_no_rows_are_left_out_and_told(tmp_path: Path, between: str, told: str) -> None:
    text = "sku,title,price\n" + written(ROWS[:2]) + between
    records, notes = read(tmp_path / "x.csv", text)
    assert [record.cells["sku"] for record in records] == ["A1", "A2"]
    assert any(told in note for note in notes)


def test_a_second_header_may_have_another_order(tmp_path: Path) -> None:
    text = "sku,title,price\n" + written(ROWS[:2]) + "price,sku,title\n8,A3,Cup\n"
    records, _ = read(tmp_path / "x.csv", text)
    assert dict(records[-1].cells) == {"sku": "A3", "title": "Cup", "price": "8"}


def test_names_for_machines_below_those_for_people_are_no_row(tmp_path: Path) -> None:
    text = "SKU,Product Name,Price\nitem_sku,item_name,standard_price\n" + written(ROWS)
    records, notes = read(tmp_path / "x.csv", text)
    assert len(records) == len(ROWS)
    assert any("second line of names" in note for note in notes)


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(st.from_regex(r"[A-Z]\d{3}", fullmatch=True), st.sampled_from(["Lamp", "Mug red", "Cup"]),
                  st.decimals(0, 999, places=2).map(str)),
        min_size=2, max_size=30, unique_by=lambda row: row[0]),
    mark=st.sampled_from([",", ";", "\t", "|", "::"]),
)
def test_no_row_becomes_a_header(tmp_path_factory: Any, rows: list[tuple[str, ...]], mark: str) -> None:
    path = tmp_path_factory.mktemp("grid") / "x.csv"
    records, notes = read(path, written(list(map(list, rows)), mark))
    assert [tuple(record.cells.values()) for record in records] == rows
    assert any("no header" in note and "--header-line" in note for note in notes)


@pytest.mark.parametrize("header", [
    "zorp,flim,grak", "sku,2019,2020", "Artikel,Name,Preis", "タイトル,値,数", "name,color,type",
])
def test_a_header_stays_a_header(tmp_path: Path, header: str) -> None:
    records, notes = read(tmp_path / "x.csv", f"{header}\n" + written(ROWS))
    assert list(records[0].cells) == header.split(",")
    assert not any("no header" in note for note in notes)


def test_whether_there_is_a_header_may_be_said(tmp_path: Path) -> None:
    assert len(read(tmp_path / "x.csv", "sku,title\nA1,Lamp\n", header_line=0)[0]) == 2
    assert len(read(tmp_path / "x.csv", written(ROWS), header_line=1)[0]) == 2


@pytest.mark.parametrize(("text", "left_out"), [
    ("Unnamed: 0.1,Unnamed: 0,sku,title\n0,0,A1,a\n1,1,A2,b\n", 2), (",sku,title\n0,A1,a\n3,A2,b\n7,A3,c\n",
    1),
    ("index,sku,title\n0,A1,a\n1,A2,b\n", 1), (",title,price\n0,a,1\n3,b,2\n", 0),
    ("|sku|title|\n|A1|a|\n|A2|b|\n", 1),
])
def test_counting_columns_of_pandas_are_left_out(tmp_path: Path, text: str, left_out: int) -> None:
    records, _ = read(tmp_path / "x.csv", text)
    mark = "|" if "|" in text else ","
    assert len(records[0].cells) == len(text.split("\n")[0].strip("|").split(mark)) + ("|" in text) - left_out


def test_what_spreadsheets_and_tools_put_around_names_and_cells_goes(tmp_path: Path) -> None:
    (record, _), notes = read(tmp_path / "x.csv", 'ï»¿sku,ean\n="0012","=""0400"""\n="0013","=""0401"""\n')
    assert dict(record.cells) == {"sku": "0012", "ean": "0400"}
    assert any('="0123"' in note for note in notes)
    (record,), notes = read(tmp_path / "y.csv", '"id:number","title:string","price:number"\n1,Lamp,5\n')
    assert list(record.cells) == ["id", "title", "price"]
    assert any("'id:number'" in note for note in notes)


def test_single_quotes_and_broken_lines_of_mysql(tmp_path: Path) -> None:
    (record, _), notes = read(tmp_path / "x.csv", "'sku','title'\n'A1','Lamp, \"red\"'\n'A2','Mug'\n")
    assert dict(record.cells) == {"sku": "A1", "title": 'Lamp, "red"'}
    assert any("single quotes" in note for note in notes)
    records, _ = read(tmp_path / "y.tsv", "sku\ttext\tprice\nA1\tone\\\ntwo\t1.5\nA2\t\\N\t2\n")
    assert [record.cells["text"] for record in records] == ["one\ntwo", ""]
