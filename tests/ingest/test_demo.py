from __future__ import annotations

import hashlib
import statistics
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from ingest.demo import DemoShop, Shopper, make_shop
from ingest.demo.canvas import WALL
from ingest.demo.dice import Dice
from ingest.demo.draw import DRAWINGS, draw
from ingest.demo.kinds import KINDS
from ingest.demo.patterns import PATTERNS, weave
from ingest.demo.products import LOG_END, OPENED, TODAY, Product, brand_of, make_products
from ingest.demo.styles import BRANDS, COLOURS, STYLES, accents_for, contrast
from ingest.demo.words import ADJECTIVES, PHRASES, with_article
from mmrec.data.files import read_interactions, read_items
from mmrec.encoders.base import unit
from mmrec.encoders.descriptor import Descriptor
from mmrec.errors import ConfigError
from mmrec.types import Interaction

PALE = {"white", "cream", "beige", "grey"}  # too near to the wall to be told from it by colour alone

PINNED = ("97cafb1ff02053da", "338d4a45699f447a", "c73b117f676ceaa5")  # words, log, truth


@pytest.fixture(scope="module")
def shop() -> DemoShop:
    return make_shop(products=180, shoppers=120)


@pytest.fixture(scope="module")
def people(shop: DemoShop) -> dict[str, Shopper]:
    return {shopper.user_id: shopper for shopper in shop.shoppers}


@pytest.fixture(scope="module")
def product() -> Product:
    return next(make_products(1, Dice(1)))


def pixels(picture) -> np.ndarray:
    return np.asarray(picture, np.int16)


def silhouette(product: Product) -> np.ndarray:
    """Where a picture is strongly different from the wall, [224, 224]."""
    return np.abs(pixels(draw(product, Dice(1))) - WALL).sum(axis=2) > 120


def liked(shop: DemoShop) -> list[Interaction]:
    return [act for act in shop.interactions if act.kind != "dislike"]


def digest(rows) -> str:
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


# The same everywhere


def test_two_calls_give_the_same_shop_pixel_for_pixel() -> None:
    first, second = (make_shop(products=24, shoppers=10) for _ in range(2))
    assert first.interactions == second.interactions
    assert first.shoppers == second.shoppers
    assert first.held_out == second.held_out
    for a, b in zip(first.items, second.items, strict=True):
        assert (a.item_id, a.text, a.attributes, a.added_at) == (b.item_id, b.text, b.attributes, b.added_at)
        assert a.images[0].tobytes() == b.images[0].tobytes()


def test_brands_are_an_attribute_more_and_change_nothing_else() -> None:
    plain, branded = (make_shop(products=60, shoppers=10, brands=brands) for brands in (False, True))
    assert plain.interactions == branded.interactions
    assert plain.held_out == branded.held_out
    for a, b in zip(plain.items, branded.items, strict=True):
        assert (a.item_id, a.text, a.added_at) == (b.item_id, b.text, b.added_at)
        assert a.images[0].tobytes() == b.images[0].tobytes()
        assert {**a.attributes, "brand": b.attributes["brand"]} == b.attributes
        assert b.attributes["brand"] in BRANDS[b.attributes["style"]]
        assert plain.affinity(plain.shoppers[0], a.item_id) == branded.affinity(plain.shoppers[0], a.item_id)


def test_a_dozen_clocks_chime_alike_by_style_and_nothing_else_changes(tmp_path) -> None:
    plain, heard = (make_shop(products=300, shoppers=5, sounds=sounds) for sounds in (False, True))
    assert plain.interactions == heard.interactions
    assert [item.text for item in plain.items] == [item.text for item in heard.items]
    clocks = [item for item in heard.items if item.sounds]
    assert len(clocks) == 12
    x = Descriptor().embed([item.sounds for item in clocks])
    x = unit(x - x.mean(axis=0))
    nearest = (x @ x.T - 2 * np.eye(len(x))).argmax(axis=1)
    styles = [item.attributes["style"] for item in clocks]
    assert [styles[n] for n in nearest] == styles
    written = make_shop(tmp_path, products=300, shoppers=5, sounds=True)
    assert [item.sounds for item in read_items(tmp_path / "items.jsonl") if item.sounds] == [
        (str(item.sounds[0]),) for item in written.items if item.sounds
    ]


def test_thirty_brands_are_of_unlike_sizes() -> None:
    products = list(make_products(3_000, Dice(1)))
    counts = Counter(brand_of(product, Dice(2, n)) for n, product in enumerate(products))
    assert set(counts) == {brand for brands in BRANDS.values() for brand in brands}
    assert len(counts) == 30
    for brands in BRANDS.values():
        assert counts[brands[0]] > 2 * counts[brands[-1]]


def test_another_seed_gives_another_shop() -> None:
    first, second = (make_shop(seed=seed, products=24, shoppers=10) for seed in (1, 2))
    assert [item.text for item in first.items] != [item.text for item in second.items]
    assert first.interactions != second.interactions


def test_words_and_log_are_the_known_ones(shop: DemoShop) -> None:
    texts = [f"{i.item_id} {dict(i.text)} {dict(i.attributes)} {i.added_at}" for i in shop.items]
    acts = [f"{act.user_id} {act.item_id} {act.kind} {act.time}" for act in shop.interactions]
    truth = [f"{user} {sorted(items)}" for user, items in shop.held_out.items()]
    assert (digest(texts), digest(acts), digest(truth)) == PINNED


def test_streams_of_other_keys_are_independent() -> None:
    assert Dice(7, 1).unit() != Dice(7, 2).unit()
    assert Dice(7, 1).unit() == Dice(7, 1).unit()


def test_a_weighted_sample_prefers_weight_and_never_takes_zero() -> None:
    weights = np.array([0.0, 1.0, 9.0])
    first = Counter(Dice(seed).sample(weights, 1)[0] for seed in range(500))
    assert first[0] == 0
    assert first[2] / 500 == pytest.approx(0.9, abs=0.05)
    assert sorted(Dice(1).sample(weights, 3)) == [1, 2]


# The catalogue


def test_ids_are_unique_and_name_the_kind(shop: DemoShop) -> None:
    ids = [item.item_id for item in shop.items]
    assert len(set(ids)) == len(ids) == 180
    assert all(i.item_id.rpartition("-")[0] == i.attributes["category"] for i in shop.items)


def test_every_kind_is_there_equally_often(shop: DemoShop) -> None:
    assert set(Counter(item.attributes["category"] for item in shop.items).values()) == {180 // len(KINDS)}


def test_attributes_keep_to_their_kind_and_style(shop: DemoShop) -> None:
    ranges = {kind.name: kind.price for kind in KINDS}
    for item in shop.items:
        low, high = ranges[item.attributes["category"]]
        style = STYLES[item.attributes["style"]]
        assert low <= item.attributes["price"] < high + 1
        assert item.attributes["colour"] in style.colours
        assert item.attributes["pattern"] in style.patterns


def test_products_arrive_over_a_year_and_the_last_weeks_are_cold(shop: DemoShop) -> None:
    arrivals = [item.added_at for item in shop.items]
    assert arrivals == sorted(arrivals)
    assert arrivals[0] >= OPENED
    assert arrivals[-1] < TODAY
    assert arrivals[-1] - arrivals[0] > timedelta(days=350)
    assert shop.cold == {item.item_id for item in shop.items if item.added_at > LOG_END}
    assert 0.15 <= len(shop.cold) / 180 <= 0.20


def test_a_title_names_the_form_and_mostly_the_colour(shop: DemoShop) -> None:
    forms = {kind.name: kind.forms for kind in KINDS}
    for item in shop.items:
        title = item.text["title"].lower()
        assert any(form.lower() in title for form in forms[item.attributes["category"]])
        assert item.attributes["colour"] in title


def test_descriptions_are_whole_sentences_and_varied(shop: DemoShop) -> None:
    descriptions = [item.text["description"] for item in shop.items]
    assert len(set(descriptions)) > 0.95 * len(descriptions)
    assert len({" ".join(text.split()[:2]) for text in descriptions}) > 40
    for text in descriptions:
        assert text.endswith(".")
        assert text[0].isupper()
        assert "{" not in text
        assert "  " not in text
        assert 1 <= text.count(". ") + 1 <= 3
    assert 60 < statistics.mean(map(len, descriptions)) < 250


def test_articles_fit_their_words() -> None:
    assert with_article("orange") == "an orange"
    assert with_article("mug") == "a mug"


# The pictures


def test_there_is_a_drawing_for_every_form_and_words_for_every_pattern() -> None:
    patterns = {pattern for style in STYLES.values() for pattern in style.patterns}
    assert set(DRAWINGS) == {form for kind in KINDS for form in kind.forms}
    assert patterns == set(PATTERNS) == set(ADJECTIVES) == set(PHRASES) | {"plain"}


def test_every_colour_has_an_accent_that_can_be_seen_on_it() -> None:
    for name, style in STYLES.items():
        for colour in style.colours:
            accents = accents_for(name, colour)
            assert accents
            assert all(contrast(colour, accent) > 100 for accent in accents)


def test_pictures_are_rgb_of_one_size_on_a_pale_wall(shop: DemoShop) -> None:
    for item in shop.items:
        picture = item.images[0]
        assert (picture.mode, picture.size) == ("RGB", (224, 224))
        assert pixels(picture)[0, 0].min() > 230


def test_every_form_has_its_own_outline(product: Product) -> None:
    dark = replace(product, colour="navy", accent="red", pattern="plain")
    outlines = {
        (kind.name, form): silhouette(replace(dark, form=form)) for kind in KINDS for form in kind.forms
    }
    for a, b in combinations(outlines, 2):
        both, either = outlines[a] & outlines[b], outlines[a] | outlines[b]
        assert both.sum() / either.sum() < (0.985 if a[0] == b[0] else 0.9), (a, b)


def test_a_form_has_the_same_outline_in_every_colour(product: Product) -> None:
    navy, red = (
        silhouette(replace(product, form="mug", colour=colour, accent=colour, pattern="plain"))
        for colour in ("navy", "red")
    )
    assert (navy == red).mean() > 0.99


def test_pictures_carry_their_colour(shop: DemoShop) -> None:
    for item in shop.items:
        if item.attributes["colour"] not in PALE:
            distance = np.linalg.norm(pixels(item.images[0]) - COLOURS[item.attributes["colour"]], axis=2)
            assert (distance < 60).mean() > 0.02, item.item_id


def test_every_pattern_shows_both_colours_and_is_its_own() -> None:
    cloths = {
        pattern: pixels(weave(pattern, (0, 0, 200), (200, 0, 0), 12, upright=False)) for pattern in PATTERNS
    }
    for pattern, cloth in cloths.items():
        assert (cloth == (0, 0, 200)).all(axis=2).mean() > 0.1
        assert ((cloth == (200, 0, 0)).all(axis=2).mean() > 0.04) == (pattern != "plain"), pattern
    assert len({cloth.tobytes() for cloth in cloths.values()}) == len(PATTERNS)


# The shoppers


def test_tastes_are_bounded_and_told_in_words(people: dict[str, Shopper]) -> None:
    for shopper in people.values():
        assert 1 <= len(shopper.styles) <= 2
        assert 1 <= len(set(shopper.colours)) == len(shopper.colours) <= 2
        assert 2 <= len(shopper.kinds) <= 4
        assert set(shopper.styles) <= set(STYLES)
    taste = replace(
        next(iter(people.values())), styles=("nordic",), colours=("sky blue", "grey"), kinds=("mug", "lamp"),
        price_band=(0.0, 30.0),
    ).taste
    assert taste == "nordic style, sky blue and grey, mugs and lamps, under 30"


def test_each_part_of_a_taste_raises_the_affinity(people: dict[str, Shopper]) -> None:
    anybody = next(iter(people.values()))
    shopper = replace(anybody, styles=("bold",), colours=("red",), kinds=("mug", "hat"), price_band=(0, 30))
    far = {"kind": "chair", "style": "nordic", "colour": "grey", "price": 99.0}
    chances = [shopper.affinity(**far)]
    for name, value in (("kind", "mug"), ("style", "bold"), ("colour", "red"), ("price", 9.0)):
        far[name] = value
        chances.append(shopper.affinity(**far))
    assert chances == sorted(chances)
    assert chances[0] < 0.02
    assert chances[-1] > 0.7


def test_affinity_of_an_unknown_item_is_refused(shop: DemoShop) -> None:
    with pytest.raises(KeyError):
        shop.affinity(shop.shoppers[0], "no-such-item")


def test_no_cold_item_is_in_the_log(shop: DemoShop) -> None:
    assert shop.cold.isdisjoint(act.item_id for act in shop.interactions)


def test_the_log_runs_in_time_and_never_before_an_arrival(shop: DemoShop, people: dict[str, Shopper]) -> None:
    arrivals = {item.item_id: item.added_at for item in shop.items}
    times = [act.time for act in shop.interactions]
    assert times == sorted(times)
    for act in shop.interactions:
        assert max(arrivals[act.item_id], people[act.user_id].joined) <= act.time <= LOG_END


def test_histories_are_handfuls_and_name_an_item_once(shop: DemoShop, people: dict[str, Shopper]) -> None:
    sizes = Counter(act.user_id for act in shop.interactions)
    assert 6 <= statistics.median(sizes.values()) <= 15
    assert min(sizes.values()) <= 3
    assert all(1 <= sizes[user] <= 5 for user, shopper in people.items() if shopper.new)
    assert 0.1 < sum(shopper.new for shopper in people.values()) / len(people) < 0.3
    assert max(Counter((act.user_id, act.item_id) for act in shop.interactions).values()) == 1


def test_shoppers_take_what_they_like_and_dislike_what_is_far(
    shop: DemoShop, people: dict[str, Shopper]
) -> None:
    def mean(acts: list[Interaction]) -> float:
        return statistics.mean(shop.affinity(people[act.user_id], act.item_id) for act in acts)

    average = statistics.mean(shop.affinity(who, i.item_id) for who in shop.shoppers for i in shop.items)
    click, purchase, dislike = (
        mean([act for act in shop.interactions if act.kind == kind])
        for kind in ("click", "purchase", "dislike")
    )
    assert dislike < average / 3
    assert click > 2 * average
    assert purchase > 2 * click


def test_price_bands_are_respected(shop: DemoShop, people: dict[str, Shopper]) -> None:
    prices = {item.item_id: item.attributes["price"] for item in shop.items}

    def inside(user: str, item: str) -> bool:
        low, high = people[user].price_band
        return low <= prices[item] <= high

    clicked = statistics.mean(inside(act.user_id, act.item_id) for act in liked(shop))
    at_random = statistics.mean(inside(user, item) for user in people for item in prices)
    assert clicked > 1.3 * at_random


def test_popularity_has_a_long_tail(shop: DemoShop) -> None:
    counts = sorted(Counter(act.item_id for act in liked(shop)).values(), reverse=True)
    assert sum(counts[: len(counts) // 10]) > 0.2 * sum(counts)
    assert counts[-1] <= 2


def test_held_out_is_cold_and_follows_the_taste(shop: DemoShop) -> None:
    assert set(shop.held_out) == {shopper.user_id for shopper in shop.shoppers}
    hits, chance = [], []
    for shopper in shop.shoppers:
        truth = shop.held_out[shopper.user_id]
        assert truth <= shop.cold
        best = sorted(shop.cold, key=lambda item, who=shopper: (-shop.affinity(who, item), item))[:5]
        hits.append(len(truth & set(best)))
        chance.append(5 * len(truth) / len(shop.cold))
    assert sum(hits) > 3 * sum(chance)


# Files and arguments


def test_a_folder_gets_pictures_and_canonical_files(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    shop = make_shop(tmp_path, products=24, shoppers=5, progress=lambda *step: steps.append(step))
    assert steps == [(n, 24) for n in range(1, 25)]
    assert all(Path(str(item.images[0])).parent == tmp_path / "images" for item in shop.items)
    assert list(read_items(tmp_path / "items.jsonl")) == shop.items
    assert list(read_interactions(tmp_path / "interactions.jsonl")) == shop.interactions


def test_written_pictures_are_the_drawn_ones(tmp_path: Path) -> None:
    from PIL import Image

    written, drawn = make_shop(tmp_path, products=24, shoppers=1), make_shop(products=24, shoppers=1)
    for a, b in zip(written.items, drawn.items, strict=True):
        with Image.open(str(a.images[0])) as picture:
            assert picture.tobytes() == b.images[0].tobytes()


@pytest.mark.parametrize("wrong", [{"products": 23}, {"shoppers": 0}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least"):
        make_shop(**wrong)
