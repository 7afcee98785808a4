"""Yes and no in many languages, and the words that are only sometimes yes and no."""

from __future__ import annotations

import pytest

from ingest.sources.guesses import infer


@pytest.mark.parametrize(("yes", "no"), [
    ("sì", "no"), ("ja", "nej"), ("Evet", "Hayır"), ("kyllä", "ei"), ("ano", "ne"), ("igen", "nem"), ("예",
    "아니오"),
    ("네", "아니요"), ("✓", "✗"), ("да", "не"), ("так", "ні"), ("ναι", "όχι"), ("نعم", "لا"), ("כן", "לא"),
    ("ใช่", "ไม่"), ("có", "không"), ("ya", "tidak"), ("はい", "いいえ"), ("有", "無"),
])
@pytest.mark.parametrize("name", ["active", "anything"])
def test_yes_and_no_of_many_languages(name: str, yes: str, no: str) -> None:
    reading = infer(name, [yes, no, yes])
    assert reading is not None
    assert reading.kind == "bool"
    assert [reading.read(cell) for cell in (yes, no)] == [True, False]
    assert "--types" in (reading.note or "")


@pytest.mark.parametrize("cells", [["enabled", "disabled"], ["Active", "inactive"], ["V", "F"], ["x", "x"]])
def test_some_words_are_yes_and_no_where_the_name_asks_for_them(cells: list[str]) -> None:
    asked, other = infer("is_active", cells), infer("mode", cells)
    assert asked is not None
    assert other is not None
    assert (asked.kind, other.kind) == ("bool", "category")


def test_figures_beside_words_are_words_of_the_same_kind() -> None:
    reading = infer("sale", ["1", "0", "true", "false"])
    assert reading is not None
    assert [reading.read(cell) for cell in ("1", "0", "true")] == [True, False, True]
