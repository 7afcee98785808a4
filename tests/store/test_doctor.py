"""What the doctor finds, mends and marks, and how the next ingest heals what is marked."""

import json

import numpy as np
import pyarrow as pa
import pytest

from mmrec import Item
from mmrec.search.hits import Hits
from mmrec.search.latest import search_health
from mmrec.store import schema
from mmrec.store.doctor import examine
from mmrec.store.ingest import Intake
from mmrec.store.interactions import Interactions


@pytest.fixture
def behaviour(catalogue):
    return Interactions(catalogue.store, catalogue.config)


@pytest.fixture
def filled(catalogue, red_blue):
    Intake(catalogue).run(red_blue)
    return catalogue


def write(catalogue, item_id, **columns):
    """Writes values straight into one row."""
    fields = [schema.BASE.field("item_id"), *(catalogue.table.schema.field(name) for name in columns)]
    rows = pa.table([[item_id], *([value] for value in columns.values())], schema=pa.schema(fields))
    assert catalogue.table.upsert(rows, update_only=True) == (0, 1)


def record_of(catalogue, item_id):
    return json.loads(catalogue.table.read([item_id], ["record"])["record"][0].as_py())


def test_a_sound_store_is_healthy(filled, behaviour):
    report = examine(filled, behaviour)
    assert (report["healthy"], report["problems"]) == (True, [])
    assert report["items"]["rows"] == 8
    assert report["items"]["bytes"] > 0
    assert report["interactions"]["rows"] == 0
    assert (report["vector_column"], report["dim"]) == (filled.vector_column, filled.plan.dim)
    json.dumps(report)


def test_the_road_of_a_search_is_named_and_its_recall_measured(filled, monkeypatch):
    assert search_health(filled) == {"road": "exact: one matrix product", "queries": 8, "recall_at_10": 1.0}
    monkeypatch.setattr("mmrec.search.topk.SMALL", 4)
    found = search_health(filled)
    assert (found["road"], found["recall_at_10"]) == ("exact: 8-bit codes name the candidates", 1.0)
    nothing = Hits(np.zeros(0, np.intp), np.zeros(0, np.float32))
    monkeypatch.setattr("mmrec.search.topk.Scorer.top", lambda *_: nothing)
    assert search_health(filled)["recall_at_10"] == 0.0


def test_an_empty_store_is_healthy(catalogue, behaviour):
    assert examine(catalogue, behaviour)["healthy"]


def test_items_without_any_field_are_healthy(catalogue, behaviour):
    Intake(catalogue).run([Item(item_id="bare")])
    assert examine(catalogue, behaviour)["healthy"]
    Intake(catalogue).run([Item(item_id="titled", text={"title": "mug"})])
    assert examine(catalogue, behaviour)["healthy"]


def _unreadable(catalogue, item_id):
    write(catalogue, item_id, record="{not json")


def _other_text(catalogue, item_id):
    record = record_of(catalogue, item_id)
    record["text"]["title"] = "forged"
    write(catalogue, item_id, record=json.dumps(record))


def _no_item(catalogue, item_id):
    write(catalogue, item_id, record='{"item_id": ""}')


def _no_digests(catalogue, item_id):
    write(catalogue, item_id, digests="{")


def _empty_digests(catalogue, item_id):
    write(catalogue, item_id, digests="[]")


def _no_embedding(catalogue, item_id):
    write(catalogue, item_id, e_title=None)


def _no_vector(catalogue, item_id):
    write(catalogue, item_id, **{catalogue.vector_column: None})


def _nan_vector(catalogue, item_id):
    write(catalogue, item_id, **{catalogue.vector_column: np.full(catalogue.plan.dim, np.nan, np.float32)})


DAMAGES = [
    (_unreadable, "record cannot be read"), (_no_item, "record cannot be read"),
    (_no_digests, "record cannot be read"), (_other_text, "text differs"),
    (_empty_digests, "text differs"),
    (_no_embedding, "embedding missing"), (_no_vector, "vector missing"), (_nan_vector, "vector missing"),
]


@pytest.mark.parametrize(("damage", "what"), DAMAGES)
def test_damage_is_found_marked_and_healed_by_the_next_ingest(filled, behaviour, red_blue, damage, what):
    encoders = filled.encoders["text"], filled.encoders["image"]
    damage(filled, "r1")
    damage(filled, "b2")
    report = examine(filled, behaviour)
    assert not report["healthy"]
    (problem,) = report["problems"]
    assert what in problem["what"]
    assert (problem["count"], sorted(problem["items"])) == (2, ["b2", "r1"])
    assert "next ingest" in problem["done"]
    before = [encoder.calls for encoder in encoders]
    healed = Intake(filled).run(red_blue)
    assert (healed.updated, healed.unchanged) == (2, 6)  # what is sound is left alone
    assert [e.calls - n for e, n in zip(encoders, before, strict=True)] == [4, 2]
    assert examine(filled, behaviour)["healthy"]
    assert filled.get(["r1"])["r1"].text["title"] == "red mug"
    assert Intake(filled).run(red_blue).unchanged == 8


@pytest.mark.parametrize(("damage", "what"), DAMAGES)
def test_without_mending_the_doctor_only_tells(filled, behaviour, red_blue, damage, what):
    damage(filled, "r1")
    version = filled.table.version
    for _ in range(2):
        report = examine(filled, behaviour, mend=False)
        assert [(p["items"], p["done"]) for p in report["problems"]] == [(["r1"], "nothing")]
    assert filled.table.version == version


def test_a_marked_row_is_told_until_it_is_healed(filled, behaviour, red_blue):
    _other_text(filled, "r1")
    examine(filled, behaviour)
    report = examine(filled, behaviour)
    assert not report["healthy"]
    assert [p["items"] for p in report["problems"]] == [["r1"]]
    Intake(filled).run(red_blue)
    assert examine(filled, behaviour)["healthy"]


def test_rows_left_without_vectors_by_a_killed_ingest_are_mended_at_once(filled, behaviour):
    _no_vector(filled, "r1")
    with filled.store.writer():
        filled.store.save_facts(stale=True)
    told = examine(filled, behaviour, mend=False)
    assert {p["done"] for p in told["problems"]} == {"nothing"}
    report = examine(filled, behaviour)
    assert [p["done"] for p in report["problems"]] == ["rebuilt"]
    assert examine(filled, behaviour)["healthy"]


def test_at_most_twenty_items_of_a_problem_are_named(catalogue, behaviour):
    Intake(catalogue).run([Item(item_id=f"m{n:02}", text={"title": "mug"}) for n in range(25)])
    for n in range(25):
        write(catalogue, f"m{n:02}", record="{")
    (problem,) = examine(catalogue, behaviour)["problems"]
    assert (problem["count"], len(problem["items"])) == (25, 20)


def test_mending_compacts_the_tables(catalogue, behaviour):
    for n in range(6):
        Intake(catalogue).run([Item(item_id=f"m{n}", text={"title": "mug"})])
    before = catalogue.table.health()["fragments"]
    assert examine(catalogue, behaviour)["items"]["fragments"] < before
