"""The catalogue's vectors: rewritten as fields join, and never lost to a process that dies."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
import pytest

from mmrec import Interaction, Item
from mmrec.encoders.base import unit
from mmrec.errors import StoreBusy, StoreError
from mmrec.model.content import ContentPlan
from mmrec.model.towers import IdentityTowers
from mmrec.store import schema, tables
from mmrec.store import serving as rewriting
from mmrec.store.catalogue import Catalogue
from mmrec.store.ingest import Intake
from mmrec.store.interactions import Interactions
from mmrec.store.open import Store
from mmrec.store.tables import KeyedTable

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Died(BaseException):
    """A process that ends here and now."""


class Narrow:
    """Towers whose vectors are narrower than the content."""

    plan, trained = None, False

    def items(self, content: np.ndarray, ids: list[str]) -> np.ndarray:
        return unit(content[:, :5])


def ingest(catalogue: Catalogue, *items: Item):
    return Intake(catalogue).run(items)


def mugs(start: int, stop: int, **attributes: object) -> list[Item]:
    return [
        Item(item_id=f"i{n}", text={"title": f"red mug {n}"}, attributes=attributes)
        for n in range(start, stop)
    ]


def reopened(catalogue: Catalogue) -> Catalogue:
    store = Store.open(catalogue.store.path, wait=5)
    return Catalogue(store, catalogue.config, catalogue.encoders, catalogue.towers)


def stored(catalogue: Catalogue) -> dict[str, np.ndarray]:
    """The vector of each item, as it is searched."""
    table = catalogue.table.scan(["item_id", catalogue.vector_column])
    column = table[catalogue.vector_column]
    values, present = schema.matrix(column, column.type.list_size)
    assert present.all()
    return dict(zip(table["item_id"].to_pylist(), values, strict=True))


def assert_fresh(catalogue: Catalogue) -> None:
    """Every stored vector is what the plan that serves makes of the item's fields."""
    table = catalogue.table.scan(["item_id", *schema.field_columns(catalogue.table.schema)])
    vectors, ids = stored(catalogue), table["item_id"].to_pylist()
    expected = catalogue.serving().rows(schema.fields_of(table), ids)
    assert vectors.keys() == set(ids)
    for item_id, vector in zip(ids, expected, strict=True):
        np.testing.assert_allclose(vectors[item_id], vector, atol=1e-6)
    assert not catalogue.store.facts.get("stale")


def serving(catalogue: Catalogue) -> tuple[list[str], list[str]]:
    """Vector columns and content plans that there are."""
    columns = [name for name in catalogue.table.schema.names if name.startswith("vector_")]
    return columns, sorted(path.name for path in catalogue.store.path.glob("content-*"))


def only(serial: int) -> tuple[list[str], list[str]]:
    return [f"vector_{serial}"], [f"content-{serial}.safetensors"]


def test_an_empty_catalogue_has_no_vectors(catalogue):
    assert (catalogue.serial, catalogue.plan, serving(catalogue)) == (0, ContentPlan(), ([], []))
    assert (catalogue.lookup(["a"]), catalogue.get(["a"])) == ({}, {})
    catalogue.finish()
    assert not catalogue.mend()
    assert catalogue.serial == 0


def test_what_was_written_is_found_again(catalogue):
    item = Item(item_id="a", text={"title": "red mug"}, attributes={"price": 3.0}, added_at=NOON)
    ingest(catalogue, item)
    assert catalogue.get(["a", "b"]) == {"a": item}
    found = catalogue.lookup(["a", "b"])["a"]
    assert (found.added_at, json.loads(found.digests).keys()) == (NOON, {"title"})
    assert_fresh(catalogue)


@pytest.mark.parametrize(("titles", "language"), [
    (["Kühlschrank mit Gefrierfach", "Gläser, sechs Stück"], "german"),
    (["a red mug", "the blue lamp"], "english"),
    (["赤いワンピース", "青い椅子"], "english"), (["12345", "#"], "english"),
])
def test_the_language_is_that_of_the_texts_unless_the_settings_say_it(catalogue, titles, language):
    ingest(catalogue, *(Item(item_id=str(n), text={"title": title}) for n, title in enumerate(titles)))
    assert catalogue.language == language
    catalogue.config = catalogue.config.model_copy(update={"language": "french"})
    assert catalogue.language == "french"


def test_the_language_is_told_again_when_the_vectors_are_rewritten(catalogue):
    ingest(catalogue, Item(item_id="a", text={"title": "robe longue et légère en coton pour une femme"}))
    assert catalogue.language == "french"
    titles = [f"das Glas mit dem Deckel, in der Küche {n}" for n in range(30)]
    ingest(catalogue, *(Item(item_id=title, text={"title": title}) for title in titles))
    catalogue.rebuild()
    assert catalogue.language == "german"


def test_added_at_is_when_it_was_said_or_kept_or_now(catalogue):
    before = datetime.now(UTC) - timedelta(seconds=1)
    ingest(catalogue, Item(item_id="a", text={"title": "mug"}), Item(item_id="b", added_at=NOON))
    joined = catalogue.get(["a"])["a"].added_at
    assert before <= joined <= datetime.now(UTC)
    ingest(catalogue, Item(item_id="a", text={"title": "cup"}), Item(item_id="b", text={"title": "pan"}))
    assert {i: item.added_at for i, item in catalogue.get(["a", "b"]).items()} == {"a": joined, "b": NOON}


def test_a_new_field_widens_all_vectors_and_encodes_nothing_again(catalogue):
    ingest(catalogue, *mugs(0, 5))
    narrow, calls = catalogue.plan, catalogue.encoders["text"].calls
    ingest(catalogue, Item(item_id="n", text={"title": "lamp", "plot": "it shines"}, attributes={"price": 3}))
    assert catalogue.encoders["text"].calls == calls + 2
    assert [s.name for s in catalogue.plan.slots] == ["title", "plot", "price"]
    assert catalogue.plan.spans["title"] == narrow.spans["title"]
    assert {len(vector) for vector in stored(catalogue).values()} == {catalogue.plan.dim}
    assert not stored(catalogue)["i0"][catalogue.plan.spans["plot"]].any()
    assert_fresh(catalogue)
    assert serving(catalogue) == only(catalogue.serial)


def test_items_with_the_fields_of_before_rewrite_nothing(catalogue):
    ingest(catalogue, *mugs(0, 100, price=3))
    serial = catalogue.serial
    ingest(catalogue, *mugs(100, 110, price=4), *mugs(110, 120))
    assert catalogue.serial == serial
    assert_fresh(catalogue)


def test_a_field_of_no_weight_rewrites_nothing_either(open_shop):
    shop = open_shop(weights={"year": 0})
    shop.ingest(mugs(0, 100, year=1990))
    serial = shop.catalogue.serial
    shop.ingest(mugs(100, 110, year=1991))
    assert shop.catalogue.serial == serial
    assert_fresh(shop.catalogue)


def test_a_text_that_joins_hides_the_attribute_of_its_name(catalogue):
    brand = {"brand": "Acme"}
    ingest(catalogue, Item(item_id="a", attributes=brand))
    ingest(catalogue, Item(item_id="b", text=brand), Item(item_id="c", attributes=brand))
    assert [(s.name, s.kind) for s in catalogue.plan.slots] == [("brand", "embedding")]
    assert_fresh(catalogue)
    assert [bool(v.any()) for _, v in sorted(stored(catalogue).items())] == [False, True, False]


def test_a_catalogue_that_has_doubled_gets_better_estimates(catalogue):
    ingest(catalogue, *mugs(0, 10))
    assert catalogue.plan.seen == 10
    ingest(catalogue, *mugs(10, 19))
    assert catalogue.plan.seen == 10
    ingest(catalogue, *mugs(19, 20))
    assert catalogue.plan.seen == 20
    assert_fresh(catalogue)


def test_a_field_that_joins_a_large_catalogue_is_in_the_sample(catalogue, monkeypatch):
    monkeypatch.setattr("mmrec.model.content.ENOUGH", 8)
    monkeypatch.setattr("mmrec.store.catalogue.ENOUGH", 8)
    ingest(catalogue, *mugs(0, 20))
    ingest(catalogue, *mugs(20, 24, price=100), *mugs(24, 26, price=140))
    catalogue.rebuild()
    slot = catalogue.plan.slot("price")
    assert slot.centre == pytest.approx(100)
    serial = catalogue.serial
    ingest(catalogue, *mugs(26, 27, price=130))
    assert catalogue.serial == serial
    assert_fresh(catalogue)


def test_an_attribute_that_joins_waits_until_vectors_are_rewritten_anyway(catalogue):
    ingest(catalogue, *mugs(0, 10))
    serial, plan = catalogue.serial, catalogue.plan
    ingest(catalogue, *mugs(10, 13, price=3, brand="Acme"), *mugs(0, 1, price=4))
    assert (catalogue.serial, catalogue.plan) == (serial, plan)
    assert schema.attribute_types(catalogue.table.schema).keys() == {"price", "brand"}  # for conditions
    assert all(vector.any() for vector in stored(catalogue).values())
    assert_fresh(catalogue)
    ingest(catalogue, *mugs(13, 20))  # it has doubled
    assert [slot.name for slot in catalogue.plan.slots] == ["title", "price", "brand"]
    assert_fresh(catalogue)


def test_a_training_takes_waiting_attributes_in(catalogue):
    ingest(catalogue, *mugs(0, 10))
    plan = catalogue.plan
    catalogue.adopt(None)
    assert catalogue.plan.slots == plan.slots
    ingest(catalogue, *mugs(10, 13, price=3))
    catalogue.adopt(None)
    assert [slot.name for slot in catalogue.plan.slots] == ["title", "price"]
    assert_fresh(catalogue)


def test_attributes_do_not_wait_where_there_is_nothing_else_to_find_items_by(catalogue):
    ingest(catalogue, *(Item(item_id=f"bare {n}") for n in range(9)))
    ingest(catalogue, Item(item_id="priced", attributes={"price": 3}))
    assert stored(catalogue)["priced"].any()
    assert_fresh(catalogue)


def test_items_without_any_field_have_no_vectors_until_one_has(catalogue):
    ingest(catalogue, Item(item_id="bare"))
    ingest(catalogue, Item(item_id="also bare"))
    assert len(catalogue.get(["bare", "also bare"])) == 2
    assert serving(catalogue)[0] == []
    ingest(catalogue, Item(item_id="a", text={"title": "mug"}))
    assert_fresh(catalogue)
    assert not stored(catalogue)["bare"].any()
    assert stored(catalogue)["a"].any()


def test_the_towers_decide_the_width_of_a_vector(catalogue):
    catalogue.towers = Narrow()
    ingest(catalogue, *mugs(0, 3))
    ingest(catalogue, *mugs(3, 4, price=1))
    assert {len(vector) for vector in stored(catalogue).values()} == {5}
    assert_fresh(catalogue)


def test_a_rebuild_that_misses_rows_is_refused(catalogue, red_blue, monkeypatch):
    Intake(catalogue).run(red_blue)
    serial, batches = catalogue.serial, KeyedTable.batches
    short = lambda *asked: (batch.slice(1) for batch in batches(*asked))  # noqa: E731
    monkeypatch.setattr(KeyedTable, "batches", short)
    with pytest.raises(StoreError, match="1 of 8 vectors"):
        catalogue.rebuild()
    assert catalogue.serial == serial
    monkeypatch.undo()
    catalogue.rebuild()
    assert catalogue.serial == serial + 1


def test_an_emptied_catalogue_can_be_rebuilt_and_filled_again(catalogue):
    ingest(catalogue, *mugs(0, 3))
    catalogue.table.delete(["i0", "i1", "i2"])
    catalogue.store.save_facts(stale=True)
    assert catalogue.mend()
    ingest(catalogue, *mugs(0, 3))
    assert_fresh(catalogue)


def test_mending_does_what_was_left_and_only_that(catalogue):
    ingest(catalogue, *mugs(0, 3))
    serial = catalogue.serial
    assert not catalogue.mend()
    reopened(catalogue).store.save_facts(stale=True)  # by another process, since this one read the facts
    assert catalogue.mend()
    assert (catalogue.serial, catalogue.mend()) == (serial + 1, False)
    assert_fresh(catalogue)


def test_a_rebuild_reads_one_version_in_batches(catalogue, monkeypatch):
    monkeypatch.setattr(tables, "STREAM", 4)
    monkeypatch.setattr(rewriting, "AT_ONCE", 1)
    ingest(catalogue, *mugs(0, 11))
    catalogue.rebuild()
    assert len(stored(catalogue)) == 11
    assert_fresh(catalogue)


class Halting(IdentityTowers):
    """Towers that stop in the middle of a rewrite, in every thread but the main one."""

    def __init__(self) -> None:
        super().__init__(0.5)
        self.began, self.may = threading.Event(), threading.Event()

    def items(self, content: np.ndarray, ids: list[str]) -> np.ndarray:
        if ids and threading.current_thread() is not threading.main_thread():
            self.began.set()
            assert self.may.wait(60)
        return super().items(content, ids)


@pytest.fixture
def halted(catalogue):
    """Goes on in another thread with a rewrite, of which nothing is written before the block ends."""

    @contextmanager
    def halted(rewrite: Callable[[], object]) -> Iterator[None]:
        catalogue.towers = Halting()
        with ThreadPoolExecutor(1) as other:
            done = other.submit(rewrite)
            assert catalogue.towers.began.wait(60)
            try:
                yield
            finally:
                catalogue.towers.may.set()
            done.result()

    return halted


@pytest.mark.parametrize("rewrite", [Catalogue.rebuild, lambda catalogue: catalogue.adopt(None)])
def test_items_and_clicks_are_taken_while_vectors_are_rewritten(catalogue, halted, monkeypatch, rewrite):
    monkeypatch.setattr(tables, "STREAM", 4)
    monkeypatch.setattr(rewriting, "AT_ONCE", 1)
    ingest(catalogue, *mugs(0, 11))
    serial, clicks = catalogue.serial, Interactions(catalogue.store, catalogue.config)
    with halted(lambda: rewrite(catalogue)):
        clicks.record([Interaction(user_id="u", item_id="i1")])
        ingest(catalogue, *mugs(11, 13), Item(item_id="i2", text={"title": "blue lamp"}))
        ingest(reopened(catalogue), Item(item_id="i3", text={"title": "green pan"}))  # by another handle
        catalogue.table.delete(["i4"])
        assert catalogue.serial == serial
    assert catalogue.serial == serial + 1
    assert clicks.history("u") == [("i1", 1.0)]
    assert catalogue.table.count() == 12
    assert_fresh(catalogue)
    assert serving(catalogue) == only(serial + 1)


def test_more_changes_than_may_be_left_to_the_end_are_gone_over_again(catalogue, halted, monkeypatch):
    monkeypatch.setattr("mmrec.store.serving.FEW", 2)
    ingest(catalogue, *mugs(0, 20))
    with halted(catalogue.rebuild):
        ingest(catalogue, *(Item(item_id=f"i{n}", text={"title": f"blue lamp {n}"}) for n in range(9)))
    assert_fresh(catalogue)


def test_one_rewrites_the_vectors_at_a_time_and_others_leave_its_column_alone(catalogue, halted):
    ingest(catalogue, *mugs(0, 9))
    impatient = Catalogue(
        Store.open(catalogue.store.path, wait=0.05), catalogue.config, catalogue.encoders, catalogue.towers
    )
    with halted(catalogue.rebuild):
        for rewrite in (impatient.rebuild, lambda: impatient.adopt(None)):
            with pytest.raises(StoreBusy, match="rewriting the vectors"):
                rewrite()
        ingest(impatient, *mugs(9, 20))  # outgrows the plan, which is left to the next
        assert impatient.plan.seen == 9
    assert_fresh(catalogue)
    ingest(catalogue, *mugs(20, 21))
    assert catalogue.plan.seen == 21
    assert_fresh(catalogue)


def test_what_must_be_rewritten_once_more_is_not_forgotten(catalogue, halted):
    ingest(catalogue, *mugs(0, 9))
    new = Item(item_id="n", text={"title": "lamp", "plot": "it shines"})
    other = Store.open(catalogue.store.path, wait=0.05)
    impatient = Catalogue(other, catalogue.config, catalogue.encoders, catalogue.towers)
    with halted(catalogue.rebuild), pytest.raises(StoreBusy):
        ingest(impatient, new)
    assert [slot.name for slot in catalogue.plan.slots] == ["title"]
    assert stored(catalogue)["n"].any()
    assert catalogue.mend()
    assert [slot.name for slot in catalogue.plan.slots] == ["title", "plot"]
    assert_fresh(catalogue)


def test_a_large_catalogue_has_an_index_of_its_ids(catalogue, monkeypatch):
    monkeypatch.setattr("mmrec.store.catalogue.MANY", 10)
    ingest(catalogue, *mugs(0, 9))
    assert not catalogue.table.indexed("item_id")
    ingest(catalogue, *mugs(9, 12))
    assert catalogue.table.indexed("item_id")
    ingest(catalogue, *mugs(10, 15))  # some that the index knows, some that it does not
    assert catalogue.lookup(["i0", "i11", "i14", "i15"]).keys() == {"i0", "i11", "i14"}
    for turn in range(3):  # of compaction, after which updates must still come through
        catalogue.table.tidy(force=True)
        ingest(catalogue, *mugs(0, 15, price=turn))
        assert {item.attributes["price"] for item in catalogue.get(["i0", "i14"]).values()} == {turn}
        catalogue.rebuild()
        assert_fresh(catalogue)


@pytest.fixture
def dying(monkeypatch):
    """The process dies when it comes to the nth call of a step."""

    @contextmanager
    def dying(owner: type, name: str, at: int) -> Iterator[None]:
        step, calls = getattr(owner, name), count(1)

        def watched(*args, **more):
            if next(calls) == at:
                raise Died
            return step(*args, **more)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, watched)
            with pytest.raises(Died):
                yield

    return dying


@pytest.mark.parametrize(("owner", "name", "at"), [
    (KeyedTable, "scan", 1), (KeyedTable, "add_columns", 1), (KeyedTable, "upsert", 1),
    (KeyedTable, "upsert", 3), (ContentPlan, "save", 1), (Store, "save_facts", 1),
    (KeyedTable, "drop_columns", 2),
])
def test_a_rebuild_that_dies_leaves_vectors_that_serve(catalogue, monkeypatch, dying, owner, name, at):
    monkeypatch.setattr(tables, "STREAM", 4)
    monkeypatch.setattr(rewriting, "AT_ONCE", 1)
    ingest(catalogue, *mugs(0, 11, price=3))
    before = stored(catalogue)
    with dying(owner, name, at):
        catalogue.rebuild()
    survivor = reopened(catalogue)
    assert_fresh(survivor)
    for item_id, vector in stored(survivor).items():
        np.testing.assert_allclose(vector, before[item_id], atol=1e-6)
    ingest(survivor, *mugs(11, 13, price=4))
    assert_fresh(survivor)
    survivor.rebuild()
    assert_fresh(survivor)
    assert serving(survivor) == only(survivor.serial)


@pytest.mark.parametrize(("owner", "name", "at"), [
    (KeyedTable, "add_columns", 1), (Store, "save_facts", 1), (KeyedTable, "upsert", 1),
    (KeyedTable, "upsert", 3), (ContentPlan, "save", 1), (Store, "save_facts", 2),
    (KeyedTable, "drop_columns", 2), (KeyedTable, "drop_index", 1), (KeyedTable, "tidy", 1),
])
def test_an_ingest_that_dies_goes_on_the_next_time(catalogue, monkeypatch, dying, owner, name, at):
    monkeypatch.setattr(tables, "STREAM", 4)
    monkeypatch.setattr(rewriting, "AT_ONCE", 1)
    ingest(catalogue, *mugs(0, 9))
    new = [*mugs(5, 12, price=3), Item(item_id="p", text={"plot": "it shines"})]  # two fields that nobody had
    with dying(owner, name, at):
        ingest(catalogue, *new)
    survivor = reopened(catalogue)
    calls = survivor.encoders["text"].calls
    report = ingest(survivor, *new)
    assert report.rows == report.added + report.updated + report.unchanged == 8
    assert survivor.encoders["text"].calls - calls == report.encoder_calls <= 4
    assert survivor.table.count() == 13
    assert_fresh(survivor)
    assert ingest(survivor, *new).unchanged == 8
    survivor.rebuild()
    assert serving(survivor) == only(survivor.serial)


KILLED = """
import os, signal, sys
from mmrec import Recommender
from mmrec.store import serving, tables

tables.STREAM, serving.AT_ONCE = 4, 1
upsert, calls = tables.KeyedTable.upsert, 0

def killed(*args, **more):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return upsert(*args, **more)

tables.KeyedTable.upsert = killed
Recommender.open(sys.argv[1]).catalogue.rebuild()
"""


def test_a_killed_process_leaves_vectors_that_serve(open_shop):
    shop = open_shop()
    shop.ingest(mugs(0, 11, price=3))
    before = shop.similar("i0", k=20)
    for moment in ("1", "3"):
        done = subprocess.run([sys.executable, "-c", KILLED, shop.path, moment], check=False)
        assert done.returncode == -signal.SIGKILL
        assert shop.similar("i0", k=20) == open_shop().similar("i0", k=20) == before
    assert shop.doctor()["healthy"]
    shop.catalogue.rebuild()
    assert_fresh(shop.catalogue)
    assert serving(shop.catalogue) == only(shop.catalogue.serial)


@pytest.mark.parametrize("damage", [b"", None], ids=["empty", "gone"])
def test_a_lost_content_plan_is_made_anew_by_the_doctor(open_shop, damage):
    shop = open_shop()
    shop.ingest([*mugs(0, 4, price=3), Item(item_id="lamp", text={"title": "lamp"}, attributes={"price": 9})])
    before, path = shop.similar("i0"), shop.path / f"content-{shop.catalogue.serial}.safetensors"
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    shop = open_shop()
    with pytest.raises(StoreError, match="Run `mmrec doctor`"):
        shop.similar("i0")
    assert shop.doctor(mend=False)["problems"][0]["what"] == "content plan cannot be read"
    assert not shop.doctor()["healthy"]
    assert shop.doctor()["healthy"]
    assert_fresh(shop.catalogue)
    assert [r.item_id for r in shop.similar("i0")] == [r.item_id for r in before]


def test_other_weights_rewrite_the_vectors_of_a_store_and_encode_nothing(
    open_shop: Callable, calls: Callable
):
    shop = open_shop()
    shop.ingest(mugs(0, 5, price=3))
    again = open_shop(weights={"price": 4.0})
    assert calls(again) == (0, 0)
    assert again.catalogue.plan.slot("price").weight == 4.0
    assert_fresh(again.catalogue)
    assert open_shop(weights={"price": 4.0}).catalogue.serial == again.catalogue.serial
