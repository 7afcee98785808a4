"""Shopify's products in JSON as rows: one of the product, and one of each of its variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Cells = dict[str, Any]
_OF_VARIANTS = (
    "sku", "price", "compare_at_price", "barcode", "grams", "available", "inventory_quantity", "image",
)
_ABOUT = frozenset({"variants", "images", "image", "options"})  # what the rows say in columns of their own


def shopify_rows(product: Mapping[str, Any]) -> list[Cells]:
    """The rows of `{"id": ..., "title": ..., "variants": [...], "images": [{"src": ...}]}`."""
    row = {name: cell for name, cell in product.items() if name not in _ABOUT}
    pictures = _objects(product.get("images")) or _objects([product.get("image")])
    row["image_src"] = [one["src"] for one in pictures if one.get("src")]
    names = [str(one.get("name") or "") for one in _objects(product.get("options"))]
    by_id = {one.get("id"): one.get("src") for one in pictures}
    variants = [dict(_variant(one, names, by_id)) for one in _objects(product.get("variants"))]
    group = next((product[name] for name in ("id", "handle") if product.get(name)), None)
    return [row, *({"product_id": group, **variant} for variant in variants)]


def _variant(
    variant: Mapping[str, Any], names: Sequence[str], pictures: Mapping[Any, Any]
) -> Iterator[tuple[str, Any]]:
    """The cells of a variant; its picture is one of the product's, by its id."""
    featured = variant.get("featured_image")
    own = featured.get("src") if isinstance(featured, Mapping) else pictures.get(variant.get("image_id"))
    yield "variant_id", variant.get("id")
    cells = {**variant, "image": own}
    yield from ((f"variant_{name}", cells[name]) for name in cells if name in _OF_VARIANTS)
    for number, name in enumerate(names[:3], start=1):
        yield f"option{number}_name", name
        yield f"option{number}_value", variant.get(f"option{number}")


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
