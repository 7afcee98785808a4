"""Numbers and prices as shops write them, each column read in one way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

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
    "AED", "ARS", "AUD", "BGN", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EGP", "EUR",
    "GBP", "HKD", "HRK", "HUF", "IDR", "ILS", "INR", "ISK", "JPY", "KES", "KRW", "KZT", "MAD", "MXN",
    "MYR", "NGN", "NOK", "NZD", "PEN", "PHP", "PKR", "PLN", "QAR", "RMB", "RON", "RSD", "RUB", "SAR",
    "SEK", "SGD", "THB", "TND", "TRY", "TWD", "UAH", "USD", "UYU", "VND", "ZAR",
})
_WORDS = r"(?:from|ab|von|à partir de|desde|da|from:|od|от)?"
_PRICE = re.compile(
    rf"{_WORDS}\s*(?P<minus>-?)(?P<before>[^\d\s.,+'-]{{0,6}}?)\.?\s*"
    r"(?P<number>[+-]?[\d.,][\d.,' ]*(?:[,.][-–—]{1,2})?)"
    r"\s*(?P<after>[^\d\s.,+*/-]{0,7})\.?(?:\s?/.*|\*)?", re.IGNORECASE,
)
_BARE = re.compile(r"[\d.,' +-]*[–—-]?")
_DECIMALS = re.compile(r"\d[.,](?:\d{1,2}|[-–—]{1,2})(?:\D*)$")
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
    """

    decimals: Decimals
    priced: bool

    def read(self, cell: Any) -> float:
        """The number of a cell.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(cell, str):
            return plain_number(cell)
        number, _ = self._parts(cell)
        return self._number(number)

    def currency(self, cell: Any) -> str | None:
        """The currency beside the number of a cell: EUR of "12,90 €"."""
        return self._parts(cell)[1] if isinstance(cell, str) and self.priced else None

    def _parts(self, cell: str) -> tuple[str, str | None]:
        text = cell.translate(_SPACES).strip()
        if not self.priced or len(text) > 60:
            return text, None
        found = _PRICE.fullmatch(text)
        if found is None:
            raise ValueError(cell)
        signs = [currency_of(sign) for sign in (found["before"], found["after"]) if sign]
        return found["minus"] + found["number"].strip(), signs[0] if signs else None

    def _number(self, text: str) -> float:
        found = _GROUPED[self.decimals].fullmatch(text) if len(text) < 60 else None
        if found is None or not any(map(str.isdigit, text)):
            raise ValueError(text)
        whole = re.sub(r"[^\d+-]", "", text[: found.start(1) - 1] if found[1] is not None else text)
        digits = found[1] if found[1] and found[1].isdigit() else ""
        return _bounded(float(f"{whole or 0}.{digits}") if digits else int(whole or 0))


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


def amounts(cells: Sequence[Any], said: Decimals | None = None) -> list[Amounts]:
    """The ways in which most of the strings among these cells are numbers; best first, none if there is none.

    There are two where each number has one mark and three digits after it, as 1.299 has, or no mark at all.
    """
    strings = [cell for cell in cells if isinstance(cell, str)]
    priced = not all(_BARE.fullmatch(text.translate(_SPACES).strip()) for text in strings)
    ways = [Amounts(decimals, priced) for decimals in ((said,) if said else _MARKS)]
    counts = [sum(_reads(way, text) for text in strings) for way in ways]
    return [way for way, count in zip(ways, counts, strict=True) if count and count == max(counts)]


def has_decimals(cell: Any) -> bool:
    """Whether a string ends in a mark and one or two digits, as 12,90 does, and 12,9 €."""
    return isinstance(cell, str) and _DECIMALS.search(cell.translate(_SPACES)) is not None


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
