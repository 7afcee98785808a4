"""The demo shop: products, shoppers and clicks made by our own code, the same everywhere for a seed."""

from ingest.demo.shop import DemoShop, make_shop
from ingest.demo.shoppers import Shopper

__all__ = ["DemoShop", "Shopper", "make_shop"]
