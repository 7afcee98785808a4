"""Exports of shop systems go in with no option: every product, its texts, attributes and pictures."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import polars as pl
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from ingest.read import cleaned
from ingest.sources import Columns, open_source
from ingest.sources.exports import details, pairs
from ingest.sources.frames import from_frame
from ingest.sources.json_ld import product_nodes
from ingest.sources.shop_systems import recognised
from mmrec import Item, Recommender
from mmrec.errors import DataError, Rejection

EXPORTS = runpy.run_path(str(Path(__file__).with_name("exports.py")))
WRITERS = EXPORTS["WRITERS"]
TOY = 'text_encoder = "toy"\nimage_encoder = "toy"\n'


@pytest.fixture
def taken(tmp_path: Path, mmrec: Callable[..., Result]) -> Callable[..., tuple[dict[str, Item], str]]:
    """Ingests a file by the command line: the items by id, and what was told."""

    def run(path: Path, *options: str) -> tuple[dict[str, Item], str]:
        (tmp_path / "toy.toml").write_text(TOY)
        shop = tmp_path / f"shop{''.join(options)}.mmrec"
        result = mmrec("ingest", shop, path, "--config", tmp_path / "toy.toml", *options)
        assert result.exit_code == 0, result.output
        counts = json.loads(result.stdout.splitlines()[0])
        with Recommender.open(shop) as opened:
            _, items = opened.browse(limit=100_000)
            assert counts["added"] == len(items)
            assert counts["rejected"] == 0
            return {item.item_id: item for item in items}, result.stderr

    return run


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """An export."""
    writer, size = WRITERS[request.param]
    return writer(tmp_path, size)


@pytest.mark.parametrize("made", WRITERS, indirect=True)
def test_every_product_goes_in_whole(made: Any, taken: Any) -> None:
    items, told = taken(made.path)
    assert items.keys() == {made.ids(product) for product in made.products}
    for product in made.products:
        is_whole(items[made.ids(product)], product, made.names)
    assert not made.varies or "--variants split" in told
    assert "an export of" in told


def is_whole(item: Item, product: Any, names: dict[str, str]) -> None:
    values, variants = item.attributes, product.variants
    assert item.text[names["title"]] == product.title
    for words in product.words:
        assert words in item.text[names["description"]]
    assert "<" not in item.text.get(names["description"], "")
    assert values[names["price"]] == min(one.price for one in variants)
    assert isinstance(values[names["price"]], float)
    assert values.get(names.get("currency", "none"), "EUR") == "EUR"
    brand = values.get(names["brand"], "")
    assert (brand[0] if isinstance(brand, list) else brand) == product.brand
    for part, every in (("colour", 1), ("size", 2)):
        if part in names:
            wanted = dict.fromkeys(one[every] for one in variants if one[every])
            assert values.get(names[part], []) == list(wanted)
    if "gtin" in names:
        codes = values[names["gtin"]]
        assert {one.gtin for one in variants} == set([codes] if isinstance(codes, str) else codes)
    if "availability" in names:
        said = values[names["availability"]].lower().replace("_", "")
        assert said == ("instock" if any(one.stock for one in variants) else "outofstock")
    if "in stock" in names:
        assert values[names["in stock"]] is any(one.stock for one in variants)
    if "stock" in names:
        assert values[names["stock"]] == sum(one.stock for one in variants)
    assert values.get(names.get("tags", "none"), []) in ([], list(product.tags))
    assert isinstance(values.get(names.get("categories", "none"), []), list)
    shown = {Path(str(picture)).name for picture in item.images}
    assert shown >= {Path(one).name for one in product.pictures}
    assert all(Path(str(picture)).is_file() for picture in item.images)


@pytest.mark.parametrize("made", [name for name in WRITERS if name != "Amazon, larger"], indirect=True)
def test_each_variant_may_be_an_item(made: Any, taken: Any) -> None:
    items, told = taken(made.path, "--variants", "split")
    wanted = {
        made.own(product, n) if product.varies else made.ids(product): (product, one)
        for product in made.products for n, one in enumerate(product.variants)
    }
    assert items.keys() == wanted.keys()
    for item_id, (product, one) in wanted.items():
        item, names = items[item_id], made.names
        assert item.text[names["title"]].startswith(product.title)
        assert all(words in item.text[names["description"]] for words in product.words)
        assert item.attributes[names["price"]] == one.price
        assert item.attributes.get(names.get("gtin", "none"), one.gtin) == one.gtin
        if product.varies:
            assert item.attributes[names["colour"]] == one.colour
            assert item.attributes[names["size"]] == one.size
            assert item.attributes["item_group_id"] == made.ids(product)
            assert Path(str(item.images[0])).name == Path(one.picture).name
    assert ("--variants merge" in told) is made.varies


# ---- the same road for all, rows in any order, and what the caller says


def items_of(source: Any) -> list[Item]:
    found = list(cleaned(source))
    assert all(isinstance(item, Item) for item in found), found
    return found


def parts(items: list[Item]) -> list[tuple[Any, ...]]:
    return [
        (item.item_id, dict(item.text), dict(item.attributes), [Path(str(one)).name for one in item.images])
        for item in items
    ]


@pytest.mark.parametrize("writer", ["shopify", "woo", "magento"])
def test_an_export_is_the_same_by_every_road(
    tmp_path: Path, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = EXPORTS[writer](tmp_path, 4)
    frame = pd.read_csv(made.path, dtype=str, keep_default_na=False)
    frame.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    frame.replace("", None).to_parquet(tmp_path / "rows.parquet")
    expected = parts(items_of(open_source(made.path)))
    for name in ("rows.jsonl", "rows.parquet"):
        assert parts(items_of(open_source(tmp_path / name))) == expected
    for one in (frame, pl.from_pandas(frame), pd.read_csv(made.path)):
        assert parts(items_of(from_frame(one))) == expected


@given(st.sampled_from(["google_tsv", "woo", "magento"]), st.randoms(use_true_random=False))
def test_rows_may_stand_in_any_order(writer: str, dice: Any) -> None:
    with TemporaryDirectory() as folder:
        made = EXPORTS[writer](Path(folder), 4)
        delimiter = "\t" if writer == "google_tsv" else ","
        frame = pd.read_csv(made.path, dtype=str, keep_default_na=False, delimiter=delimiter)
        rows = frame.to_dict("records")
        dice.shuffle(rows)
        shuffled = {item.item_id: item for item in items_of(from_frame(pd.DataFrame(rows)))}
        for item in items_of(open_source(made.path)):
            assert shuffled[item.item_id].text == item.text
            assert shuffled[item.item_id].attributes.keys() == item.attributes.keys()
            assert shuffled[item.item_id].attributes["price"] == item.attributes["price"]


def test_what_variants_have_is_kept_where_the_first_rows_show_one_of_each_product(tmp_path: Path) -> None:
    made = EXPORTS["google_tsv"](tmp_path, 1_200)
    items = {item.item_id: item for item in items_of(open_source(made.path))}
    for product in made.products:
        assert set(items[made.ids(product)].attributes["gtin"]) == {one.gtin for one in product.variants}


def test_what_the_caller_says_of_columns_counts(tmp_path: Path) -> None:
    made = EXPORTS["shopify"](tmp_path, 2)
    said = Columns(
        id="Variant SKU", text=("Title", "SEO Title"), attributes=("Variant Price", "Option1 Value", "Tags"),
        types={"Tags": "category"},
    )
    first = items_of(open_source(made.path, columns=said))[0]
    assert first.item_id == made.products[0].variants[0].sku
    assert dict(first.text) == {"title": made.products[0].title, "seo_title": "Buy it now"}
    assert first.attributes.keys() == {"price", "option1_value", "tags"}
    assert first.attributes["tags"] == "new"
    with pytest.raises(DataError, match="variants must be one of merge, split"):
        Columns(variants="both")  # type: ignore[arg-type]


def shop(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "products_export.csv"
    header = "Handle,Title,Vendor,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src"
    path.write_text("\n".join([header, *rows, ""]))
    return path


def test_variants_without_a_number_of_their_own_get_the_handle_and_a_number(tmp_path: Path) -> None:
    path = shop(
        tmp_path, "mug,Mug,Ton,Colour,red,A,5,", "mug,,,,blue,,6,", "mug,,,,green,A,7,",
        "jug,Jug,Ton,Colour,red,B,9,", "jug,,,,blue,C,8,", "pot,Pot,Ton,Colour,red,B,1,",
    )
    split = items_of(open_source(path, columns=Columns(variants="split")))
    assert [item.item_id for item in split] == ["A", "mug-2", "mug-3", "jug-1", "C", "pot-1"]
    assert {item.attributes["vendor"] for item in split} == {"Ton"}
    assert [item.attributes["price"] for item in split] == [5, 6, 7, 9, 8, 1]
    assert [item.attributes.get("sku") for item in split] == ["A", None, "A", "B", "C", "B"]
    merged = items_of(open_source(path))
    assert [item.item_id for item in merged] == ["mug", "jug", "pot"]
    assert [item.attributes["price"] for item in merged] == [5, 8, 1]


@pytest.mark.parametrize("mode", ["merge", "split"])
def test_rows_that_only_add_pictures_are_merged_in_both_ways(tmp_path: Path, mode: Any) -> None:
    path = shop(
        tmp_path, "mug,Mug,Ton,Title,Default Title,A,5,https://h.example/1.png",
        "mug,,,,,,,https://h.example/2.png", "jug,Jug,Ton,Title,Default Title,B,6,",
    )
    items = items_of(open_source(path, columns=Columns(variants=mode)))
    assert [item.item_id for item in items] == ["mug", "jug"]
    assert items[0].images == ("https://h.example/1.png", "https://h.example/2.png")
    assert items[0].attributes["sku"] == "A"


def test_addresses_of_pictures_are_named_as_such(tmp_path: Path, mmrec: Callable[..., Result]) -> None:
    path = shop(tmp_path, "mug,Mug,Ton,Title,Default Title,A,5,https://h.example/1.png")
    (tmp_path / "toy.toml").write_text(TOY)
    result = mmrec("ingest", tmp_path / "s.mmrec", path, "--config", tmp_path / "toy.toml")
    assert (result.exit_code, json.loads(result.stdout.splitlines()[0])["added"]) == (0, 1)
    assert "1 without their picture" in result.stderr
    assert "--allow-urls" in result.stderr


def test_a_row_that_cannot_be_read_is_rejected_and_costs_no_other(tmp_path: Path) -> None:
    path = shop(tmp_path, "mug,Mug,Ton,Colour,red,A,5,", "mug,,,,blue,B,6,,too,many", "jug,Jug,Ton,,,C,7,")
    found = list(cleaned(open_source(path)))
    assert [one.item_id for one in found if isinstance(one, Item)] == ["mug", "jug"]
    assert [one.line for one in found if isinstance(one, Rejection)] == [3]


# ---- tables of no known system


@pytest.mark.parametrize(("mode", "wanted"), [
    ("merge", [("a", 7.5, ["red", "blue"]), ("b", 3.0, ["red"])]),
    ("split", [("a-1", 9.0, "red"), ("a-2", 7.5, "blue"), ("b", 3.0, "red")]),
])
def test_rows_of_one_id_are_one_product_or_its_variants_in_any_table(
    tmp_path: Path, mode: Any, wanted: list[Any]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "sku,name,price,colour,photo,photo_2\na,Mug,9.00,red,1.png,\na,,7.50,blue,2.png,\na,,,,3.png,4.png\n"
        "b,Jug,3.00,red,,\n"
    )
    items = items_of(source := open_source(path, columns=Columns(variants=mode)))
    assert [(one.item_id, one.attributes["price"], one.attributes["colour"]) for one in items] == wanted
    assert {one.text["name"] for one in items} == {"Mug", "Jug"}
    assert [len(one.images) for one in items] == ([4, 0] if mode == "merge" else [1, 1, 0])
    assert any(f"--variants {'split' if mode == 'merge' else 'merge'}" in note for note in source.notes)


@pytest.mark.parametrize(("header", "system"), [
    ("Handle,Title,Vendor,Variant Price", "Shopify"), ("handle,title,vendor,variant_price", "Shopify"),
    ("Title,URL handle,Description,Price", "Shopify"), ("Type,SKU,Name,Regular price,Parent", "WooCommerce"),
    ("sku,attribute_set_code,product_type,name", "Magento"),
    ("id,title,image link,availability", "Google Merchant"),
    ("g:id,g:title,g:image_link,g:gtin", "Google Merchant"),
    ("offerId,id,title,imageLink,gtin", "Google Merchant"),
    ("parent_asin,title,features,images", "Amazon"), ("@type,name,sku", "schema.org"),
    ("id,title,description,price", None), ("sku,name,type,published", None), ("handle,title,text", None),
])
def test_a_system_is_known_by_its_columns(header: str, system: str | None) -> None:
    found = recognised(header.split(","))
    assert (found and found.system) == system


NAMES = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
VALUES = st.text("abc ,\"|'é12", min_size=1, max_size=12).map(str.strip).filter(
    lambda value: value and not value.startswith('"') and not value.endswith('"')
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_attributes_packed_in_one_cell_come_out_as_they_went_in(said: dict[str, str]) -> None:
    written = [f"{name}={value}" for name, value in said.items()]
    quoted = ['"' + one.replace('"', '""') + '"' if {*one} & {",", '"'} else one for one in written]
    assert dict(pairs(",".join(quoted))) == said
    enclosed = ",".join(f'{name}="{value}"' for name, value in said.items() if '"' not in value)
    assert dict(pairs(enclosed)) == {name: value for name, value in said.items() if '"' not in value}


def test_details_of_google_are_pairs_with_or_without_a_section() -> None:
    assert dict(details("General:Material:Oak,General:Rings: 3 ,Colour:red,,x")) == {
        "Material": "Oak", "Rings": "3", "Colour": "red",
    }


def test_words_for_no_price_cost_nothing_but_the_price(tmp_path: Path) -> None:
    path = tmp_path / "meta.jsonl"
    prices: list[Any] = ["None", None, "—", "$12.99", "from 3.50", 7, 1_299.5]
    path.write_text("".join(json.dumps({
        "parent_asin": f"B{n}", "title": f"Mug {n}", "features": [], "description": ["One.", "Two, three."],
        "price": price, "images": {"hi_res": [None], "large": ["l.png"], "thumb": ["t.png"]},
        "details": '{"Color": "red"}',
    }) + "\n" for n, price in enumerate(prices)))
    items = items_of(open_source(path))
    assert [item.attributes.get("price") for item in items] == [None, None, None, 12.99, 3.5, 7, 1_299.5]
    assert {item.text["description"] for item in items} == {"One.\nTwo, three."}
    assert {item.attributes["details_color"] for item in items} == {"red"}
    assert {Path(str(item.images[0])).name for item in items} == {"l.png"}


# ---- JSON-LD

MUG = {"@type": "Product", "sku": "M1", "name": "Mug", "description": "Blue.", "image": "m.png"}
OFFERS = [{"@type": "Offer", "price": 9, "priceCurrency": "EUR"}, {"@type": "Offer", "price": "7.50"}]
RANGE = {"@type": "AggregateOffer", "lowPrice": "7.5", "highPrice": 9, "priceCurrency": "EUR"}
SPEC = {"@type": "Offer", "priceSpecification": [{"price": 7.5, "priceCurrency": "EUR"}]}
CONTEXT = {"@context": "https://schema.org"}


@pytest.mark.parametrize("value", [
    CONTEXT | MUG | {"offers": OFFERS}, [CONTEXT | MUG | {"offers": RANGE}], CONTEXT | MUG | {"offers": SPEC},
    CONTEXT | {"@graph": [{"@type": "Organization", "name": "Shop"}, MUG | {"offers": {"@id": "#o"}},
                          {"@id": "#o", "@type": "Offer", "price": 7.5}]},
    CONTEXT | {"@type": "WebPage", "mainEntity": MUG | {"offers": RANGE}},
    CONTEXT | {"@type": "ItemList", "itemListElement": [
        {"@type": "ListItem", "item": MUG | {"offers": OFFERS}},
    ]},
    {f"schema:{name}": cell for name, cell in MUG.items() if name[0] != "@"} | {
        "@type": "http://schema.org/Product", "schema:offers": {"schema:price": 7.5},
    },
    CONTEXT | MUG | {
        "offers": [RANGE], "isRelatedTo": MUG | {"sku": "M2"}, "review": [{"@type": "Review", "id": 1}],
    },
])
@pytest.mark.parametrize("lines", [False, True])
def test_a_product_of_schema_org_is_found_wherever_it_stands(tmp_path: Path, value: Any, lines: bool) -> None:
    path = tmp_path / "page.json"
    path.write_text(json.dumps(value, indent=None if lines else 1))
    (item,) = items_of(open_source(path))
    assert (item.item_id, dict(item.text)) == ("M1", {"name": "Mug", "description": "Blue."})
    assert (item.attributes["price"], Path(str(item.images[0])).name) == (7.5, "m.png")


@pytest.mark.parametrize("group", [
    {"@id": "#g"}, {"@type": "ProductGroup", "@id": "#g", "productGroupID": "G"},
])
def test_variants_may_name_their_group(tmp_path: Path, group: dict[str, Any]) -> None:
    graph = [
        MUG | {"isVariantOf": group, "color": "red", "offers": {"price": 8}},
        MUG | {"sku": "M2", "isVariantOf": {"@id": "#g"}, "color": "blue", "offers": {"price": 6},
               "additionalProperty": {"@type": "PropertyValue", "name": "Rim", "value": "gold"}},
        {"@id": "#g", "@type": "ProductGroup", "productGroupID": "G", "name": "Mugs",
         "brand": {"name": "Ton"}},
    ]
    path = tmp_path / "page.json"
    path.write_text(json.dumps(CONTEXT | {"@graph": graph}))
    (item,) = items_of(open_source(path))
    assert (item.item_id, item.text["name"], item.attributes["brand"]) == ("G", "Mugs", "Ton")
    assert item.attributes["color"] == ["red", "blue"]
    assert (item.attributes["price"], item.attributes["rim"]) == (6, "gold")
    split = items_of(open_source(path, columns=Columns(variants="split")))
    assert [(one.item_id, one.text["name"], one.attributes["color"]) for one in split] == [
        ("M1", "Mug", "red"), ("M2", "Mug", "blue"),
    ]


def test_json_that_is_no_linked_data_is_read_as_before() -> None:
    assert product_nodes({"sku": "a", "offers": [{"price": 1}]}) is None
    assert product_nodes({"@context": "https://schema.org", "@type": "WebSite", "name": "Shop"}) is None
    deep: Any = MUG
    for _ in range(500):
        deep = {"@type": "Thing", "about": [deep]}
    assert product_nodes(deep) is None
