"""What a column holds and how it is written, found out from its first cells.

Whatever the format, strings are read alike: "9,50" in JSON is the number that it is in CSV.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from ingest.sources import moments
from ingest.sources.amounts import (
    Amounts,
    amounts,
    has_decimals,
    is_range,
    plain_number,
    with_thousands,
)
from ingest.sources.booleans import bools
from ingest.sources.codes import codes
from ingest.sources.moments import Order, moment
from ingest.sources.names import Role, roles
from ingest.sources.values import (
    FIXED,
    Hints,
    Kind,
    Reading,
    bracketed,
    category,
    cut,
    is_zero,
    list_parts,
    listed,
    natural,
    pieces,
    reader,
    says_nothing,
)
from mmrec.data.cleaning import unescaped

_INTERVAL = re.compile(r"[\[(][^,;]+[,;][^,;]+[\])]")
_LIST_SEPARATORS = ("|", ";", ",", "\n")
_PART, _PARTS = 50, 6  # cells of a part of a column, and parts, in which odd cells are hoped to be absent
_SHORT, _FEW_WORDS = 40, 5  # characters and words of a value of a list
_NEVER = (0, "0", -1, "-1")  # how systems that count seconds say that there is no date
_PERCENT = ("%", "％", "٪")
_OUT_OF = re.compile(  # "4.5 out of 5 stars", "4,5 von 5"
    r"\s*(\d{1,2}(?:[.,]\d+)?)\s*(?:/|out of|of|von|sur|de|di|van|av|af|z|из)\s*(5|10|100)\b\D*",
    re.IGNORECASE,
)
_SPELT: Mapping[Order, str] = {
    "dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day",
}


def infer(name: str, cells: Sequence[Any], hints: Hints | None = None) -> Reading | None:
    """How the filled cells of a column are read; None for objects and the like, which are no attribute."""
    hints = hints or Hints()
    said = (hints.types or {}).get(name)
    cells = [cell for cell in map(natural, cells) if not says_nothing(cell)]
    if said is not None:
        return _as_said(said, cells, hints, roles(name))
    if not cells:
        return FIXED["category"]
    meant, known = roles(name), (hints.known or {}).get(name)
    found = codes(cells, meant) or _but_for_a_few(cells, meant, hints)
    if known is None or (found and found.kind == known):
        return found
    reading = _as_said(known, cells, hints, meant)
    return reading if reading.kind == known and _fits(reading.read, cells, 0.5) else found


def _but_for_a_few(cells: Sequence[Any], meant: frozenset[Role], hints: Hints) -> Reading | None:
    """How cells are read, also if one in a hundred is odd: as a part without it, if that reads the rest."""
    found = _found(cells, meant, hints)
    doubtful = found is None or found.kind == "category" or (found.kind == "number" and "time" in meant)
    for start in range(0, len(cells) if doubtful and len(cells) >= 100 else 0, _PART)[:_PARTS]:
        part = _found(cells[start : start + _PART], meant, hints)
        if part is not None and part.kind in ("bool", "number", "date") and _fits(part.read, cells):
            return part
    return found


def _found(cells: Sequence[Any], meant: frozenset[Role], hints: Hints) -> Reading | None:
    return (
        bools(cells, meant) or _ratings(cells) or codes(cells, meant) or _dates(cells, meant, hints)
        or (_lists(cells, meant) if "list" in meant else None)
        or _numbers(cells, meant, hints) or _lists(cells, meant) or _categories(cells, meant)
    )


def _fits(read: Callable[[Any], Any], cells: Sequence[Any], share: float = 0.01) -> bool:
    """Whether a reader reads the cells, but for a few odd ones."""
    allowed = int(len(cells) * share)
    for cell in cells:
        try:
            read(cell)
        except ValueError:
            allowed -= 1
            if allowed < 0:
                return False
    return True


def _as_said(kind: Kind, cells: Sequence[Any], hints: Hints, meant: frozenset[Role]) -> Reading:
    if kind == "number":
        found = _numbers(cells, meant, hints, worded=True)
        return found if found is not None and found.kind == "number" else FIXED["number"]
    if kind == "date":
        return _dates(cells, frozenset({"time"}), hints) or FIXED["date"]
    if kind == "bool":
        return bools(cells, frozenset({"flag"})) or FIXED["bool"]
    if kind == "list":
        return _lists(cells, frozenset({"list"})) or FIXED["list"]
    return FIXED[kind]


def _dates(cells: Sequence[Any], meant: frozenset[Role], hints: Hints) -> Reading | None:
    kept = [cell for cell in cells if not is_zero(cell)]
    if not kept and cells:
        return FIXED["date"] if "time" in meant else None
    counted = [cell for cell in kept if not _is_never(cell)]
    if "time" in meant and (found := moments.epoch(counted)) is not None:
        read, what = found
        return Reading(
            "date", reader(lambda cell: None if _is_never(cell) else read(cell)),
            note=f"numbers are {what} (--types NAME=number)",
        )
    if _fits(moment, kept):
        return FIXED["date"]
    if hints.dates is not None:
        read = moments.ordered(hints.dates)
        return Reading("date", reader(read)) if _fits(read, kept, 0.1) else None
    allowed = moments.orders(kept)
    if len(allowed) == 1:
        (order,) = allowed
        return Reading("date", reader(moments.ordered(order)), note=f"dates are {_SPELT[order]} (--dates)")
    if len(allowed) > 1:
        note = "no value says which is the day and which the month: kept as strings (--dates dmy, mdy or ymd)"
        return Reading("category", reader(category), note=note)
    return None


def _is_never(cell: Any) -> bool:
    return isinstance(cell, str | int) and cell in _NEVER


def _numbers(
    cells: Sequence[Any], meant: frozenset[Role], hints: Hints, *, worded: bool = False
) -> Reading | None:
    """Numbers of cells; words may stand beside those of prices, or of any column (`worded`)."""
    priced = "price" in meant
    worded = worded or priced
    share = 0.5 if worded else 0.01
    usual = Amounts(".", priced=False)
    if not hints.decimals and _fits(plain_number, cells, 0) and (
        with_thousands(usual, cells, priced=priced) is usual
    ):
        return FIXED["number"]
    if not any(isinstance(cell, str) for cell in cells):
        return FIXED["number"] if _fits(plain_number, cells, share) else None
    if all(isinstance(cell, str) and cell.rstrip().endswith(_PERCENT) for cell in cells):
        return _percentages(cells, hints)
    ways = amounts(cells, hints.decimals, worded=worded)
    if not ways or not all(isinstance(cell, str | int | float | Decimal) for cell in cells):
        return None
    way = ways[0] if hints.decimals else with_thousands(ways[0], cells, priced=priced)
    if not _fits(way.read, cells, share):
        return None
    if not (way.priced or worded or any(map(has_decimals, cells)) or hints.decimals):
        return None  # 1,299 alone says nothing
    note = None
    if any(isinstance(cell, str) and ("," in cell or "." in cell) for cell in cells):
        mark = "a comma" if way.decimals == "," else "a point"
        note = f"numbers have {mark} before their decimals (--decimal)"
    if way.decimals == "." and all(not isinstance(c, str) or "," not in c for c in cells):
        note = None  # as programs write them
    beside = way.currency if way.priced and any(map(_currency(way), cells)) else None
    more = ["currencies are in NAME_currency"] if beside is not None else []
    if way.worded and any(map(is_range, cells)):
        more.append("the lower end of a range counts")
    return Reading("number", reader(way.read), beside, "; ".join(filter(None, [note, *more])) or None)


def _ratings(cells: Sequence[Any]) -> Reading | None:
    """The first numbers of cells that all say a number of stars out of so many."""
    found = [_OUT_OF.fullmatch(cell) if isinstance(cell, str) else None for cell in cells]
    scales = {one and one[2] for one in found}
    if None in scales or len(scales) > 1 or (
        any("/" in cell and not re.match(r"\s*\d+[.,]\d", cell) for cell in cells)
    ):
        return None  # fractions, perhaps

    def read(cell: Any) -> float:
        found = _OUT_OF.fullmatch(cell) if isinstance(cell, str) else None
        return plain_number(cell) if found is None else float(found[1].replace(",", "."))

    note = "ratings are numbers, 4.5 of '4.5 out of 5' (--types NAME=category)"
    return Reading("number", reader(read), note=note)


def _percentages(cells: Sequence[str], hints: Hints) -> Reading | None:
    """Numbers of cells that all end in a percent sign."""

    def bare(cell: Any) -> Any:
        return cell.rstrip().rstrip("".join(_PERCENT)) if isinstance(cell, str) else cell

    found = _numbers(list(map(bare, cells)), frozenset(), hints, worded=True)
    if found is None:
        return None
    note = "percentages are numbers, 15 of 15% (--types NAME=category)"
    return Reading("number", lambda cell: found.read(bare(cell)), note=note)


def _currency(way: Amounts) -> Callable[[Any], str | None]:
    """The currency of a cell; None where the cell cannot be read."""

    def currency(cell: Any) -> str | None:
        try:
            found: str | None = way.currency(cell)
        except ValueError:
            return None
        return found

    return currency


def _lists(cells: Sequence[Any], meant: frozenset[Role]) -> Reading | None:
    if any(isinstance(cell, list | tuple) for cell in cells):
        fits = _fits(listed, [[cell] if isinstance(cell, str) else cell for cell in cells], 0.5)
        return FIXED["list"] if fits else None
    if not all(isinstance(cell, str) for cell in cells):
        return None
    opened = any(cell.lstrip().startswith(("[", "{", "(")) for cell in cells)
    if opened and _fits(bracketed, cells) and any(list_parts(cell) is not None for cell in cells):
        return FIXED["list"]
    cells = list(map(unescaped, cells))
    if all(map(_INTERVAL.fullmatch, cells)):
        return None
    for mark in _LIST_SEPARATORS:
        several = [cell for cell in cells if mark in cell]
        if several and _is_list(several, mark, cells, "list" in meant):
            note = None if mark == "|" else f"lists, cut at {mark!r} (--types NAME=category)"
            return Reading("list", reader(partial(cut, mark=mark)), note=note)
    return None


def _is_list(several: Sequence[str], mark: str, cells: Sequence[str], named: bool) -> bool:
    """Whether cells are lists cut at a mark: all values are short, and some stand in several cells."""
    parts = [pieces(cell, mark) for cell in several]
    flat = [part for values in parts for part in values if part]
    if not flat or not all(len(part) <= _SHORT and len(part.split()) <= _FEW_WORDS for part in flat):
        return False
    if mark == "|" or named:
        return len(flat) > len(parts)
    if mark == "\n":
        return False
    if any(re.search(r"\d,\d", cell) for cell in several) or len(several) < 0.2 * len(cells):
        return False
    alone = Counter(part for cell in cells for part in set(pieces(cell, mark)))
    again = sum(count > 1 for count in alone.values())
    return again >= 0.3 * len(alone) and max(len(part.split()) for part in flat) <= 3


def _categories(cells: Sequence[Any], meant: frozenset[Role]) -> Reading | None:
    if not _fits(category, cells):
        return None
    strings = sum(isinstance(cell, str) for cell in cells)
    mixed = 0 < strings < len(cells) and not all(isinstance(cell, str | int) for cell in cells)
    note = "values of several types are kept as strings (--types NAME=number)" if mixed else None
    odd = [cell for cell in cells if isinstance(cell, str) and not _fits(plain_number, [cell])]
    if note is None and "label" not in meant and 0 < len(odd) < len(cells) / 2:
        note = f"numbers beside words such as {odd[0]!r:.40} are kept as strings (--types NAME=number)"
    return Reading("category", reader(category), note=note)
