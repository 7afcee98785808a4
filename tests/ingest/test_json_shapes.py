"""Rows of JSON in the shapes in which tools write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.sources.tables import table_file

ROWS = [{"id": "A1", "title": "Lamp", "price": 1.5}, {"id": "A2", "title": "Mug", "price": 2.5}]
BARE = [{"title": "Lamp", "price": 1.5}, {"title": "Mug", "price": 2.5}]
BULK = [{"index": {"_id": "A1"}}, BARE[0], {"create": {"_id": "A2", "_index": "p"}}, BARE[1]]
DYNAMO = [
    {"Item": {"id": {"S": row["id"]}, "title": {"S": row["title"]}, "price": {"N": str(row["price"])}}}
    for row in ROWS
]
MONGO = [
    {"_id": {"$oid": row["id"]}, "title": row["title"], "price": {"$numberDecimal": str(row["price"])}}
    for row in ROWS
]


def read(path: Path, *values: Any) -> list[dict[str, Any]]:
    path.write_text("\n".join(map(json.dumps, values)), encoding="utf-8")
    rows = []
    for record in table_file(path).records():
        assert record.problem is None
        cells = dict(record.cells)
        cells["id"] = cells.pop("_id", cells.get("id"))
        rows.append({name: str(cells[name]) for name in ("id", "title", "price")})
    return rows


@pytest.mark.parametrize("values", [
    [ROWS], ROWS, [{"products": ROWS, "links": [{"rel": "next"}] * 5}], [{"data": ROWS,
    "included": [{"id": 1}] * 9}],
    [{"A1": BARE[0], "A2": BARE[1]}], [{"products": {"A1": BARE[0], "A2": BARE[1]}}],
    [{"A1": BARE[0]}, {"A2": BARE[1]}], [{name: [row[name] for row in ROWS] for name in ROWS[0]}],
    [{name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ROWS[0]}],
    [{"columns": list(ROWS[0]), "index": [0, 1], "data": [list(row.values()) for row in ROWS]}],
    [{"schema": {"fields": [{"name": "id"}] * 3}, "data": ROWS}],
    [[list(ROWS[0]), *(list(row.values()) for row in ROWS)]],
    BULK, DYNAMO, MONGO, [{"product": row} for row in ROWS],
    [{"data": [{"type": "p", "id": row["id"], "attributes": BARE[n]} for n, row in enumerate(ROWS)]}],
    [{"page": 1, "products": ROWS[:1]}, {"page": 2, "products": ROWS[1:]}],
    [{"A1": BARE[0] | {"images": [{"src": "a"}] * 3}, "A2": BARE[1] | {"images": [{"src": "b"}] * 3}}],
])
def test_the_same_rows_in_any_shape(tmp_path: Path, values: list[Any]) -> None:
    expected = [{name: str(cell) for name, cell in row.items()} for row in ROWS]
    assert read(tmp_path / "x.json", *values) == expected


def test_an_event_with_a_list_of_items_is_one_row(tmp_path: Path) -> None:
    event = {"user_id": "u1", "event": "purchase", "items": [{"id": "A1"}, {"id": "A2"}]}
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(event)}\n" * 2, encoding="utf-8")
    assert [dict(record.cells) for record in table_file(tmp_path / "x.jsonl").records()] == [event, event]


def test_a_list_among_objects_is_told_and_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"id": 1}\n["a", "b"]\n{"id": 2}\n', encoding="utf-8")
    problems = [record.problem for record in table_file(tmp_path / "x.jsonl").records()]
    assert [problem is None for problem in problems] == [True, False, True]
