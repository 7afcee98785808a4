"""The type of a stored attribute, changed: its values, what is lost, and what a kill leaves."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec import Interaction, Item
from mmrec.errors import DataError
from mmrec.store import schema
from mmrec.store.tables import KeyedTable

PRICES = ["9.5", "12", "on request", "30", "1e2"]


def mug(item_id, **attributes):
    return Item(item_id=item_id, text={"title": f"mug {item_id}"}, attributes=attributes)


@pytest.fixture
def priced(shop):
    """Mugs whose prices came as words."""
    shop.ingest([mug(f"m{n}", price=price, kind="red mug") for n, price in enumerate(PRICES)])
    shop.ingest([mug("free", kind="blue cup")])
    return shop


def values(shop, name="price"):
    ids = [*(f"m{n}" for n in range(len(PRICES))), "free"]
    return [item.attributes.get(name) for item in shop.get(ids)]


def test_a_category_becomes_a_number_and_what_cannot_is_named(priced):
    report = priced.retype("price", "number")
    assert report == {"name": "price", "type": "number", "values": 5, "lost": 1, "examples": ["on request"]}
    assert values(priced) == [9.5, 12, None, 30, 100.0, None]
    assert [r.item_id for r in priced.recommend(where="price < 20", k=9)] == ["m0", "m1"]
    assert priced.browse("price is None")[0] == 2
    assert "price" in priced.stats()["spaces"]
    assert priced.doctor()["healthy"]


def test_new_rows_take_the_new_type(priced):
    priced.retype("price", "number")
    report = priced.ingest([mug("new", price=3.5), mug("odd", price="cheap")])
    assert (report.added, [one.field for one in report.incomplete]) == (2, ["price"])
    assert priced.search("mug", where="price < 5")[0].item_id == "new"


def test_a_dry_run_only_tells(priced):
    before = priced.catalogue.table.version
    assert priced.retype("price", "number", dry_run=True)["lost"] == 1
    assert (priced.catalogue.table.version, values(priced)[:2]) == (before, ["9.5", "12"])


def test_nothing_is_encoded_but_words_that_changed_and_the_same_rows_are_unchanged(priced, calls):
    texts, pictures = calls(priced)
    priced.retype("price", "number")
    assert calls(priced) == (texts + 1, pictures)  # the other category of the item that was "on request"
    again = priced.ingest([mug("m0", price=9.5, kind="red mug"), mug("m2", kind="red mug")])
    assert (again.unchanged, again.encoder_calls) == (2, 0)


def test_words_of_a_new_category_are_found_and_those_of_one_that_is_none_are_not(shop):
    shop.ingest([mug("a", flag=True, tags="warm"), mug("b", flag=False, tags="cold")])
    shop.retype("flag", "category")
    assert shop.search("true", k=1)[0].item_id == "a"
    assert shop.get(["b"])[0].attributes["flag"] == "false"
    labels = shop.catalogue.table.scan(["e__labels"])["e__labels"].to_pylist()
    shop.retype("flag", "bool")
    assert shop.browse("flag")[1][0].item_id == "a"
    assert shop.catalogue.table.scan(["e__labels"])["e__labels"].to_pylist() != labels
    shop.retype("tags", "list")
    assert shop.get(["a"])[0].attributes["tags"] == ["warm"]
    assert shop.browse("'warm' in tags")[0] == 1


MOMENT = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(("value", "kind", "new"), [
    ("9.5", "number", 9.5), ("12", "number", 12), (True, "number", 1), (["7"], "number", 7),
    (12.0, "category", "12"), (9.5, "category", "9.5"), (True, "category", "true"), (["a"], "category", "a"),
    (MOMENT, "category", "2024-05-01T00:00:00+00:00"), ("2024-05-01", "date", MOMENT),
    ("2024-05-01T02:00:00+02:00", "date", MOMENT), (20240501, "date", MOMENT), ("yes", "bool", True),
    (0, "bool", False), ("a", "list", ["a"]), (5, "list", ["5"]), (9, "number", 9),
])
def test_what_is_written_plainly_is_read(shop, value, kind, new):
    shop.ingest([mug("a", x=value)])
    assert shop.retype("x", kind)["lost"] == 0
    assert shop.get(["a"])[0].attributes == {"x": new}
    assert shop.catalogue.table.schema.field("a_x").type == schema.KINDS[kind]


@pytest.mark.parametrize(("value", "kind"), [
    ("soon", "date"), ("cheap", "number"), ("nan", "number"), ("1e99", "number"), (MOMENT, "number"),
    ("perhaps", "bool"), (2, "bool"), (["a", "b"], "category"), (["a", "b"], "number"), (3.5, "date"),
])
def test_a_type_that_no_value_can_become_is_refused_and_nothing_changes(shop, value, kind):
    shop.ingest([mug("a", x=value)])
    with pytest.raises(DataError, match="nothing changed"):
        shop.retype("x", kind)
    assert shop.get(["a"])[0].attributes == {"x": value}


@pytest.mark.parametrize(("name", "kind", "words"), [
    ("colour", "number", "no attribute 'colour': choose price, kind"),
    ("price", "text", "no type of attributes 'text': choose category, number"),
])
def test_what_is_not_there_is_an_error_that_names_what_is(priced, name, kind, words):
    with pytest.raises(DataError, match=words):
        priced.retype(name, kind)


def test_a_reader_of_ones_own_reads_more(priced):
    report = priced.retype("price", "number", read=lambda text: 0 if text == "on request" else float(text))
    assert (report["lost"], values(priced)[2]) == (0, 0)


def test_a_trained_head_serves_on_without_the_attribute(shop, paint):
    titles, rng = {"red": "crimson mug cup", "blue": "navy lamp light"}, np.random.default_rng(0)
    shop.ingest([
        Item(item_id=f"{title}-{picture}-{n}", text={"title": titles[title]}, image=paint(picture),
             attributes={"price": str(n)})
        for title in titles for picture in titles for n in range(12)
    ])
    shop.record(  # users go by the title, though content heeds the picture as much
        Interaction(user_id=f"u{user}", item_id=f"{[*titles][user % 2]}-{[*titles][n % 2]}-{n // 2}")
        for user in range(60) for n in rng.choice(24, 8, replace=False)
    )
    shop.fit(epochs=15)
    assert shop.stats()["fitted"]
    for kind in ("number", "category"):
        shop.retype("price", kind)
        assert shop.stats()["fitted"]
        found = shop.recommend(history=["red-blue-1", "red-red-2"], k=6)
        assert {result.item_id.split("-")[0] for result in found} == {"red"}
        shop.ingest([mug(f"late {kind}", price=7 if kind == "number" else "7")])
        assert shop.doctor()["healthy"]


STEPS = ["add_columns", "upsert", "rename_columns", "drop_columns"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_loses_nothing(open_shop, priced, monkeypatch, step, moment):
    act = getattr(KeyedTable, step)

    def killed(self, *args, **options):
        if moment == "after":
            act(self, *args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(KeyedTable, step, killed)
        with pytest.raises(KeyboardInterrupt):
            priced.retype("price", "number")
    with open_shop() as shop:  # as another process does
        assert len(shop.recommend(k=9)) == 6
        assert shop.ingest([mug("late", kind="red mug")]).added == 1
        swapped = schema.attribute_types(shop.catalogue.table.schema)["price"] == schema.KINDS["number"]
        assert values(shop) == ([9.5, 12, None, 30, 100.0, None] if swapped else [*PRICES, None])
        assert not [n for n in shop.catalogue.table.schema.names if n.startswith(("new_", "old_"))]
        assert shop.doctor()["healthy"]
        assert shop.retype("price", "number")["values"] == 4 + (not swapped)
        assert values(shop)[0] == 9.5


@settings(max_examples=20)
@given(prices=st.lists(st.floats(0, 1e6) | st.integers(0, 10**9), min_size=1, max_size=8))
def test_numbers_come_back_through_words(open_shop, tmp_path_factory, prices):
    shop = open_shop(str(tmp_path_factory.mktemp("retype") / "shop.mmrec"))
    shop.ingest([mug(f"m{n}", price=price) for n, price in enumerate(prices)])
    shop.retype("price", "category")
    shop.retype("price", "number")
    assert [item.attributes["price"] for item in shop.get([f"m{n}" for n in range(len(prices))])] == prices
