import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ingest.clean import clean, item_id_of, plain_text
from mmrec.data.formats import dump_row
from mmrec.data.image_paths import ImagePaths
from mmrec.errors import Rejection
from mmrec.types import MAX_TEXT, Item


@pytest.mark.parametrize(("raw", "plain"), [
    ("size < 5", "size < 5"),
    ("x <5 and y> 3", "x <5 and y> 3"),
    ("I <3 you", "I <3 you"),
    ("a<b", "a<b"),
    ("<john@shop.example>", "<john@shop.example>"),
    ("<p>Wool</p><p>Soft</p>", "Wool\nSoft"),
    ("bo<b class='x'>l</b>d<br/>next", "bold\nnext"),
    ("<a title='x>y' href=\"z\">link</a>", "link"),
    ("one<!-- <b>two</b> -->three", "one three"),
    ("<STYLE type=x>p {}</style >a<script>if (a<b) {}</script>b", "a b"),
    ("never <!-- closed", "never <!-- closed"),
    ("T-shirts &amp; tops &#233;&#xe9; &nbsp; R&D Q&A &copy", "T-shirts & tops éé R&D Q&A &copy"),
    ("&lt;b&gt;wool&lt;/b&gt; &lt;john&gt;", "wool <john>"),
    ("&amp;lt;p&amp;gt;Soft &amp;amp; warm&amp;lt;/p&amp;gt;", "Soft & warm"),
    ("<![CDATA[<p>Holds <b>400</b> ml</p>]]>", "Holds 400 ml"),
    ('[caption id="a1"]A rug[/caption] [gallery ids="1,2"] [sic] [b]bold[/b]', "A rug [sic] bold"),
    ("KÃ¤se, Größe, Ã©tÃ©", "Käse, Größe, été"),
    ("Ähm, „Ä“ Â", "Ähm, „Ä“ Â"),
    ("a\0b\u00adc\u200bd\ufeffe\ud800", "abcde"),
    (" a \t b\u00a0c \r\n\n\x0b d\u2028e", "a b c\nd\ne"),
    ("cafe\u0301", "café"),
    ("<>", "<>"),
    ("", ""),
])
def test_markup_goes_and_words_stay(raw, plain):
    assert plain_text(raw) == plain


@pytest.mark.parametrize(
    "hostile", ["<", "<a ", "<a b='", "<!--", "<![", "<script>", "<a \"'", "&#", "&a", "-->"]
)
def test_hostile_markup_takes_linear_time(hostile):
    """Eight times the text takes about eight times as long; quadratic time would be 64 times."""

    def seconds(length):
        start = time.thread_time()
        for head in ("", "<a ", "<!--"):
            plain_text(head + hostile * (length // len(hostile)))
        return time.thread_time() - start

    short, long = (min(seconds(length) for _ in range(3)) for length in (40_000, 320_000))
    assert long < 25 * short


@given(st.text(st.sampled_from("<>/!-ab &;'\"=p \n\0#x1")))
def test_plain_text_is_tidy(raw):
    text = plain_text(raw)
    assert text == "\n".join(" ".join(line.split()) for line in text.split("\n"))
    assert "\0" not in text


@pytest.mark.parametrize(("raw", "item_id"), [
    (7, "7"), (12.0, "12"), (np.int64(12), "12"), (np.float32(12), "12"), (Decimal("12.0"), "12"),
    (" B07 ", "B07"), ("007", "007"), ("12.0", "12.0"), (10**20, "1" + "0" * 20), (0, "0"),
])
def test_ids_of_tables_become_strings(raw, item_id):
    assert clean({"item_id": raw}) == Item(item_id=item_id)
    assert item_id_of({"item_id": raw}) == item_id


@pytest.mark.parametrize("raw", [
    None, "", "  ", "nan", "NULL", float("nan"), np.nan, pd.NA, pd.NaT, 12.5, True, [], {}, b"a",
    np.array([1]), float("inf"), "a\nb",
])
def test_no_id_is_made_up(raw):
    row = clean({"item_id": raw, "text": {"title": "mug"}}, line=4)
    assert isinstance(row, Rejection)
    assert (row.field, row.line, row.row["text"]) == ("item_id", 4, {"title": "mug"})


@pytest.mark.parametrize("blank", [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT, np.datetime64("NaT"),
                                   "", " ", "NaN", "null", "N/A", "<NA>", "None"])
def test_blanks_are_absent_everywhere(blank):
    row = {
        "item_id": "a", "text": {"title": blank}, "image": [blank, "x.jpg"], "attributes": {"price": blank},
        "added_at": blank,
    }
    assert clean(row) == Item(item_id="a", image="x.jpg")
    assert clean({"item_id": "a", "text": blank, "image": blank, "attributes": blank}) == Item(item_id="a")


def test_words_that_only_look_blank_stay():
    item = clean({"item_id": "a", "text": {"title": "Nan", "country": "NA"}, "attributes": {"size": "none"}})
    assert (dict(item.text), dict(item.attributes)) == ({"title": "Nan", "country": "NA"}, {"size": "none"})


@pytest.mark.parametrize(("raw", "value"), [
    (np.int32(3), 3), (np.float64(9.5), 9.5), (np.bool_(True), True), (np.str_("red"), "red"),
    (Decimal("9.50"), 9.5), (Decimal("3"), 3), ("9.5", "9.5"), (" a \n b ", "a\nb"),
    ("x?a=1&copy=2", "x?a=1&copy=2"), ("Home &amp; Garden", "Home & Garden"),
    (np.array(["a", "b"]), ["a", "b"]), ({"b", "a"}, ["a", "b"]),
    (("a", None, 1, 2.0, " b "), ["a", "1", "2", "b"]), (["a\u2061b", "\u200e"], ["a\u2061b", "\u200e"]),
    (date(2024, 5, 1), datetime(2024, 5, 1, tzinfo=UTC)),
    (pd.Timestamp("2024-05-01 10:00:00.123456789", tz="Europe/Berlin"),
     datetime(2024, 5, 1, 8, 0, 0, 123456, tzinfo=UTC)),
    (np.datetime64("2024-05-01T10:00:00.000000001"), datetime(2024, 5, 1, 10, tzinfo=UTC)),
    ({"datetime": "2024-05-01T10:00:00+02:00"}, datetime(2024, 5, 1, 8, tzinfo=UTC)),
])
def test_values_of_other_libraries_become_plain(raw, value):
    item = clean({"item_id": "a", "attributes": {"x": raw}})
    assert item.attributes["x"] == value
    assert type(item.attributes["x"]) is type(value)


def test_numbers_as_text_are_words_and_times_may_come_in_any_form():
    text = {"title": 1984.0, "part": np.float64(2.5)}
    item = clean({"item_id": "a", "text": text, "added_at": pd.Timestamp("2024-05-01")})
    assert dict(item.text) == {"title": "1984", "part": "2.5"}
    assert item.added_at == datetime(2024, 5, 1, tzinfo=UTC)
    assert type(item.added_at) is datetime


def test_pictures_are_found_from_the_folder(tmp_path):
    picture = Image.new("RGB", (2, 2))
    raw = ["a.jpg", "https://shop.example/a.jpg", "/b.jpg", b"png", picture, tmp_path / "c.jpg"]
    item = clean({"item_id": "a", "image": raw}, paths=ImagePaths(tmp_path, allow_outside=True))
    assert item.images == (str(tmp_path / "a.jpg"), *raw[1:5], str(tmp_path / "c.jpg"))


@pytest.mark.parametrize(("part", "field"), [
    ({"title": "mug"}, "title"), ({"text": "mug"}, "text"), ({"text": {"1st": "mug"}}, "1st"),
    ({"text": {"title": ["mug"]}}, "title"), ({"text": {"title": "x" * (MAX_TEXT + 1)}}, "title"),
    ({"attributes": {"price": 1e300}}, "price"), ({"attributes": {"price": float("inf")}}, "price"),
    ({"attributes": {"x": object()}}, "x"), ({"attributes": {"x": 10**5000}}, "x"),
    ({"attributes": {"x": Decimal("1e999999999")}}, "x"), ({"attributes": []}, "attributes"),
    ({"added_at": "soon"}, "added_at"), ({"added_at": True}, "added_at"),
])
def test_what_cannot_be_used_is_lost_and_the_row_is_kept_whole(part, field):
    item = clean({"item_id": 12.0, **part}, line=2)
    assert item == Item(item_id="12")
    assert (item.lost.item_id, item.lost.line, item.lost.field) == ("12", 2, field)
    assert item.lost.reason
    assert json.loads(dump_row(item.lost.row)).keys() == {"item_id", *part}


@pytest.mark.parametrize(("part", "item_id", "field"), [
    ({"item_id": 1.5}, None, "item_id"), ({}, None, "item_id"), ({"item_id": "a\0"}, "a\0", "item_id"),
])
def test_what_has_no_usable_id_is_a_rejection_with_its_row(part, item_id, field):
    row = clean({**part, "text": {"title": "mug"}}, line=2)
    assert isinstance(row, Rejection)
    assert (row.item_id, row.line, row.field) == (item_id, 2, field)
    assert json.loads(dump_row(row.row))["text"] == {"title": "mug"}


def test_a_row_that_lost_a_part_says_the_same_once_it_is_mended(tmp_path):
    raw = {
        "item_id": "a", "text": {"title": "<b>mug</b>"}, "image": ["a.jpg", b"png"], "added_at": "soon",
        "attributes": {
            "at": pd.Timestamp("2024-05-01"), "tags": np.array(["x"]), "none": pd.NaT,
            "price": Decimal("2.5"), "stock": np.float64(3),
            "on": np.datetime64("2024-05-01T00:00:00.000000000"),
        },
    }
    paths = ImagePaths(tmp_path)
    item = clean(raw, paths=paths)
    kept = json.loads(dump_row(item.lost.row))
    assert clean({**kept, "added_at": None}) == clean({**raw, "added_at": None}, paths=paths)


@given(st.dictionaries(
    st.sampled_from(["item_id", "text", "image", "attributes", "added_at", "other"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates()
        | st.decimals() | st.datetimes(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    ),
))
def test_any_row_is_an_item_or_a_rejection(row):
    result = clean(row)
    assert isinstance(result, Item | Rejection)
    if isinstance(result, Rejection):
        dump_row(result.row)
