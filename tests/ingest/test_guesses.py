"""One odd value in many costs that value alone, by every road; what a store holds already decides a doubt."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.read import cleaned, open_rows
from ingest.sources import from_frame
from ingest.sources.guesses import infer
from ingest.sources.values import Hints
from mmrec.types import Item

MANY = 1_000
COLUMNS: dict[str, tuple[list[Any], Any, type]] = {
    "weight": ([str(n / 2) for n in range(MANY)], "call us", float),
    "price": ([f"{n},50 €" for n in range(MANY)], "auf Anfrage", float),
    "in_stock": (["ja", "nein"] * (MANY // 2), "vielleicht", bool),
    "flag": (["true", "false"] * (MANY // 2), "maybe", bool),
    "iso": ([f"2024-{n % 12 + 1:02}-{n % 28 + 1:02}" for n in range(MANY)], "soon", datetime),
    "made": ([f"{n % 28 + 1:02}.{n % 12 + 1:02}.2024" for n in range(MANY)], "bald", datetime),
    "released_at": ([str(1_700_000_000 + n) for n in range(MANY)], "later", datetime),
    "colours": ([json.dumps(["red", "blue"])] * MANY, "[broken", list),
}
TYPED: dict[str, tuple[list[Any], Any, type]] = {
    "weight": ([n / 2 for n in range(MANY)], "call us", float), "flag": ([True, False] * 500, "maybe", bool),
    "number": ([n / 2 for n in range(MANY)], [1, "two"], float), "yes": ([True, False] * 500, 7, bool),
}


def by_file(name: str, content: dict[str, list[Any]], folder: Path) -> tuple[list[Any], list[str]]:
    path = folder / name
    if path.suffix == ".csv":
        pd.DataFrame(content).to_csv(path, index=False)
    elif path.suffix == ".parquet":
        pq.write_table(pa.table(content), path)
    else:
        rows = (dict(zip(content, cells, strict=True)) for cells in zip(*content.values(), strict=True))
        path.write_text("\n".join(map(json.dumps, rows)))
    opened = open_rows(path)
    return list(opened.rows), list(opened.notes)


def by_frame(kind: Any, content: dict[str, list[Any]]) -> tuple[list[Any], list[str]]:
    source = from_frame(kind(content))
    return list(cleaned(source)), source.notes


def read(road: str, content: dict[str, list[Any]], folder: Path) -> tuple[list[Any], list[str]]:
    if road in ("pandas", "polars"):
        return by_frame(pd.DataFrame if road == "pandas" else pl.DataFrame, content)
    return by_file(road, content, folder)


def check(rows: list[Any], notes: list[str], name: str, at: int, kind: type) -> None:
    assert all(isinstance(row, Item) for row in rows)
    found = [row.attributes.get(name) for row in rows]
    assert found[at] is None
    assert {type(value) for n, value in enumerate(found) if n != at} <= {kind, int if kind is float else kind}
    assert any(f"column {name!r}: what is not" in note and "1 time" in note for note in notes)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("road", ["x.csv", "x.jsonl", "x.parquet", "pandas", "polars"])
def test_one_odd_value_in_a_thousand_costs_that_value(tmp_path: Path, road: str, name: str) -> None:
    values, odd, kind = COLUMNS[name]
    at = 777
    content = {
        "id": [f"i{n}" for n in range(MANY)], "title": [f"Mug number {n}" for n in range(MANY)],
        name: [*values[:at], odd, *values[at + 1 :]],
    }
    check(*read(road, content, tmp_path), name, at, kind)


@pytest.mark.parametrize("name", TYPED)
def test_one_odd_object_in_a_thousand_costs_that_object(tmp_path: Path, name: str) -> None:
    values, odd, kind = TYPED[name]
    content = {
        "id": [f"i{n}" for n in range(MANY)], "title": [f"Mug number {n}" for n in range(MANY)],
        name: [*values[:5], odd, *values[6:]],
    }
    check(*by_file("x.jsonl", content, tmp_path), name, 5, kind)


@given(st.sets(st.integers(0, MANY - 1), max_size=MANY // 200), st.sampled_from(sorted(COLUMNS)))
def test_odd_cells_anywhere_do_not_change_what_a_column_holds(places: set[int], name: str) -> None:
    values, odd, kind = COLUMNS[name]
    cells = [odd if n in places else value for n, value in enumerate(values)]
    reading = infer(name, cells)
    assert reading is not None
    assert reading.kind == {float: "number", bool: "bool", datetime: "date", list: "list"}[kind]


@pytest.mark.parametrize(("cells", "known", "kind"), [
    (["1", "2", "3"], "category", "category"), (["1,50", "n.V.", "ab"], "number", "category"),
    (["1,50", "2,50", "ab"], "number", "number"), (["S", "M"], "number", "category"),
    (["ja", "ja", "?"], "bool", "category"), (["a, b", "c"], "list", "list"),
    (["01.02.2024", "03.04.2024"], "date", "category"), (["2024-05-01", "soon"], "date", "date"),
])
def test_what_a_store_holds_decides_where_half_of_the_cells_can_be_that(
    cells: list[str], known: Any, kind: str
) -> None:
    reading = infer("x", cells, Hints(known={"x": known}))
    assert reading is not None
    assert reading.kind == kind
