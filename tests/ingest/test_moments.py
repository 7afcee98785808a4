"""Dates of many places and machines; what can be read in two ways is never guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.guesses import infer
from ingest.sources.moments import moment, orders
from ingest.sources.times import time_reader

MAY = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", [
    "1er mai 2024", "1 maj 2024", "1 Mayıs 2024", "1 мая 2024 г.", "1. května 2024", "2024. május 1.",
    "1 de mayo de 2024", "1º de maio de 2024", "1 травня 2024", "01-MAY-24", "mercredi 1 mai 2024",
    "Mi, 1. Mai 2024", "2024年5月1日 00:00", "2024년 5월 1일", "2024.05.01.", "20240501T000000Z",
    "2024-05-01T02:00:00+02:00[Europe/Berlin]", "Wed May  1 00:00:00 2024", "Wed May 01 00:00:00 UTC 2024",
    "Wed May 01 2024 02:00:00 GMT+0200 (Central European Summer Time)", "01/May/2024:00:00:00 +0000",
    "2024-05-01 02:00:00 CEST", "2024-04-30 20:00:00 EDT", "2024-05-01 00:00:00.000000 UTC", "May 1, 2024",
    "Wed, 01 May 2024 00:00:00 GMT", "1 toukokuuta 2024", "1 Μαΐου 2024",
])
def test_one_day_in_the_words_of_many_places(text: str) -> None:
    assert moment(text) == MAY


@pytest.mark.parametrize("text", [
    "2024-05-01 10:00:00 IST", "1 mar. foo 2024", "0000-00-00", "0001-01-01T00:00:00", "1899-12-30",
    "May 2024",
    "soon", "1 ma 2024", "2024-13-01", "Q1 2024", "1.2.3",
])
def test_what_is_no_date_or_of_several_zones_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):  # says something
        moment(text)


@given(
    moment_=st.datetimes(datetime(1971, 1, 1), datetime(2090, 1, 1)),
    form=st.sampled_from(["%Y-%m-%d %H:%M:%S", "%d %B %Y %H:%M:%S", "%a %b %d %H:%M:%S %Y",
    "%Y%m%dT%H%M%SZ"]),
)
def test_any_moment_in_any_form_is_read_back(moment_: datetime, form: str) -> None:
    moment_ = moment_.replace(microsecond=0)
    assert moment(moment_.strftime(form)) == moment_.replace(tzinfo=UTC)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2090, 1, 1)), st.integers(-11, 13))
def test_offsets_are_taken_off(naive: datetime, hours: int) -> None:
    aware = naive.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    assert moment(aware.strftime("%Y-%m-%d %H:%M:%S %z")) == aware
    assert moment(aware.strftime("%d/%b/%Y:%H:%M:%S %z")) == aware


@pytest.mark.parametrize(("cells", "values"), [
    (["1714521600", "0", "-1"], [MAY, None, None]),
    (["45413", "45413.4166666667"], [MAY, MAY + timedelta(hours=10)]),
    (["/Date(1714521600000)/", "/Date(1714521600000+0200)/"], [MAY, MAY]),
    (["20240501", "20240501"], [MAY, MAY]),
    (["2024-05-01", "0001-01-01T00:00:00", "0000-00-00"], [MAY, None, None]),
])
def test_counts_of_time_and_dates_for_none(cells: list[Any], values: list[Any]) -> None:
    reading = infer("created_at", cells)
    assert reading is not None
    assert reading.kind == "date"
    assert [reading.read(cell) for cell in cells] == values


def test_dots_between_two_figures_are_never_years_first() -> None:
    assert orders(["24.12.23", "13.01.24"]) == ["dmy"]
    assert orders(["Mi, 24.12.2023"]) == ["dmy"]
    assert orders(["01/02/2024"]) == ["dmy", "mdy"]


def test_times_of_logs_that_say_nothing_or_count_days() -> None:
    notes: list[str] = []
    read = time_reader(["45413.5", "45414"], notes)
    assert read("45413.5") == MAY + timedelta(hours=12)
    assert any("spreadsheets" in note for note in notes)
    assert time_reader([0, -1, 1714521600], []) (-1) is None
