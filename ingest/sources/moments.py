"""Dates and times as shops write them, each column read in one way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, Literal

from mmrec.types import as_utc

Order = Literal["dmy", "mdy", "ymd"]
# How MySQL, .NET and Excel say "none".
ZERO = re.compile(r"(?:0{4}[-/.]00[-/.]00|00[-/.]00[-/.]0{4}|0001-01-01|1899-12-3[01])(?:[T ].*)?")
_CLOCK = (
    r"(?:[T ,:]+(\d{1,2})(?::|時|시)\s?(\d{2})(?::(\d{2})(?:[.,](\d{1,9})\d*)?|分)?\s*([aApP]\.?[mM]\.?)?"
    r"\s*((?:UTC|GMT)?[+-]\d{2}(?::?\d{2})?|[zZ]|[A-Z]{3,4})?)?"
)
_ISO = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})\.?" + _CLOCK)
_BASIC = re.compile(r"\d{8}T\d{4}(?:\d{2})?(?:Z|[+-]\d{2}:?\d{2})?")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})?)?")
_THREE = re.compile(r"(\d{1,2})([-/.])\s?(\d{1,2})\2\s?(\d{4}|\d{2})" + _CLOCK)
_NAMED = re.compile(
    r"(?:(?P<day>\d{1,2})(?:st|nd|rd|th|er|[.ºª°])?[ /-]+(?:de )?(?P<month>[^\W\d]+)\.?[ ,/-]+(?:de )?"
    r"(?P<year>\d{4}|\d{2})(?: г\.?| р\.?| года)?"
    r"|(?P<month2>[^\W\d]+)\.? (?P<day2>\d{1,2})(?:st|nd|rd|th)?,? (?P<year2>\d{4})"
    r"|(?P<year3>\d{4})\. (?P<month3>[^\W\d]+)\.? (?P<day3>\d{1,2})\.?)" + _CLOCK
)
_EAST = re.compile(r"(\d{4})[年년]\s?(\d{1,2})[月월]\s?(\d{1,2})[日일]" + _CLOCK)
_CTIME = re.compile(
    r"(?P<month>[^\W\d]+)\s+(?P<day>\d{1,2}) (?P<clock>[\d:]{8}(?: [A-Z]{3,4})?) (?P<year>\d{4})"
)
_WEEKDAY = re.compile(r"[^\W\d]{2,12}\.?,?\s+(?=\w)")
# JavaScript's "(Central European Summer Time)", and Java's "[Europe/Berlin]" behind an offset.
_REMARK = re.compile(r"\s*\([\w ]+\)$|(?:(?<=[+-]\d\d:\d\d)|(?<=Z))\[[\w/+-]+\]$")
_DOTNET = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")
_ZONES = {  # hours from UTC; names of several zones, such as IST, are left out
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "MEZ": 1, "CEST": 2, "MESZ": 2,
    "EET": 2, "EEST": 3, "MSK": 3, "SGT": 8, "HKT": 8, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "EST": -5,
    "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "BRT": -3,
}
_MONTHS = {
    name: number
    for names in (
        "january february march april may june july august september october november december",
        "jan feb mar apr may jun jul aug sep oct nov dec",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "januari februari mars april maj juni juli augusti september oktober november december",
        "januar februar marts april maj juni juli august september oktober november desember",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "januari februari maart april mei juni juli augustus september oktober november december",
        "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
        "ledna února března dubna května června července srpna září října listopadu prosince",
        "január február március április május június július augusztus szeptember október november december",
        "ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie decembrie",
        "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
        "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta syyskuuta"
        " lokakuuta marraskuuta joulukuuta",
        "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
        "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня",
        "ιανουαρίου φεβρουαρίου μαρτίου απριλίου μαΐου ιουνίου ιουλίου αυγούστου σεπτεμβρίου οκτωβρίου"
        " νοεμβρίου δεκεμβρίου",
    )
    for number, name in enumerate(names.split(), start=1)
}
# Digits of whole seconds, milli-, micro- and nanoseconds from 1973 to 2099.
_EPOCHS = ((1e8, 4.1e9, 1.0), (1e11, 4.1e12, 1e-3), (1e14, 4.1e15, 1e-6), (1e17, 4.1e18, 1e-9))
_EXCEL = (30_000, 60_000)  # days since the end of 1899, from 1982 to 2064


def moment(cell: Any) -> datetime:
    """A date or time in UTC, as object or written so that day and month cannot be mistaken.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(cell, datetime):
        return _utc(cell)
    if isinstance(cell, date):
        return datetime.combine(cell, time(), UTC)
    if not isinstance(cell, str) or ZERO.fullmatch(cell.strip()):
        raise ValueError(cell)
    text = _REMARK.sub("", cell.strip())
    found = _dated(text) or ((weekday := _WEEKDAY.match(text)) and _dated(text[weekday.end() :]))
    if not found:
        raise ValueError(cell)
    return found


def _dated(text: str) -> datetime | None:
    """The moment that a text says; None if it has no form that is known here."""
    if found := _ISO.fullmatch(text):
        return _made(int(found[1]), int(found[3]), int(found[4]), found.groups()[4:])
    if _BASIC.fullmatch(text):
        return _utc(datetime.fromisoformat(text))
    if found := _EAST.fullmatch(text):
        return _made(int(found[1]), int(found[2]), int(found[3]), found.groups()[3:])
    if found := _CTIME.fullmatch(text):
        return _dated(f"{found['day']} {found['month']} {found['year']} {found['clock']}")
    if found := _NAMED.fullmatch(text):
        day, month, year = (
            next(one for number in ("", 2, 3) if (one := found[f"{part}{number}"]))
            for part in ("day", "month", "year")
        )
        return _made(_full_year(int(year)), _month(month), int(day), found.groups()[9:])
    return None


def _month(name: str) -> int:
    """The number of a month's name, or of its first letters if no other begins so; 0 if there is none."""
    name = name.lower()
    if name in _MONTHS:
        return _MONTHS[name]
    found = {number for known, number in _MONTHS.items() if known.startswith(name) and len(name) > 2}
    return found.pop() if len(found) == 1 else 0  # which is refused


def _full_year(year: int) -> int:
    return year + (2000 if year < 70 else 1900) if year < 100 else year


def ordered(order: Order) -> Callable[[Any], datetime]:
    """A reader of dates that are written in an order: 01.05.2024, 5/1/2024 10:00 AM."""

    def read(cell: Any) -> datetime:
        found = _three(cell)
        if found is None:
            return moment(cell)
        first, second, last = int(found[1]), int(found[3]), int(found[4])
        day, month, year = {
            "dmy": (first, second, last), "mdy": (second, first, last), "ymd": (last, second, first),
        }[order]
        return _made(_full_year(year), month, day, found.groups()[4:])

    return read


def _three(cell: Any) -> re.Match[str] | None:
    """A date of three numbers, perhaps behind a day of the week."""
    if not isinstance(cell, str):
        return None
    weekday = _WEEKDAY.match(cell := cell.strip())
    return _THREE.fullmatch(cell, weekday.end() if weekday else 0)


def orders(cells: Sequence[Any]) -> list[Order]:
    """The orders of day and month that all of these cells allow; none if they are no such dates."""
    found = list(map(_three, cells))
    if not any(found):
        return []
    short = all(one is None or (len(one[4]) == 2 and one[2] != ".") for one in found)
    candidates: tuple[Order, ...] = ("dmy", "mdy", "ymd") if short else ("dmy", "mdy")
    return [order for order in candidates if _fits(ordered(order), cells)]


def epoch(cells: Sequence[Any]) -> tuple[Callable[[Any], datetime], str] | None:
    """What reads cells that all count the same unit of time, and what that is; days such as 20240501, too."""
    if not cells:
        return None
    if all(isinstance(cell, str | int) and _COMPACT.fullmatch(str(cell)) for cell in cells) and _fits(
        _compact, cells
    ):
        return _compact, "days such as 20240501"
    for least, most, unit in _EPOCHS:
        if all(_between(cell, least, most) for cell in cells):
            return partial(_since, 1970, 1, 1, unit), "time since 1970"
    if all(_between(cell, *_EXCEL) for cell in cells):
        return partial(_since, 1899, 12, 30, 86_400.0), "days as spreadsheets count them"
    return None


def _since(year: int, month: int, day: int, unit: float, cell: Any) -> datetime:
    seconds = _count(cell) * unit
    seconds = round(seconds, 2) if unit > 1 else seconds  # fractions of days are not exact
    return datetime(year, month, day, tzinfo=UTC) + timedelta(seconds=seconds)


def _compact(cell: Any) -> datetime:
    found = _COMPACT.fullmatch(str(cell))
    if found is None:
        raise ValueError(cell)
    clock = (found[4], found[5], found[6], None, None, None)
    return _made(int(found[1]), int(found[2]), int(found[3]), clock)


def _between(cell: Any, least: float, most: float) -> bool:
    try:
        return least <= _count(cell) <= most
    except ValueError:
        return False


def _count(cell: Any) -> float:
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        raise ValueError(cell)
    found = _DOTNET.fullmatch(cell.strip()) if isinstance(cell, str) else None
    return float(found[1] if found else cell)


def _fits(read: Callable[[Any], datetime], cells: Sequence[Any]) -> bool:
    try:
        for cell in cells:
            read(cell)
    except ValueError:
        return False
    return True


def _made(year: int, month: int, day: int, clock: Sequence[str | None] = ()) -> datetime:
    """The moment of a date and of hour, minute, second, fraction, half of the day and zone."""
    if not clock or clock[0] is None:
        return datetime(year, month, day, tzinfo=UTC)
    hour, minute, second, fraction, half, zone = clock
    hours = int(hour or 0)
    if half:
        if not 1 <= hours <= 12:
            raise ValueError(hours)
        hours = hours % 12 + 12 * (half[0] in "pP")
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    local = datetime(year, month, day, hours, int(minute or 0), int(second or 0), micro, tzinfo=UTC)
    return _utc(local - _offset(zone))


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone.upper() in _ZONES:
        return timedelta(hours=_ZONES[(zone or "UTC").upper()])
    zone = zone[3:] if zone[0] in "UG" else zone
    if zone[0] not in "+-":
        raise ValueError(zone)
    minutes = int(zone[1:3]) * 60 + int(zone[-2:] if len(zone) > 3 else 0)
    return timedelta(minutes=-minutes if zone[0] == "-" else minutes)


def _utc(value: datetime) -> datetime:
    try:
        return as_utc(value)
    except OverflowError as error:  # year 1 or 9999, and a zone
        raise ValueError(value) from error
