"""Products of schema.org in JSON-LD: alone, in lists, in the graph of a page, variants inside their group."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Node = dict[str, Any]
_PREFIX = re.compile(r"^(?:schema:|https?://schema\.org/)")
# What leads from a product to other ones, to pages and to people.
_AROUND = frozenset({
    "@context", "isRelatedTo", "isSimilarTo", "isAccessoryOrSparePartFor", "isConsumableFor", "review",
    "reviews", "mainEntityOfPage", "potentialAction", "hasMerchantReturnPolicy", "shippingDetails", "seller",
    "subjectOf", "predecessorOf", "successorOf",
})
_DEPTH = 6  # levels of a product, to which references are followed
_DEEPEST = 60  # level at which a product is looked for
_IDS = ("productGroupID", "sku", "productID", "@id", "url", "name")


def product_nodes(value: Any) -> list[Node] | None:
    """The products in a value of JSON-LD, with what they refer to; None if it is none, or has none.

    A group of variants holds them in its `hasVariant`; a variant on its own names its group in
    `inProductGroupWithID`.
    """
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict) or first.keys().isdisjoint({"@context", "@graph", "@type", "@id"}):
        return None
    return list(_Graph(value).products()) or None


def product_rows(node: Mapping[str, Any]) -> list[Node]:
    """The rows of a product: one with its plain values, and one for each of its variants."""
    row = _row(node)
    variants = [one for one in _several(node.get("hasVariant")) if isinstance(one, Mapping)]
    if not variants:
        return [row]
    group = row.setdefault("productGroupID", _id(node))
    return [row, *({**_row(one), "inProductGroupWithID": group} for one in variants)]


class _Graph:
    """Objects that refer to one another."""

    def __init__(self, value: Any) -> None:
        self._known: dict[str, Node] = {}
        self._found: list[Node] = []
        self._walk(value, _DEEPEST, inside=False)

    def products(self) -> Iterator[Node]:
        inside = {
            id(self._followed(one)) for node in self._found for one in _several(node.get("hasVariant"))
        }
        return (self._resolved(node, _DEPTH) for node in self._found if id(node) not in inside)

    def _walk(self, value: Any, depth: int, *, inside: bool) -> None:
        for one in _several(value):
            if not isinstance(one, dict) or not depth:
                continue
            for name in [name for name in one if ":" in name]:
                one[_PREFIX.sub("", name)] = one.pop(name)
            if isinstance(one.get("@id"), str) and len(one) > 1:
                self._known.setdefault(one["@id"], one)
            product = _is_product(one)
            if product and not inside:
                self._found.append(one)
            for name, part in one.items():
                if isinstance(part, dict | list) and name not in _AROUND:
                    self._walk(part, depth - 1, inside=(inside or product) and name != "isVariantOf")

    def _followed(self, value: Any) -> Any:
        """What a reference (`{"@id": "#red"}`) refers to, if that is there; else the value."""
        if not isinstance(value, dict) or not value.keys() <= {"@id", "@type"}:
            return value
        return self._known.get(str(value.get("@id")), value)

    def _resolved(self, value: Any, depth: int) -> Any:
        value = self._followed(value)
        if isinstance(value, list):
            return [self._resolved(one, depth) for one in value]
        if not isinstance(value, dict) or not depth:
            return value
        node = {
            name: self._resolved(part, depth - 1) for name, part in value.items()
            if name not in _AROUND and name != "isVariantOf"
        }
        if groups := _several(value.get("isVariantOf")):
            node.setdefault("inProductGroupWithID", _id(self._followed(groups[0])))
        return node


def _row(node: Mapping[str, Any]) -> Node:
    """A product's values as cells of a table."""
    row: Node = {}
    for name, value in node.items():
        if name == "offers":
            row |= _offer(value)
        elif name == "aggregateRating" and isinstance(value, Mapping):
            row |= {"rating": value.get("ratingValue"), "rating_count": _rated(value)}
        elif name == "additionalProperty":
            for one in _several(value):
                if isinstance(one, Mapping) and isinstance(one.get("name"), str):
                    row.setdefault(one["name"], _plain(one.get("value")))
        elif name not in _AROUND and name not in ("hasVariant", "isVariantOf"):
            row[name] = value if name == "image" else _plain(value)
    return row


def _rated(rating: Mapping[str, Any]) -> Any:
    return rating.get("ratingCount") or rating.get("reviewCount")


def _offer(value: Any) -> Node:
    """The lowest price of one or several offers, its currency; in stock if one of them is."""
    offers = [one for one in _several(value) if isinstance(one, Mapping)]
    offers += [inner for one in offers for inner in _several(one.get("offers")) if isinstance(inner, Mapping)]
    prices = [(price, currency) for one in offers for price, currency in _prices(one)]
    price, currency = min(prices, key=lambda pair: _number(pair[0]), default=(None, None))
    availability = [_plain(one["availability"]) for one in offers if one.get("availability")]
    conditions = [_plain(one["itemCondition"]) for one in offers if one.get("itemCondition")]
    best = next((one for one in availability if one == "InStock"), None)
    found = {
        "price": price, "price_currency": currency,
        "availability": best or next(iter(availability), None), "condition": next(iter(conditions), None),
    }
    return {name: cell for name, cell in found.items() if cell is not None}


def _prices(offer: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    for one in (offer, *_several(offer.get("priceSpecification"))):
        if isinstance(one, Mapping):
            price = next((one[name] for name in ("lowPrice", "price", "minPrice") if one.get(name)), None)
            if price is not None:
                yield price, one.get("priceCurrency") or offer.get("priceCurrency")


def _number(price: Any) -> float:
    try:
        return float(price)
    except (TypeError, ValueError):
        return float("inf")


def _plain(value: Any) -> Any:
    """A value without its object: the name of a brand, the word of an address of schema.org."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        known = next((value[name] for name in ("@value", "name", "value") if name in value), None)
        return value if known is None or "unitCode" in value else known
    return _PREFIX.sub("", value) if isinstance(value, str) else value


def _id(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    return next((node[name] for name in _IDS if isinstance(node.get(name), str | int)), None)


def _is_product(node: Node) -> bool:
    kinds = [_PREFIX.sub("", kind) for kind in _several(node.get("@type")) if isinstance(kind, str)]
    return any(kind.endswith(("Product", "ProductGroup", "ProductModel", "Vehicle")) for kind in kinds)


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
