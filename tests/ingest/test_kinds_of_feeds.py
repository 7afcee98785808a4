"""Kinds of feeds that shops have, each read as a person would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.read import cleaned, open_rows
from ingest.sources import from_frame, json_text, open_interactions
from ingest.sources.guesses import infer
from ingest.sources.log_kinds import meant
from mmrec import Item
from mmrec.errors import DataError
from mmrec.types import Interaction


def read(path: Path, text: str) -> tuple[dict[str, Item], list[str]]:
    path.write_text(text)
    opened = open_rows(path)
    return {row.item_id: row for row in opened.rows if isinstance(row, Item)}, opened.notes


@given(rows=st.lists(st.tuples(st.integers(0, 9), st.lists(st.sampled_from("abc"), max_size=3)), min_size=2))
def test_lines_of_values_under_a_line_of_names(tmp_path: Path, rows: list[tuple[int, list[str]]]) -> None:
    values = ([n, f"Lamp {size}", tags] for n, (size, tags) in enumerate(rows))
    lines = [["id", "title", "tags"], *values]
    items, _ = read(tmp_path / "x.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert [item.attributes.get("tags", []) for item in items.values()] == [tags for _, tags in rows]


@pytest.mark.parametrize("before", ["var products = ", "callback(", "// made by a shop\n", "a.b = "])
def test_json_in_a_script(tmp_path: Path, before: str) -> None:
    items, notes = read(tmp_path / "x.js", f'{before}[{{"id": "a", "title": "Lamp"}}];')
    assert items["a"].title == "Lamp"
    assert any("before the JSON" in note for note in notes)


@pytest.mark.parametrize("document", [
    {"values": [["id", "title"], ["a", "Lamp"]]},
    {"product": {"id": "a", "title": "Lamp", "parts": [{"no": 1}, {"no": 2}]}},
    {"Item": {"id": {"S": "a"}, "title": {"S": "Lamp"}, "tags": {"L": [{"S": "x"}]}}},
])
def test_shapes_of_json(tmp_path: Path, document: Any) -> None:
    items, _ = read(tmp_path / "x.json", json.dumps(document))
    assert items["a"].text["title"] == "Lamp"


def test_a_long_document_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    parse = json_text._Parser.next

    def counted(self: Any, *where: Any) -> Any:
        calls.append(where)
        return parse(self, *where)

    monkeypatch.setattr(json_text._Parser, "next", counted)
    nodes = [{"@type": "Product", "sku": f"s{n}", "name": f"Lamp {n}"} for n in range(50)]
    items, _ = read(tmp_path / "x.json", json.dumps({"@context": "https://schema.org", "@graph": nodes}))
    assert len(items) == 50
    assert len(calls) == 1


@pytest.mark.parametrize("odd", [["a", {"b": 1}], [{"b": 1}], [[{"b": 1}]]])
def test_a_list_of_mixed_types_costs_that_value_alone(odd: Any) -> None:
    source = from_frame([
        {"id": "1", "title": "Lamp", "tags": ["x"]}, {"id": "2", "title": "Mug", "tags": odd},
        {"id": "3", "title": "Jug", "tags": {1, "z"}},
    ])
    items = {row.item_id: row for row in cleaned(source) if isinstance(row, Item)}
    assert [item.attributes.get("tags") for item in items.values()] == [["x"], None, ["1", "z"]]
    assert any("'tags': what is not a list of strings was left out" in note for note in source.notes)


def test_money_and_texts_inside_objects(tmp_path: Path) -> None:
    rows = [{
        "id": n, "data": {
            "name": {"de": f"Lampe {n}"}, "media": [{"url": f"https://x.example/{n}.jpg"}],
            "prices": [{"value": {"amount": n, "currency": "EUR"}}],
        },
    } for n in (1, 2)]
    items, _ = read(tmp_path / "x.json", json.dumps({"results": rows}))
    assert items["1"].text == {"data_name_de": "Lampe 1"}
    assert items["2"].attributes["data_prices_value"] == 2
    assert items["2"].attributes["data_prices_value_currency"] == "EUR"
    assert len(items["1"].images) == 1


def test_lines_of_units_and_of_machine_names_are_no_rows(tmp_path: Path) -> None:
    items, _ = read(tmp_path / "a.csv", "id;title;price;weight\n;;EUR;kg\nA;Lamp;1,50;2,5\n")
    assert {**items["A"].attributes} == {"price": 1.5, "weight": 2.5}
    names = "Seller SKU,Product Name,Width\nitem_sku,item_name,item_width\n"
    items, _ = read(tmp_path / "b.csv", f"{names}A,Lamp,5\n")
    assert list(items) == ["A"]


@pytest.mark.parametrize(("cells", "values"), [
    (["4.5 out of 5 stars", "3 out of 5 stars"], [4.5, 3.0]), (["4,5 von 5", "3,0 von 5"], [4.5, 3.0]),
    (["4.5/5", "3.0/5"], [4.5, 3.0]),
])
def test_ratings_out_of_a_scale_are_numbers(cells: list[str], values: list[float]) -> None:
    reading = infer("rating", cells)
    assert reading is not None
    assert (reading.kind, list(map(reading.read, cells))) == ("number", values)


def test_fractions_are_no_ratings_and_lists_may_have_a_line_each() -> None:
    assert (found := infer("part", ["1/5", "2/10"])) is not None
    assert found.kind == "category"
    assert (found := infer("tags", ["home\nlight", "home"])) is not None
    assert found.read("home\nlight") == ["home", "light"]
    assert (found := infer("ean", ["4006381333931.0", "4006381333948.0"])) is not None
    assert found.read("4006381333931.0") == "4006381333931"


@pytest.mark.parametrize(("kind", "known"), [
    ("カートに追加", "add_to_cart"), ("加入购物车", "add_to_cart"), ("구매", "purchase"), ("click", None),
    ("商品をカートから削除", "remove_from_cart"), ("zap", None),
])
def test_kinds_in_scripts_without_blanks(kind: str, known: str | None) -> None:
    assert meant(kind) == known


@pytest.mark.parametrize("header", [
    "klient;produkt;zdarzenie;data", "client;produit;événement;date", "사용자ID;상품ID;이벤트;일시",
    "CUSTOMER_KEY;PRODUCT_KEY;EVENT_NAME;EVENT_TS", "customer_email;sku;event;t", "kund;artikel;händelse;tid",
])
def test_logs_with_headers_in_other_languages(tmp_path: Path, header: str) -> None:
    (tmp_path / "l.csv").write_text(f"{header}\nu1;a;purchase;2024-05-01 10:00:00\n")
    (act,) = open_interactions(tmp_path / "l.csv")
    assert isinstance(act, Interaction)
    assert (act.user_id, act.item_id, act.kind, act.time.isoformat()) == (
        "u1", "a", "purchase", "2024-05-01T10:00:00+00:00",
    )


def test_one_column_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("SKU     NAME\nA1      Lamp\n")
    with pytest.raises(DataError, match=r"one column is .* say --delimiter"):
        open_rows(tmp_path / "l.txt")
    with pytest.raises(DataError, match=r"one column is .* say --delimiter"):
        open_interactions(tmp_path / "l.txt")
