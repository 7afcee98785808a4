"""Exact search in memory: the right rows, in the right order, of the newest catalogue."""

import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec import Item, Recommender
from mmrec.errors import DataError, StoreError, UnknownItem
from mmrec.model.towers import IdentityTowers
from mmrec.search import snapshot
from mmrec.search import topk as scoring
from mmrec.search.latest import LatestSnapshot
from mmrec.search.vectors import BEHAVIOUR, CONTENT, SEARCHED, STORED, Changes
from mmrec.store import schema
from mmrec.store.ingest import Intake
from mmrec.store.tables import KeyedTable
from mmrec.types import WORDS


@pytest.fixture
def index(catalogue, red_blue):
    Intake(catalogue).run(red_blue)
    return LatestSnapshot(catalogue)


def add(catalogue, *ids):
    Intake(catalogue).run([Item(item_id=i, text={"title": "green chair"}) for i in ids])


def test_items_stand_in_the_order_of_their_ids_whatever_the_order_they_came_in(index):
    snapshot = index.now()
    assert snapshot.ids == ["b0", "b1", "b2", "b3", "r0", "r1", "r2", "r3"]
    assert snapshot.facts["item_id"].to_pylist() == snapshot.ids
    assert [snapshot.position[i] for i in snapshot.ids] == list(range(len(snapshot)))


def test_every_space_has_a_unit_vector_for_each_item(index):
    snapshot = index.now()
    assert set(snapshot.spaces) == {CONTENT, WORDS, "title", "image", "category", "price"}
    assert snapshot.text_slots == ("title",)
    assert snapshot.readable == (WORDS,)
    for name in snapshot.spaces:
        x = snapshot.space(name)[:]
        assert x.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(x, axis=1), np.ones(8), atol=1e-5)


def test_an_item_without_a_field_has_zeros_there_and_is_not_found(catalogue, index):
    add(catalogue, "plain")
    snapshot = index.now()
    x = snapshot.space("image")
    assert not x[snapshot.position["plain"]].any()
    found = snapshot.search("image", x[snapshot.position["r0"]], 100)
    assert snapshot.position["plain"] not in found.positions
    assert len(found.positions) == 8


def test_a_query_that_says_nothing_finds_nothing(index):
    x = index.now().space(CONTENT)
    assert not len(index.now().search(CONTENT, np.zeros(x.shape[1], np.float32), 5).positions)


def test_a_space_that_is_not_there_is_refused_with_those_that_are(index):
    with pytest.raises(DataError, match=r"by='smell' .* content, .*title") as error:
        index.now().space("smell")
    assert error.value.field == "by"


def test_places_of_unknown_items_are_refused_by_name(index):
    snapshot = index.now()
    assert snapshot.positions_of(["r1", "b0", "r1"]).tolist() == [5, 0, 5]
    with pytest.raises(UnknownItem, match="'x' is not in the catalogue"):
        snapshot.positions_of(["r0", "x"])
    with pytest.raises(UnknownItem, match="and 2 more are not"):
        snapshot.positions_of([f"x{n}" for n in range(7)])


def test_excluded_and_masked_rows_are_never_found(index):
    snapshot = index.now()
    x, mask = snapshot.space(CONTENT), snapshot.mask("price <= 3 or category == 'lamp'")
    found = snapshot.search(CONTENT, x[snapshot.position["r0"]], 8, exclude=[0, 1], mask=mask)
    assert {snapshot.ids[p] for p in found.positions} == {"b2", "b3", "r0", "r1", "r2"}
    assert mask.sum() == 7  # the caller's mask is not changed by the search


def test_equal_scores_rank_by_id(index):
    snapshot = index.now()
    x = snapshot.space("title")
    found = snapshot.search("title", x[snapshot.position["r3"]], 4)
    assert [snapshot.ids[p] for p in found.positions] == ["r0", "r1", "r2", "r3"]


def test_one_snapshot_serves_until_the_catalogue_changes(catalogue, index):
    first = index.now()
    assert index.now() is first
    add(catalogue, "g0")
    second = index.now()
    assert len(first), len(second) == (8, 9)
    catalogue.table.delete(["g0"])
    assert index.now().ids == first.ids


def test_a_snapshot_keeps_its_items_while_the_catalogue_changes(catalogue, index):
    snapshot = index.now()
    add(catalogue, "g0", "g1")  # makes a new vector column when it outgrows the plan
    Intake(catalogue).run([Item(item_id=f"h{n}", text={"story": "new field"}) for n in range(20)])
    catalogue.table.delete(["r0"])
    for space in (CONTENT, "title", "image"):
        x = snapshot.space(space)
        assert x.shape[0] == 8
        assert x[:].any(axis=1).all()
        found = snapshot.search(space, x[snapshot.position["r1"]], 3)
        assert snapshot.ids[found.positions[0]].startswith("r")


def test_a_reader_process_sees_what_another_wrote_without_reopening(open_shop, red_blue):
    shop = open_shop()
    shop.ingest(red_blue[:4])
    reader = textwrap.dedent("""
        import sys
        from mmrec import Recommender
        shop = Recommender.open(sys.argv[1], create=False)
        for line in sys.stdin:
            print(*sorted(r.item_id for r in shop.similar("r0", k=100)), flush=True)
    """)
    pipe, command = subprocess.PIPE, [sys.executable, "-c", reader, str(shop.path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:

        def ask() -> str:
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert ask() == "r1 r2 r3"
        shop.ingest(red_blue[4:])
        assert ask() == "b0 b1 b2 b3 r1 r2 r3"
        shop.ingest([Item(item_id="n", text={"story": "a field of its own"}, image=red_blue[0].images[0])])
        assert ask() == "b0 b1 b2 b3 n r1 r2 r3"
        shop.delete(["b0"])
        assert ask() == "b1 b2 b3 n r1 r2 r3"
        process.stdin.close()


@pytest.mark.slow
def test_threads_recommend_while_another_ingests(open_shop, red_blue):
    shop = open_shop()
    shop.ingest(red_blue)
    stop, errors, seen = threading.Event(), [], []

    def ask():
        while not stop.is_set():
            try:
                results = shop.recommend(history=["r0"], k=500)
                more = shop.similar("r0", k=3) + shop.similar(text="red mug", k=3)
                more += shop.search("red mug", k=3)
                seen.append(([r.item_id for r in results], [r.item_id for r in more]))
            except Exception as error:  # whatever it is, it must not be
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for batch in range(12):
            shop.ingest([
                Item(item_id=f"n{batch}-{n}", text={"title": f"chair {n}", f"field{batch % 4}": "words"})
                for n in range(20)
            ])
            shop.delete([f"n{batch}-0"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert len(seen) > 10
    for results, more in seen:
        assert len(results) == len(set(results)) >= 7
        assert results[:3] == ["r1", "r2", "r3"]
        assert len(more) == 9
        assert {item_id[0] for item_id in more} == {"r"}
    assert len(seen[-1][0]) <= 7 + 12 * 20


class Broken(IdentityTowers):
    """A head that has come to nothing, but for one item."""

    trained, plan = True, None

    def spans(self, width):
        return slice(0, width // 2), slice(width // 2, width)

    def items(self, content, ids):
        whole = np.array([item_id == "r1" for item_id in ids])
        return np.where(whole[:, None], content, 1e30).astype(np.float32)


def test_vectors_that_are_no_numbers_are_said_with_their_items_and_what_to_do(catalogue, index):
    catalogue.towers = Broken(0.5)
    catalogue.rebuild()
    with pytest.raises(StoreError, match=r"'b0', 'b1'.* and 2 more are without finite vectors: run `mmrec"):
        index.now().space(SEARCHED)
    assert index.now().space("title").shape[0] == 8


def test_a_vector_with_nan_is_not_stored_but_left_out(catalogue, index):
    width = index.now().space(CONTENT).shape[1]
    broken = schema.vector_rows(["r2"], np.full((1, width), np.nan, np.float32), catalogue.vector_column)
    catalogue.table.upsert(broken, update_only=True)
    snapshot = index.now()
    found = snapshot.search(CONTENT, snapshot.space(CONTENT)[snapshot.position["r1"]], 8)
    assert {snapshot.ids[p] for p in found.positions} == {*snapshot.ids} - {"r2"}


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from([-3_000, -40, -1, 0, 0.9, 1.1, 400, 2_900_000]), min_size=1, max_size=6))
def test_a_date_in_the_future_makes_nothing_new_nor_anything_else_old(tmp_path_factory, days):
    now = datetime.now(UTC)
    toy = {"text_encoder": "toy", "image_encoder": "none"}
    with Recommender.open(tmp_path_factory.mktemp("shop") / "s.mmrec", toy) as shop:
        shop.ingest(Item(item_id=str(n), added_at=now + timedelta(days=day)) for n, day in enumerate(days))
        ages = shop.snapshot().ages
    past = [day for day in days if day < 1] or days
    wanted = [max(past) - (day if day in past else min(past)) for day in days]
    assert ages == pytest.approx(wanted, abs=1e-6)


def test_ages_and_popularity_are_in_the_order_of_the_ids(index):
    snapshot = index.now()
    assert snapshot.ages.tolist() == [3, 2, 1, 0, 7, 6, 5, 4]  # days behind b3
    worth = {"r0": 2.0, "gone": 8.0, "b1": 4.0}
    assert snapshot.popular(worth).tolist() == [0, 0.5, 0, 0, 0.25, 0, 0, 0]
    assert snapshot.popular(worth) is snapshot.popular(worth)
    assert not snapshot.popular({}).any()


class Halved(IdentityTowers):
    """A trained head of a kind: what is searched is not what is remembered."""

    trained = True

    def searched(self, rows):
        return rows[:, : rows.shape[1] // 2]

    def remembered(self, rows):
        return rows[:, rows.shape[1] // 2 :]


@pytest.mark.parametrize("towers", [IdentityTowers(0.5), Halved(0.5)])
def test_a_snapshot_brought_up_to_date_is_what_a_new_reader_sees(catalogue, towers, monkeypatch):
    monkeypatch.setattr(scoring, "SMALL", 10)
    catalogue.towers = towers
    add(catalogue, *(f"g{n:02d}" for n in range(60)))
    index = LatestSnapshot(catalogue)
    spaces = (CONTENT, "title", WORDS, *([BEHAVIOUR, SEARCHED] if towers.trained else []))
    for step in range(6):
        if step % 3 < 2:
            Intake(catalogue).run([
                Item(item_id=f"g{step + 7:02d}", text={"title": f"red chair {step}"}),
                Item(item_id=f"h{step:02d}", text={"title": f"blue table {step}"}),
            ])
        if step % 3:
            catalogue.table.delete([f"g{step + 20:02d}"])
        now, new = index.now(), LatestSnapshot(catalogue).now()
        assert now.ids == new.ids
        assert now.position == new.position
        assert now.facts.equals(new.facts)
        for name in spaces if step != 3 else spaces[:1]:  # the others are then two versions behind
            np.testing.assert_array_equal(now.space(name), new.space(name))
            hits = [one.search(name, new.space(name)[step], 9) for one in (now, new)]
            assert hits[0].positions.tolist() == hits[1].positions.tolist()
        assert now.match("red table 1", 9) == new.match("red table 1", 9)
        np.testing.assert_array_equal(now.remembered, new.remembered)


def test_words_are_matched_in_titles_and_categories_under_a_condition(catalogue):
    Intake(catalogue).run([
        Item(item_id=f"G-10{n}", text={"title": title}, attributes={"price": n, "brand": "Acme"})
        for n, title in enumerate(["red mug", "a blue mug of red clay", "mugs", "red red chair", "lamp"])
    ])
    now, asked = LatestSnapshot(catalogue).now(), [("red mug", None), ("mugs", "price > 0"), ("sofa", None)]
    assert [now.match(words, 3, where=where) for words, where in asked] == [[0, 1, 3], [2, 1], []]
    assert sorted(now.match("acme", 9)) == [0, 1, 2, 3, 4]
    assert now.match("g103", 9) == [3]  # an id is a product number


def test_another_language_counts_all_words_anew(catalogue):
    latest = LatestSnapshot(catalogue)
    Intake(catalogue).run([Item(item_id="a", text={"title": "Gläser"}), Item(item_id="b")])
    catalogue.config = catalogue.config.model_copy(update={"language": "english"})
    assert latest.now().match("Glas", 9) == []
    catalogue.config = catalogue.config.model_copy(update={"language": "german"})
    Intake(catalogue).run([Item(item_id="c", text={"title": "Glas"})])
    assert sorted(latest.now().match("Glas", 9)) == [0, 2]


def test_of_a_catalogue_that_was_read_once_only_new_rows_are_read(catalogue, monkeypatch):
    add(catalogue, *(f"g{n:02d}" for n in range(60)))
    index, rows = LatestSnapshot(catalogue), []
    index.now().space(CONTENT)
    scan, batches = KeyedTable.scan, KeyedTable.batches

    def counted(table, columns, where=None, **more):
        found = scan(table, columns, where, **more)
        rows.append(found.num_rows)
        return found

    def streamed(table, columns, where=None):
        for batch in batches(table, columns, where):
            rows.append(batch.num_rows)
            yield batch

    add(catalogue, "h1")
    monkeypatch.setattr(KeyedTable, "scan", counted)
    monkeypatch.setattr(KeyedTable, "batches", streamed)
    assert len(index.now().space(CONTENT)) == 61
    assert rows == [1, 1, 1]  # ids, facts and vectors


@pytest.fixture
def held_up(catalogue, monkeypatch):
    """An index whose next snapshot is being made in a thread, until it is let go."""
    add(catalogue, *(f"g{n:02d}" for n in range(60)))
    index, began, may = LatestSnapshot(catalogue), threading.Event(), threading.Event()
    index.now().space(CONTENT)
    merged = Changes.merged_table

    def slow(*arguments):
        began.set()
        assert may.wait(10)
        return merged(*arguments)

    monkeypatch.setattr(Changes, "merged_table", slow)
    add(catalogue, "h1")

    def begin(act):
        thread = threading.Thread(target=act)
        thread.start()
        assert began.wait(10)
        return thread, may

    return index, begin


def test_a_hasty_reader_goes_on_with_what_serves_until_the_next_is_made(held_up):
    index, begin = held_up
    index.serve_stale = True
    thread, may = begin(index.catch_up)
    assert "h1" not in index.now().position
    may.set()
    thread.join()
    assert "h1" in index.now().position


def test_a_reader_who_is_not_hasty_waits_for_the_newest(held_up):
    index, begin = held_up
    thread, may = begin(index.now)
    threading.Timer(0.2, may.set).start()
    assert "h1" in index.now().position
    thread.join()


def test_a_hasty_index_has_all_ready_that_was_asked_of_the_snapshot_before(catalogue, monkeypatch):
    add(catalogue, *(f"g{n:02d}" for n in range(60)))
    index = LatestSnapshot(catalogue)
    index.serve_stale = True
    index.catch_up()  # nobody has asked for anything: there is nothing to bring up to date
    for name in (CONTENT, "title"):
        index.now().space(name)
    add(catalogue, "h1")
    index.catch_up()
    monkeypatch.setattr(KeyedTable, "scan", None)  # nothing is read any more
    now = index.now()
    assert not now.asked
    assert [len(now.space(name)) for name in (CONTENT, "title")] == [61, 61]
    assert now.asked == {CONTENT, "title"}


def test_when_a_head_takes_over_what_it_searches_is_ready(catalogue, monkeypatch):
    add(catalogue, *(f"g{n:02d}" for n in range(60)))
    index = LatestSnapshot(catalogue)
    index.serve_stale = True
    index.now().space(CONTENT)
    catalogue.towers = Halved(0.5)
    catalogue.rebuild()
    index.catch_up()
    monkeypatch.setattr(KeyedTable, "scan", None)
    assert index.now().serving == SEARCHED
    assert index.now().space(SEARCHED).shape == index.now().remembered.shape


def test_a_space_that_nobody_asks_for_any_more_is_forgotten(catalogue, monkeypatch):
    monkeypatch.setattr(snapshot, "FORGOTTEN", 6)
    add(catalogue, *(f"g{n:02d}" for n in range(60)))
    index = LatestSnapshot(catalogue)
    for name in (CONTENT, "title"):
        index.now().space(name)
    for n in range(8):
        add(catalogue, f"h{n}")
        index.now().space(CONTENT)
    assert set(index.now()._handed_on()) == {CONTENT, STORED}
    assert len(index.now().space("title")) == 68
