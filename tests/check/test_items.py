"""Faults of a catalogue: each is found where it was put, and nowhere else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrec import Item
from mmrec.check.items import check_items, faults_of, groups_of, id_key, odd

LOOKS = ("quiet", "bright", "early", "gentle", "plain", "soft", "round", "tall", "wide", "warm", "deep")


def sound(n=40):
    """Items that differ in all they have."""
    rng = np.random.default_rng(5)
    return [
        Item(
            item_id=f"p{k:03d}",
            text={"title": f"{LOOKS[k % 11]} thing number {k}", "description": f"No {k} of us"},
            image=Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)).resize((60, 60)),
            attributes={"price": 10.0 + k, "colour": ("blue", "red", "green")[k % 3]},
        )
        for k in range(n)
    ]


@pytest.fixture
def found_in(shop):
    """What is found in a catalogue of items: the ids of each row, by the name of the finding."""

    def find(items):
        shop.ingest(items)
        return {one.name: [row.ids for row in one.rows] for one in check_items(shop.snapshot())}

    return find


def test_nothing_is_found_in_a_sound_catalogue(found_in):
    assert found_in(sound()) == {}


def test_an_empty_catalogue_has_no_faults(found_in):
    assert found_in([]) == {}


def test_items_that_are_there_twice(found_in):
    items = sound()
    one, two, three = items[3], items[7], items[11]
    items += [
        replace(one, item_id="x1"),
        replace(two, item_id="x2", text={"title": "something else altogether"}),
        replace(three, item_id="x3", image=items[0].images[0].rotate(90), attributes={"price": 99.0}),
    ]
    assert found_in(items) == {
        "same-item": [("p003", "x1")], "same-picture": [("p007", "x2")], "same-words": [("p011", "x3")],
    }


def test_case_and_blanks_make_no_other_words(found_in):
    items = [replace(item, image=()) for item in sound()]
    shouted = {name: f"  {text.upper()} " for name, text in items[5].text.items()}
    items.append(replace(items[5], item_id="x1", text=shouted))
    assert found_in(items) == {"same-item": [("p005", "x1")]}


def test_a_picture_under_many_items_is_a_placeholder(found_in):
    items = sound()
    for k in range(10, 22):
        items[k] = replace(items[k], image=items[0].images[0])
    (group,) = found_in(items)["placeholder-pictures"]
    assert set(group) == {"p000", *(f"p{k:03d}" for k in range(10, 22))}
    assert "same-picture" not in found_in(items)


def test_a_changed_photo_a_blank_one_and_one_that_is_gone(found_in, tmp_path):
    items = sound()
    for k, item in enumerate(items):
        path = tmp_path / f"{k}.png"
        item.images[0].save(path)
        items[k] = replace(item, image=path)
    with Image.open(tmp_path / "4.png") as picture:
        picture.save(tmp_path / "again.jpg", quality=70)
    Image.new("RGB", (60, 60), "white").save(tmp_path / "9.png")
    items.append(Item(item_id="x1", text={"title": "one more"}, image=tmp_path / "again.jpg"))
    found = found_in(items)
    assert found["near-pictures"] == [("p004", "x1")]
    assert found["placeholder-pictures"] == [("p009",)]
    assert "dead-pictures" not in found
    (tmp_path / "6.png").unlink()
    assert found_in(items[:0])["dead-pictures"] == [("p006",)]


@pytest.mark.parametrize("text", [
    {}, {"title": "n/a"}, {"title": "Untitled", "description": "-"}, {"title": "P002"}, {"title": "7"},
])
def test_texts_that_say_nothing(found_in, text):
    items = sound()
    items[2] = replace(items[2], text=text)
    assert found_in(items) == {"empty-texts": [("p002",)]}


def test_a_catalogue_without_texts_lacks_none(found_in):
    assert found_in([replace(item, text={}) for item in sound()]) == {}


def test_a_stock_phrase_is_told_from_a_category(found_in):
    items = [
        replace(item, text={**item.text, "description": "Call us!" if k < 25 else item.text["description"],
                            "language": "English" if k < 35 else "Dutch"})
        for k, item in enumerate(sound(60))
    ]
    found = found_in(items)
    assert list(found) == ["stock-texts"]
    assert set(found["stock-texts"][0]) == {f"p{k:03d}" for k in range(25)}


@pytest.mark.parametrize(("text", "faults"), [
    ("a plain text", set()), ("size < 5 & more", set()),
    ("it's [sic] \u201cgood\u201d \u2014 caf\u00e9", set()),
    ("two\n\nlines  and   blanks", set()), ("<p>bold</p>", {"markup"}), ("salt &amp; pepper", {"markup"}),
    ("K\u00c3\u00a4se f\u00c3\u00bcr alle", {"encoding"}), ("na\ufffdve", {"encoding"}),
    ("<b>K\u00c3\u00a4se</b>", {"markup", "encoding"}),
])
def test_markup_and_broken_letters(text, faults):
    assert faults_of(text) == faults


def test_broken_texts_are_named_with_their_field(shop):
    items = sound()
    items[1] = replace(items[1], text={"title": "fine", "description": "<div>not</div> so fine"})
    items[2] = replace(items[2], text={"title": "na\ufffdve"})
    shop.ingest(items)
    found = {one.name: one.rows for one in check_items(shop.snapshot())}
    assert [(row.ids, row.detail[:12]) for row in found["markup"]] == [(("p001",), "description:")]
    assert [row.ids for row in found["encoding"]] == [("p002",)]


@pytest.mark.parametrize("value", [0.0, -12.0, 2_000.0, 0.1])
def test_odd_numbers(found_in, value):
    items = sound()
    items[8] = replace(items[8], attributes={**items[8].attributes, "price": value})
    assert found_in(items) == {"odd-numbers": [("p008",)]}


@given(st.lists(st.floats(1, 9), min_size=20, max_size=60))
def test_numbers_of_one_magnitude_are_not_odd(values):
    assert odd(np.array(values)) == []


@pytest.mark.parametrize("values", [
    [1919, *range(1950, 2001)], [0.0] * 20 + [5.0] * 20 + [7.0], [-1.0, 1.0] * 30, [4.0, 5.0],
    [0, *(2 ** (k / 5) for k in range(60))],
])
def test_years_flags_balances_and_counts_are_not_odd(values):
    assert odd(np.array(values, float)) == []


def test_a_rare_spelling_of_a_category(found_in):
    items = sound()
    items[1] = replace(items[1], attributes={**items[1].attributes, "colour": "Red "})
    assert found_in(items) == {"spellings": [("p001",)]}


def test_ids_that_a_spreadsheet_rewrote(found_in):
    more = [Item(item_id=i, text={"title": f"thing called {i}"}) for i in ("P004", "p5", "0123", "123.0")]
    assert sorted(found_in([*sound(), *more])["like-ids"]) == [
        ("0123", "123.0"), ("P004", "p004"), ("p005", "p5"),
    ]


@given(st.text("AbZ019-", min_size=1, max_size=8))
def test_what_a_spreadsheet_does_to_an_id_leaves_its_key(item_id):
    assert id_key([item_id]) == id_key([item_id.swapcase()])
    assert not item_id.isdigit() or id_key([item_id]) == id_key([f"00{item_id}"]) == id_key([f"{item_id}.0"])


def test_items_of_the_future(found_in):
    items = sound()
    items[1] = replace(items[1], added_at=datetime.now(UTC) + timedelta(days=40))
    assert found_in(items) == {"future-items": [("p001",)]}


def test_members_without_a_key_belong_to_nobody():
    assert groups_of("abcdef", ["x", "", "x", None, -1, "y"]) == [["a", "c"]]
