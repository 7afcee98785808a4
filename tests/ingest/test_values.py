"""Values: what a column holds and how it is written."""

from __future__ import annotations

import enum
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.guesses import infer
from ingest.sources.pictures import pictures
from ingest.sources.values import Hints


class Colour(enum.Enum):
    RED = "red"


def read(name: str, cells: list[Any], **hints: Any) -> tuple[str, list[Any]]:
    reading = infer(name, cells, Hints(**hints))
    assert reading is not None
    return reading.kind, [reading.read(cell) for cell in cells]


def day(year: int, month: int, number: int, *clock: int) -> datetime:
    return datetime(year, month, number, *clock, tzinfo=UTC)


@pytest.mark.parametrize(("cells", "numbers", "currencies"), [
    (["1.299,00", "12,90"], [1299, 12.9], None),
    (["1,299.00", "12.50"], [1299, 12.5], None),
    (["$1,299.00", "$12.50"], [1299, 12.5], ["USD", "USD"]),
    (["10.90 EUR", "1200.00 EUR"], [10.9, 1200], ["EUR", "EUR"]),
    (["1 299,00 zł", "9,50 zł"], [1299, 9.5], ["PLN", "PLN"]),
    (["CHF 1'299.50", "CHF 3.00"], [1299.5, 3], ["CHF", "CHF"]),
    (["12,- €", "8,50 €"], [12, 8.5], ["EUR", "EUR"]),
    (["￥1,200", "￥980"], [1200, 980], ["JPY", "JPY"]),
    (["from 3.50", "7.99"], [3.5, 7.99], None),
    (["1.299", "2.450"], [1299, 2450], None),
    (["7.99", 3, Decimal("1.5")], [7.99, 3, 1.5], None),
])
def test_prices_are_numbers_and_their_currency_stands_beside(
    cells: list[Any], numbers: list[float], currencies: list[str] | None
) -> None:
    reading = infer("Verkaufspreis", cells)
    assert reading is not None
    assert [reading.read(cell) for cell in cells] == numbers
    assert (reading.beside and [reading.beside(cell) for cell in cells]) == currencies


@given(
    amounts=st.lists(st.integers(0, 10**9), min_size=1, max_size=20),
    marks=st.sampled_from(
        [(",", "."), (".", ","), ("'", "."), (" ", ","), ("\u202f", ","), ("", ","), ("", ".")]
    ),
    sign=st.sampled_from(["{}", "{} €", "€{}", "EUR {}", "{} USD", "{} kr"]),
)
def test_any_way_of_writing_prices_gives_the_same_numbers(
    amounts: list[int], marks: tuple[str, str], sign: str
) -> None:
    thousands, decimals = marks
    cells = [
        sign.format(f"{cents // 100:,}".replace(",", thousands) + decimals + f"{cents % 100:02}")
        for cents in amounts
    ]
    kind, values = read("price", cells)
    assert kind == "number"
    assert values == [pytest.approx(cents / 100) for cents in amounts]


@pytest.mark.parametrize(("name", "cells"), [
    ("size", ["12 cm", "14 cm"]), ("height", ["12 ft"]), ("zip", ["02134", "12345"]),
    ("category_id", [12, 13]),
    ("ean", ["4006381333000", "4006381333007"]), ("gtin13", [4006381333000, 4006381333007]),
    ("number", ["4006381333000", "4006381333007"]), ("version", ["1.2.3"]), ("x", ["1,299"]),
    ("availability", ["in stock", "out of stock"]), ("city", ["Berlin, Germany", "Paris, France"]),
    ("size", ["38", "39", "XL"]),
])
def test_what_only_looks_like_a_number_is_a_label(name: str, cells: list[Any]) -> None:
    assert read(name, cells) == ("category", [str(cell) for cell in cells])


def test_a_few_odd_values_do_not_make_a_column_of_strings() -> None:
    reading = infer("stock", ["5"] * 999 + ["many"])
    assert reading is not None
    assert reading.kind == "number"
    with pytest.raises(ValueError, match="many"):
        reading.read("many")


@pytest.mark.parametrize(("name", "cells", "moments"), [
    ("created_at", ["2024-05-01 10:00:00 UTC"], [day(2024, 5, 1, 10)]),
    ("x", ["2024-05-01 10:00:00+0200", "2024-05-01T10:00:00.123456789Z"],
     [day(2024, 5, 1, 8), day(2024, 5, 1, 10, 0, 0, 123456)]),
    ("x", ["0000-00-00 00:00:00", "2024-05-01"], [None, day(2024, 5, 1)]),
    ("x", ["1970-01-01", "2099-12-31"], [day(1970, 1, 1), day(2099, 12, 31)]),
    ("launch", ["01.05.2024", "13.05.2024"], [day(2024, 5, 1), day(2024, 5, 13)]),
    ("launch", ["5/1/2024 10:30 PM", "5/13/2024 12:00 AM"], [day(2024, 5, 1, 22, 30), day(2024, 5, 13)]),
    ("x", ["Wed, 01 May 2024 10:00:00 GMT"], [day(2024, 5, 1, 10)]),
    ("x", ["1 May 2024", "1. März 2024", "May 2, 2024"], [day(2024, 5, 1), day(2024, 3, 1), day(2024, 5, 2)]),
    ("x", ["2024年5月1日"], [day(2024, 5, 1)]), ("x", ["2024/05/01"], [day(2024, 5, 1)]),
    ("created_at", ["1714557600", "1714557700"], [day(2024, 5, 1, 10), day(2024, 5, 1, 10, 1, 40)]),
    ("updated", [1714557600000], [day(2024, 5, 1, 10)]), ("time", [1714557600000000], [day(2024, 5, 1, 10)]),
    ("date", ["20240501"], [day(2024, 5, 1)]), ("x", [date(2024, 5, 1)], [day(2024, 5, 1)]),
])
def test_dates_of_many_forms(name: str, cells: list[Any], moments: list[datetime]) -> None:
    assert read(name, cells) == ("date", moments)


def test_epoch_seconds_are_times_by_the_columns_name_alone() -> None:
    assert read("views", [1714557600])[0] == "number"
    assert read("year", ["2019", "2020"])[0] == "number"


def test_dates_that_may_be_read_in_two_ways_are_never_guessed() -> None:
    cells = ["01.05.2024", "02.05.2024"]
    reading = infer("launch", cells)
    assert reading is not None
    assert reading.kind == "category"
    assert "--dates" in (reading.note or "")
    assert read("launch", cells, dates="dmy") == ("date", [day(2024, 5, 1), day(2024, 5, 2)])
    assert read("launch", cells, dates="mdy") == ("date", [day(2024, 1, 5), day(2024, 2, 5)])
    assert read("launch", ["13.05.2024", "05.13.2024"])[0] == "category"  # no one order


@given(st.lists(st.dates(date(1980, 1, 1), date(2060, 1, 1)), min_size=1, max_size=30), st.sampled_from("dm"))
def test_dates_of_a_settled_order_are_read_right(days: list[date], first: str) -> None:
    form = "%d/%m/%Y" if first == "d" else "%m/%d/%Y"
    kind, values = read("launch", [one.strftime(form) for one in days])
    if any(one.day > 12 for one in days):
        assert (kind, values) == ("date", [day(one.year, one.month, one.day) for one in days])
    else:
        assert kind == "category"


@pytest.mark.parametrize(("cells", "values"), [
    (["TRUE", "FALSE"], [True, False]), (["yes", "no", "yes"], [True, False, True]),
    (["ja", "nein"], [True, False]),
    (["oui", "non"], [True, False]), (["WAHR", "FALSCH"], [True, False]), (["VRAI", "FAUX"], [True, False]),
    (["да", "нет"], [True, False]), (["Y", "N"], [True, False]), ([True, "false"], [True, False]),
])
def test_booleans_in_common_words(cells: list[Any], values: list[bool]) -> None:
    assert read("x", cells) == ("bool", values)


def test_words_that_may_be_more_stay_words() -> None:
    assert read("size", ["N", "N"])[0] == "category"
    assert read("sale", ["yes", "no"], types={"sale": "category"}) == ("category", ["yes", "no"])


@pytest.mark.parametrize(("name", "cells", "values"), [
    ("x", ['["x"]', '["y", "z"]'], [["x"], ["y", "z"]]), ("x", ["['a', 'b']", "[]"], [["a", "b"], []]),
    ("x", ["a|b", "c"], [["a", "b"], ["c"]]), ("sizes", ["S, M, L", "S"], [["S", "M", "L"], ["S"]]),
    ("x", ["S, M, L", "M, L", "S"], [["S", "M", "L"], ["M", "L"], ["S"]]),
    ("x", ["red;blue", "blue;green", "red"], [["red", "blue"], ["blue", "green"], ["red"]]),
    ("x", [["a", 1, None], "b"], [["a", "1"], ["b"]]),
])
def test_lists_of_many_forms(name: str, cells: list[Any], values: list[list[str]]) -> None:
    assert read(name, cells) == ("list", values)


@pytest.mark.parametrize(
    "hostile", ["[" * 9_000, "['a'" + " + 'a'" * 500 + "]", "[__import__('os')]", "[1e999999]"]
)
def test_lists_of_python_are_read_and_not_run(hostile: str) -> None:
    assert infer("x", [hostile]) is not None
    assert pictures(hostile)


def test_values_of_other_libraries_are_plain() -> None:
    one = uuid.uuid4()
    assert read("x", [one]) == ("category", [str(one)])
    assert read("x", [Colour.RED]) == ("category", ["red"])
    assert read("x", [timedelta(hours=1)]) == ("number", [3600])
    assert read("x", [Decimal("9.50")]) == ("number", [9.5])


@pytest.mark.parametrize(("cell", "found"), [
    ("a.png, b.png", ["a.png", "b.png"]), ("a.png|b.png", ["a.png", "b.png"]),
    ("a.jpg;b.jpeg", ["a.jpg", "b.jpeg"]),
    ("https://x/a.jpg, https://x/b.jpg", ["https://x/a.jpg", "https://x/b.jpg"]),
    ("https://x/w_1,h_2/a.jpg", ["https://x/w_1,h_2/a.jpg"]), ("red, blue.png", ["red, blue.png"]),
    ('["a.png", "b.png"]', ["a.png", "b.png"]), ("['a.png']", ["a.png"]), ("[]", []),
    ("data:image/png;base64,iVBO,x", ["data:image/png;base64,iVBO,x"]), (b"png", [b"png"]),
    ([{"id": 5, "src": "a.png", "alt": "mug"}], ["a.png"]), ({"url": "a.png"}, ["a.png"]),
    ([{"thumb": "t.png", "large": "l.png", "hi_res": None}, {"thumb": "u.png"}], ["l.png", "u.png"]),
    ({"hi_res": ["h.png", None], "large": ["l.png", "m.png"]}, ["h.png", "m.png"]),
    ({"bytes": None, "path": "p.png"}, ["p.png"]), ('{"src": "a.png"}', ["a.png"]), (None, []),
    ({"main": {"src": "a.png"}}, ["a.png"]),
])
def test_pictures_of_a_cell(cell: Any, found: list[Any]) -> None:
    assert pictures(cell) == found


@given(st.lists(st.one_of(
    st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.datetimes(), st.lists(st.text()),
    st.dictionaries(st.text(), st.integers()), st.binary(), st.decimals(),
), max_size=8), st.sampled_from(["x", "price", "created_at", "tags", "ean"]))
def test_any_cells_are_read_or_left_out(cells: list[Any], name: str) -> None:
    reading = infer(name, cells)
    for cell in cells if reading else ():
        try:
            reading.read(cell)  # type: ignore[union-attr]
        except (ValueError, ArithmeticError, TypeError):
            continue
