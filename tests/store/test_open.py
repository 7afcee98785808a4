"""The folder of a shop: what is refused, one writer at a time, and that no crash takes a store away."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from mmrec import Item, Recommender
from mmrec.config import Config
from mmrec.errors import MmrecError, StoreBusy, StoreError, StoreMismatch
from mmrec.model.content import ContentPlan, Fields
from mmrec.store.files import LocalFiles
from mmrec.store.open import FORMAT, Models, Store

ROWS = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("n", pa.int64())])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "shop.mmrec", {"colour": "red"}, wait=10)


def rows(**values: int) -> pa.Table:
    return pa.table([[*values], [*values.values()]], schema=ROWS)


def contents(store: Store) -> dict[str, int]:
    found = store.table("rows", ROWS).scan(["key", "n"]).to_pydict()
    return dict(zip(found["key"], found["n"], strict=True))


def on_disk(store: Store) -> dict[str, object]:
    return json.loads((store.path / "store.json").read_text(encoding="utf-8"))


def test_a_new_store_is_one_that_can_be_opened_with_its_facts(store):
    assert Store.exists(store.path)
    assert Store.open(store.path, wait=1).facts == store.facts == {"format": FORMAT, "colour": "red"}


def test_folders_above_are_made_and_an_empty_one_is_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "a" / "b" / "shop.mmrec", tmp_path / "empty"):
        assert not Store.exists(path)
        Store.create(path, {}, wait=1)
        assert Store.exists(path)


def test_what_is_no_store_is_refused_and_left_alone(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "photos"
    file.write_text("a diary", encoding="utf-8")
    folder.mkdir()
    (folder / "me.png").write_bytes(b"me")
    for path in (file, folder):
        with pytest.raises(StoreError, match="no mmrec store: give another path"):
            Recommender.open(path, {"text_encoder": "toy", "image_encoder": "toy"})
    assert [p.name for p in folder.iterdir()] == ["me.png"]


def test_making_a_store_twice_keeps_the_first(store):
    store.table("rows", ROWS).upsert(rows(a=1))
    again = Store.create(store.path, {"colour": "blue"}, wait=1)
    assert again.facts["colour"] == "red"
    assert contents(again) == {"a": 1}


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"format": 1', b"[]", b"[1]", b"null", b"7", b"\xff"])
def test_damaged_facts_are_an_error_that_names_the_file(store, content):
    (store.path / "store.json").unlink()
    if content is not None:
        (store.path / "store.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"store\.json|format"):
        Store.open(store.path, wait=1)
    with pytest.raises(StoreError), store.writer():
        pytest.fail("wrote to a damaged store")


def test_a_store_of_another_format_is_refused_with_what_to_do(store):
    store.save_facts(format=FORMAT + 1)
    with pytest.raises(StoreMismatch, match=f"format {FORMAT + 1}.*reads format {FORMAT}: install"):
        Store.open(store.path, wait=1)


def full_disk(path: Path, target: Path) -> None:
    raise OSError("the disk is full")


def test_facts_are_swapped_in_whole_or_not_at_all(store, monkeypatch):
    before = dict(store.facts)
    for broken in ({"colour": object()}, {"colour": "\ud800"}):
        with pytest.raises((TypeError, ValueError)):
            store.save_facts(**broken)
    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(MmrecError, match="the disk is full"):
        store.save_facts(colour="blue")
    monkeypatch.undo()
    assert store.facts == on_disk(store) == before
    assert [p.name for p in store.path.iterdir() if p.name.endswith(".tmp")] == []
    store.save_facts(colour="blue", size=3)
    assert store.facts == on_disk(store) == {**before, "colour": "blue", "size": 3}


def test_a_writer_sees_the_facts_that_another_handle_saved(store):
    other = Store.open(store.path, wait=1)
    other.save_facts(colour="blue")
    assert store.facts["colour"] == "red"
    with store.writer():
        assert store.facts["colour"] == "blue"
    other.save_facts(colour="green")
    assert store.refresh()["colour"] == store.facts["colour"] == "green"


def test_a_table_is_made_once_and_found_again(store):
    table = store.table("rows", ROWS)
    assert store.table("rows", ROWS) is table
    table.upsert(rows(a=1))
    assert contents(Store.open(store.path, wait=1)) == {"a": 1}


HOLDER = """
import sys
from pathlib import Path
from mmrec.store.open import Store

with Store.open(Path(sys.argv[1]), wait=1).writer():
    print("holding", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the writer's lock until the block ends."""
    command = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        yield process
        process.communicate()


def test_a_second_process_waits_for_the_first_and_then_says_that_it_is_busy(store):
    impatient = Store.open(store.path, wait=0.3)
    with held(store.path):
        started = time.monotonic()
        with pytest.raises(StoreBusy, match=r"shop\.mmrec for 0\.3 s.*longer `wait`"), impatient.writer():
            pytest.fail("two writers at once")
        assert time.monotonic() - started >= 0.3
    with impatient.writer():
        pass


def test_the_lock_of_a_killed_process_is_free(store):
    with held(store.path) as process:
        process.kill()
    with store.writer():
        pass


def test_a_busy_store_can_still_be_read(tmp_path):
    settings = {"text_encoder": "toy", "image_encoder": "toy"}
    items = [Item(item_id=i, text={"title": title}) for i, title in (("a", "red mug"), ("b", "red cup"))]
    with Recommender.open(tmp_path / "shop.mmrec", settings) as shop:
        shop.ingest(items)
        shop.search("red")
    with held(tmp_path / "shop.mmrec"), Recommender.open(tmp_path / "shop.mmrec", wait=0.2) as reader:
        assert reader.similar("a")[0].item_id == "b"
        assert {r.item_id for r in reader.search("red")} == {"a", "b"}
        assert len(reader.recommend(history=["a"])) == 1
        assert len(reader) == 2
        with pytest.raises(StoreBusy):
            reader.ingest([Item(item_id="c", text={"title": "red cap"})])


def test_threads_take_turns(store):
    inside, most, done = 0, 0, []

    def write(name: int) -> None:
        nonlocal inside, most
        with store.writer(), store.writer():  # a writer may be entered again by its own thread
            inside += 1
            most = max(most, inside)
            time.sleep(0.005)
            store.save_facts(**{f"thread {name}": True})
            store.table("rows", ROWS).upsert(rows(**{f"k{name}": name, "shared": name}))
            inside -= 1
        done.append(name)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, sorted(done)) == (1, list(range(12)))
    assert len(contents(store)) == 13
    assert sum(key.startswith("thread") for key in on_disk(store)) == 12


def test_an_error_inside_a_writer_lets_the_lock_go(store):
    with pytest.raises(ZeroDivisionError), store.writer():
        _ = 1 / 0
    with Store.open(store.path, wait=0.2).writer():
        pass


def manifests(path: Path, table: str) -> list[Path]:
    """Newest first: their names count down."""
    return sorted(path.glob(f"{table}.lance/_versions/*.manifest"))


@pytest.mark.parametrize("lost", [1, 2])
def test_manifests_that_a_power_cut_left_empty_are_removed_and_the_version_before_serves(store, caplog, lost):
    table = store.table("rows", ROWS)
    for n in (1, 2, 3):
        table.upsert(rows(a=n))
    for manifest in manifests(store.path, "rows")[:lost]:
        manifest.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        healed = Store.open(store.path, wait=1)
        assert contents(healed) == {"a": 3 - lost}
    assert caplog.text.count("removed an empty manifest") == lost
    assert "ingested again" in caplog.text
    healed.table("rows", ROWS).upsert(rows(a=7, b=8))
    assert contents(healed) == contents(Store.open(store.path, wait=1)) == {"a": 7, "b": 8}
    assert all(manifest.stat().st_size for manifest in manifests(store.path, "rows"))


def test_a_table_whose_making_was_cut_off_is_made_again(store, caplog):
    store.table("rows", ROWS)
    for manifest in manifests(store.path, "rows"):
        manifest.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        healed = Store.open(store.path, wait=1)
        healed.table("rows", ROWS).upsert(rows(a=1))
    assert contents(healed) == {"a": 1}


def test_a_shop_goes_on_after_a_power_cut(tmp_path, caplog):
    path, settings = tmp_path / "shop.mmrec", {"text_encoder": "toy", "image_encoder": "toy"}
    items = [Item(item_id=f"i{n}", text={"title": f"red mug {n}"}, attributes={"price": n}) for n in range(6)]
    with Recommender.open(path, settings) as shop:
        shop.ingest(items[:4])
        shop.delete(["i0"])
    manifests(path, "items")[0].write_bytes(b"")
    with caplog.at_level(logging.WARNING), Recommender.open(path) as shop:
        assert len(shop) == 4  # the deletion was lost
        assert len(shop.similar("i0")) == 3
        assert shop.ingest(items).added == 2
        assert shop.ingest(items).unchanged == 6
        assert shop.doctor()["healthy"]
    assert "items: removed an empty manifest" in caplog.text


INGEST = """
import sys
import lancedb  # before the others are ready, so that they all start in the same moment
from mmrec import Item, Recommender

items = [Item(item_id=f"i{n}", text={"title": f"red mug {n}"}, attributes={"price": n}) for n in range(20)]
shop = Recommender.open(sys.argv[1], {"text_encoder": "toy", "image_encoder": "toy"}) if sys.argv[2] else None
print("ready", flush=True)
sys.stdin.readline()
shop = shop or Recommender.open(sys.argv[1], {"text_encoder": "toy", "image_encoder": "toy"})
report = shop.ingest(items)
print(report.rows, report.rejected, len(shop), flush=True)
"""


@pytest.mark.parametrize("opened", ["opened", ""], ids=["into one store", "making it at once"])
def test_four_processes_that_ingest_the_same_items_at_once_leave_each_once(tmp_path, opened):
    path = tmp_path / "shop.mmrec"
    command = [sys.executable, "-W", "error", "-c", INGEST, path, opened]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate()[0] for process in processes]
    assert answers == ["20 0 20\n"] * 4
    with Recommender.open(path) as shop:
        found = shop.catalogue.table.scan(["item_id"])["item_id"].to_pylist()
        assert sorted(found) == sorted(f"i{n}" for n in range(20))
        assert len(shop.similar("i0", k=50)) == 19
        assert shop.doctor()["healthy"]


# plans and heads by number: read once, complete or an error, and none left over

@pytest.fixture
def models(tmp_path):
    return Models(LocalFiles(tmp_path))


def plan_of(prices):
    return ContentPlan().fitted(Fields(len(prices), {}, {"price": prices}), Config())


def test_a_plan_is_read_once_and_there_is_an_empty_one_before_the_first(models, tmp_path):
    assert models.plan(0) == ContentPlan()
    models.write_plan(3, plan_of([1.0, 2.0, 3.0]))
    read = models.plan(3)
    assert read.slot("price").centre == 2
    (tmp_path / "content-3.safetensors").unlink()
    assert models.plan(3) is read


def test_what_is_absent_or_damaged_is_an_error_that_names_it(models, tmp_path):
    with pytest.raises(StoreError, match=r"content-7\.safetensors.*mmrec doctor"):
        models.plan(7)
    with pytest.raises(StoreError, match=r"head-7.*mmrec doctor"):
        models.towers(7)
    (tmp_path / "content-7.safetensors").write_bytes(b"no plan")
    with pytest.raises(StoreError, match=r"content-7\.safetensors.*mmrec doctor"):
        models.plan(7)


def test_only_what_serves_is_kept_also_of_what_killed_writers_left(models, tmp_path):
    files = "content-1.safetensors", "content-2.safetensors", ".content-2.safetensors.9.tmp", "store.json"
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    for name in ("head-1", "head-2", ".head-3.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ids.json").write_bytes(b"[]")
    models.keep_only(2, 1)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["content-2.safetensors", "head-1", "store.json"]
