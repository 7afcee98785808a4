"""The row of an item: what goes in comes out, types are kept to, absent stays absent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrec.data.rows import item_as_dict
from mmrec.model.content import Embedded, Fields
from mmrec.store import fitting, schema
from mmrec.types import Item

MAY = datetime(2024, 5, 1, 10, 30, tzinfo=UTC)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ITEMS = st.builds(
    Item, item_id=st.just("a"), text=st.dictionaries(st.sampled_from(["title", "plot"]), WORDS),
    attributes=st.fixed_dictionaries({}, optional={
        "price": st.floats(-1e9, 1e9) | st.integers(-2**53, 2**53), "category": WORDS,
        "on_sale": st.booleans(), "made": st.datetimes(timezones=st.just(UTC)),
        "genres": st.lists(WORDS, max_size=3),
    }),
    image=st.lists(st.sampled_from(["a.png", "https://shop.org/b c.png"]), max_size=2),
)


def stored(items: list[Item], fields: Fields, vectors: np.ndarray | None = None) -> pa.Table:
    drafts = [schema.Draft(item, schema.record(item), "whole", {"title": "part"}) for item in items]
    return schema.rows(drafts, MAY, fields, vectors, "vector_3")


@given(ITEMS)
def test_the_item_of_a_record_is_the_item(item):
    again = schema.item_of(schema.record(item), MAY)
    assert (again.item_id, again.text, again.attributes) == (item.item_id, item.text, item.attributes)
    assert (again.images, again.added_at) == (item.images, MAY)


@given(ITEMS, st.none() | st.just(MAY), st.lists(st.sampled_from(["", b"x", Path("b")]), max_size=3))
def test_the_record_is_the_canonical_form_of_what_can_be_kept(item, added_at, images):
    item = replace(item, added_at=added_at, image=[*item.images, *images])
    addresses = [str(image) for image in item.images if not isinstance(image, bytes)]
    canonical = item_as_dict(replace(item, added_at=None, image=addresses))
    assert schema.record(item) == json.dumps(canonical, ensure_ascii=False, sort_keys=True)


def test_a_record_takes_the_item_for_sound_as_it_was_when_it_was_made(monkeypatch):
    item = Item(item_id="a", text={"title": "mug"}, image=[b"bytes", "a.png"], added_at=MAY)
    monkeypatch.setattr(Item, "__post_init__", lambda _: pytest.fail("validated again"))
    assert json.loads(schema.record(item)) == {"item_id": "a", "text": {"title": "mug"}, "image": "a.png"}


def test_pictures_without_an_address_are_not_in_the_record(tmp_path):
    images = ["a.png", b"bytes", tmp_path / "b.png", Image.new("RGB", (1, 1))]
    record = schema.record(Item(item_id="a", image=images))
    assert json.loads(record)["image"] == ["a.png", str(tmp_path / "b.png")]


def test_the_record_does_not_depend_on_the_order_of_fields_or_the_moment():
    one = Item(item_id="a", text={"title": "mug", "plot": "x"}, added_at=MAY)
    other = Item(item_id="a", text={"plot": "x", "title": "mug"})
    assert schema.record(one) == schema.record(other)


@pytest.mark.parametrize(("value", "kind"), [
    ("mug", pa.string()), (3, pa.float64()), (3.5, pa.float64()), (True, pa.bool_()), (MAY, schema.TIME),
    (["a"], pa.list_(pa.string())),
])
def test_each_kind_of_value_has_its_column_and_its_noun(value, kind):
    assert schema.arrow_type(value) == kind
    assert kind in fitting.NOUNS
    item = Item(item_id="a", attributes={"x": value})
    assert fitting.common_types([item]) == {"x": kind}
    assert fitting.fitting(item, {"x": kind}, {}) == (item, [])
    assert fitting.fitting(Item(item_id="a"), {"x": kind}, {}) == (Item(item_id="a"), [])


def test_an_attribute_of_another_type_than_its_column_is_left_out_by_name():
    item = Item(item_id="a", attributes={"price": "cheap", "size": "M"}, line=3)
    less, (wrong,) = fitting.fitting(item, {"price": pa.float64(), "size": pa.string()}, {})
    assert (dict(less.attributes), less.line, wrong.field) == ({"size": "M"}, 3, "price")
    assert "'price' holds numbers in this store, got 'cheap'" in str(wrong)


def test_the_document_has_all_words_and_no_numbers():
    item = Item(item_id="a", text={"title": "Red mug", "plot": "It holds tea"},
                attributes={"price": 7.25, "brand": "Acme", "genres": ["Drama", "Noir"], "on_sale": True})
    assert schema.document(item).split("\n") == ["Red mug", "It holds tea", "Acme", "Drama", "Noir"]


def test_digests_differ_with_their_texts_and_take_any_text():
    assert schema.digest("a") == schema.digest("a") != schema.digest("b")
    assert len({schema.digest("\ud800"), schema.digest(""), schema.digest("\ud801")}) == 3


def test_fields_come_back_from_their_rows_with_what_is_absent():
    title = Embedded(np.array([[1, 2], [0, 0], [3, 4]], np.float32), np.array([True, False, True]))
    attributes = {
        "price": [1, None, 2.5], "genres": [["a", "b"], None, ["c"]], "on_sale": [None, False, True],
        "made": [MAY, None, None], "category": [None, "mug", None],
    }
    table = stored([Item(item_id=i) for i in "abc"], Fields(3, {"title": title}, attributes))
    again = schema.fields_of(table)
    assert (again.n, dict(again.attributes)) == (3, attributes)
    np.testing.assert_array_equal(again.embeddings["title"].values, title.values)
    np.testing.assert_array_equal(again.embeddings["title"].present, title.present)
    assert schema.embedding_dims(table.schema) == {"title": 2}
    assert schema.attribute_types(table.schema) == {
        "price": pa.float64(), "genres": pa.list_(pa.string()), "on_sale": pa.bool_(), "made": schema.TIME,
        "category": pa.string(),
    }
    assert sorted(schema.field_columns(table.schema)) == sorted(["e_title", *(f"a_{n}" for n in attributes)])


def test_the_key_comes_first_and_is_never_null():
    table = stored([Item(item_id="a")], Fields(1), np.ones((1, 3), np.float32))
    assert table.schema.names == [*schema.BASE.names[:-1], "vector_3"]  # `written` is the table's own
    assert [f.name for f in table.schema if not f.nullable] == ["item_id"]
    assert "vector_3" not in stored([Item(item_id="a")], Fields(1)).schema.names


def test_rows_of_vectors_alone_have_a_key_and_that_column():
    table = schema.vector_rows(["a", "b"], np.array([[1, 2], [3, 4]], np.float64), "vector_7")
    assert table.to_pydict() == {"item_id": ["a", "b"], "vector_7": [[1, 2], [3, 4]]}
    assert table.schema.field("vector_7") == schema.vector_field("vector_7", 2)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_vectors_survive_nulls_slices_and_chunks(present, data):
    n = len(present)
    x = np.arange(2 * n, dtype=np.float32).reshape(n, 2) + 1
    array = schema.vector_array(x, np.array(present))
    start = data.draw(st.integers(0, n - 1))
    cut = data.draw(st.integers(start, n))
    column = pa.chunked_array([array.slice(start, cut - start), array.slice(cut)])
    values, there = schema.matrix(column, 2)
    np.testing.assert_array_equal(there, present[start:])
    np.testing.assert_array_equal(values, np.where(np.array(present)[start:, None], x[start:], 0))


def test_a_column_without_rows_is_an_empty_matrix():
    empty = pa.chunked_array([], schema.vector_field("v", 5).type)
    values, present = schema.matrix(empty, 5)
    assert (values.shape, present.shape) == ((0, 5), (0,))


def test_a_column_that_a_condition_names_has_its_stored_name():
    names = [schema.stored_name(n) for n in ("price", "item_id", "added_at", "e_title")]
    assert names == ["a_price", "item_id", "added_at", "a_e_title"]
