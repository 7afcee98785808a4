"""The exports of shop systems, known by the names of their columns.

The names are those of the systems' own documentation, as `plain` writes them.
"""

from __future__ import annotations

from collections.abc import Collection

from ingest.sources.exports import Export, details, pairs
from ingest.sources.json_ld import product_rows
from ingest.sources.names import TEXTS, plain_name
from ingest.sources.shopify import shopify_rows
from ingest.sources.wix import wix_rows
from ingest.sources.woocommerce import english

_ENOUGH = 2  # telling columns that make an export known


def recognised(columns: Collection[str]) -> Export | None:
    """The export that has these columns."""
    named = ((export, {*columns, *map(export.plain, columns)}) for export in EXPORTS)
    return next((export for export, names in named if _fits(export, names)), None)


def _fits(export: Export, names: set[str]) -> bool:
    return (
        names.issuperset(export.needed) and not names.isdisjoint(export.id)
        and len(names.intersection(export.telling)) >= _ENOUGH
    )


def _words(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_OWN = _words("item_id id sku item_sku seller_sku product_sku variant_sku")
EXPORTS = (
    Export(
        system="schema.org", needed=["@type"], telling=["@type", "type"], rows=product_rows,
        id=_words("product_groupid sku product_id id gtin13 gtin mpn url"),
        own=_words("sku product_id id gtin13 gtin mpn url"), group=("in_product_group_withid",),
        varying=_words("color size material pattern"), text=_words("name alternate_name description slogan"),
        image=("image",), codes=_words("sku gtin gtin8 gtin12 gtin13 gtin14 mpn product_id"),
        labels=_words("brand manufacturer category condition availability audience model"),
        left_out="id|type|product_groupid|in_product_group_withid|url|same_as|varies_by",
    ),
    Export(  # products.json, of the shop's pages and of the Admin API
        system="Shopify", needed=["title", "variants"], rows=shopify_rows, id=_words("id handle"),
        telling=_words("body_html vendor product_type options handle published_at"),
        own=_words("variant_sku variant_id"), group=("product_id",),
        options=(r"option(\d)_name", r"option(\d)_value"), text=_words("title body_html"),
        image=("image_src",), own_image=("variant_image",), lists=("tags",), codes=("variant_barcode",),
        labels=_words("vendor product_type status variant_sku"),
        left_out=r"id|product_id|variant_id|handle|updated_at|published_.*|template_suffix|admin_.*|option\d_.*",
        called={
            "body_html": "description", "variant_sku": "sku", "variant_price": "price",
            "variant_grams": "grams", "variant_compare_at_price": "compare_at_price",
            "variant_barcode": "barcode", "variant_inventory_quantity": "stock",
            "variant_available": "available",
        },
    ),
    Export(
        system="Shopify", needed=["title", "handle"], id=("handle",), own=("variant_sku",),
        telling=_words("body_html vendor variant_price variant_sku option1_value image_src variant_barcode"),
        variant=_words("option1_value variant_sku variant_price"),
        options=(r"option(\d)_name", r"option(\d)_value"), text=_words("title body_html"),
        image=("image_src",), own_image=("variant_image",), lists=("tags",), codes=("variant_barcode",),
        labels=_words("vendor type product_category status collection variant_sku google_shopping_mpn"
                      " google_shopping_gender google_shopping_age_group"
                      " google_shopping_google_product_category"),
        left_out=r"image_.*|gift_card|seo_.*|google_shopping_.*|option\d_linked_to|cost_per_item"
                 r"|(included|price|compare_at_price)_.*|unit_price_.*|variant_(inventory_(tracker|policy)"
                 r"|fulfillment_service|requires_shipping|taxable|tax_code|weight_unit)",
        called={
            "body_html": "description", "variant_sku": "sku", "variant_price": "price",
            "variant_grams": "grams",
            "variant_compare_at_price": "compare_at_price", "variant_barcode": "barcode",
            "variant_inventory_qty": "stock", "google_shopping_gender": "gender",
            "google_shopping_age_group": "age_group", "google_shopping_mpn": "mpn",
            "google_shopping_google_product_category": "google_product_category",
        },
    ),
    Export(
        system="Shopify", needed=["title", "url_handle"], id=("url_handle",), own=("sku",),
        telling=_words("description vendor price sku option1_value product_image_url barcode"),
        variant=_words("option1_value sku price"), options=(r"option(\d)_name", r"option(\d)_value"),
        text=_words("title description"), image=("product_image_url",), own_image=("variant_image_url",),
        lists=("tags",), codes=("barcode",),
        labels=_words("vendor type product_category status sku google_shopping_gender"
                      " google_shopping_age_group google_shopping_google_product_category"),
        left_out=r"image_.*|gift_card|seo_.*|google_shopping_.*|option\d_linked_to|cost_per_item|charge_tax"
                 r"|tax_code|(included|price|compare_at_price)_.*|unit_price_.*|inventory_tracker"
                 r"|continue_selling_.*|weight_unit_.*|requires_shipping|fulfillment_service",
        called={
            "published_on_online_store": "published", "inventory_quantity": "stock",
            "weight_value_grams": "grams", "google_shopping_gender": "gender",
            "google_shopping_age_group": "age_group",
            "google_shopping_google_product_category": "google_product_category",
        },
    ),
    Export(
        system="WooCommerce", english=english, needed=["type", "sku", "name"], id=("id", "sku"),
        own=("sku", "id"),
        telling=_words("regular_price in_stock is_featured visibility_in_catalog visibility_in_catalogue"
                       " tax_status tax_class parent attribute_1_name attribute_1_value_s"),
        group=("parent",), options=(r"attribute_(\d+)_name", r"attribute_(\d+)_value_s"),
        text=_words("name short_description description"), image=("images",),
        lists=(*_words("categories tags brands"), r"attribute_(\d+)_value_s"),
        flags=_words("published in_stock"),
        codes=("gtin_upc_ean_or_isbn",), labels=("sku",),
        left_out=r"type|parent(_id)?|is_featured|visibility_in_catalog(ue)?|date_sale_price_.*|tax_.*"
                 r"|low_stock_amount|backorders_allowed|sold_individually|allow_customer_reviews"
                 r"|purchase_note|shipping_class|download_.*|grouped_products|upsells|cross_?sells"
                 r"|external_url|button_text|position|attribute_\d+_\w+|swatches_.*|meta_.*",
        called={"regular_price": "price", "gtin_upc_ean_or_isbn": "gtin"},
    ),
    Export(
        system="Wix", needed=_words("handle_id field_type name"), id=("handle_id",), own=("sku",),
        telling=_words("product_image_url collection ribbon inventory product_option_name1 visible price"),
        variant=("field_type",), text=_words("name description"), image=("product_image_url",),
        options=(r"product_option_name(\d)", r"product_option_description(\d)"),
        lists=("collection", r"product_option_description(\d)"), labels=_words("sku brand ribbon"),
        rows=wix_rows, left_out=r"handle_id|field_type|product_option_.*|custom_text_.*|additional_info_.*"
                                r"|discount_mode|surcharge",
    ),
    Export(
        system="Squarespace", needed=_words("product_id_non_editable variant_id_non_editable title"),
        id=("product_id_non_editable",), own=_words("sku variant_id_non_editable"), down=True,
        telling=_words("product_page product_url option_name_1 option_value_1 hosted_image_urls sku price"),
        variant=("variant_id_non_editable",), options=(r"option_name_(\d)", r"option_value_(\d)"),
        text=_words("title description"), image=("hosted_image_urls",), lists=_words("categories tags"),
        labels=("sku",), left_out=r".*_non_editable|product_(page|url)|option_(name|value)_\d",
    ),
    Export(
        system="Magento", needed=["sku"], id=("sku",), own=("sku",), children=("configurable_variations",),
        telling=_words("attribute_set_code product_websites additional_attributes configurable_variations"
                       " store_view_code base_image product_online product_type"),
        text=_words("name description short_description"), image=_words("base_image additional_images"),
        lists=("categories",), flags=_words("is_in_stock product_online"),
        labels=_words("attribute_set_code country_of_manufacture"), packed={"additional_attributes": pairs},
        later=("store_view_code",),
        left_out=r"store_view_code|product_type|product_websites|tax_class_name|visibility|url_key|meta_.*"
                 r"|(small|thumbnail|swatch)_image|.*_image_labels?|updated_at|.*_(from|to)_date"
                 r"|new_(from|to)_date|.*_(from|to)|display_.*|map_.*|msrp_(?!price).*|gift_.*|custom_.*"
                 r"|page_layout|product_options_container|out_of_stock_qty|(?!manage).*use_config.*|is_qty_.*"
                 r"|allow_backorders|(min|max)_cart_qty|notify_.*|manage_stock|.*qty_inc.*"
                 r"|is_decimal_divided|website_id|deferred_.*|.*_(skus|position)|hide_.*|bundle_.*"
                 r"|configurable_.*|downloadable_.*|giftcard_.*",
        called={"qty": "stock", "is_in_stock": "in_stock", "product_online": "published"},
    ),
    Export(
        system="Amazon", needed=["parent_asin", "title"], id=("parent_asin",),
        telling=_words("features description images average_rating rating_number details main_category"),
        text=_words("title subtitle features description"), image=("images",), lists=("categories",),
        labels=_words("main_category store"), left_out="videos|bought_together",
    ),
    Export(
        system="Google Merchant", needed=["id", "title"], id=("id",), own=("id",), group=("item_group_id",),
        telling=_words("image_link availability google_product_category item_group_id condition gtin"
                       " product_type identifier_exists additional_image_link"),
        varying=_words("color size material pattern"),
        text=_words("title description short_title product_highlight"),
        image=_words("image_link additional_image_link"), codes=_words("gtin mpn"),
        labels=_words("brand availability condition google_product_category product_type age_group gender"
                      " size_type size_system energy_efficiency_class"),
        packed={"product_detail": details},
        left_out=r"(mobile_|canonical_|ads_)?link|.*_link_template|adwords_.*|ads_.*|shipping.*|tax(_.*)?"
                 r"|promotion_id|identifier_exists|.*_destination|pause|cost_of_goods_sold|item_group_.*"
                 r"|(target|ships_from|shopping_ads_excluded)_country|feed_label|channel|content_language"
                 r"|installment.*|loyalty_.*|subscription_.*|(availability|expiration)_date"
                 r"|sale_price_effective_date|.*_handling_time|transit_time_label|unit_pricing_.*"
                 r"|external_seller_id|virtual_model_link|lifestyle_image_link",
    ),
    Export(  # any other table, Amazon's for sellers among them
        system="a shop whose variants name their parent", needed=["parent_sku"], id=_OWN, own=_OWN,
        telling=["parent_sku", *_OWN], group=("parent_sku",), text=tuple(map(plain_name, TEXTS)),
        image=_words("image images image_url image_link image_src main_image main_image_url photo picture"),
        labels=_words("brand vendor manufacturer category product_type type"),
        left_out="parent_sku|parent_child|parentage|parentage_level|relationship_type|variation_theme",
    ),
)
