"""Exports that are known by translated headers, or by their JSON; those of Wix and Squarespace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.read import open_rows
from ingest.sources import Columns
from ingest.sources.shopify import shopify_rows
from ingest.sources.wix import wix_rows
from ingest.sources.woocommerce import english
from mmrec import Item

WOO = {  # ID, type, SKU, name, published, description, in stock, regular price, images, parent, attribute
    "de": 'ID,Typ,Artikelnummer,Name,Veröffentlicht,Beschreibung,Vorrätig?,"Regulärer Preis",Bilder,'
          'Übergeordnet,"Attribut 1 Name","Attribut 1 Wert(e)"',
    "fr": 'ID,Type,UGS,Nom,Publié,Description,"En stock ?","Tarif régulier",Images,Parent,'
          '"Nom de l’attribut 1","Valeur(s) de l’attribut 1 "',
    "es": 'ID,Tipo,SKU,Nombre,Publicado,Descripción,¿Existencias?,"Precio normal",Imágenes,Superior,'
          '"Nombre del atributo 1","Valor(es) del atributo 1"',
    "nl": 'ID,Type,SKU,Naam,Gepubliceerd,Beschrijving,"Op voorraad?","Reguliere prijs",Afbeeldingen,Hoofd,'
          '"Attribuut 1 naam","Attribuut 1 waarde(n)"',
    "it": 'ID,Tipo,COD,Nome,Pubblicato,Descrizione,Disponibile?,"Prezzo di listino",Immagini,Genitore,'
          '"Nome dell’attributo 1","Valore dell’attributo 1"',
}
ROWS = """
1,variable,SH,Shirt,1,Linen,1,,"https://s.example/1.jpg, https://s.example/2.jpg",,Size,"S, M"
2,variation,SH-S,Shirt - S,1,,1,"29,90",,SH,Size,S
3,variation,SH-M,Shirt - M,1,,0,"31,90",,SH,Size,M
4,simple,HT,Hat,1,Wool,1,"19,90",,,,
"""
SHOPIFY: dict[str, Any] = {
    "id": 7, "title": "Mitten", "handle": "mitten", "body_html": "<p>Warm</p>", "vendor": "Nord",
    "tags": ["winter", "wool"], "options": [{"name": "Size", "values": ["S", "M"]}],
    "images": [{"id": 1, "src": "https://c.example/1.jpg"}, {"id": 2, "src": "https://c.example/2.jpg"}],
    "variants": [
        {"id": 71, "sku": "M-S", "option1": "S", "price": "29.00", "available": True, "image_id": 2},
        {"id": 72, "sku": "M-M", "option1": "M", "price": "27.00", "available": False},
    ],
}


def read(path: Path, text: str, **columns: Any) -> tuple[dict[str, Item], list[str]]:
    path.write_text(text)
    opened = open_rows(path, columns=Columns(**columns) if columns else None)
    return {row.item_id: row for row in opened.rows if isinstance(row, Item)}, opened.notes


@pytest.mark.parametrize("language", WOO)
def test_headers_of_woocommerce_in_other_languages(tmp_path: Path, language: str) -> None:
    items, notes = read(tmp_path / "wc.csv", WOO[language] + ROWS)
    assert "an export of WooCommerce: 4 rows are 2 products" in notes
    assert items.keys() == {"1", "4"}
    shirt = items["1"]
    assert {"Shirt", "Linen"} == set(shirt.text.values())
    assert (shirt.attributes["price"], shirt.attributes["size"]) == (29.9, ["S", "M"])
    assert [str(one) for one in shirt.images] == ["https://s.example/1.jpg", "https://s.example/2.jpg"]
    items, _ = read(tmp_path / "wc.csv", WOO[language] + ROWS, variants="split")
    assert (items["SH-M"].attributes["price"], items["SH-M"].attributes["size"]) == (31.9, "M")


def test_names_that_are_no_translations_stay() -> None:
    assert english("attribut_2_wert_e") == "attribute_2_value_s"
    assert english("attribut_2_something") == "attribut_2_something"
    assert english("farbe") == "farbe"


@pytest.mark.parametrize("document", [
    {"products": [SHOPIFY]}, {"product": SHOPIFY}, [SHOPIFY], SHOPIFY,
])
def test_products_of_shopify_in_json(tmp_path: Path, document: Any) -> None:
    items, notes = read(tmp_path / "products.json", json.dumps(document))
    assert any(note.startswith("an export of Shopify") for note in notes)
    mitten = items["7"]
    assert set(mitten.text.values()) == {"Mitten", "Warm"}
    wanted = {"price": 27.0, "size": ["S", "M"], "sku": ["M-S", "M-M"], "available": True, "vendor": "Nord"}
    assert {name: mitten.attributes[name] for name in wanted} == wanted
    assert len(mitten.images) == 2
    items, _ = read(tmp_path / "products.json", json.dumps(document), variants="split")
    assert [str(one) for one in items["M-S"].images] == ["https://c.example/2.jpg"]


def test_a_product_without_variants_is_its_row() -> None:
    assert shopify_rows({"id": 1, "title": "a", "images": None}) == [
        {"id": 1, "title": "a", "image_src": []},
    ]


def test_variants_of_wix_and_of_squarespace(tmp_path: Path) -> None:
    items, _ = read(
        tmp_path / "wix.csv",
        "handleId,fieldType,name,description,productImageUrl,sku,price,visible,productOptionName1,"
        "productOptionDescription1\np1,Product,Scarf,Soft,https://w.example/a.jpg;https://w.example/b.jpg,"
        "S0,29.00,true,Size,S;M\np1,Variant,,,,S1,29.00,true,,S\np1,Variant,,,,S2,31.00,true,,M\n",
    )
    assert (items["p1"].attributes["size"], len(items["p1"].images)) == (["S", "M"], 2)
    items, _ = read(
        tmp_path / "sq.csv",
        "Product ID [Non Editable],Variant ID [Non Editable],Title,Description,SKU,Option Name 1,"
        "Option Value 1,Price,Hosted Image URLs\np1,v1,Mug,Nice,Q1,Size,S,9.00,https://q.example/1.jpg\n"
        ",v2,,,Q2,Size,L,12.00,\np2,v3,Jug,Old,Q3,,,19.00,\n",
    )
    assert items.keys() == {"p1", "p2"}
    assert (items["p1"].attributes["size"], items["p1"].attributes["price"]) == (["S", "L"], 9.0)


def test_a_row_of_wix_says_that_it_is_a_variant() -> None:
    assert wix_rows({"fieldType": "Product", "collection": "a;b"}) == [
        {"fieldType": None, "collection": ["a", "b"]},
    ]
    assert wix_rows({"fieldType": "Variant"}) == [{"fieldType": "Variant"}]


PARENTS = "sku,title,parent_sku,size,price,image\n"
SHIRT, SHIRT_S, SHIRT_M = "P,Red shirt,,,,p.png\n", "P-S,,P,S,10,s.png\n", "P-M,Red shirt M,P,M,12,\n"


@pytest.mark.parametrize("rows", [(SHIRT, SHIRT_S, SHIRT_M), (SHIRT_S, SHIRT, SHIRT_M)])
def test_rows_that_name_the_sku_of_their_parent(tmp_path: Path, rows: tuple[str, ...]) -> None:
    text = PARENTS + "".join(rows) + "Q,Blue mug,,,3,\n"
    items, notes = read(tmp_path / "x.csv", text)
    assert "an export of a shop whose variants name their parent: 4 rows are 2 products" in notes
    assert {key: item.title for key, item in items.items()} == {"P": "Red shirt", "Q": "Blue mug"}
    wanted = {"size": ["S", "M"], "price": 10, "variant_ids": ["P-S", "P-M"]}
    assert (items["P"].attributes, len(items["P"].images)) == (wanted, 2)
    items, _ = read(tmp_path / "x.csv", text, variants="split")
    assert {key: item.title for key, item in items.items()} == {
        "P-S": "Red shirt", "P-M": "Red shirt M", "Q": "Blue mug",
    }
    assert items["P-M"].attributes == {"size": "M", "price": 12, "item_group_id": "P"}
    assert [Path(str(items[key].images[0])).name for key in ("P-S", "P-M")] == ["s.png", "p.png"]


def test_a_parent_goes_in_that_says_nothing_but_its_title_and_one_that_is_no_row(tmp_path: Path) -> None:
    items, _ = read(tmp_path / "x.csv", "sku,title,parent_sku\nP,Red shirt,\nQ,Blue mug,\n")
    assert [item.title for item in items.values()] == ["Red shirt", "Blue mug"]
    items, _ = read(tmp_path / "x.csv", PARENTS + "X-S,Red shirt,X,S,10,\nX-M,Red shirt,X,M,12,\n")
    assert {key: item.attributes["size"] for key, item in items.items()} == {"X": ["S", "M"]}


def test_another_name_of_the_parent_than_its_id(tmp_path: Path) -> None:
    items, _ = read(
        tmp_path / "x.csv",
        "id,sku,name,parent_sku,colour,price\n1,P,Shirt,,,\n2,P-S,,P,red,10\n3,P-M,,P,blue,12\n4,Q,Mug,,,3\n",
    )
    colours = {key: item.attributes.get("colour") for key, item in items.items()}
    assert colours == {"1": ["red", "blue"], "4": None}
