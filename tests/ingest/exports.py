"""Exports of shop systems, written after their public documentation for a catalogue made up here.

Each writer puts a file (and its pictures) into a folder and says where in it the parts of a product stand.
"""

import csv
import html
import io
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

COLOURS, SIZES = ("red", "blue", "light green", "black"), ("S", "M", "L", "42,5 cm")
KINDS = ("Mug", "Blanket", "Lamp", "Stool")
BRANDS = ("Nordholz", "Flachs & Sons", "Ton, Stein", "")


class Variant(NamedTuple):
    """One of several; colour and size are blank where a product has but one."""

    sku: str
    colour: str
    size: str
    price: float
    stock: int
    gtin: str
    picture: str


class Product(NamedTuple):
    """What each export says in its own way."""

    number: int
    key: str
    title: str
    body: str
    words: Sequence[str]
    brand: str
    kind: str
    categories: Sequence[Sequence[str]]
    tags: Sequence[str]
    pictures: Sequence[str]
    variants: Sequence[Variant]

    @property
    def varies(self) -> bool:
        """Whether it has variants to choose from."""
        return bool(self.variants[0].colour)


class Made(NamedTuple):
    """An export: its file, what is in it, and what its parts are called when they are items."""

    path: Path
    products: Sequence[Product]
    names: dict[str, str]
    ids: Callable[[Product], str]
    own: Callable[[Product, int], str] = lambda product, n: product.variants[n].sku
    varies: bool = True


def catalogue(size: int, pictures: Sequence[str] = (), *, varies: bool = True) -> list[Product]:
    """Products with commas, quotes and line breaks in their words, some of their cells empty."""
    dice = random.Random(size)
    return [_product(number, dice, pictures, varies=varies) for number in range(1, size + 1)]


def painted(folder: Path, count: int) -> list[str]:
    """Names of pictures of different colours in a folder."""
    (folder / "pics").mkdir(exist_ok=True)
    for n in range(count):
        Image.new("RGB", (16, 16), (40 * n % 256, 90, 200 - 20 * n)).save(folder / "pics" / f"p {n}.png")
    return [f"pics/p {n}.png" for n in range(count)]


def _product(number: int, dice: random.Random, pictures: Sequence[str], *, varies: bool) -> Product:
    kind = KINDS[number % len(KINDS)]
    key = f"{kind.lower()}-{number:04}"
    several = varies and number % 3 != 0
    choices = [(colour, size) for colour in dice.sample(COLOURS, 2) for size in dice.sample(SIZES, 2)]
    shown = [dice.choice(pictures) for _ in range(2)] if pictures else []
    variants = [
        Variant(
            f"{key.upper()}-{n}", colour, size, round(dice.uniform(5, 90), 2), dice.randint(0, 9),
            str(4006381000000 + 10 * number + n), dice.choice(pictures) if pictures else "",
        )
        for n, (colour, size) in enumerate(choices if several else [("", "")])
    ]
    body = f'<p>A {kind.lower()}, "no. {number}", 12" high.</p>\n<ul><li>Warm &amp; soft</li>\n<li>öko</ul>'
    return Product(
        number, key, f'{kind} "No. {number}", handmade', "" if number % 7 == 5 else body,
        () if number % 7 == 5 else (f'"no. {number}", 12" high.', "Warm & soft", "öko"),
        BRANDS[number % len(BRANDS)], kind, [("Home", kind), ("Gifts",)][: 1 + number % 2],
        ("new", f"{kind}s", "hand made")[: number % 4], list(dict.fromkeys(shown)), variants,
    )


def _csv(path: Path, rows: Sequence[dict[str, Any]], header: str, **options: Any) -> Path:
    names = header.split("|") if "|" in header else header.split(",")
    text = io.StringIO()
    writer = csv.DictWriter(text, names, **options)
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path


def _group_id(product: Product) -> str:
    """The id of an item where variants have a group, and products without any have none."""
    return product.key if product.varies else product.variants[0].sku


# ---- Google Merchant: an item is a variant, `item_group_id` holds them together


def google_items(products: Sequence[Product]) -> list[dict[str, Any]]:
    """Rows of items, those of a product scattered."""
    return [
        {
            "id": variant.sku, "title": product.title, "description": product.body,
            "link": f"https://shop.example.test/{product.key}",
            "image_link": variant.picture, "additional_image_link": ",".join(product.pictures),
            "availability": "in_stock" if variant.stock else "out_of_stock",
            "price": f"{variant.price:.2f} EUR", "brand": product.brand, "gtin": variant.gtin,
            "condition": "new",
            "google_product_category": "Home & Garden > Kitchen & Dining > Tableware > Drinkware > Mugs",
            "product_type": " > ".join(product.categories[0]), "color": variant.colour, "size": variant.size,
            "item_group_id": product.key if product.varies else "", "shipping": "DE::Standard:4.90 EUR",
            "product_detail": "General:Fired at:1200 degrees",
        }
        for turn in range(4) for product in products for variant in product.variants[turn : turn + 1]
    ]


GOOGLE = {
    "title": "title", "description": "description", "price": "price", "currency": "price_currency",
    "brand": "brand", "gtin": "gtin", "colour": "color", "size": "size", "availability": "availability",
}


def google_tsv(folder: Path, size: int) -> Made:
    """Tab-separated, as a merchant uploads it."""
    products = catalogue(size, painted(folder, 3))
    rows = google_items(products)
    path = _csv(folder / "merchant.tsv", rows, ",".join(rows[0]), delimiter="\t")
    return Made(path, products, GOOGLE, _group_id)


def google_rss(folder: Path, size: int) -> Made:
    """RSS 2.0 with Google's names, several elements of one name, and elements inside elements."""
    products = catalogue(size, painted(folder, 3))
    items = []
    for row in google_items(products):
        parts = [f"<title>{html.escape(row.pop('title'))}</title>", f"<link>{row.pop('link')}</link>"]
        body = row.pop("description").replace("]]>", "")
        parts.append(f"<description><![CDATA[{body}]]></description>")
        more = row.pop("additional_image_link").split(",")
        parts += [f"<g:additional_image_link>{one}</g:additional_image_link>" for one in more]
        row.pop("shipping"), row.pop("product_detail")
        parts += [
            f"<g:shipping><g:country>{one}</g:country><g:price>4.90 EUR</g:price></g:shipping>"
            for one in ("DE", "AT")
        ]
        parts.append(
            "<g:product_detail><g:section_name>General</g:section_name><g:attribute_name>Fired at"
            "</g:attribute_name><g:attribute_value>1200 degrees</g:attribute_value></g:product_detail>"
        )
        parts += [f"<g:{name}>{html.escape(cell)}</g:{name}>" for name, cell in row.items()]
        items.append(f"<item>{''.join(parts)}</item>")
    path = folder / "feed.xml"
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0">'
        "<channel><title>Shop</title><link>https://shop.example.test</link><description>All</description>\n"
        + "\n".join(items) + "</channel></rss>", encoding="utf-8",
    )
    return Made(path, products, GOOGLE, _group_id)


# ---- Shopify: a row for each variant and each further picture; the first has the product's texts

SHOPIFY_HEADER = (
    "Handle|Title|Body (HTML)|Vendor|Product Category|Type|Tags|Published|Option1 Name|Option1 Value"
    "|Option1 Linked To|Option2 Name|Option2 Value|Option2 Linked To|Option3 Name|Option3 Value"
    "|Option3 Linked To|Variant SKU|Variant Grams|Variant Inventory Tracker|Variant Inventory Qty"
    "|Variant Inventory Policy|Variant Fulfillment Service|Variant Price|Variant Compare At Price"
    "|Variant Requires Shipping|Variant Taxable|Variant Barcode|Image Src|Image Position|Image Alt Text"
    "|Gift Card|SEO Title|SEO Description|Google Shopping / Google Product Category"
    "|Google Shopping / Gender|Google Shopping / Custom Label 0|Variant Image|Variant Weight Unit"
    "|Variant Tax Code|Cost per item|Included / Germany|Price / Germany|Status"
)
SHOPIFY_NEW = {  # what newer exports call the same columns
    "Handle": "URL handle", "Body (HTML)": "Description", "Product Category": "Product category",
    "Published": "Published on online store", "Option1 Name": "Option1 name",
    "Option1 Value": "Option1 value",
    "Option2 Name": "Option2 name", "Option2 Value": "Option2 value", "Variant SKU": "SKU",
    "Variant Grams": "Weight value (grams)", "Variant Inventory Tracker": "Inventory tracker",
    "Variant Inventory Qty": "Inventory quantity", "Variant Price": "Price",
    "Variant Compare At Price": "Compare-at price", "Variant Barcode": "Barcode",
    "Image Src": "Product image URL", "Image Position": "Image position", "Image Alt Text": "Image alt text",
    "Variant Image": "Variant image URL", "SEO Title": "SEO title",
    "Variant Requires Shipping": "Requires shipping", "Variant Taxable": "Charge tax",
    "Variant Inventory Policy": "Continue selling when out of stock", "Gift Card": "Gift card",
    "Variant Fulfillment Service": "Fulfillment service", "Variant Weight Unit": "Weight unit for display",
}
SHOPIFY = {
    "title": "title", "description": "description", "price": "price", "brand": "vendor", "gtin": "barcode",
    "colour": "colour", "size": "size", "tags": "tags", "stock": "stock", "sku": "sku",
}


def shopify_rows(products: Sequence[Product]) -> list[dict[str, Any]]:
    """Rows as `Export > Plain CSV file` writes them."""
    return [row for product in products for row in _shopify_product(product)]


def _shopify_product(product: Product) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for variant in product.variants:
        rows.append({
            "Handle": product.key, "Option1 Value": variant.colour or "Default Title",
            "Option2 Value": variant.size, "Variant SKU": variant.sku, "Variant Grams": "250",
            "Variant Inventory Tracker": "shopify", "Variant Inventory Qty": variant.stock,
            "Variant Inventory Policy": "deny", "Variant Fulfillment Service": "manual",
            "Variant Price": f"{variant.price:.2f}", "Variant Requires Shipping": "true",
            "Variant Taxable": "true", "Variant Barcode": f"'{variant.gtin}", "Variant Weight Unit": "g",
            "Variant Image": variant.picture if product.varies else "", "Cost per item": "1.00",
        })
    for position, picture in enumerate(product.pictures, start=1):
        if position > len(rows):
            rows.append({"Handle": product.key})
        rows[position - 1] |= {
            "Image Src": picture, "Image Position": position, "Image Alt Text": product.title,
        }
    rows[0] |= {
        "Title": product.title, "Body (HTML)": product.body, "Vendor": product.brand, "Type": product.kind,
        "Product Category": "Home & Garden > Kitchen & Dining", "Tags": ", ".join(product.tags),
        "Published": "true", "Option1 Name": "Colour" if product.varies else "Title",
        "Option2 Name": "Size" if product.varies else "", "Gift Card": "false", "SEO Title": "Buy it now",
        "Status": "active", "Included / Germany": "true",
    }
    return rows


def shopify(folder: Path, size: int) -> Made:
    """The columns of the older export."""
    products = catalogue(size, painted(folder, 4))
    path = _csv(folder / "products_export_1.csv", shopify_rows(products), SHOPIFY_HEADER)
    return Made(path, products, SHOPIFY, lambda product: product.key)


def shopify_new(folder: Path, size: int) -> Made:
    """The columns of the newer one."""
    products = catalogue(size, painted(folder, 4))
    rows = [
        {SHOPIFY_NEW.get(name, name): cell for name, cell in row.items()} for row in shopify_rows(products)
    ]
    header = "|".join(SHOPIFY_NEW.get(name, name) for name in SHOPIFY_HEADER.split("|"))
    return Made(
        _csv(folder / "products_export.csv", rows, header), products, SHOPIFY, lambda product: product.key
    )


# ---- WooCommerce: variations name their parent, and come after all other products

WOO_HEADER = (
    "ID|Type|SKU|GTIN, UPC, EAN, or ISBN|Name|Published|Is featured?|Visibility in catalog|Short description"
    "|Description|Date sale price starts|Date sale price ends|Tax status|Tax class|In stock?|Stock"
    "|Low stock amount|Backorders allowed?|Sold individually?|Weight (kg)|Length (cm)|Width (cm)|Height (cm)"
    "|Allow customer reviews?|Purchase note|Sale price|Regular price|Categories|Tags|Shipping class|Images"
    "|Download limit|Download expiry days|Parent|Grouped products|Upsells|Cross-sells|External URL"
    "|Button text|Position|Brands|Attribute 1 name|Attribute 1 value(s)|Attribute 1 visible"
    "|Attribute 1 global|Attribute 1 default|Attribute 2 name|Attribute 2 value(s)|Attribute 2 visible"
    "|Attribute 2 global|Meta: _wp_page_template"
)
WOO = {
    "title": "name", "description": "description", "price": "price", "brand": "brands", "gtin": "gtin",
    "colour": "colour", "size": "size", "tags": "tags", "categories": "categories", "in stock": "in_stock",
}


def woo_rows(products: Sequence[Product], *, numbered: bool) -> list[dict[str, Any]]:
    """Rows of products, then of variations; `numbered` says whether they have ids besides product numbers."""
    parents, variations = [], []
    for product in products:
        own = product.variants[0]
        row = {
            "ID": product.number if numbered else "", "Type": "variable" if product.varies else "simple",
            "SKU": product.key, "Name": product.title, "Published": 1, "Is featured?": 0,
            "Visibility in catalog": "visible", "Short description": "Made by hand.",
            "Description": product.body, "Tax status": "taxable", "In stock?": 1, "Backorders allowed?": 0,
            "Categories": ", ".join(" > ".join(path) for path in product.categories),
            "Tags": ", ".join(product.tags), "Images": ", ".join(product.pictures), "Position": 0,
            "Brands": product.brand.replace(",", "\\,"), "Meta: _wp_page_template": "default",
        }
        if product.varies:
            for at, name, values in ((1, "Colour", 1), (2, "Size", 2)):
                every = dict.fromkeys(variant[values].replace(",", "\\,") for variant in product.variants)
                row |= {f"Attribute {at} name": name, f"Attribute {at} value(s)": ", ".join(every)}
        else:
            row |= {"Regular price": own.price, "GTIN, UPC, EAN, or ISBN": own.gtin, "Stock": own.stock}
            row |= {"In stock?": int(own.stock > 0)}
        parents.append(row)
        for n, one in enumerate(product.variants if product.varies else (), start=1):
            variations.append({
                "ID": 100_000 + 10 * product.number + n if numbered else "", "Type": "variation",
                "SKU": one.sku, "Name": f"{product.title} - {one.colour}, {one.size}", "Published": 1,
                "Stock": one.stock,
                "In stock?": int(one.stock > 0), "Regular price": one.price, "Images": one.picture,
                "GTIN, UPC, EAN, or ISBN": one.gtin, "Position": n,
                "Parent": f"id:{product.number}" if numbered and product.number % 2 else product.key,
                "Attribute 1 name": "Colour", "Attribute 1 value(s)": one.colour,
                "Attribute 2 name": "Size", "Attribute 2 value(s)": one.size.replace(",", "\\,"),
            })
    return [*parents, *variations]


def woo(folder: Path, size: int) -> Made:
    """With the ids that the exporter writes; the parent of a variation by id or by product number."""
    products = catalogue(size, painted(folder, 3))
    path = _csv(folder / "wc-product-export.csv", woo_rows(products, numbered=True), WOO_HEADER)
    return Made(path, products, WOO, lambda product: str(product.number))


def woo_by_sku(folder: Path, size: int) -> Made:
    """Product numbers alone, as files for the importer have them."""
    products = catalogue(size, painted(folder, 3))
    path = _csv(folder / "import.csv", woo_rows(products, numbered=False), WOO_HEADER)
    return Made(path, products, WOO, lambda product: product.key)


# ---- Magento: variants stand before the product that names them; further rows say it for other store views

MAGENTO_HEADER = (
    "sku,store_view_code,attribute_set_code,product_type,categories,product_websites,name,description,"
    "short_description,weight,product_online,tax_class_name,visibility,price,special_price,"
    "special_price_from_date,special_price_to_date,url_key,meta_title,meta_keywords,meta_description,"
    "base_image,base_image_label,small_image,small_image_label,thumbnail_image,thumbnail_image_label,"
    "swatch_image,swatch_image_label,created_at,updated_at,new_from_date,new_to_date,"
    "display_product_options_in,map_price,msrp_price,map_enabled,gift_message_available,custom_design,"
    "custom_layout_update,page_layout,product_options_container,msrp_display_actual_price_type,"
    "country_of_manufacture,additional_attributes,qty,out_of_stock_qty,use_config_min_qty,is_qty_decimal,"
    "allow_backorders,use_config_backorders,min_cart_qty,max_cart_qty,is_in_stock,notify_on_stock_below,"
    "manage_stock,use_config_manage_stock,qty_increments,website_id,related_skus,upsell_skus,"
    "additional_images,additional_image_labels,hide_from_product_page,custom_options,"
    "configurable_variations,configurable_variation_labels,associated_skus"
)
MAGENTO = {
    "title": "name", "description": "description", "price": "price", "brand": "brand", "gtin": "ean",
    "colour": "color", "size": "size", "categories": "categories", "in stock": "in_stock",
}


def magento_rows(products: Sequence[Product]) -> list[dict[str, Any]]:
    """Rows of `System > Export`, with a German store view beside the default one."""
    return [row for product in products for row in _magento_product(product)]


def _magento_product(product: Product) -> list[dict[str, Any]]:
    rows = []
    for one in product.variants:
        brand = f"brand={product.brand}"
        said = [f"ean={one.gtin}", f'"{brand}"' if "," in brand else brand, "features=Dishwasher|Oven"]
        said += [f"color={one.colour}", f'"size={one.size}"'] if product.varies else []
        rows.append(_magento_row(
            product, sku=one.sku, product_type="simple", price=f"{one.price:.6f}", qty=f"{one.stock}.0000",
            is_in_stock=int(one.stock > 0), base_image=f"/{one.picture}", small_image=f"/{one.picture}",
            visibility="Not Visible Individually" if product.varies else "Catalog, Search",
            additional_attributes=",".join(said), name=f"{product.title} {one.colour} {one.size}".strip(),
        ))
    if product.varies:
        said = [f"sku={one.sku},color={one.colour},size={one.size}" for one in product.variants]
        rows.append(_magento_row(
            product, sku=product.key, product_type="configurable", qty="0.0000", is_in_stock=1,
            configurable_variations="|".join(said), configurable_variation_labels="color=Color,size=Size",
            additional_attributes=f'"brand={product.brand}"', base_image="no_selection",
        ))
    german = {"sku": rows[-1]["sku"], "store_view_code": "de", "name": f"Auf Deutsch: {product.title}"}
    return [*rows, german]


def _magento_row(product: Product, **more: Any) -> dict[str, Any]:
    return {
        "attribute_set_code": "Default", "product_websites": "base", "name": product.title,
        "categories": ",".join("/".join(("Default Category", *path)) for path in product.categories),
        "description": product.body, "product_online": 1, "tax_class_name": "Taxable Goods",
        "url_key": product.key, "meta_title": "Buy it now",
        "created_at": f"2024-05-{product.number % 27 + 1:02} 10:11:12",
        "updated_at": "2024-06-01 10:11:12", "display_product_options_in": "Block after Info Column",
        "weight": "1.000000", "additional_images": ",".join(f"/{one}" for one in product.pictures),
        "use_config_min_qty": 1, "manage_stock": 1, "website_id": 0, **more,
    }


def magento(folder: Path, size: int) -> Made:
    """All columns of an export."""
    products = catalogue(size, painted(folder, 3))
    path = _csv(folder / "catalog_product.csv", magento_rows(products), MAGENTO_HEADER)
    return Made(path, products, MAGENTO, _group_id)


# ---- schema.org: JSON-LD of pages

SCHEMA = {
    "title": "name", "description": "description", "price": "price", "currency": "price_currency",
    "brand": "brand", "gtin": "gtin13", "colour": "color", "size": "size", "availability": "availability",
}


def _offer(one: Variant) -> dict[str, Any]:
    stock = "InStock" if one.stock else "OutOfStock"
    return {
        "@type": "Offer", "price": f"{one.price:.2f}", "priceCurrency": "EUR",
        "availability": f"https://schema.org/{stock}", "itemCondition": "https://schema.org/NewCondition",
        "url": "https://shop.example.test/x", "seller": {"@type": "Organization", "name": "Shop"},
    }


def _about(product: Product) -> dict[str, Any]:
    brand = {"brand": {"@type": "Brand", "name": product.brand}} if product.brand else {}
    return {
        "name": product.title, "description": product.body, "url": f"https://shop.example.test/{product.key}",
        "category": " > ".join(product.categories[0]), **brand,
        "image": [{"@type": "ImageObject", "contentUrl": one} for one in product.pictures],
        "aggregateRating": {"@type": "AggregateRating", "ratingValue": "4.5", "reviewCount": 7},
        "review": [{"@type": "Review", "name": "Good", "author": {"@type": "Person", "name": "Ann"}}],
        "isRelatedTo": [{"@type": "Product", "name": "Another", "sku": "ANOTHER"}],
    }


def schema_nodes(products: Sequence[Product]) -> list[dict[str, Any]]:
    """Groups with their variants inside, and products with one offer, several, or a range of them."""
    nodes = []
    for product in products:
        own = product.variants[0]
        offers: Any = [
            _offer(own), [_offer(own), _offer(own._replace(price=own.price + 10))],
            {"@type": "AggregateOffer", "lowPrice": own.price, "highPrice": own.price + 9,
             "priceCurrency": "EUR", "offers": [_offer(own)]},
        ][product.number // 3 % 3]
        if not product.varies:
            lone = {"@type": "Product", "sku": own.sku, "gtin13": own.gtin, "offers": offers}
            nodes.append(lone | _about(product))
            continue
        nodes.append({
            "@type": "ProductGroup", "@id": f"#{product.key}", "productGroupID": product.key,
            **_about(product), "variesBy": ["https://schema.org/color", "https://schema.org/size"],
            "hasVariant": [
                {"@type": "Product", "@id": f"#{one.sku}", "sku": one.sku, "gtin13": one.gtin,
                 "color": one.colour, "size": one.size, "image": one.picture, "offers": _offer(one)}
                for one in product.variants
            ],
        })
    return nodes


def schema_page(folder: Path, size: int) -> Made:
    """One page: a graph in which groups refer to their variants, beside what is no product."""
    products = catalogue(size, painted(folder, 3))
    nodes, apart = schema_nodes(products), []
    for node in nodes:
        apart += node.get("hasVariant", [])
        if "hasVariant" in node:
            node["hasVariant"] = [{"@id": one["@id"]} for one in node["hasVariant"]]
    graph = [{"@type": "WebSite", "name": "Shop", "url": "https://shop.example.test"}, *apart, *nodes]
    path = folder / "page.json"
    path.write_text(json.dumps({"@context": "https://schema.org", "@graph": graph}, indent=1))
    return Made(path, products, SCHEMA, _group_id)


def schema_list(folder: Path, size: int) -> Made:
    """A list of products, their variants inside."""
    products = catalogue(size, painted(folder, 3))
    nodes = enumerate(schema_nodes(products), start=1)
    elements = [{"@type": "ListItem", "position": at, "item": node} for at, node in nodes]
    path = folder / "list.jsonld"
    path.write_text(json.dumps({
        "@context": "https://schema.org/", "@type": "ItemList", "numberOfItems": size,
        "itemListElement": elements,
    }, ensure_ascii=False), encoding="utf-8")
    return Made(path, products, SCHEMA, _group_id)


# ---- Amazon's metadata of 2023: one product a line, no variants

AMAZON = {
    "title": "title", "description": "description", "price": "price", "brand": "store",
    "categories": "categories",
}


def amazon_lines(products: Sequence[Product]) -> list[dict[str, Any]]:
    """Objects of the files `meta_*.jsonl`."""
    lines = []
    for product in products:
        shown = [
            {"thumb": "thumb.png", "large": one, "variant": "MAIN" if not at else f"PT{at:02}",
             "hi_res": None if at else one}
            for at, one in enumerate(product.pictures)
        ]
        prices = [product.variants[0].price, f"{product.variants[0].price:.2f}"]
        lines.append({
            "main_category": "Home & Kitchen", "title": product.title, "average_rating": 4.5,
            "rating_number": product.number, "features": ["Warm", "Soft, and light"],
            "description": [product.body] if product.body else [], "price": prices[product.number % 2],
            "images": shown, "videos": [{"title": "A video", "url": "https://v.example.test", "user_id": ""}],
            "store": product.brand or None,
            "categories": [one for path in product.categories for one in path],
            "details": {"Color": "red", "Is Dishwasher Safe": "Yes", "Best Sellers Rank": {"Mugs": 7}},
            "parent_asin": f"B{product.number:09}", "bought_together": None,
        })
    return lines


def amazon(folder: Path, size: int) -> Made:
    """A file of lines."""
    products = catalogue(size, painted(folder, 3), varies=False)
    path = folder / "meta_Home_and_Kitchen.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in amazon_lines(products)), encoding="utf-8")
    return Made(path, products, AMAZON, lambda product: f"B{product.number:09}", varies=False)


WRITERS: dict[str, tuple[Callable[[Path, int], Made], int]] = {
    "Google RSS": (google_rss, 5), "Google TSV": (google_tsv, 300), "Shopify": (shopify, 2),
    "Shopify, new names": (shopify_new, 250), "WooCommerce": (woo, 6),
    "WooCommerce by SKU": (woo_by_sku, 150),
    "Magento": (magento, 4), "Magento, larger": (magento, 120), "schema.org graph": (schema_page, 5),
    "schema.org list": (schema_list, 80), "Amazon": (amazon, 2), "Amazon, larger": (amazon, 5_000),
}
