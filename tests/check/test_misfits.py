"""Values that do not belong to their items are named, values that are missing are suggested."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from mmrec import Item
from mmrec.check.expected import expected_fields
from mmrec.check.misfits import check_fields
from mmrec.errors import DataError, UnknownItem

KINDS = {
    "dress": "long flowing skirt summer", "mug": "stoneware handle coffee dishwasher",
    "lamp": "bulb light shade cable", "chair": "seat legs oak backrest", "hat": "brim felt head wool",
}
PRICES = {"dress": 40.0, "mug": 8.0, "lamp": 90.0, "chair": 200.0, "hat": 20.0}
COLOURS = {"red": (200, 30, 30), "blue": (30, 30, 200), "green": (30, 170, 40), "white": (240, 240, 240)}
N = 400


def made(seed=0):
    """Things whose words tell kind and colour, whose kind tells the price, and whose picture the colour."""
    rng, items = np.random.default_rng(seed), []
    for n in range(N):
        kind, colour = list(KINDS)[n % len(KINDS)], list(COLOURS)[int(rng.integers(4))]
        pixels = np.clip(rng.normal(COLOURS[colour], 25, (8, 8, 3)), 0, 255).astype(np.uint8)
        words = rng.permutation(KINDS[kind].split())[:3]
        items.append(Item(
            item_id=f"p{n:03d}", text={"title": f"{colour} {' '.join(words)}"},
            image=Image.fromarray(pixels).resize((64, 64)),
            attributes={"kind": kind, "colour": colour, "price": float(PRICES[kind] * rng.lognormal(0, 0.1))},
        ))
    return items


def changed(item, **attributes):
    kept = {name: value for name, value in (item.attributes | attributes).items() if value is not None}
    return replace(item, attributes=kept)


def unlike(one, other):
    return one.attributes["colour"] != other.attributes["colour"]


@pytest.fixture
def found_in(shop):
    def find(items):
        shop.ingest(items)
        found = check_fields(shop.snapshot())
        return {one.name: {row.ids[0]: row.detail for row in one.rows} for one in found}

    return find


def test_nothing_is_named_where_all_fits(found_in):
    assert found_in(made()) == {}


def test_nothing_is_named_where_nothing_tells(found_in):
    rng, items = np.random.default_rng(1), made()
    by_lot = [
        changed(one, kind=str(rng.choice(list(KINDS))), colour=str(rng.choice(list(COLOURS))), price=p)
        for one, p in zip(items, rng.lognormal(3, 1, N).tolist(), strict=True)
    ]
    pictures = rng.permutation(N).tolist()
    assert found_in([
        replace(one, image=items[other].image) for one, other in zip(by_lot, pictures, strict=True)
    ]) == {}


def test_few_items_tell_nothing_of_each_other(shop):
    shop.ingest(made()[:150])
    assert expected_fields(shop.snapshot()) == []
    assert shop.suggest() == []


def test_values_that_do_not_belong_to_their_items_are_named(found_in, shop):
    items = made()
    kinds = list(KINDS)
    for n in range(0, 60, 10):
        wrong = kinds[(kinds.index(items[n].attributes["kind"]) + 2) % 5]
        items[n] = changed(items[n], kind=wrong)
    for n in range(3, 203, 10):  # by lot, as a feed whose rows have slipped
        items[n] = replace(items[n], image=items[399 - n].image)
    wrong = {f"p{n:03d}" for n in range(3, 203, 10) if unlike(items[n], items[399 - n])}
    items[7] = changed(items[7], price=items[7].attributes["price"] * 12)
    found = found_in(items)
    named = found["odd-categories"]
    assert {f"p{n:03d}" for n in range(0, 60, 10)} <= named.keys()
    assert named["p000"].startswith("kind: 'lamp', its words and picture say 'dress' (9")
    assert len(named.keys() - {f"p{n:03d}" for n in range(0, 60, 10)}) <= 2
    assert len(found["odd-pictures"].keys() & wrong) >= 4
    assert len(found["odd-pictures"].keys() - wrong) <= 1
    (pictures,) = expected_fields(shop.snapshot(), ["image"])
    worst = np.argsort(-pictures.misfit)[: len(wrong)]  # in order, most are found
    assert np.mean([f"p{n:03d}" in wrong for n in worst]) >= 0.75
    assert found["odd-for-its-like"].keys() == {"p007"}
    assert "of items like it about" in found["odd-for-its-like"]["p007"]


def test_suggestions_are_as_often_right_as_they_are_certain(shop):
    items, rng = made(), np.random.default_rng(0)
    for n in range(0, N, 10):  # some kinds are wrong
        items[n] = changed(items[n], kind=str(rng.choice(list(KINDS))))
    held_out = range(1, N, 4)
    bare = {f"p{n:03d}": items[n].attributes for n in held_out}
    for n in held_out:
        items[n] = changed(items[n], kind=None, colour=None)
    shop.ingest(items)
    found = shop.suggest(least=0.8)
    right = [bare[one.item_id][one.field] == one.value for one in found]
    assert len(found) >= 0.5 * 2 * len(held_out)
    assert np.mean(right) >= 0.75
    assert all(one.certainty >= 0.8 for one in found)
    assert {one.item_id for one in found} <= bare.keys()
    certainties = [one.certainty for one in found]
    assert certainties == sorted(certainties, reverse=True)


def test_what_is_asked_for_is_suggested(shop, mmrec):
    items = made()
    items[5], items[6] = changed(items[5], kind=None), changed(items[6], kind=None, colour=None)
    shop.ingest(items)
    (one,) = shop.suggest(["p005", "p007"], ["kind"], 0.5)
    assert (one.item_id, one.field, one.value) == ("p005", "kind", "dress")
    assert {(one.item_id, one.field) for one in shop.suggest(least=0.0)} == {
        ("p005", "kind"), ("p006", "kind"), ("p006", "colour"),
    }
    assert shop.suggest(["p007"]) == []
    with pytest.raises(DataError, match="'price' is no category of this catalogue: choose kind, colour"):
        shop.suggest(fields=["price"])
    with pytest.raises(DataError, match="from 0 to 1"):
        shop.suggest(least=8)
    with pytest.raises(UnknownItem):
        shop.suggest(["nobody"])
    result = mmrec("suggest", shop.path, "--item-id", "p005", "--field", "kind", "--least", "0.5")
    assert json.loads(result.stdout) == asdict(one)
    assert "dress" in mmrec("suggest", shop.path, "--plain", "--least", "0.5").stdout
