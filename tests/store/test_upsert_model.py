"""A store against a plain dict, whatever is done to it in whatever order."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PIL import Image

from mmrec import IngestReport, Item, Recommender
from mmrec.store import schema
from mmrec.store.encoding import Encoding
from mmrec.store.schema import Draft, matrix

EXAMPLES, STEPS = (50, 50) if os.environ.get("CI") else (6, 40)
TOY = {"text_encoder": "toy", "image_encoder": "toy", "weights": {"plot": 2.0, "year": 0.0}}
IDS = st.sampled_from(["a", "b", "it's", "100%", "日本", "f", "g", "h"])
WORDS = st.lists(st.sampled_from(["red", "blue", "mug", "lamp", "it's", "日本"]), max_size=3).map(" ".join)
COLOURS = st.sampled_from(["red", "blue", "green", "white"])
KINDS: Mapping[str, st.SearchStrategy[Any]] = {
    "price": st.integers(0, 50) | st.sampled_from([0.5, 7.25]), "year": st.integers(1990, 2000),
    "brand": st.sampled_from(["Acme", "Brand B"]), "on_sale": st.booleans(),
    "genres": st.lists(st.sampled_from("abc"), max_size=2),
    "made": st.datetimes(datetime(2020, 1, 1), datetime(2024, 1, 1), timezones=st.just(UTC)),
}
ATTRIBUTES = st.fixed_dictionaries({}, optional={name: KINDS[name] for name in ("price", "year")})
Rows = dict[str, tuple[str, str | None, dict[str, Any]]]
ROWS = st.dictionaries(IDS, st.tuples(WORDS, st.none() | COLOURS, ATTRIBUTES), min_size=1, max_size=4)


class Shop(RuleBasedStateMachine):
    """The store, and beside it a dict of the items that must be in it."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.shop = self.other = self.open()
        self.items: dict[str, Item] = {}
        self.joined: dict[str, datetime] = {}
        self.colours: dict[str, str] = {}  # of the picture behind each item's path, as it was ingested

    def teardown(self) -> None:
        self.shop.close()
        self.folder.cleanup()

    def open(self) -> Recommender:
        return Recommender.open(self.root / "shop.mmrec", TOY)

    def picture(self, item_id: str, colour: str) -> Path:
        path = self.root / f"{item_id}.png"
        Image.new("RGB", (4, 4), colour).save(path)
        return path

    def ingest(self, *items: Item, **colours: str) -> IngestReport:
        """Takes items in, of different ids, and holds the report against the dict."""
        before, drawn = dict(self.items), dict(self.colours)
        self.items |= {item.item_id: item for item in items}
        self.colours |= colours
        report = self.shop.ingest(items)
        added = sum(i.item_id not in before for i in items)
        unchanged = sum(
            before.get(i.item_id) == i and (not i.images or drawn[i.item_id] == self.colours[i.item_id])
            for i in items
        )
        assert (report.added, report.unchanged, report.rejected) == (added, unchanged, 0)
        assert report.rows == len(items)
        return report

    def known(self, data: st.DataObject) -> Item:
        return self.items[data.draw(st.sampled_from(sorted(self.items)), label="item")]

    def change(self, item: Item, **parts: Any) -> IngestReport:
        return self.ingest(replace(item, **parts))

    @initialize(rows=ROWS)
    def begin(self, rows: Rows) -> None:
        self.add(rows)

    @rule(rows=ROWS)
    def add(self, rows: Rows) -> None:
        colours = {item_id: colour for item_id, (_, colour, _) in rows.items() if colour}
        self.ingest(*(
            Item(item_id=item_id, text={"title": title}, attributes=attributes,
                 image=self.picture(item_id, colour) if colour else None)
            for item_id, (title, colour, attributes) in rows.items()
        ), **colours)

    @rule(titles=st.lists(st.tuples(IDS, WORDS), min_size=2, max_size=6))
    def add_in_one_batch_where_the_last_of_an_id_wins(self, titles: Sequence[tuple[str, str]]) -> None:
        items = [Item(item_id=item_id, text={"title": title}) for item_id, title in titles]
        new = {i.item_id for i in items} - self.items.keys()
        report = self.shop.ingest(items)
        assert (report.rows, report.added, report.rejected) == (len(items), len(new), 0)
        self.items |= {i.item_id: i for i in items}

    @precondition(lambda self: self.items)
    @rule(data=st.data(), title=WORDS)
    def change_title(self, data: st.DataObject, title: str) -> None:
        item = self.known(data)
        report = self.change(item, text={**item.text, "title": title})
        assert report.encoder_calls <= 1

    @precondition(lambda self: self.items)
    @rule(data=st.data(), colour=COLOURS)
    def change_picture_behind_its_path(self, data: st.DataObject, colour: str) -> None:
        item = self.known(data)
        drawn = replace(item, image=self.picture(item.item_id, colour))
        report = self.ingest(drawn, **{item.item_id: colour})
        assert report.encoder_calls == report.updated

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def take_picture_away(self, data: st.DataObject) -> None:
        assert self.change(self.known(data), image=None).encoder_calls == 0

    @precondition(lambda self: self.items)
    @rule(data=st.data(), attributes=ATTRIBUTES)
    def change_attributes(self, data: st.DataObject, attributes: dict[str, Any]) -> None:
        assert self.change(self.known(data), attributes=attributes).encoder_calls == 0

    @precondition(lambda self: self.items)
    @rule(data=st.data(), name=st.sampled_from(["plot", "brand", "people"]), text=WORDS)
    def a_text_joins(self, data: st.DataObject, name: str, text: str) -> None:
        item = self.known(data)
        self.change(item, text={**item.text, name: text})

    @precondition(lambda self: self.items)
    @rule(data=st.data(), name=st.sampled_from(sorted(KINDS)))
    def an_attribute_joins(self, data: st.DataObject, name: str) -> None:
        item, value = self.known(data), data.draw(KINDS[name], label=name)
        report = self.change(item, attributes={**item.attributes, name: value})
        assert report.encoder_calls == 0 or name in ("brand", "genres")  # which are read as words, too

    @rule(item_ids=st.lists(IDS, max_size=2))
    def delete(self, item_ids: list[str]) -> None:
        gone = set(item_ids) & self.items.keys()
        assert self.shop.delete(item_ids) == len(gone)
        for item_id in gone:
            del self.items[item_id], self.joined[item_id]

    @rule()
    def ingest_all_again(self) -> None:
        report = self.ingest(*self.items.values())
        assert (report.unchanged, report.encoder_calls) == (len(self.items), 0)

    @rule(item_id=IDS, image=st.sampled_from([b"no picture", "/no/such/file.png"]))
    def ingest_what_must_be_refused(self, item_id: str, image: str | bytes) -> None:
        bad = Item(item_id=item_id, image=image)  # nothing of it can be used
        wrong = Item(item_id=item_id, attributes={"price": "cheap"})
        has_price = "a_price" in self.shop.catalogue.table.schema.names
        report = self.shop.ingest([bad, wrong] if has_price else [bad])
        assert report.rejected == report.rows == 1 + has_price

    @rule()
    def tidy(self) -> None:
        self.shop.catalogue.table.tidy(force=True)

    @rule()
    def rebuild(self) -> None:
        self.shop.catalogue.rebuild()

    @rule()
    def reopen(self) -> None:
        self.shop.close()
        self.shop = self.open()

    @rule()
    def go_on_with_another_handle(self) -> None:
        self.shop, self.other = self.other, self.shop

    @rule(words=WORDS.filter(bool))
    def search(self, words: str) -> None:
        found = [r.item_id for r in self.shop.search(words)]
        assert set(found) <= self.items.keys()
        for item_id, item in self.items.items():
            shared = set(words.split()) & {w for text in item.text.values() for w in text.split()}
            assert item_id in found or not shared

    @invariant()
    def the_items_are_those_of_the_dict(self) -> None:
        type(self).steps += 1
        assert len(self.shop) == len(self.items)
        for item in self.shop.get(list(self.items)):
            expected = self.items[item.item_id]
            assert (item.text, item.attributes) == (expected.text, expected.attributes)
            assert [str(i) for i in item.images] == [str(i) for i in expected.images]
            assert item.added_at == self.joined.setdefault(item.item_id, item.added_at)

    @invariant()
    def vectors_are_those_of_a_fresh_encoding(self) -> None:
        catalogue, found = self.shop.catalogue, self.vectors()
        drafts = [Draft(item) for item in self.items.values()]
        embedded, failures = Encoding(catalogue).embed(drafts)
        assert not failures
        expected = catalogue.serving().rows(schema.draft_fields(drafts, embedded), list(self.items))
        assert found.keys() == self.items.keys()
        for item_id, vector in zip(self.items, expected, strict=True):
            np.testing.assert_allclose(found[item_id], vector, atol=1e-5)
        if self.items:
            self.the_nearest_are_those_of(min(self.items), found)

    def the_nearest_are_those_of(self, item_id: str, vectors: dict[str, np.ndarray]) -> None:
        results = self.shop.similar(item_id, k=100)
        near = {i for i, v in vectors.items() if v.any() and i != item_id and vectors[item_id].any()}
        assert {r.item_id for r in results} == near
        assert [r.score for r in results] == sorted((r.score for r in results), reverse=True)
        for result in results:
            assert result.score == pytest.approx(float(vectors[item_id] @ vectors[result.item_id]), abs=1e-5)

    def vectors(self) -> dict[str, np.ndarray]:
        """The vector of each row, as it is searched; of no width where no item has had any field."""
        catalogue = self.shop.catalogue
        catalogue.store.refresh()  # the other handle may have rebuilt them
        if catalogue.vector_column not in catalogue.table.schema.names:
            return {item_id: np.zeros(0, np.float32) for item_id in self.items}
        table = catalogue.table.scan(["item_id", catalogue.vector_column])
        column = table[catalogue.vector_column]
        values, present = matrix(column, column.type.list_size)
        assert present.all()
        assert np.isfinite(values).all()
        return dict(zip(table["item_id"].to_pylist(), values, strict=True))


def test_a_store_agrees_with_a_dict_whatever_is_done_to_it():
    Shop.steps = 0
    run_state_machine_as_test(Shop, settings=settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, suppress_health_check=list(HealthCheck),
    ))
    print(f"{Shop.steps} steps, no difference")
    assert Shop.steps >= EXAMPLES * STEPS / 2  # an example ends early where its rules no longer apply
