"""Findings: their sentences, how severe they are, and what is said of each kind."""

import json
from typing import get_args

import pytest

from mmrec.check.findings import KINDS, Row, Severity, alone, found, together


@pytest.mark.parametrize(("count", "severity"), [(1, "warning"), (3, "error"), (100, "error")])
def test_a_share_makes_an_error(count, severity):
    (finding,) = found("same-item", alone(map(str, range(count))), 120)
    assert (finding.count, finding.severity) == (count, severity)


def test_some_kinds_never_mislead():
    (finding,) = found("same-words", alone("abc"), 3)
    assert finding.severity == "note"


def test_nothing_is_no_finding():
    assert found("same-item", [], 10) == []
    assert found("undated", [], 10, 0) == []


def test_a_finding_tells_itself_in_words_and_json():
    (finding,) = found("same-item", together([["a", "b"], ["c", "d", "e"]]), 50)
    assert finding.what == "5 of 50 items (10.0%) have the words, pictures and attributes of another"
    told = json.loads(json.dumps(finding.as_dict(most=1)))
    assert told["rows"] == [{"ids": ["c", "d", "e"], "detail": ""}]
    assert (told["count"], told["of"], told["unit"]) == (5, 50, "items")
    assert (told["why"], told["todo"]) == (finding.kind.why, finding.kind.todo)


def test_rows_may_be_fewer_than_what_is_counted():
    (finding,) = found("bots", [Row(("u1",), "9 interactions")], 10, 9)
    assert finding.what == "9 of 10 interactions (90.0%) are of users that act like no human"


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_says_why_and_what_to_do(name):
    kind = KINDS[name]
    assert kind.why.endswith(".")
    assert kind.todo.endswith(".")
    assert kind.mild in get_args(Severity)
    assert kind.misleads is None or 0 < kind.misleads <= 1
