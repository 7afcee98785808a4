"""Which objects of a JSON value are the rows of its table: those of a list inside it, of keys, of columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ingest.sources.columns import IDS, TEXTS
from ingest.sources.json_ld import product_nodes
from ingest.sources.names import plain_name
from ingest.sources.records import Record, Tally

LISTS = frozenset({
    "products", "items", "data", "records", "results", "entries", "rows", "docs", "documents", "hits",
    "objects", "catalog", "catalogue", "articles", "offers", "list", "feed", "edges", "nodes", "content",
    "response", "values",
})
# What holds the one object of a row, and names of columns by which objects are rows.
_WRAPPERS = frozenset({"product", "item", "article", "offer", "record", "document", "doc", "entry", "node"})
_TELLING = frozenset({*IDS, *TEXTS, "price", "brand", "category", "image", "images"})
_IDS = frozenset(map(plain_name, IDS))
_PERSON = re.compile(r"user|visitor|customer|client|session", re.IGNORECASE)
_JSON_API = frozenset({"id", "documentId", "type", "attributes", "relationships", "links", "meta"})
_BULK = frozenset({"_id", "_index", "_type", "routing", "_routing", "version", "retry_on_conflict"})
_ROW = "\0row"  # stands for the name of a row of cells, whose names are found later
_DEPTH = 4  # levels at which the list may lie


def value_records(value: Any, line: int, raw: str, tally: Tally, *, lone: bool = False) -> Iterator[Record]:
    """The records of a value; of a `lone` one, which is the whole document, those of any list inside it."""
    objects = value if isinstance(value, list) else [value]
    if products := product_nodes(value):
        objects = products
    elif _is_wrapped(value):
        pass
    elif isinstance(value, dict) and (lone or len(value) == 1) and (keyed := _keyed(value)):
        objects = keyed
        _tell(tally, "the rows are the objects inside one object, their keys the ids", line, lone)
    elif lone and isinstance(value, dict) and (columns := _columns(value)):
        objects = columns
        _tell(tally, "the rows are those of lists by column", line, lone)
    elif isinstance(value, dict) and (found := _list_in(value, lone)) is not None:
        name, objects = found
        _tell(tally, f"the rows are the objects of the list {name!r}", line, lone)
    elif isinstance(value, list) and value and not isinstance(value[0], dict | list):
        yield Record({_ROW: value}, line)
        return
    for one in objects:
        one = _unwrapped(one)
        if isinstance(one, dict):
            yield Record(one, line)
        else:
            yield Record({}, line, f"a JSON object {{...}} was expected, got {type(one).__name__}", raw)


def _tell(tally: Tally, what: str, line: int, lone: bool) -> None:
    """Says it once of a whole document, and counts lines of which it is so."""
    if lone:
        tally.say(what)
    else:
        tally.add(what, line)


def under_names(records: Iterator[Record]) -> Iterator[Record]:
    """Records, also of arrays of cells under a first one of names."""
    names: list[str] | None = None
    for number, record in enumerate(records):
        row = record.cells.get(_ROW)
        if row is None:
            yield record
        elif number == 0 and all(isinstance(name, str) for name in row):
            names = row
        elif names is None or len(row) > len(names):
            wanted = "a JSON object {...} was expected, got list" if names is None else None
            problem = wanted or f"the row has {len(row)} cells, the header {len(names or ())}"
            yield Record({}, record.line, problem, str(row)[:500])
        else:
            yield Record(dict(zip(names, row, strict=False)), record.line)


def identified(records: Iterator[Record]) -> Iterator[Record]:
    """Records, also those of Elasticsearch's bulk files, where an object before each has its id."""
    given: dict[str, Any] | None = None
    for record in records:
        cells = record.cells
        action = next(iter(cells)) if len(cells) == 1 else ""
        inner = cells[action] if action in ("index", "create", "update") else None
        if isinstance(inner, dict) and not inner.keys() - _BULK:
            given = inner
            continue
        if given is not None:
            doc = cells["doc"] if isinstance(cells.get("doc"), dict) else cells
            record, given = replace(record, cells={"_id": given.get("_id"), **doc}), None
        yield record


def _list_in(value: dict[str, Any], lone: bool) -> tuple[str, list[Any]] | None:
    """The list of objects inside an object that is no product itself, by its name or its length."""
    found = _lists(value, _DEPTH)
    if not found:
        return None
    own = any(
        isinstance(cell, str | int) and (plain_name(key) in _IDS or _PERSON.search(key))
        for key, cell in value.items()
    )
    name, objects = max(found, key=lambda pair: (pair[0].casefold() in LISTS, len(pair[1])))
    return None if own and not (lone and name.casefold() in LISTS) else (name, objects)


def _keyed(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of `{"a1": {"title": ...}, ...}`, or of `{"title": {"0": ...}, ...}` as pandas writes it."""
    for name, part in value.items():
        if name.casefold() in LISTS and isinstance(part, dict) and (found := _keyed(part)):
            return found
    parts = list(value.values())
    if not parts or not all(isinstance(part, dict) and part for part in parts):
        return []
    first = parts[0].keys()
    if len(parts) > 1 and all(part.keys() == first and all(map(str.isdigit, part)) for part in parts):
        return [{name: part[number] for name, part in value.items()} for number in parts[0]]
    shared = set(map(str.casefold, parts[0])).intersection(*(map(str.casefold, part) for part in parts[1:]))
    if not shared & _TELLING or (len(parts) == 1 and {*map(str.casefold, value)} & {*LISTS, *_WRAPPERS}):
        return []
    return [part if any(name in part for name in IDS) else {"id": key, **part} for key, part in value.items()]


def _columns(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of `{"id": ["a1", "a2"], ...}`, or of `{"columns": ["id", ...], "data": [["a1", ...]]}`."""
    names = next((value[name] for name in ("columns", "fields", "header", "headers") if name in value), None)
    rows = next((value[name] for name in ("data", "rows", "values", "records") if name in value), None)
    if isinstance(names, list) and isinstance(rows, list) and all(isinstance(row, list) for row in rows):
        return [dict(zip(map(str, names), row, strict=False)) for row in rows]
    if names is None and rows and _are_rows(rows):
        return [dict(zip(rows[0], row, strict=False)) for row in rows[1:]]
    lists = list(value.values())
    if len(lists) < 2 or not all(isinstance(one, list) and one for one in lists):
        return []
    if len(set(map(len, lists))) > 1 or any(isinstance(one, dict) for column in lists for one in column):
        return []
    return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=True)]


def _are_rows(rows: Any) -> bool:
    """Whether a list is one of rows under a first one of names, as spreadsheets on the web give them."""
    lists = isinstance(rows, list) and len(rows) > 1 and all(isinstance(row, list) and row for row in rows)
    return lists and all(isinstance(name, str) for name in rows[0])


def _lists(value: dict[str, Any], depth: int) -> list[tuple[str, list[Any]]]:
    found = []
    for name, part in value.items():
        if isinstance(part, list):
            if part and isinstance(part[0], dict) and all(isinstance(one, dict) for one in part):
                found.append((name, part))
        elif depth and isinstance(part, dict):
            found += _lists(part, depth - 1)
    return found


def _is_wrapped(value: Any) -> bool:
    """Whether an object is a row inside another one, whatever lists the row has."""
    inner = _unwrapped(value)
    return inner is not value and not {*map(plain_name, inner)}.isdisjoint(_TELLING)


def _unwrapped(one: Any) -> Any:
    """The object itself, of `{"node": {...}}` (GraphQL), `{"_source": {...}}` (Elasticsearch) and so on."""
    if not isinstance(one, dict):
        return one
    if isinstance(one.get("node"), dict) and one.keys() <= {"node", "cursor"}:
        return one["node"]
    if isinstance(one.get("attributes"), dict) and "id" in one and one.keys() <= _JSON_API:
        return {"id": one["id"], **one["attributes"]}
    if isinstance(one.get("_source"), dict):
        return {"_id": one.get("_id"), **one["_source"]}
    if len(one) == 1 and isinstance(inner := next(iter(one.values())), dict) and (
        next(iter(one)).casefold() in _WRAPPERS
    ):
        return {name: _dynamo(cell) for name, cell in inner.items()}
    return one


def _dynamo(cell: Any) -> Any:
    """The value of DynamoDB's `{"S": "lamp"}`; any other as it is."""
    if not isinstance(cell, dict) or len(cell) != 1:
        return cell
    ((kind, value),) = cell.items()
    if kind == "M" and isinstance(value, dict):
        return {name: _dynamo(one) for name, one in value.items()}
    if kind == "L" and isinstance(value, list):
        return list(map(_dynamo, value))
    return None if kind == "NULL" else value if kind in ("S", "N", "BOOL", "SS", "NS") else cell
