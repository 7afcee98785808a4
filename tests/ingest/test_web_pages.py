"""Web pages: products in JSON-LD, and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.read import open_rows
from ingest.sources.web_pages import is_page, product_records, table_rows
from mmrec import Item
from mmrec.errors import DataError

PAGE = '<!DOCTYPE html>\n<html><head><script type="application/ld+json">{}</script></head><p>x</p></html>\n'
WORDS = st.text("abcäöü <&\"'\n", min_size=1, max_size=20)


def product(sku: str, name: str, **more: Any) -> dict[str, Any]:
    return {"@context": "https://schema.org", "@type": "Product", "sku": sku, "name": name, **more}


def items(path: Path) -> dict[str, Item]:
    return {row.item_id: row for row in open_rows(path).rows if isinstance(row, Item)}


@pytest.mark.parametrize(("head", "page"), [
    ("<!doctype html>", True), ("\ufeff <!-- saved --><HTML lang=de>", True), ("<table><tr>", True),
    ('<?xml version="1.0"?>\n<html>', True), ('<?xml version="1.0"?><rss>', False), ("<products>", False),
    ("id,<table>", False),
])
def test_a_page_is_known_by_its_beginning(head: str, page: bool) -> None:
    assert is_page(head) is page


def test_products_of_one_page_and_of_several_in_a_file_and_in_a_folder(tmp_path: Path) -> None:
    offers = {"@type": "Offer", "price": "12.90", "priceCurrency": "EUR"}
    pages = [
        PAGE.format(json.dumps({"@graph": [{"@type": "WebSite"}, product("a", "Lamp", offers=offers)]})),
        PAGE.format(json.dumps([product("b", "Mug")])),
    ]
    (tmp_path / "all.html").write_text("".join(pages))
    (tmp_path / "pages").mkdir()
    for number, page in enumerate(pages):
        (tmp_path / "pages" / f"{number}.html").write_text(page)
    for path in (tmp_path / "all.html", tmp_path / "pages"):
        found = items(path)
        assert {item_id: item.text["name"] for item_id, item in found.items()} == {"a": "Lamp", "b": "Mug"}
        assert found["a"].attributes["price"] == 12.9
        assert found["a"].attributes["price_currency"] == "EUR"


@given(name=WORDS, around=st.sampled_from([("", ""), ("<!--", "-->"), ("//<![CDATA[\n", "\n//]]>")]))
def test_what_stands_around_the_json_and_line_breaks_in_it_do_no_harm(
    name: str, around: tuple[str, str]
) -> None:
    text = json.dumps(product("a", name), ensure_ascii=False).replace("\\n", "\n")
    (record,) = product_records(PAGE.format(f"{around[0]}{text}{around[1]}"), "x.html")
    assert record.cells["name"] == name


def test_a_broken_block_is_named_with_its_line() -> None:
    (record,) = product_records(PAGE.format('{"@type": "Product",}'), "x.html")
    assert record.line == 2
    assert "no valid JSON" in str(record.problem)


def test_a_table_named_xls_is_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "x.xls").write_text(
        "<html><table><tr><td>menu</table><table><tr><td colspan=2>Katalog</td></tr>"
        "<tr><th>Artikelnummer<th>Bezeichnung<th>Preis</tr>"
        "<tr><td>0012</td><td>Lampe &amp; Schirm</td><td>1.299,00 €</td></tr>"
        "<tr><td>0013<td>Tasse<td>5,90 €</tr></table></html>"
    )
    found = items(tmp_path / "x.xls")
    assert found["0012"].text == {"bezeichnung": "Lampe & Schirm"}
    assert {item_id: item.attributes["preis"] for item_id, item in found.items()} == {
        "0012": 1299, "0013": 5.9,
    }


def test_a_page_with_neither_says_what_to_give() -> None:
    with pytest.raises(DataError, match="neither products in JSON-LD nor a table"):
        table_rows("<html><p>Nothing</p></html>", "x.html")
