"""The road of an item: every row accounted for, nothing encoded twice, nothing lost when stopped."""

import hashlib
import io
import json
import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmrec import Item, Recommender, Rejection
from mmrec.data.media import Refused
from mmrec.data.rows import item_from_dict
from mmrec.encoders.base import ToyImage, ToyText
from mmrec.errors import DataError, StoreMismatch
from mmrec.store import encoding as at_work
from mmrec.store import fitting, schema
from mmrec.store import ingest as intake
from mmrec.store.catalogue import Catalogue
from mmrec.store.encoding import Encoding, encode_alone
from mmrec.store.ingest import Intake
from mmrec.store.schema import Draft
from mmrec.types import MAX_IMAGES


def mug(item_id="a", title="red mug", **more):
    return Item(item_id=item_id, text={"title": title}, **more)


def mugs(n):
    return [mug(f"m{i:04}", f"red mug number{i}") for i in range(n)]


def counts(report):
    return report.added, report.updated, report.unchanged, report.rejected


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of four rows, so that few rows make many."""
    monkeypatch.setattr(intake, "SMALLEST", 4)
    monkeypatch.setattr(intake, "LARGEST", 4)


# counting

def test_new_items_are_added_and_encoded_once_each(shop, red_blue, calls):
    report = shop.ingest(red_blue)
    assert counts(report) == (8, 0, 0, 0)
    assert (report.rows, report.encoder_calls) == (8, sum(calls(shop)))
    assert calls(shop) == (4, 8)  # two different titles, two categories, eight pictures
    assert report.seconds > 0
    assert len(shop) == 8


def test_the_same_again_costs_no_encoder_call(shop, open_shop, red_blue, calls):
    shop.ingest(red_blue)
    before = calls(shop)
    assert counts(shop.ingest(red_blue)) == (0, 0, 8, 0)
    assert calls(shop) == before
    again = open_shop()
    report = again.ingest(iter(red_blue))
    assert (counts(report), report.encoder_calls, calls(again)) == ((0, 0, 8, 0), 0, (0, 0))


def test_nothing_at_all_is_no_row(shop):
    report = shop.ingest([])
    assert (report.rows, len(shop)) == (0, 0)


def test_a_row_that_is_no_item_is_a_rejection(shop):
    report = shop.ingest([mug(), {"item_id": "b"}, Rejection(reason="unreadable", line=3)])
    assert counts(report) == (1, 0, 0, 2)
    assert ["expected an mmrec.Item, got dict" in r.reason for r in report.rejections] == [True, False]
    assert report.rejections[1].line == 3


@st.composite
def _row(draw):
    item_id = draw(st.sampled_from("abcde"))
    kind = draw(st.sampled_from(["good", "good", "good", "bad picture", "bad price", "no item"]))
    if kind == "no item":
        return Rejection(reason="unreadable")
    picture = {"good": draw(st.sampled_from(["none", "red", "blue"])), "bad picture": "bad"}.get(kind, "none")
    price = "dear" if kind == "bad price" else draw(st.sampled_from([None, 1.0, 2.0]))
    return item_id, draw(st.sampled_from(["red mug", "blue lamp", ""])), picture, price


@settings(max_examples=12)
@given(batches=st.lists(st.lists(_row(), max_size=9), min_size=1, max_size=3))
def test_rows_are_added_updated_unchanged_or_rejected_and_the_store_is_a_dict(
    tmp_path_factory, small_chunks, paint, batches
):
    shop = Recommender.open(
        tmp_path_factory.mktemp("rows") / "s", {"text_encoder": "toy", "image_encoder": "toy"}
    )
    shop.ingest([mug("price", attributes={"price": 1.0})])  # what type a price has
    pictures = {"none": None, "red": paint("red"), "blue": paint("blue"), "bad": b"no picture"}
    model = {}
    for batch in batches:
        rows, bad, replaced = [], 0, 0
        for row in batch:
            if isinstance(row, Rejection):
                rows.append(row)
                bad += 1
                continue
            item_id, title, picture, price = row
            attributes = {} if price is None else {"price": price}
            rows.append(mug(item_id, title, image=pictures[picture], attributes=attributes))
            usable = {} if price == "dear" else attributes
            if (picture == "bad" or price == "dear") and not (title or usable):  # else it goes in with these
                bad += 1
                replaced += any(r[0] == item_id for r in batch[len(rows):] if not isinstance(r, Rejection))
            else:
                model[item_id] = (title, usable)
        report = shop.ingest(rows)
        assert report.rows == len(rows)
        assert bad - replaced <= report.rejected == len(report.rejections) <= bad
        assert len(shop) == 1 + len(model)
        for item in shop.get(sorted(model)):
            title, attributes = model[item.item_id]
            assert (item.text.get("title", ""), dict(item.attributes)) == (title, attributes)


@pytest.mark.parametrize("last", [mug(title="blue lamp"), mug(title="green chair", attributes={"price": 2})])
def test_of_one_id_in_a_batch_the_last_row_wins(shop, last):
    report = shop.ingest([mug(), mug(title="grey sock"), last])
    assert counts(report) == (1, 2, 0, 0)
    assert shop.get(["a"])[0].text == last.text


def test_the_row_before_wins_if_the_last_is_rejected(shop):
    shop.ingest([mug("price", attributes={"price": 1})])
    bad = Item(item_id="a", attributes={"price": "dear"})
    report = shop.ingest([mug(), mug(title="blue lamp"), bad])
    assert counts(report) == (1, 1, 0, 1)
    assert shop.get(["a"])[0].text["title"] == "blue lamp"


def test_what_was_stored_stays_if_all_new_versions_are_rejected(shop):
    shop.ingest([mug()])
    report = shop.ingest([Item(item_id="a", image=b"bad"), Item(item_id="a", image="absent.png")])
    assert counts(report) == (0, 0, 0, 2)
    assert shop.get(["a"])[0].text["title"] == "red mug"


def test_one_id_in_two_chunks_is_an_update(shop, small_chunks):
    report = shop.ingest([*mugs(4), mug("m0000", "blue lamp")])
    assert counts(report) == (4, 1, 0, 0)


# what changes costs what it must

def test_a_changed_title_encodes_that_text_alone(shop, paint, calls):
    item = {"description": "made by hand", "title": "red mug"}
    shop.ingest([Item(item_id="a", text=item, image=paint("red"))])
    texts, pictures = calls(shop)
    report = shop.ingest([Item(item_id="a", text=item | {"title": "blue mug"}, image=paint("red"))])
    assert (counts(report), report.encoder_calls) == ((0, 1, 0, 0), 1)
    assert calls(shop) == (texts + 1, pictures)
    assert shop.similar(text={"title": "blue mug"}, by="title")[0].score == pytest.approx(1, abs=1e-3)


def test_a_changed_picture_behind_the_same_path_is_noticed(shop, picture, calls):
    path = picture("a.png", "red")
    shop.ingest([mug(image=path)])
    texts, pictures = calls(shop)
    picture("a.png", "blue")
    report = shop.ingest([mug(image=path)])
    assert (counts(report), report.encoder_calls) == ((0, 1, 0, 0), 1)
    assert calls(shop) == (texts, pictures + 1)
    assert shop.similar(image=path, by="image")[0].score == pytest.approx(1, abs=1e-3)


def test_a_picture_that_moved_is_an_update_without_encoding(shop, picture, calls):
    shop.ingest([mug(image=picture("old.png", "red"))])
    before = calls(shop)
    moved = picture("new/place.png", "red")
    report = shop.ingest([mug(image=moved)])
    assert (counts(report), report.encoder_calls, calls(shop)) == ((0, 1, 0, 0), 0, before)
    assert shop.get(["a"])[0].images == (str(moved),)


def test_a_changed_attribute_encodes_nothing_and_the_filter_sees_it(shop, paint, calls):
    shop.ingest([mug(image=paint("red"), attributes={"price": 40.0}), mug("b", attributes={"price": 50.0})])
    before = calls(shop)
    report = shop.ingest([mug(image=paint("red"), attributes={"price": 9.0})])
    assert (counts(report), report.encoder_calls, calls(shop)) == ((0, 1, 0, 0), 0, before)
    assert [r.item_id for r in shop.recommend(where="price < 10")] == ["a"]
    assert shop.recommend(where="price == 40") == []


def test_what_an_item_no_longer_has_is_gone(shop, paint):
    shop.ingest([
        Item(item_id="a", text={"title": "mug", "story": "old"}, image=paint("red"), attributes={"price": 1}),
        mug("b", image=paint("red"), attributes={"price": 1}),
    ])
    shop.ingest([Item(item_id="a", text={"title": "mug"})])
    assert shop.get(["a"])[0].attributes == {}
    assert [r.item_id for r in shop.recommend(where="price is None")] == ["a"]
    assert [r.item_id for r in shop.similar(image=paint("red"), by="image")] == ["b"]
    assert "old" not in [r.item_id for r in shop.search("old") if r.reasons[0].name == "full text"]
    assert shop.similar(text={"story": "old"}, by="story") == []


def test_an_equal_text_of_another_item_is_encoded_once(shop, small_chunks, calls):
    report = shop.ingest([mug(f"m{i}") for i in range(10)])
    assert (counts(report), report.encoder_calls, calls(shop)) == ((10, 0, 0, 0), 1, (1, 0))


def test_a_text_that_moves_to_another_field_is_encoded_there(shop):
    shop.ingest([Item(item_id="a", text={"title": "red mug"})])
    shop.ingest([Item(item_id="a", text={"story": "red mug"})])
    assert shop.similar(text={"story": "red mug"}, by="story")[0].item_id == "a"
    assert shop.similar(text={"title": "red mug"}, by="title") == []


def test_the_date_of_joining_stays_unless_it_is_given(shop):
    may = datetime(2024, 5, 1, tzinfo=UTC)
    before = datetime.now(UTC)
    shop.ingest([mug("new"), mug("old", added_at=may)])
    first = shop.get(["new"])[0].added_at
    assert before <= first <= datetime.now(UTC)
    shop.ingest([mug("new", "blue lamp"), mug("old", "blue lamp")])
    assert [item.added_at for item in shop.get(["new", "old"])] == [first, may]
    report = shop.ingest([mug("old", "blue lamp", added_at=first)])
    assert (report.encoder_calls, shop.get(["old"])[0].added_at) == (0, first)


def test_a_deleted_item_comes_back_as_new(shop):
    shop.ingest([mug("a"), mug("b")])
    assert shop.delete(["a", "a", "gone"]) == 1
    assert "a" not in shop
    assert counts(shop.ingest([mug("a"), mug("b")])) == (1, 0, 1, 0)


# what is refused

def pictured(shop, item_id):
    """Whether a stored item has the embedding of a picture."""
    found = shop.catalogue.table.read([item_id], ["item_id", *shop.catalogue.table.schema.names])
    return "e_image" in found.schema.names and found["e_image"][0].is_valid


def damaged(paint):
    """A picture that only decoding shows to be damaged."""
    data = bytearray(paint("red"))
    data[len(data) // 2] ^= 255
    return bytes(data)


def test_an_item_goes_in_without_its_bad_picture_and_the_report_holds_all_that_mends_it(shop, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n but not really")
    report = shop.ingest([mug("good"), mug("bad", image=bad, attributes={"price": 1.5}, line=7)])
    assert (counts(report), report.without_picture, report.rejections) == ((2, 0, 0, 0), 1, ())
    (lost,) = report.incomplete
    assert (lost.item_id, lost.field, lost.line) == ("bad", "image", 7)
    assert str(bad) in lost.reason
    assert json.loads(json.dumps(lost.row)) == {
        "item_id": "bad", "text": {"title": "red mug"}, "image": str(bad), "attributes": {"price": 1.5},
    }
    (item,) = shop.get(["bad"])
    assert (dict(item.text), dict(item.attributes), item.images) == (
        {"title": "red mug"}, {"price": 1.5}, (),
    )
    assert [r.item_id for r in shop.similar("good", k=1)] == ["bad"]
    assert shop.doctor()["healthy"]


@pytest.mark.parametrize("image", [
    "absent.png", b"no picture", "https://shop.example/a.png", ["absent.png"], b"GIF89a",
    Refused("../a.png", "picture '../a.png' lies outside"),
])
def test_every_kind_of_unusable_picture_costs_the_picture_and_alone_the_item(shop, paint, image):
    report = shop.ingest([
        mug("bad", image=image), Item(item_id="bare", image=image), mug("good", image=paint("red")),
    ])
    assert (counts(report), report.without_picture) == ((2, 0, 0, 1), 1)
    for told, item_id in ((report.incomplete, "bad"), (report.rejections, "bare")):
        assert [(r.item_id, r.field) for r in told] == [(item_id, "image")]
        assert told[0].reason.startswith("picture ")
        json.dumps(told[0].row)
    assert [pictured(shop, i) for i in ("bad", "good")] == [False, True]


def test_a_pil_image_that_cannot_be_loaded_costs_the_picture(shop, paint):
    cut = io.BytesIO(paint("red")[:60])
    with Image.open(cut) as broken, Image.open(io.BytesIO(paint("red"))) as closed:
        pass
    report = shop.ingest([mug("cut", image=broken), mug("closed", image=closed), mug("good")])
    assert (counts(report), report.without_picture) == ((3, 0, 0, 0), 2)
    assert {r.item_id for r in report.incomplete} == {"cut", "closed"}
    json.dumps([r.row for r in report.incomplete])


def test_an_item_with_nothing_but_a_bad_picture_costs_no_encoder_call(shop, calls):
    for image in (b"no picture", "absent.png"):
        report = shop.ingest([Item(item_id="a", image=image)])
        assert (counts(report), report.encoder_calls, calls(shop)) == ((0, 0, 0, 1), 0, (0, 0))


@pytest.mark.parametrize("bad", [b"no picture", "absent.png", "damaged"])
def test_of_several_pictures_the_sound_ones_are_embedded(shop, paint, picture, bad):
    bad = damaged(paint) if bad == "damaged" else bad
    red, blue = picture("red.png", "red"), picture("blue.png", "blue")
    both = mug("both", image=[red, bad, blue])
    report = shop.ingest([both, mug("sound", image=[red, blue]), mug("late")])
    assert (counts(report), report.without_picture) == ((3, 0, 0, 0), 1)
    assert (shop.similar("sound", by="image", k=1)[0].score, pictured(shop, "late")) == (
        pytest.approx(1, abs=1e-4), False,
    )
    assert shop.get(["both"])[0].images == (str(red), str(blue))
    again = shop.ingest([both])
    assert (counts(again), again.without_picture, again.encoder_calls) == ((0, 0, 1, 0), 1, 0)


@pytest.mark.parametrize("bad", [b"no picture", b"damaged"])
def test_an_item_without_its_picture_is_tried_again_until_the_picture_works(shop, tmp_path, paint, bad):
    path = tmp_path / "a.png"
    path.write_bytes(damaged(paint) if bad == b"damaged" else bad)
    for expected in ((1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 1, 0)):
        report = shop.ingest([mug(image=path)])
        assert (counts(report), report.without_picture, pictured(shop, "a")) == (expected, 1, False)
        assert shop.doctor()["healthy"]
    path.write_bytes(paint("red"))
    report = shop.ingest([mug(image=path)])
    assert (counts(report), report.without_picture, pictured(shop, "a")) == ((0, 1, 0, 0), 0, True)


@pytest.mark.parametrize("loss", ["gone", "damaged"])
def test_a_picture_that_was_sound_before_stays_embedded_while_its_file_is_lost(shop, picture, paint, loss):
    path = picture("a.png", "red")
    shop.ingest([mug(image=path)])
    path.unlink() if loss == "gone" else path.write_bytes(damaged(paint))
    report = shop.ingest([mug(image=path)])
    assert (counts(report), report.without_picture, pictured(shop, "a")) == ((0, 0, 1, 0), 1, True)
    assert shop.get(["a"])[0].images == (str(path),)
    report = shop.ingest([mug(title="blue lamp", image=path)])
    assert (counts(report), report.without_picture, pictured(shop, "a")) == ((0, 1, 0, 0), 1, False)


def test_a_picture_that_may_not_be_read_is_not_kept_either(open_shop):
    shop = open_shop(image_encoder="none")
    report = shop.ingest([mug(image=["a.png", Refused("/etc/hosts", "picture '/etc/hosts' lies outside")])])
    assert (report.added, report.without_picture, shop.get(["a"])[0].images) == (1, 1, ("a.png",))


def test_the_last_word_on_an_item_counts(shop, small_chunks, paint):
    report = shop.ingest([mug(image="absent.png"), *mugs(4), mug(image=paint("red"))])
    assert (counts(report), report.without_picture, report.incomplete) == ((5, 1, 0, 0), 0, ())


@pytest.mark.parametrize(("known", "given", "noun"), [
    (9.5, "cheap", "numbers"), ("cheap", 9.5, "text"), (True, 1.0, "true or false"),
    (["a"], "a", "lists of strings"), (datetime(2024, 1, 1, tzinfo=UTC), "2024", "dates"),
])
def test_an_attribute_of_another_type_costs_itself_by_name_and_alone_the_item(shop, known, given, noun):
    shop.ingest([mug("first", attributes={"price": known})])
    bare = Item(item_id="bare", attributes={"price": given})
    second = mug("second", attributes={"price": given, "size": "big"}, line=4)
    for expected in ((1, 0, 0, 1), (0, 0, 1, 1)):  # the same again is known
        report = shop.ingest([second, bare])
        assert (counts(report), report.without_picture) == (expected, 0)
        for told, item_id in ((report.incomplete, "second"), (report.rejections, "bare")):
            assert [(one.item_id, one.field) for one in told] == [(item_id, "price")]
            assert noun in told[0].reason
        assert report.incomplete[0].line == 4
        assert "price" in report.incomplete[0].row["attributes"]
        assert shop.get(["second"])[0].attributes == {"size": "big"}
    report = shop.ingest([mug("second", attributes={"price": known, "size": "big"})])
    assert (counts(report), report.incomplete) == ((0, 1, 0, 0), ())


@given(types=st.lists(st.sampled_from("ns"), min_size=1, max_size=9))
def test_most_of_a_batch_set_the_type_of_an_attribute_and_of_as_many_the_first(types):
    made = {"n": 1.0, "s": "big"}
    items = [Item(item_id=str(n), attributes={"size": made[kind]}) for n, kind in enumerate(types)]
    common = fitting.common_types(items)
    wanted = max("ns", key=lambda kind: (types.count(kind), kind == types[0]))
    assert common == {"size": schema.arrow_type(made[wanted])}
    for item, kind in zip(items, types, strict=True):
        less, wrong = fitting.fitting(item, common, {})
        assert (less.attributes, len(wrong)) == ((item.attributes, 0) if kind == wanted else ({}, 1))


def test_one_odd_value_before_many_costs_that_value_alone(shop):
    sizes = ["unknown", *range(5)]
    report = shop.ingest(mug(str(n), attributes={"size": size}) for n, size in enumerate(sizes))
    assert (counts(report), [one.item_id for one in report.incomplete]) == ((6, 0, 0, 0), ["0"])
    assert [item.attributes.get("size") for item in shop.get([str(n) for n in range(6)])] == [None, *range(5)]


def row(item_id, **parts):
    """The item of a canonical row."""
    return item_from_dict({"item_id": item_id, "text": {"title": "red mug"}, **parts}, line=3)


def test_an_item_goes_in_without_what_its_row_says_wrongly_and_the_report_holds_the_row(shop, paint):
    odd = {"attributes": {"price": [1], "size": "M"}, "added_at": "soon"}
    report = shop.ingest([row("a", **odd), row("b", image=["absent.png", paint("red")], **odd), row("c")])
    assert (counts(report), report.without_picture) == ((3, 0, 0, 0), 1)
    a, b = report.incomplete
    assert [(one.item_id, one.field, one.line) for one in (a, b)] == [("a", "price", 3), ("b", "image", 3)]
    assert a.row == {"item_id": "a", "text": {"title": "red mug"}, **odd}
    assert all(words in b.reason for words in ("picture 'absent.png'", "'price' must be", "added_at must be"))
    assert b.row["image"][0] == "absent.png"
    assert [(dict(item.attributes), pictured(shop, item.item_id)) for item in shop.get(["a", "b", "c"])] == [
        ({"size": "M"}, False), ({"size": "M"}, True), ({}, False)]
    again = shop.ingest([row("a", **odd)])
    assert (counts(again), len(again.incomplete), again.encoder_calls) == ((0, 0, 1, 0), 1, 0)


@pytest.mark.parametrize("bad", [
    {"text": "mug"}, {"text": None, "attributes": {"price": [1]}}, {"text": None, "title": "mug"},
])
def test_an_item_of_which_nothing_can_be_used_is_rejected_with_its_row(shop, bad):
    report = shop.ingest([row("a", **bad), row("b")])
    assert (counts(report), report.incomplete) == ((1, 0, 0, 1), ())
    assert report.rejections[0].row == {"item_id": "a", **bad}


def test_pictures_beyond_the_most_are_told_and_the_first_are_embedded(shop, paint):
    most = [paint("red")] * MAX_IMAGES
    report = shop.ingest([row("a", image=[*most, paint("blue")]), row("b", image=most)])
    assert (counts(report), report.without_picture) == ((2, 0, 0, 0), 1)
    assert "got 33: the first 32 are taken" in report.incomplete[0].reason
    assert len(report.incomplete[0].row["image"]) == MAX_IMAGES + 1
    assert shop.similar("a", by="image")[0].score == pytest.approx(1, abs=1e-4)


def test_dates_in_the_future_are_told_once(shop, caplog):
    now = datetime.now(UTC)
    ahead = [now + timedelta(days=2), datetime(9999, 12, 31, tzinfo=UTC)]
    times = [now + timedelta(hours=20), now, None, *ahead]
    report = shop.ingest(mug(str(n), added_at=time) for n, time in enumerate(times))
    assert report.added == 5
    assert caplog.text.count("2 items lie in the future") == 1
    assert shop.get(["4"])[0].added_at == times[4]


@pytest.mark.parametrize("bad", [
    mug("bad", image="absent.png", line=3), mug("bad", image=b"no picture", line=3),
    mug("bad", attributes={"price": "dear"}, line=3), Rejection(reason="unreadable", item_id="bad", line=3),
    item_from_dict({"item_id": "bad", "text": {"t": "mug"}, "added_at": "soon"}, line=3),
])
def test_strict_stores_what_came_before_and_stops(shop, bad):
    shop.ingest([mug("known", attributes={"price": 1.0})])
    with pytest.raises(DataError, match=r"line 3.*'bad'"):
        shop.ingest([*mugs(5), bad, *(mug(f"late{i}") for i in range(5))], strict=True)
    assert len(shop) == 6
    assert all(f"m{i:04}" in shop for i in range(5))
    assert len(shop.similar("m0000", k=10)) == 5  # they can be found at once


def test_strict_without_a_bad_row_takes_all(shop):
    assert counts(shop.ingest(mugs(5), strict=True)) == (5, 0, 0, 0)


# stopped and told

def test_an_interrupted_ingest_goes_on_where_it_stopped(shop, small_chunks, calls):
    def stopped():
        yield from mugs(10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.ingest(stopped())
    assert len(shop) == 8  # two chunks of four
    report = shop.ingest(mugs(12))
    assert (counts(report), report.encoder_calls) == ((4, 0, 8, 0), 4)
    assert calls(shop) == (12, 0)
    assert len(shop) == 12
    assert len(shop.recommend(history=["m0000"], k=100)) == 11


@pytest.mark.parametrize("moment", ["between chunks", "before vectors are made", "before vectors serve"])
def test_a_killed_ingest_goes_on_where_it_stopped(tmp_path, calls, moment):
    program = textwrap.dedent("""
        import os, signal, sys
        from mmrec import Item, Recommender
        from mmrec.store import catalogue
        from mmrec.model import content
        from mmrec.store import ingest as intake
        intake.SMALLEST = intake.LARGEST = 4
        shop = Recommender.open(sys.argv[1], {"text_encoder": "toy", "image_encoder": "toy"})
        def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)
        def rows():
            for i in range(10):
                yield Item(item_id=f"m{i:04}", text={"title": f"red mug number{i}"})
            if sys.argv[2] == "between chunks":
                die()
            if sys.argv[2] == "before vectors are made":
                catalogue.Catalogue.rebuild = die
            content.ContentPlan.save = die
            yield from (Item(item_id=f"m{i:04}", text={"story": "new"}) for i in range(10, 12))
        shop.ingest(rows())
    """)
    path = tmp_path / "shop.mmrec"
    done = subprocess.run([sys.executable, "-c", program, str(path), moment], check=False)
    assert done.returncode == -9
    shop = Recommender.open(path, {"text_encoder": "toy", "image_encoder": "toy"})
    stored = len(shop)
    assert stored in (8, 12)
    report = shop.ingest(mugs(12))
    assert report.added == 12 - stored
    assert len(shop) == report.rows == 12
    assert calls(shop)[0] == {8: 4, 12: 2}[stored]  # what was not stored, or has another text now
    assert len(shop.recommend(history=["m0000"], k=100)) == 11
    assert {r.rung for r in shop.recommend(history=["m0000"], k=11)} == {"history"}
    assert shop.doctor()["healthy"]


def test_progress_and_accepted_ids_sum_to_what_was_taken(shop, small_chunks):
    moved, accepted = [], []
    rows = [*mugs(6), mug("bad", image="absent.png"), mug("m0001"), Rejection(reason="unreadable"), mug("z")]
    report = Intake(shop.catalogue).run(rows, moved.append, accepted.extend)
    assert sum(moved) == report.rows == 10
    assert len(moved) == 3
    assert sorted(accepted) == ["m0000", "m0001", "m0001", *(f"m{i:04}" for i in range(2, 6)), "z"]
    assert all(item_id in shop for item_id in accepted)
    again = []
    Intake(shop.catalogue).run(mugs(1), accept=again.extend)
    assert again == ["m0000"]  # an unchanged one is in the store too


class Clock:
    """Time that passes only while a chunk is encoded or stored: so many seconds for each of its items."""

    def __init__(self, monkeypatch, *, encoding=0.0, storing=0.0):
        self.now = 0.0
        for module in (intake, at_work):
            monkeypatch.setattr(module, "time", self)
        self.slow(monkeypatch, ToyText, "forward", lambda pieces: encoding * len(pieces))
        self.slow(monkeypatch, Catalogue, "write", lambda drafts, *_: storing)

    def perf_counter(self):
        return self.now

    def slow(self, monkeypatch, owner, name, seconds):
        real = getattr(owner, name)

        def slower(this, *arguments):
            self.now += seconds(*arguments)
            return real(this, *arguments)

        monkeypatch.setattr(owner, name, slower)


def test_chunks_grow_while_they_are_brisk_and_shrink_while_they_take_long(shop, monkeypatch):
    monkeypatch.setattr(intake, "SMALLEST", 2)
    monkeypatch.setattr(intake, "LARGEST", 8)
    sizes = []
    Clock(monkeypatch)
    shop.ingest(mugs(30), progress=sizes.append)
    assert sizes == [2, 4, 8, 8, 8]
    sizes.clear()
    Clock(monkeypatch, encoding=100)
    shop.ingest([mug(f"n{i}", f"blue lamp {i}") for i in range(6)], progress=sizes.append)
    assert sizes == [2, 2, 2]


def test_chunks_grow_where_a_write_is_dear(shop, monkeypatch):
    monkeypatch.setattr(intake, "SMALLEST", 2)
    monkeypatch.setattr(intake, "LARGEST", 8)
    sizes = []
    Clock(monkeypatch, encoding=1, storing=50)
    shop.ingest(mugs(30), progress=sizes.append)
    assert sizes == [2, 4, 8, 8, 8]


@pytest.mark.parametrize(("encoding", "storing", "size"), [
    (0.5, 0.1, 512),  # brisk
    (10, 0.2, 256), (10, 3, 512), (10, 300, 512),  # a write is a small share, or not
    (20, 10, 256),  # twice as many would take too long to lose
    (40, 40, 256), (400, 0, 256),  # no smaller than the smallest
])
def test_a_chunk_is_as_big_as_makes_its_write_cheap(encoding, storing, size):
    assert intake.next_size(256, encoding, storing) == size


@pytest.mark.parametrize(("size", "encoding", "storing", "expected"), [
    (4096, 0.5, 0.1, 4096), (1024, 31, 0.1, 512), (1024, 29, 900, 1024), (1024, 60, 900, 512),
])
def test_only_encoding_makes_chunks_smaller(size, encoding, storing, expected):
    assert intake.next_size(size, encoding, storing) == expected


# read once

@pytest.fixture
def openings(monkeypatch):
    """Names of the files that were opened through `os.open`, in order."""
    opened, real = [], os.open

    def counting(path, *arguments):
        opened.append(Path(path).name)
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", counting)
    return opened


@pytest.mark.parametrize(("held", "times"), [(2**20, 1), (0, 2)])
def test_a_picture_is_read_once_as_far_as_memory_goes(shop, picture, openings, monkeypatch, held, times):
    monkeypatch.setattr(intake, "HELD", held)
    names = [f"{colour}.png" for colour in ("red", "blue", "green")]
    items = [mug(name, image=picture(name, name.removesuffix(".png"))) for name in names]
    openings.clear()
    assert counts(shop.ingest(items)) == (3, 0, 0, 0)
    assert [openings.count(name) for name in names] == [times] * 3
    assert shop.similar(image=items[1].images, by="image")[0].score == pytest.approx(1, abs=1e-3)
    openings.clear()
    assert counts(shop.ingest(items)) == (0, 0, 3, 0)
    assert [openings.count(name) for name in names] == [1] * 3


def test_the_pictures_held_are_bounded_and_unchanged_ones_are_not_held(shop, picture, openings, monkeypatch):
    paths = [picture(f"{n}.png", "red") for n in range(4)]
    size = paths[0].stat().st_size
    monkeypatch.setattr(intake, "HELD", 2 * size)
    shop.ingest([mug("known", image=paths[:2])])
    openings.clear()
    shop.ingest([mug("known", image=paths[:2]), mug("one", image=paths[2]), mug("two", image=paths[3])])
    assert [openings.count(path.name) for path in paths] == [1, 1, 1, 1]
    openings.clear()
    shop.ingest([mug("three", image=paths[:3])])
    assert [openings.count(path.name) for path in paths] == [1, 1, 2, 0]


def test_digests_are_those_of_earlier_versions(shop, picture):
    """A store of an earlier version must see its items as unchanged."""

    def short(text):
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    paths = [picture("a.png", "red"), picture("b.png", "blue")]
    item = mug(image=paths, attributes={"kind": "mug", "tags": ["dark blue", "7"]})
    shop.ingest([item])
    stored = shop.catalogue.lookup(["a"])["a"]
    digests = json.loads(stored.digests)
    assert digests == {
        "title": short("red mug"), "_labels": short("dark blue\nmug"),
        "image": short(" ".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)),
    }
    record = {
        "item_id": "a", "text": {"title": "red mug"}, "image": [str(path) for path in paths],
        "attributes": {"kind": "mug", "tags": ["dark blue", "7"]},
    }
    written = json.dumps(record, ensure_ascii=False, sort_keys=True)
    assert stored.digest == short(json.dumps([written, digests, None], sort_keys=True))


def test_a_text_that_its_encoder_refuses_rejects_that_item_alone(open_shop):
    class Picky(ToyText):
        def pieces(self, value):
            if "?" in value:
                raise DataError("no questions: write a statement", field="text")
            return [value]

    shop = open_shop(encoders={"text": Picky()})
    report = shop.ingest([mug("a"), mug("b", "what?"), mug("c", "blue lamp"), mug("d", "what?")])
    assert (counts(report), report.encoder_calls) == ((2, 0, 0, 2), 2)
    assert {r.item_id for r in report.rejections} == {"b", "d"}


# what an item may be made of

def test_bytes_paths_and_pil_images_are_the_same_picture(shop, paint, picture):
    path = picture("a.png", "red")
    with Image.open(path) as opened:
        opened.load()
        report = shop.ingest([
            mug("bytes", image=paint("red")), mug("path", image=path), mug("string", image=str(path)),
            mug("pil", image=opened), mug("blue", image=paint("blue")),
        ])
        assert counts(shop.ingest([mug("pil", image=opened)])) == (0, 0, 1, 0)
    assert counts(report) == (5, 0, 0, 0)
    found = shop.similar("bytes", by="image")
    assert [r.item_id for r in found[:3]] == ["path", "pil", "string"]
    assert [r.score for r in found[:3]] == pytest.approx([1, 1, 1], abs=1e-4)
    assert shop.get(["bytes", "string"])[1].images == (str(path),)


def test_several_pictures_of_one_item_are_pooled(shop, paint):
    red, blue = paint("red"), paint("blue")
    report = shop.ingest([mug("both", image=[red, blue]), mug("red", image=red), mug("blue", image=blue)])
    assert report.encoder_calls == 4 + 1
    near = {r.item_id: r.score for r in shop.similar("red", by="image")}
    assert near["both"] > near["blue"]
    assert shop.ingest([mug("both", image=[red])]).encoder_calls == 1
    assert shop.similar("red", by="image")[0].item_id == "both"


def test_items_without_anything_are_stored(shop):
    report = shop.ingest([Item(item_id="bare"), Item(item_id="priced", attributes={"price": 1})])
    assert counts(report) == (2, 0, 0, 0)
    assert shop.get(["bare"])[0].text == {}
    assert shop.similar("bare") == []


def test_a_shop_of_texts_alone(open_shop, paint):
    shop = open_shop(image_encoder="none")
    report = shop.ingest([mug("a", image=paint("red")), mug("b", "red cup"), mug("c", "blue lamp")])
    assert (counts(report), report.encoder_calls) == ((3, 0, 0, 0), 3)
    assert [r.item_id for r in shop.similar("a", k=1)] == ["b"]
    assert set(shop.encoders) == {"text", "audio"}
    with pytest.raises(DataError, match="no field"):
        shop.similar("a", by="image")
    with pytest.raises(DataError, match="nothing to compare"):
        shop.similar(image=paint("red"))


def test_a_shop_of_pictures_alone(open_shop, red_blue):
    shop = open_shop(text_encoder="none")
    report = shop.ingest(red_blue)
    assert (report.added, report.encoder_calls) == (8, 8)
    assert {r.item_id for r in shop.similar("r0", k=3)} == {"r1", "r2", "r3"}
    assert {r.item_id[0] for r in shop.search("lamp", k=4)} == {"b"}  # full text needs no encoder
    with pytest.raises(DataError, match="nothing to compare"):
        shop.recommend(taste="blue lamp")


class Letters(ToyText):
    """An encoder of the user's own: how often each letter stands in a text."""

    length = 26

    @property
    def fingerprint(self):
        import dataclasses

        return dataclasses.replace(super().fingerprint, model="letters", sha256="0" * 64)

    def forward(self, pieces):
        import numpy as np

        self.calls += len(pieces)
        return np.array([[p.lower().count(chr(97 + i)) + 1e-3 for i in range(26)] for p in pieces])


def test_encoders_of_the_users_own(open_shop):
    shop = open_shop(encoders={"text": Letters(), "image": ToyImage()})
    shop.ingest([mug("a", "tar"), mug("b", "rat"), mug("c", "moon")])
    assert shop.similar("a", k=1)[0].item_id == "b"
    assert shop.stats()["encoders"] == {
        "text": "letters", "image": "toy-image", "audio": "descriptor",
    }
    again = open_shop(encoders={"text": Letters()})
    assert again.ingest([mug("a", "tar"), mug("d", "art")]).encoder_calls == 1
    with pytest.raises(StoreMismatch, match="another text encoder"):
        open_shop(encoders={"text": ToyText()})


def test_encoding_alone_is_encoding_in_a_batch(catalogue, red_blue):
    drafts = [Draft(item) for item in red_blue]
    vectors, failures = Encoding(catalogue).embed(drafts)
    assert not failures
    together = schema.draft_fields(drafts, vectors)
    alone = encode_alone(catalogue, red_blue[5])
    for name, part in alone.embeddings.items():
        assert part.values[0] == pytest.approx(together.embeddings[name].values[5], abs=1e-6)
    with pytest.raises(DataError, match="picture"):
        encode_alone(catalogue, mug(image="absent.png"))


def test_the_record_of_an_item_is_made_once_for_its_digest_and_its_row(catalogue, monkeypatch):
    made, record = [], schema.record

    def watched(item):
        made.append(item.item_id)
        return record(item)

    monkeypatch.setattr(schema, "record", watched)
    intake.Intake(catalogue).run([mug("a"), mug("b")])
    assert made == ["a", "b"]
    assert catalogue.get(["a"])["a"].text == mug("a").text


def test_an_id_that_is_called_like_a_modality_and_its_field_is_embedded_as_its_own(catalogue):
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    taking = intake.Intake(catalogue)
    taking.run([mug("a", "image", image=red)])
    taking.run([mug("text", "image", image=blue)])
    alone = encode_alone(catalogue, mug("text", "image", image=blue))
    stored = catalogue.table.read(["text"], ["e_image"])
    assert stored["e_image"][0].as_py() == pytest.approx(alone.embeddings["image"].values[0])
