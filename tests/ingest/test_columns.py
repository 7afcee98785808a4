"""Columns: which means what, in any language; and rows of several kinds made one."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ingest.read import cleaned
from ingest.sources import Columns, open_source
from ingest.sources.columns import valid_names
from ingest.sources.frames import from_frame
from ingest.sources.names import roles
from mmrec.errors import DataError, Rejection
from mmrec.types import Item


def table(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path = tmp_path / "shop.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def lines(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    path = tmp_path / "shop.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def taken(path: Path, columns: Columns | None = None) -> tuple[list[Item], list[str]]:
    source = open_source(path, format="table", columns=columns)
    items = [item for item in cleaned(source) if isinstance(item, Item)]
    return items, source.notes


@pytest.mark.parametrize(("id", "title", "text", "image", "price", "added"), [
    ("Artikelnummer", "Bezeichnung", "Beschreibung", "Bild", "Preis", "Erstellt am"),
    ("Référence", "Nom", "Description", "Photo", "Prix", "Date de création"),
    ("Código", "Nombre", "Descripción", "Imagen", "Precio", "Fecha de creación"),
    ("Codice", "Nome", "Descrizione", "Immagine", "Prezzo", "Data creazione"),
    ("Código", "Título", "Descrição", "Imagem", "Preço", "Data de criação"),
    ("Artikelnummer", "Naam", "Omschrijving", "Afbeelding", "Prijs", "Aangemaakt op"),
    ("Kod", "Nazwa", "Opis", "Zdjęcie", "Cena", "Data dodania"),
    ("Артикул", "Название", "Описание", "Фото", "Цена", "Дата создания"),
    ("商品ID", "商品名", "説明", "画像", "価格", "登録日"),
    ("商品编号", "商品名称", "描述", "图片", "价格", "创建时间"),
    ("productId", "productName", "short_description", "Image URL", "Sale Price", "createdAt"),
])
def test_columns_are_known_by_their_names_in_many_languages(
    tmp_path: Path, id: str, title: str, text: str, image: str, price: str, added: str
) -> None:
    row = {title: "Mug", text: "Blue", image: "a.png", price: "9,50", added: "2024-05-01", id: "M1"}
    source = open_source(table(tmp_path, row, {**row, title: "Jug", id: "M2"}))
    columns = source.columns
    assert columns is not None
    assert (columns.id, columns.text, columns.image) == (id, (title, text), (image,))
    assert (columns.attributes, columns.added_at) == ((price,), added)
    first = next(iter(source))
    assert not isinstance(first, Rejection)
    assert list(first["attributes"].values()) == [9.5]
    assert first["added_at"] == datetime(2024, 5, 1, tzinfo=UTC)


def test_compounds_count_by_their_last_part() -> None:
    assert "price" in roles("Verkaufspreis")
    assert "price" in roles("販売価格")
    assert "time" in roles("Erscheinungsdatum")
    assert "code" in roles("category_id")
    assert "code" not in roles("code_length")


def test_names_of_every_script_are_kept_and_told_apart() -> None:
    assert valid_names(["Größe", "Maße (cm)", "Preis €", "Preis $", "価格", "Product Type", "ชื่อ"]) == {
        "Größe": "Größe", "Maße (cm)": "Maße_cm", "Preis €": "preis_eur", "Preis $": "preis_usd",
        "価格": "価格", "Product Type": "product_type", "ชื่อ": "ชื่อ",
    }
    names = valid_names(["Größe", "größe", "a b", "a-b"])
    assert list(names.values()) == ["Größe", "größe_2", "a_b", "a_b_2"]


def test_the_first_column_of_different_values_is_the_id_where_no_name_says_it(tmp_path: Path) -> None:
    items, notes = taken(table(
        tmp_path, {"title": "Mug", "kennung": "x1", "colour": "red"},
        {"title": "Jug", "kennung": "x2", "colour": "red"},
    ))
    assert [item.item_id for item in items] == ["x1", "x2"]
    assert any("'kennung'" in note and "--id" in note for note in notes)
    with pytest.raises(DataError, match="no column looks like the item's id"):
        taken(table(tmp_path, {"title": "Mug", "colour": "red"}, {"title": "Jug", "colour": "blue"}))


def test_pictures_are_found_by_their_values_where_no_name_says_it(tmp_path: Path) -> None:
    items, notes = taken(table(tmp_path, {"id": 1, "cover": "a.jpg"}, {"id": 2, "cover": "b.png?x=1"}))
    assert [len(item.images) for item in items] == [1, 1]
    assert any("'cover'" in note and "--image" in note for note in notes)


def test_brands_and_codes_are_kept_and_addresses_are_told(tmp_path: Path) -> None:
    rows = [
        {"sku": f"S{n}", "title": f"Lamp {n}", "brand": f"Fine Brand{n % 70}", "ean": 4006381333000 + 7 * n,
         "link": f"https://x.example/{n}"}
        for n in range(120)
    ]
    items, notes = taken(table(tmp_path, *rows))
    assert dict(items[0].attributes) == {"brand": "Fine Brand0", "ean": "4006381333000"}
    assert dict(items[0].text) == {"title": "Lamp 0"}
    assert any("'link' (addresses)" in note and "--attributes" in note for note in notes)


def test_types_dates_and_decimals_may_be_said(tmp_path: Path) -> None:
    path = table(tmp_path, {"id": "1", "size": "42", "at": "01.02.2024", "weight": "1,299"},
                 {"id": "2", "size": "43", "at": "03.02.2024", "weight": "2,500"})
    (item, _), _ = taken(path, Columns(types={"size": "category"}, dates="dmy", decimal=","))
    assert dict(item.attributes) == {"size": "42", "at": datetime(2024, 2, 1, tzinfo=UTC), "weight": 1.299}
    with pytest.raises(DataError, match="dates must be one of dmy"):
        Columns(dates="dym")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="did you mean 'size'"):
        taken(path, Columns(types={"sise": "category"}))


@pytest.mark.parametrize("write", [table, lines])
def test_the_same_products_are_the_same_items_by_every_road(tmp_path: Path, write: Any) -> None:
    rows = [
        {"id": "1 ", "title": "Wool &amp; silk", "description": "<p>Soft <b>wool</b></p>", "price": "9,50 €",
         "sale": "ja", "tags": "['a', 'b']", "launch": "13.05.2024"},
        {"id": "2", "title": "Cafe\u0301", "description": "KÃ¤se", "price": "1.200,00 €", "sale": "nein",
         "tags": "[]", "launch": "01.05.2024"},
    ]
    (first, second), notes = taken(write(tmp_path, *rows))
    assert first == Item(
        item_id="1", text={"title": "Wool & silk", "description": "Soft wool"},
        attributes={"price": 9.5, "price_currency": "EUR", "sale": True, "tags": ["a", "b"],
                    "launch": datetime(2024, 5, 13, tzinfo=UTC)},
    )
    assert dict(second.text) == {"title": "Café", "description": "Käse"}
    assert second.attributes["price"] == 1200
    assert any("mended" in note for note in notes)
    frame = [item for item in cleaned(from_frame(pd.DataFrame(rows))) if isinstance(item, Item)]
    assert frame == [first, second]


def test_rows_of_one_product_are_one_item(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"Handle": "stool", "Title": "Oak stool", "Size": "45 cm", "Price": 79, "Image Src": "https://x/1.jpg"},
        {"Handle": "stool", "Size": "65 cm", "Price": 89, "Image Src": "https://x/2.jpg"},
        {"Handle": "stool", "Image Src": "https://x/1.jpg"},
        {"Handle": "towel", "Title": "Towel", "Size": "XL", "Price": 14.5, "Image Src": "https://x/3.jpg"},
    ]
    source = open_source(table(tmp_path, *rows))
    stool, towel = [item for item in cleaned(source) if isinstance(item, Item)]
    assert source.total == 2
    assert (stool.item_id, dict(stool.text), stool.line) == ("stool", {"title": "Oak stool"}, 2)
    assert stool.images == ("https://x/1.jpg", "https://x/2.jpg")
    assert dict(stool.attributes) == {"size": ["45 cm", "65 cm"], "price": 79}
    assert dict(towel.attributes) == {"size": ["XL"], "price": 14.5}
    assert any("'Handle'" in note for note in source.notes)


def test_rows_that_say_two_things_of_one_id_stay_two_rows(tmp_path: Path) -> None:
    items, _ = taken(table(tmp_path, {"id": "1", "title": "Old"}, {"id": "1", "title": "New"}))
    assert [item.title for item in items] == ["Old", "New"]


def test_objects_are_made_flat_or_named(tmp_path: Path) -> None:
    (item, _), notes = taken(lines(
        tmp_path,
        {"id": 1, "title": "Mug", "details": {"Color": "red", "size": {"h": 3}}, "price": {"amount": "9.50"},
         "categories": [{"id": 1, "name": "Kitchen"}], "attributes": [{"name": "Fit", "value": "slim"}],
         "images": [{"src": "a.png"}], "parts": [{"x": 1}, {"x": 2}]},
        {"id": 2, "title": "Jug", "details": {}, "images": []},
    ))
    assert dict(item.attributes) == {
        "details_color": "red", "details_size_h": 3, "price_amount": 9.5, "categories": ["Kitchen"],
        "attributes_fit": "slim",
    }
    assert len(item.images) == 1
    assert any("'parts' (objects)" in note for note in notes)


def test_objects_with_many_keys_give_a_bounded_number_of_columns(tmp_path: Path) -> None:
    rows = [{"id": n, "title": "Mug", "meta": {"all": 1, f"k{n}": 1}} for n in range(100)]
    items, notes = taken(lines(tmp_path, *rows))
    assert len({name for item in items for name in item.attributes}) == 50
    assert any("'meta' has objects of 101 keys" in note for note in notes)


def test_ids_that_were_written_as_decimals_are_whole_numbers(tmp_path: Path) -> None:
    items, notes = taken(table(tmp_path, {"id": "101.0", "title": "Mug"}, {"id": "102.0", "title": "Jug"}))
    assert [item.item_id for item in items] == ["101", "102"]
    assert any("101.0" in note for note in notes)
    kept, _ = taken(
        table(tmp_path, {"id": "101.0", "title": "Mug"}), Columns(types={"id": "category"})
    )
    assert kept[0].item_id == "101.0"
    codes, _ = taken(table(tmp_path, {"id": "1.0", "title": "Mug"}, {"id": "1.0a", "title": "Jug"}))
    assert [item.item_id for item in codes] == ["1.0", "1.0a"]


def test_ids_that_a_spreadsheet_shortened_are_refused(tmp_path: Path) -> None:
    rows = {"ean": "4.00638E+12", "title": "Pen"}, {"ean": "1E5", "title": "Cap"}
    source = open_source(table(tmp_path, *rows))
    spoilt, fine = list(source)
    assert isinstance(spoilt, Rejection)
    assert "format the column as text" in spoilt.reason
    assert fine["item_id"] == "1E5"  # type: ignore[index]


def test_ids_are_composed_and_stripped_and_look_alikes_are_told(tmp_path: Path) -> None:
    items, notes = taken(table(
        tmp_path, {"id": " Cafe\u0301\u200b ", "title": "A"}, {"id": "007", "title": "B"},
        {"id": "caf\u00e9", "title": "C"}, {"id": "9007199254740993", "title": "D"},
    ))
    assert [item.item_id for item in items] == ["Caf\u00e9", "007", "caf\u00e9", "9007199254740993"]
    assert sum("capital letters" in note for note in notes) == 1


GOODS = ("Product", "model", "Artikel", "Produkt", "article", "producto", "produit", "prodotto")


@pytest.mark.parametrize("name", GOODS)
def test_what_the_product_is_called_is_the_text_where_nothing_else_is(tmp_path: Path, name: str) -> None:
    words = ("Red lamp 2", "Mug", "Red lamp 2", "Jug")
    rows = [{"sku": f"A{n}", "brand": "Oslo", name: word} for n, word in enumerate(words)]
    items, _ = taken(table(tmp_path, *rows))
    field = name.lower()
    assert [dict(item.text) for item in items] == [{field: word} for word in words]
    items, _ = taken(table(tmp_path, *({**row, "description": f"No {row['sku']}"} for row in rows)))
    assert [item.title for item in items] == list(words)
    for other in ("title", "Naam", "商品名"):
        items, _ = taken(table(tmp_path, *({**row, other: f"The {row['sku']}"} for row in rows)))
        assert [item.title for item in items] == [f"The A{n}" for n in range(4)]
        assert [item.attributes[field] for item in items] == list(words)


@pytest.mark.parametrize("name", GOODS)
def test_codes_of_products_are_no_text_and_may_be_the_id(tmp_path: Path, name: str) -> None:
    rows = [{name: f"X{n}", "colour": "red"} for n in range(3)]
    items, notes = taken(table(tmp_path, *rows))
    assert [item.item_id for item in items] == ["X0", "X1", "X2"]
    assert any(f"column {name!r} is the id" in note for note in notes)
    items, _ = taken(table(tmp_path, *({"sku": f"A{n}", **row} for n, row in enumerate(rows))))
    assert [(dict(item.text), item.attributes[name.lower()]) for item in items] == [
        ({}, "X0"), ({}, "X1"), ({}, "X2"),
    ]
