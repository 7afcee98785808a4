"""Numbers and prices as shops write them, each column read in one way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from mmrec.data.cleaning import plain_text

Decimals = Literal[".", ","]
# Not "007" or "02134": codes with zeros in front would lose them.
_PLAIN = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_GROUPED = {  # thousands are set off in threes; what stands at the end may be "-" (12,-)
    ",": re.compile(r"[+-]?(?:0|[1-9]\d{0,2}(?:[.'’ ]\d{3})+|[1-9]\d*)?(?:,(\d+|[-–—]{1,2}))?"),
    ".": re.compile(r"[+-]?(?:0|[1-9]\d{0,2}(?:[,'’ ]\d{2,3})*[,'’ ]\d{3}|[1-9]\d*)?(?:\.(\d*|[-–—]{1,2}))?"),
}
_SPACES = str.maketrans(dict.fromkeys("\xa0\u2007\u2009\u202f", " ") | {"−": "-", "٫": ",", "’": "'"})
_SIGNS = {
    "€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "￥": "JPY", "円": "JPY", "元": "CNY", "₹": "INR",
    "rs": "INR", "zł": "PLN", "zl": "PLN", "kč": "CZK", "ft": "HUF", "₽": "RUB", "руб": "RUB",
    "р": "RUB", "₩": "KRW", "원": "KRW", "r$": "BRL", "us$": "USD", "c$": "CAD", "ca$": "CAD",
    "a$": "AUD", "au$": "AUD", "nz$": "NZD", "hk$": "HKD", "s$": "SGD", "mx$": "MXN", "fr": "CHF",
    "sfr": "CHF", "₺": "TRY", "tl": "TRY", "₪": "ILS", "฿": "THB", "₫": "VND", "₴": "UAH", "грн": "UAH",
    "lei": "RON", "лв": "BGN", "kr": "kr", "euro": "EUR", "eur": "EUR", "euros": "EUR", "usd": "USD",
    "dollar": "USD", "dollars": "USD", "gbp": "GBP", "chf": "CHF", "₱": "PHP", "₦": "NGN", "₡": "CRC",
    "₸": "KZT",
}
CODES = frozenset({
    "AED", "ARS", "AUD", "BGN", "BHD", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EGP", "EUR",
    "GBP", "HKD", "HRK", "HUF", "IDR", "ILS", "INR", "ISK", "JOD", "JPY", "KES", "KRW", "KWD", "KZT", "MAD",
    "MXN", "MYR", "NGN", "NOK", "NZD", "OMR", "PEN", "PHP", "PKR", "PLN", "QAR", "RMB", "RON", "RSD", "RUB",
    "SAR", "SEK", "SGD", "THB", "TND", "TRY", "TWD", "UAH", "USD", "UYU", "VND", "ZAR",
})
_IN_THOUSANDTHS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})  # 1.250 dinars are one and a quarter
_FREE = frozenset(
    [
        "free", "gratis", "kostenlos", "umsonst", "gratuit", "gratuita", "gratuito", "zdarma", "ücretsiz",
        "бесплатно", "безкоштовно", "無料", "免费", "무료",
    ]
)
_PRICE = re.compile(
    r"(?P<minus>-?)(?P<before>[^\d\s.,+'-]{0,6}?)\.?\s*(?P<number>[+-]?[\d.,][\d.,' ]*(?:[,.][-–—]{1,2})?)"
    r"\s*(?P<after>[^\d\s.,+*/-]{0,7})\.?(?:\s?/\s?(?:\d+\s?)?[^\W\d]\D*|\*)?", re.IGNORECASE,
)
# What stands around the number of a price, and is no part of it.
_UNIT = re.compile(r"\s*(?:/|\b(?:pro|per|je|par|por|за)\b).*", re.IGNORECASE | re.DOTALL)
_RANGE = re.compile(
    r"\s*(?:[–—~]|\s-\s|(?<=[^\W\d])-|(?<=\d)-(?=\d)|\b(?:to|bis|à|a|до)\b)\s*(?=\D{0,5}\d)", re.IGNORECASE
)
_AMOUNT = re.compile(r"(-\s?)?(\d[\d.,' ]*(?:[,.][-–—]{1,2})?|[.,]\d+)(-)?")
_RAISED = re.compile(r"(?<=\d)[⁰¹²³⁴-⁹]{2}(?!\w)")  # cents, as in 12⁹⁰
_CENTS = re.compile(r"(\d+)([€$£])(\d\d)")
_BARE = re.compile(r"[\d.,' +-]*[–—-]?")
_DECIMALS = re.compile(r"\d[.,](?:\d{1,2}|[-–—]{1,2})(?:\D*)$")
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*|[.,]\d+")
_IN_THREES = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
_NO_DIGIT = re.compile(r"[^\d+-]")
_REMEMBERED = 2_048  # cells, those of a sample
_LONG = 500  # characters that no number has, with markup around it
_MARKS: tuple[Decimals, ...] = (".", ",")


def plain_number(cell: Any) -> float:
    """A number as object, or as string in the form of programs: 12.5, 1e3.

    Raises:
        ValueError: it is none, or beyond 2**53.
    """
    if isinstance(cell, str):
        text = cell.strip()
        if len(text) > 400 or not _PLAIN.fullmatch(text):
            raise ValueError(cell)
        return _bounded(int(text) if text.lstrip("+-").isdigit() else float(text))
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        raise ValueError(cell)
    return _bounded(float(cell) if isinstance(cell, Decimal) else cell)


@dataclass(frozen=True)
class Amounts:
    """How the numbers of a column are written: 1.299,00 or 1,299.00, alone or with a currency.

    Attributes:
        decimals: what stands before the decimals.
        priced: whether a currency may stand beside the number.
        worded: whether words may, too, as in "from 12,90 € per kg", and a range, whose lower end counts.
        either: whether a number with one or two decimals may have the other mark before them.
    """

    decimals: Decimals
    priced: bool
    worded: bool = False
    either: bool = False

    def read(self, cell: Any) -> float:
        """The number of a cell.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(cell, str):
            return plain_number(cell)
        return self._number(self._parts(cell)[0])

    def currency(self, cell: Any) -> str | None:
        """The currency beside the number of a cell: EUR of "12,90 €"."""
        return self._parts(cell)[1] if isinstance(cell, str) and self.priced else None

    def _parts(self, cell: str) -> tuple[str, str | None]:
        return _parts(cell, self.priced, self.worded) if len(cell) <= _LONG else (cell, None)

    def _number(self, text: str) -> float:
        found = _GROUPED[self.decimals].fullmatch(text)
        if found is None and self.either and _DECIMALS.search(text):
            found = _GROUPED["," if self.decimals == "." else "."].fullmatch(text)
        if found is None or len(text) > 59 or not any(map(str.isdigit, text)):
            raise ValueError(text)
        whole = text if found[1] is None else text[: found.start(1) - 1]
        whole = whole if whole.isdigit() else _NO_DIGIT.sub("", whole)
        digits = found[1] if found[1] and found[1].isdigit() else ""
        return _bounded(float(f"{whole or 0}.{digits}") if digits else int(whole or 0))


@lru_cache(_REMEMBERED)  # of one cell the number is asked for, and the currency
def _parts(cell: str, priced: bool, worded: bool) -> tuple[str, str | None]:
    """The number of a cell, as it is written, and the currency beside it."""
    text = _western(cell)
    if not (priced or worded) or len(text) > 60:
        return text, None
    if worded and text.lower() in _FREE:
        return "0", None
    found = _PRICE.fullmatch(text) if priced else _BARE.fullmatch(text)
    try:
        if found is None or (not priced and _RANGE.search(text)):
            raise ValueError(cell)
        if not priced:
            return text, None
        minus, before, number, after = found.groups()
        signs = list(map(currency_of, filter(None, (before, after))))
        return minus + number.strip(), signs[0] if signs else None
    except ValueError:
        if not worded:
            raise
    return _among_words(text)


def _western(cell: str) -> str:
    """A cell without markup, its digits and signs in ASCII; a long one, which is no number, as it is."""
    if len(cell) > _LONG:
        return cell
    text = plain_text(cell) if "<" in cell or "&" in cell else cell
    if not text.isascii():
        text = _RAISED.sub(lambda cents: f".{unicodedata.normalize('NFKC', cents[0])}", text)
        text = "".join(map(_plain_sign, text.translate(_SPACES)))
    elif "$" not in text:
        return text.strip()
    return _CENTS.sub(r"\1.\3 \2", text.strip())


def _plain_sign(sign: str) -> str:
    if sign.isdecimal():
        return str(unicodedata.decimal(sign))
    return chr(ord(sign) - 0xFEE0) if "\uff01" <= sign <= "\uff5e" else sign


def _among_words(text: str) -> tuple[str, str | None]:
    """The one number of a price among words, and its currency; the lower end of a range."""
    lower, *upper = _RANGE.split(_UNIT.sub("", text).lstrip("~≈ "))
    found = list(_AMOUNT.finditer(lower))
    if len(found) != 1 or len(upper) > 1:
        raise ValueError(text)
    (number,) = found
    signs = []
    for word in re.findall(r"[^\s\d()]+", text[: number.start()] + " " + text[number.end() :]):
        with suppress(ValueError):
            signs.append(currency_of(word.strip("!:;,")))
    minus = "-" if number[1] or number[3] or (text.startswith("(") and text.endswith(")")) else ""
    return minus + number[2].strip(), signs[0] if signs else None


def is_range(cell: Any) -> bool:
    """Whether a cell has the two ends of a range of prices."""
    return isinstance(cell, str) and len(cell) < 60 and _RANGE.search(_western(cell)) is not None


def currency_of(sign: str) -> str:
    """The code of a currency's sign or code.

    Raises:
        ValueError: it is none.
    """
    text = sign.strip(" .")
    if text in CODES:
        return text
    if text.lower() in _SIGNS and text not in ("ft", "tl", "fr", "FT"):  # 12 ft are feet
        return _SIGNS[text.lower()]
    raise ValueError(sign)


def amounts(cells: Sequence[Any], said: Decimals | None = None, *, worded: bool = False) -> list[Amounts]:
    """The ways in which most of the strings among these cells are numbers; best first, none if there is none.

    There are two where each number has one mark and three digits after it, as 1.299 has, or no mark at all.
    """
    strings = [cell for cell in cells if isinstance(cell, str)]
    priced = not all(_BARE.fullmatch(_western(text)) for text in strings)
    ways = [Amounts(decimals, priced, worded) for decimals in ((said,) if said else _MARKS)]
    counts = [sum(_reads(way, text) for text in strings) for way in ways]
    return [
        replace(way, either=said is None) for way, count in zip(ways, counts, strict=True)
        if count and count == max(counts)
    ]


def has_decimals(cell: Any) -> bool:
    """Whether a string ends in a mark and one or two digits, as 12,90 does, and 12,9 €."""
    return isinstance(cell, str) and _DECIMALS.search(_western(cell)) is not None


def with_thousands(way: Amounts, cells: Sequence[Any], *, priced: bool) -> Amounts:
    """The way that takes three digits after the only mark as thousands: 1.250 € beside 990 €.

    Args:
        way: by which the cells are read otherwise; it stays where nothing speaks for thousands.
        cells: filled cells of a column.
        priced: whether they are prices also without a currency: where none has one or two digits after the
            mark. One with three that cannot be thousands, such as 0.125, tells that the others are none.
    """
    texts = [_western(cell) for cell in cells if isinstance(cell, str)]
    numbers = [number for text in texts for number in _DIGITS.findall(text)]
    marks = {number[-4] for number in numbers if _IN_THREES.fullmatch(number)}
    if len(marks) != 1 or any(isinstance(cell, float) and not cell.is_integer() for cell in cells):
        return way
    mark: Decimals = "." if "." in marks else ","
    rest = [number.split(mark) for number in numbers if not _IN_THREES.fullmatch(number)]
    ends = {min(len(parts[1]), 3) for parts in rest if len(parts) == 2}
    signs = {way.currency(text) for text in texts if _reads(way, text)} - {None}
    if 3 in ends or signs & _IN_THOUSANDTHS or not (signs or (priced and not ends)):
        return way
    return replace(way, decimals="," if mark == "." else ".", either=True)


def _reads(way: Amounts, text: str) -> bool:
    try:
        way.read(text)
    except ValueError:
        return False
    return True


def _bounded(number: float) -> float:
    if not abs(number) <= 2**53:  # also for NaN
        raise ValueError(number)
    return number
