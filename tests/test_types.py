"""Items and interactions: what is taken, what is refused, and that a refusal names the part at fault."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrec.errors import DataError, MmrecError
from mmrec.types import (
    MAX_ID,
    MAX_IMAGES,
    MAX_TEXT,
    RESERVED,
    RUNGS,
    IngestReport,
    Interaction,
    Item,
    as_utc,
    is_url,
    normal_id,
)

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(lambda n: n not in RESERVED)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
TOO_EARLY = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
VALUES = st.one_of(
    WORDS, st.booleans(), st.integers(-2**53, 2**53), st.floats(-2**53, 2**53), st.lists(WORDS, max_size=3),
    st.datetimes(timezones=st.just(UTC)),
)
ITEMS = st.builds(
    Item, item_id=st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1,
                          max_size=40).filter(normal_id),
    text=st.dictionaries(NAMES, WORDS, max_size=3), attributes=st.dictionaries(NAMES, VALUES, max_size=4),
    added_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)


def refused(make, **parts) -> DataError:
    with pytest.raises(DataError) as caught:
        make(**parts)
    return caught.value


def item(**parts) -> Item:
    return Item(**{"item_id": "a", **parts})


def act(**parts) -> Interaction:
    return Interaction(**{"user_id": "u", "item_id": "a", **parts})


def test_an_item_needs_nothing_but_its_id():
    bare = Item(item_id="a")
    assert (dict(bare.text), bare.images, dict(bare.attributes), bare.added_at) == ({}, (), {}, None)


@given(ITEMS)
def test_an_item_made_of_an_items_parts_is_that_item(made):
    again = Item(
        item_id=made.item_id, text=made.text, image=made.image, attributes=made.attributes,
        added_at=made.added_at,
    )
    assert again == made


@pytest.mark.parametrize("item_id", ["a", "B07 / 11", "日本", "it's", "100%", "x" * MAX_ID])
def test_printable_ids_are_taken_as_they_are(item_id):
    assert Item(item_id=item_id).item_id == item_id


@pytest.mark.parametrize("item_id", [None, 7, b"a", "", "x" * (MAX_ID + 1), "a\nb", "a\0", "\x7f", "\ud800"])
def test_other_ids_are_refused(item_id):
    assert refused(Item, item_id=item_id).field == "item_id"
    assert refused(act, user_id=item_id).field == "user_id"
    assert refused(act, item_id=item_id).field == "item_id"


@pytest.mark.parametrize("name", ["", "1st", "two words", "prix€", "a.b", "x" * 65, 5, *sorted(RESERVED)])
def test_names_that_cannot_be_columns_are_refused(name):
    for part in ("text", "attributes"):
        error = refused(item, **{part: {name: "x"}})
        assert "rename it" in str(error)
        assert error.field == str(name)


def test_blank_texts_and_empty_attributes_count_as_absent():
    taken = item(
        text={"title": "mug", "plot": " \n", "people": "", "note": None},
        attributes={"a": None, "b": "", "c": [], "zero": 0, "no": False},
    )
    assert dict(taken.text) == {"title": "mug"}
    assert dict(taken.attributes) == {"zero": 0, "no": False}


@pytest.mark.parametrize("value", [5, ["a"], b"a", "x" * (MAX_TEXT + 1), "a\0b", "\udc80"])
def test_texts_must_be_strings_of_bounded_length_and_valid_unicode(value):
    assert refused(item, text={"title": value}).field == "title"


@pytest.mark.parametrize("value", [
    float("nan"), float("inf"), 2**53 + 1, 10**400, {"a": 1}, [1], ["a", 2], b"a", "x" * 10_001, ["a\0"],
    "\ud800", object(),
])
def test_attributes_must_be_of_a_known_type_and_range(value):
    assert refused(item, attributes={"price": value}).field == "price"


@pytest.mark.parametrize("part", ["text", "attributes"])
def test_text_and_attributes_must_be_mappings(part):
    assert refused(item, **{part: "red mug"}).field == part


def test_times_become_utc_and_those_without_a_zone_are_taken_as_utc():
    east = timezone(timedelta(hours=2))
    assert item(added_at=datetime(2024, 5, 1, 14, tzinfo=east)).added_at == NOON
    assert item(added_at=datetime(2024, 5, 1, 12)).added_at.tzinfo is UTC
    assert item(attributes={"made": datetime(2024, 5, 1, 14, tzinfo=east)}).attributes["made"] == NOON
    assert act(time=datetime(2024, 5, 1, 12)).time == as_utc(datetime(2024, 5, 1, 12)) == NOON


@pytest.mark.parametrize("moment", ["2024-05-01", 5, TOO_EARLY])
def test_times_that_are_none_in_utc_are_refused(moment):
    assert refused(item, added_at=moment).field == "added_at"
    assert refused(act, time=moment).field == "time"


@pytest.mark.parametrize(("image", "count"), [
    (None, 0), ("", 0), (b"", 0), ([], 0), ("a.png", 1), (Path("a.png"), 1), (b"\x89PNG", 1),
    (["a.png", "https://x.org/b.png"], 2), (("a.png", b"x", Image.new("RGB", (1, 1))), 3),
])
def test_an_item_has_no_one_or_several_pictures(image, count):
    taken = item(image=image)
    assert len(taken.images) == count
    assert isinstance(taken.images, tuple)


@pytest.mark.parametrize("image", [5, {"url": "x"}, ["a.png", 5], ["a.png"] * (MAX_IMAGES + 1)])
def test_other_pictures_are_refused(image):
    assert refused(item, image=image).field == "image"


def test_what_was_given_cannot_be_changed_afterwards():
    text, attributes = {"title": "mug"}, {"price": 3}
    taken = item(text=text, attributes=attributes)
    text["title"] = attributes["price"] = "other"
    assert (taken.text["title"], taken.attributes["price"]) == ("mug", 3)
    with pytest.raises(TypeError):
        taken.text["title"] = "other"
    with pytest.raises(FrozenInstanceError):
        taken.item_id = "b"


def test_the_line_of_the_file_is_no_part_of_an_item():
    assert item(line=3) == item(line=4)
    assert act(line=3, time=NOON) == act(line=4, time=NOON)


def test_an_interaction_has_defaults():
    before = datetime.now(UTC)
    made = act()
    assert (made.kind, made.weight) == ("click", 1.0)
    assert before <= made.time <= datetime.now(UTC)


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), 2**53 + 1, True, "1", None])
def test_weights_outside_their_range_are_refused(weight):
    assert refused(act, weight=weight).field == "weight"
    assert isinstance(act(weight=2).weight, float)


@pytest.mark.parametrize("kind", ["", " - ", None, 3, "x" * 65])
def test_kinds_must_be_names(kind):
    assert "kind" in str(refused(act, kind=kind))
    assert act(kind="add_to_cart").kind == "add_to_cart"


@pytest.mark.parametrize(("source", "answer"), [
    ("https://x.org/a.png", True), ("HTTP://x.org", True), ("s3://bucket/a.png", True), ("a.png", False),
    ("C:\\a.png", False), ("./x://y", False), (Path("https://x"), False), (b"https://x", False),
])
def test_addresses_are_told_from_paths(source, answer):
    assert is_url(source) is answer


def test_the_counts_of_a_report_add_up():
    assert IngestReport().rows == 0
    assert IngestReport(added=1, updated=20, unchanged=300, rejected=4000).rows == 4321


def test_the_rungs_stand_in_the_order_in_which_they_answer():
    assert RUNGS == ("history", "taste", "popular", "newest")


@given(st.dictionaries(
    st.sampled_from(["item_id", "text", "image", "attributes", "added_at"]),
    st.none() | st.integers() | st.text() | st.binary() | st.lists(st.integers())
    | st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text())),
))
def test_any_parts_make_an_item_or_an_error_of_ours(parts):
    with suppress(MmrecError):
        assert Item(**{"item_id": "a", **parts}).item_id


def test_an_item_is_called_by_its_title_else_by_what_there_is():
    assert Item(item_id="a", text={"brand": "Acme", "title": "Red mug"}).title == "Red mug"
    assert Item(item_id="a", text={"plot": "A mug."}).title == "A mug."
    for name in ("name", "Titel", "product_name", "Bezeichnung", "商品名", "data_name_de", "title"):
        assert Item(item_id="a", text={"body": "Of clay.", name: "Mug", "subtitle": "Big"}).title == "Mug"
    assert Item(item_id="a", text={"name": "N", "title": "T"}).title == "T"
    assert Item(item_id="a").title == "a"


def test_ids_are_spelt_in_one_way_wherever_they_come_in():
    one = Item(item_id=" Cafe\u0301\u200b\ufeff ")
    assert one.item_id == Interaction(user_id="u", item_id="Caf\u00e9").item_id == "Caf\u00e9"
    assert Interaction(user_id=" u ", item_id="a").user_id == "u"
    assert normal_id(7) == 7  # for whoever needs a string to refuse


@pytest.mark.parametrize("name", ["価格", "Größe", "Цвет", "ชื่อ", "मूल्य", "_x"])
def test_names_may_have_letters_of_every_script(name):
    assert item(attributes={name: 1}).attributes == {name: 1}
    decomposed = unicodedata.normalize("NFD", name)
    assert item(text={decomposed: "x"}).text == {unicodedata.normalize("NFC", name): "x"}
