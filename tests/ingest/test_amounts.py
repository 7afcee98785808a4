"""Prices as shops write them: among words, in ranges, with the marks and digits of other places."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.guesses import infer
from ingest.sources.values import Hints


def read(name: str, cells: list[Any]) -> list[Any]:
    reading = infer(name, cells)
    assert reading is not None
    found = []
    for cell in cells:
        try:
            found.append(reading.read(cell))
        except ValueError:
            found.append("left out")
    return found


@pytest.mark.parametrize(("cells", "numbers"), [
    (["12,90 € – 19,90 €", "5,00 €", "7,00 - 9,00 €"], [12.9, 5, 7]),
    (["$10.00 - $20.00", "$5.00"], [10, 5]),
    (["12.90-19.90", "5.00"], [12.9, 5]),
    (["ab 12,90 €", "à partir de 1 299,00 €", "5,00 €"], [12.9, 1299, 5]),
    (["Only $12.90!", "Now $7.00", "$5 ea."], [12.9, 7, 5]),
    (["12,90 € inkl. MwSt.", "7,00 € pro Stück", "1,29 €/100 g"], [12.9, 7, 1.29]),
    (["1,280円(税込)", "500円(税込)"], [1280, 500]),
    (["12.90", "free", "Gratis"], [12.9, 0, 0]),
    (["-5,00 €", "5,00- €", "12,90 €"], [-5, -5, 12.9]),
    (["($5.00)", "$12.90"], [-5, 12.9]),
    (["12.90", "12,90", "7.50"], [12.9, 12.9, 7.5]),
    (["<span>&euro;12.90</span>", "<b>7.00</b>"], [12.9, 7]),
    (["١٢٫٩٠", "٧٫٠٠"], [12.9, 7]),
    (["１２，８００円", "５００円"], [12800, 500]),
    (["12⁹⁰ €", "5,00 €"], [12.9, 5]),
    (["12€90", "5€00"], [12.9, 5]),
    (["12.90", "on request", "3 for $10", "was 19.99 now 12.99", "5", "6", "7"],
     [12.9, "left out", "left out", "left out", 5, 6, 7]),
    (["12,90; 15,90", "5,00", "6,00"], ["left out", 5, 6]),
])
def test_the_one_number_of_a_price_is_found_and_nothing_else_is_one(
    cells: list[Any], numbers: list[Any]
) -> None:
    assert read("price", cells) == numbers


@given(
    cents=st.lists(st.integers(100, 10**7), min_size=2, max_size=8),
    around=st.sampled_from([("from ", ""), ("", " per kg"), ("jetzt nur ", "*"), ("", " plus VAT"), ("~ ",
    "")]),
    sign=st.sampled_from(["€", "EUR", "zł", "$"]),
)
def test_words_around_a_price_change_nothing(cents: list[int], around: tuple[str, str], sign: str) -> None:
    cells = [f"{around[0]}{n // 100:,}.{n % 100:02} {sign}{around[1]}" for n in cents]
    assert read("sale price", cells) == [n / 100 for n in cents]


@given(
    prices=st.lists(st.integers(1, 9_999_999), min_size=1, max_size=8), large=st.integers(1_000, 999_999),
    marks=st.sampled_from([".,", ",.", " ,", "'.", "\xa0,", "’,"]), cents=st.booleans(),
    sign=st.sampled_from(["{} €", "€{}", "EUR {}", "{} kr", "$ {}", "{} zł", "from {} €", "{}"]),
)
def test_prices_of_every_locale_are_read_as_they_are_meant(
    prices: list[int], large: int, marks: str, cents: bool, sign: str
) -> None:
    between, before = marks
    prices = [*prices, large]
    written = [f"{price:,}".replace(",", between) + f"{before}50" * cents for price in prices]
    assert read("Preis", list(map(sign.format, written))) == [price + 0.5 * cents for price in prices]


@pytest.mark.parametrize(("name", "cells", "numbers"), [
    ("price", ["1.250 €", "990 €"], [1250, 990]), ("price", ["1.250", "990"], [1250, 990]),
    ("price", ["1.250", "12.90"], [1.25, 12.9]), ("price", ["1.250 €", "12.90 €"], [1250, 12.9]),
    ("price", ["1,250 €", "12,90 €"], [1250, 12.9]), ("price", ["1.250 €", "0.125 €"], [1.25, 0.125]),
    ("price", ["ab 1.250 €", "1.990 – 2.490 €"], [1250, 1990]), ("price", [1.5, "1.250"], [1.5, 1.25]),
    ("price", ["1.250 KWD", "12.500 KWD"], [1.25, 12.5]), ("cell", ["1.250 €", "990 €"], [1250, 990]),
    ("weight", ["1.250", "990"], [1.25, 990]), ("rating", ["4.125", "3"], [4.125, 3]),
    ("discount", ["12.345%", "7%"], [12.345, 7]),
])
def test_three_digits_after_the_only_mark_are_thousands_of_prices(
    name: str, cells: list[Any], numbers: list[float]
) -> None:
    assert read(name, cells) == numbers


def test_what_is_said_of_numbers_goes_before_thousands() -> None:
    for hints in (Hints(decimals="."), Hints(types={"weight": "number"})):
        reading = infer("price" if hints.decimals else "weight", ["1.250", "990"], hints)
        assert reading is not None
        assert reading.read("1.250") == 1.25


def test_the_currency_and_the_range_are_told() -> None:
    reading = infer("price", ["from 12,90 € to 19,90 €", "CHF 5,00"])
    assert reading is not None
    assert reading.beside is not None
    assert [reading.beside(cell) for cell in ("from 12,90 € to 19,90 €", "CHF 5,00")] == ["EUR", "CHF"]
    assert "lower end" in (reading.note or "")


@pytest.mark.parametrize(("name", "cells"), [
    ("size", ["1/2", "3/4", "1"]), ("size", ["38", "40", "XL"]), ("ratio", ["16:9", "4:3"]),
    ("width", ["25 mm", "30 mm"]), ("years", ["1999-2001", "2005-2010"]), ("phone", ["030/123456",
    "+49 30 1"]),
    ("rating", ["4.5/5", "3/5"]), ("hex", ["#ff0000", "#00ff00"]), ("range", ["(0, 1]", "(1, 2]"]),
])
def test_what_is_no_amount_stays_as_it_is(name: str, cells: list[str]) -> None:
    assert read(name, cells) == cells


def test_percentages_are_numbers() -> None:
    assert read("discount", ["15 %", "7.5%", "0%"]) == [15, 7.5, 0]
    assert read("Rabatt", ["15,5 %", "7 %"]) == [15.5, 7]
    assert read("discount", ["15%", "7"]) == ["15%", "7"]


def test_numbers_beside_words_are_kept_and_told() -> None:
    reading = infer("stock", ["10+", "5", "3", "7"])
    assert reading is not None
    assert reading.kind == "category"
    assert "10+" in (reading.note or "")
