"""Kinds of any spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec import Interaction
from mmrec.config import WEIGHTS, meaning, spelling, weight_of


@pytest.mark.parametrize("kind", ["add_to_cart", "add-to-cart", "Add To Cart", "addToCart", " ADD_TO_CART ",
                                  "add.to.cart", "AddToCart"])
def test_case_hyphens_and_blanks_do_not_count(kind):
    assert Interaction(user_id="u", item_id="i", kind=kind).kind == "add_to_cart"


@pytest.mark.parametrize(("kind", "meant"), [
    ("transaction", "purchase"), ("Order Completed", "purchase"), ("buy", "purchase"), ("購入", "purchase"),
    ("product_added_to_basket", "add_to_cart"), ("addtocart", "add_to_cart"),
    ("begin_checkout", "add_to_cart"),
    ("remove-from-cart", "remove_from_cart"), ("Product Removed", "remove_from_cart"),
    ("refunded", "refund"), ("order_item_refunded", "refund"), ("sent back / returned", "return"),
    ("order_cancelled", "cancel"), ("Retoure", "return"), ("unlike", "remove_from_wishlist"),
    ("page view", "view"), ("pageview", "view"), ("ProductViewed", "view"), ("thumbs_down", "dislike"),
    ("not interested", "dislike"), ("add_to_wishlist", "wishlist"), ("favourite", "wishlist"), ("zap", None),
])
def test_what_kinds_mean(kind, meant):
    assert meaning(kind) == meant


@given(st.text(max_size=20))
def test_a_spelling_is_its_own(text):
    assert spelling(spelling(text)) == spelling(text)


@given(st.sampled_from(["remove", "removed", "refund", "refunded", "returned", "cancelled"]),
       st.lists(st.sampled_from(["item", "from", "cart", "order", "purchase", "wishlist"]), max_size=3),
       st.sampled_from([" ", "-", "_", "."]), st.booleans())
def test_what_is_taken_back_is_never_a_wish(word, others, between, last):
    words = [*others, word] if last else [word, *others]
    assert weight_of(between.join(words), WEIGHTS) <= 0


def test_settings_are_asked_first():
    assert weight_of("Refund", {"refund": -2.0}) == -2.0
    assert weight_of("transaction", {"purchase": 9.0}) == 9.0
    assert weight_of("transaction", {"purchase": 9.0, "transaction": 4.0}) == 4.0
    assert weight_of("zap", {}) == 1.0
