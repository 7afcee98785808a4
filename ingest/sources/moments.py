"""Dates and times as shops write them, each column read in one way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from mmrec.types import as_utc

Order = Literal["dmy", "mdy", "ymd"]
ZERO = re.compile(r"0{4}[-/.]00[-/.]00(?:[T ].*)?|00[-/.]00[-/.]0{4}(?:[T ].*)?")  # how MySQL says "none"
_CLOCK = (
    r"(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9})\d*)?)?\s*([aApP]\.?[mM]\.?)?"
    r"\s*(Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?"
)
_ISO = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})" + _CLOCK)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})?)?")
_THREE = re.compile(r"(\d{1,2})([-/.])\s?(\d{1,2})\2\s?(\d{4}|\d{2})" + _CLOCK)
_NAMED = re.compile(
    r"(?:(?P<day>\d{1,2})(?:st|nd|rd|th|\.)?[ -]+(?:de )?(?P<month>[^\W\d]+)\.?[ ,-]+(?:de )?(?P<year>\d{4})"
    r"|(?P<month2>[^\W\d]+)\.? (?P<day2>\d{1,2})(?:st|nd|rd|th)?,? (?P<year2>\d{4}))" + _CLOCK
)
_EAST = re.compile(r"(\d{4})[年년]\s?(\d{1,2})[月월]\s?(\d{1,2})[日일]")
_MONTHS = {
    name: number
    for names in (
        "january february march april may june july august september october november december",
        "jan feb mar apr may jun jul aug sep oct nov dec",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "jan feb mär apr mai jun jul aug sep okt nov dez",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "januari februari maart april mei juni juli augustus september oktober november december",
        "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
        "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    )
    for number, name in enumerate(names.split(), start=1)
}
# Digits of whole seconds, milli-, micro- and nanoseconds from 1973 to 2099.
_EPOCHS = ((1e8, 4.1e9, 1.0), (1e11, 4.1e12, 1e-3), (1e14, 4.1e15, 1e-6), (1e17, 4.1e18, 1e-9))


def moment(cell: Any) -> datetime:
    """A date or time in UTC, as object or written so that day and month cannot be mistaken.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(cell, datetime):
        return _utc(cell)
    if isinstance(cell, date):
        return datetime.combine(cell, time(), UTC)
    if not isinstance(cell, str):
        raise ValueError(cell)
    text = cell.strip()
    if found := _ISO.fullmatch(text):
        return _made(int(found[1]), int(found[3]), int(found[4]), found.groups()[4:])
    if found := _EAST.fullmatch(text):
        return _made(int(found[1]), int(found[2]), int(found[3]))
    if found := _NAMED.fullmatch(text):
        month = _MONTHS.get((found["month"] or found["month2"]).lower(), 0)  # 0 is refused
        day, year = found["day"] or found["day2"], found["year"] or found["year2"]
        return _made(int(year), month, int(day), found.groups()[6:])
    if text[:3].isalpha() and "," in text[:5]:  # Wed, 01 May 2024 10:00:00 GMT
        return _utc(parsedate_to_datetime(text))
    raise ValueError(cell)


def ordered(order: Order) -> Callable[[Any], datetime]:
    """A reader of dates that are written in an order: 01.05.2024, 5/1/2024 10:00 AM."""

    def read(cell: Any) -> datetime:
        found = _THREE.fullmatch(cell.strip()) if isinstance(cell, str) else None
        if found is None:
            return moment(cell)
        first, second, last = int(found[1]), int(found[3]), int(found[4])
        day, month, year = {
            "dmy": (first, second, last), "mdy": (second, first, last), "ymd": (last, second, first),
        }[order]
        year += (2000 if year < 70 else 1900) if year < 100 else 0
        return _made(year, month, day, found.groups()[4:])

    return read


def orders(cells: Sequence[Any]) -> list[Order]:
    """The orders of day and month that all of these cells allow; none if they are no such dates."""
    found = [_THREE.fullmatch(cell.strip()) if isinstance(cell, str) else None for cell in cells]
    if not any(found):
        return []
    short = all(one is None or len(one[4]) == 2 for one in found)
    candidates: tuple[Order, ...] = ("dmy", "mdy", "ymd") if short else ("dmy", "mdy")
    return [order for order in candidates if _fits(ordered(order), cells)]


def epoch(cells: Sequence[Any]) -> Callable[[Any], datetime] | None:
    """The reader of cells that all count the same unit of time since 1970; of days such as 20240501, too."""
    if not cells:
        return None
    if all(isinstance(cell, str | int) and _COMPACT.fullmatch(str(cell)) for cell in cells) and _fits(
        _compact, cells
    ):
        return _compact
    for least, most, unit in _EPOCHS:
        if all(_between(cell, least, most) for cell in cells):
            return lambda cell: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=_count(cell) * unit)
    return None


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
    return float(cell)


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
    if not zone or zone[0] not in "+-":
        return timedelta()
    minutes = int(zone[1:3]) * 60 + int(zone[-2:] if len(zone) > 3 else 0)
    return timedelta(minutes=-minutes if zone[0] == "-" else minutes)


def _utc(value: datetime) -> datetime:
    try:
        return as_utc(value)
    except OverflowError as error:  # year 1 or 9999, and a zone
        raise ValueError(value) from error
