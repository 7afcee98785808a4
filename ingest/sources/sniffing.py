"""How a text file is written: its encoding, its delimiter, its quotes, and the line of its header.

Own scorer: on exports of shops DuckDB's sniffer took report lines for the header, and cut a file whose last
column is partly left out at another delimiter; it reads neither UTF-16, Windows-1252 nor Shift-JIS unasked.
"""

from __future__ import annotations

import codecs
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import get_args

from ingest.sources.columns import IDS, IMAGES, TEXTS
from ingest.sources.delimited import Cells, Quoting, split_rows
from ingest.sources.moments import moment
from ingest.sources.names import roles
from ingest.sources.records import Tally
from mmrec.errors import DataError

DELIMITERS = (",", "\t", ";", "|", "\x01", "^", "~", "::")
SAMPLED = 300  # first rows that tell how a file is written
_HEADERS = 20  # first rows among which the header is
_KNOWN = frozenset((*IDS, *IMAGES, *TEXTS, "price", "brand", "category", "color", "colour", "sku"))
NO_HEADER = "no header, so columns are called column_1, column_2 and so on (--header-line)"
_SEP = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_NUMBER = re.compile(r"[^\w]*[\d][\d.,:/\s-]*[^\w]*(?:[A-Z]{3})?|[+-]?[\d.,]+\s*\S{0,3}|https?://\S+")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How a file of a table is written, as far as the caller says it; what is None is found out.

    Attributes:
        encoding: of a text file, by a name that Python knows: "utf-8", "cp1252", "shift_jis".
        quoting: of a CSV file: how a quote in a quoted cell is written ("double" or "backslash"), "single" if
            cells stand in ' instead, or "none" if quotes mean nothing.
        header_line: of a table: the line of the header (1-based); what is above is left out. 0 is
            none at all.
        sheet: name of the sheet of a workbook.
    """

    encoding: str | None = None
    quoting: Quoting | None = None
    header_line: int | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        if self.quoting not in (None, *get_args(Quoting)):
            raise DataError(f"quoting is one of {', '.join(get_args(Quoting))}, got {self.quoting!r}")
        if self.header_line is not None and self.header_line < 0:
            raise DataError(f"the header's line is counted from 1, 0 is none; got {self.header_line}")
        try:
            codecs.lookup(self.encoding or "utf-8")
        except LookupError:
            raise DataError(
                f"no encoding is called {self.encoding!r}: use a name such as utf-8, cp1252 or shift_jis"
            ) from None


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a CSV file is written.

    Attributes:
        delimiter: one character, or several.
        quoting: see `ReadOptions`.
        header_line: see `ReadOptions`.
        newline: what ends a line: "\\n", which may follow "\\r", or "\\r" alone.
        rows: the first ones, the header before all others.
        guesses: how this differs from plain CSV, each with the option that overrides it.
    """

    delimiter: str
    quoting: Quoting
    header_line: int
    newline: str
    rows: Sequence[Cells]
    guesses: Sequence[str]


@lru_cache(1)  # a file is looked at twice: as what it is read, and to be read
def sniff_form(text: str, *, name: str = "", delimiter: str | None, options: ReadOptions) -> Form | None:
    """How the beginning of a CSV file says that it is written; None if no header can be found in it."""
    newline = "\n" if "\n" in text or "\r" not in text else "\r"
    first = text.split(newline, 1)[0].strip("\r\ufeff ")
    if delimiter is None and (said := _SEP.fullmatch(first)):
        delimiter = said[1]
    lines = list(islice(io.StringIO(text, newline=newline), SAMPLED))
    found = [
        _tried(lines, each, quoting, options.header_line)
        for each in ([delimiter] if delimiter else [",", *(one for one in DELIMITERS[1:] if one in text)])
        for quoting in ([options.quoting] if options.quoting else _quotings(text))
    ]
    tab = ".tsv" in name.lower()
    score, rows = max(found, key=lambda tried: tried[0].value + 0.3 * (tab and tried[0].delimiter == "\t"))
    if not rows:
        return None
    line, guesses = score.line, _guesses(score, said=delimiter, options=options)
    if unnamed := without_header(rows, options.header_line):
        line, rows = line - 1, unnamed
        guesses = [*(guess for guess in guesses if "--header-line" not in guess), NO_HEADER]
    return Form(
        delimiter=score.delimiter, quoting=score.quoting, header_line=line, newline=newline, rows=rows,
        guesses=guesses,
    )


@dataclass(frozen=True)
class _Score:
    value: float
    delimiter: str
    quoting: Quoting
    line: int


def _quotings(text: str) -> list[Quoting]:
    others: list[Quoting] = ["single"] if text.lstrip().startswith("'") else []
    escaped: list[Quoting] = ["backslash"] if '\\"' in text else []
    return ["double", *others, *escaped]


def _tried(
    lines: Sequence[str], delimiter: str, quoting: Quoting, header_line: int | None
) -> tuple[_Score, list[Cells]]:
    """How well a delimiter and quoting cut the first lines into rows of one width, and these rows."""
    rows = [(n, cells) for n, cells, _ in split_rows(lines, delimiter, quoting) if any(map(str.strip, cells))]
    if rows and _SEP.fullmatch(delimiter.join(rows[0][1]).strip()):
        rows = rows[1:]
    if not rows:
        return _Score(-1, delimiter, quoting, 1), []
    at = sniff_rows(rows, header_line)
    tally, line = Tally(), rows[at][0]
    width = len(rows[at][1])
    cut = split_rows(lines[line - 1 :], delimiter, quoting, width=width, tally=tally)
    kept = [cells for _, cells, _ in cut if any(map(str.strip, cells))]
    widths = Counter(_width(cells) for cells in kept)
    mode = max(widths, key=lambda one: (widths[one], one))
    fit = sum(count * (0.8 if n < mode else 1.0) for n, count in widths.items() if 1 < n <= max(mode, width))
    value = fit / len(kept) + 0.05 * math.log2(max(mode, 1)) - 0.3 * tally.count() / len(kept)
    if width < 2 or mode < 2:
        value = -0.5 + (delimiter == ",") * 0.1
    elif width < mode - 1:
        value /= 2
    value += 0.3 * _is_known(rows[at][1]) - 0.25 * (at > 0)
    return _Score(value, delimiter, quoting, line), kept


def _width(cells: Cells) -> int:
    """Cells of a row up to the last that holds something."""
    return next((n for n in range(len(cells), 0, -1) if cells[n - 1].strip()), 0)


def sniff_rows(rows: Sequence[tuple[int, Cells]], line: int | None) -> int:
    """Which of the first rows (number, cells) is the header."""
    if line:
        return next((at for at, (start, _) in enumerate(rows) if start >= line), len(rows) - 1)
    later = Counter(_width(cells) for _, cells in rows[1:])
    width = max(later, key=lambda one: (later[one], one)) if later else _width(rows[0][1])
    if line == 0:
        return next((at for at, (_, cells) in enumerate(rows) if _width(cells) == width), 0)
    scores = [_headlike(cells, width) for _, cells in rows[:_HEADERS]]
    return next(at for at, score in enumerate(scores) if score >= 0.7 * max(scores))


def without_header(rows: Sequence[Cells], line: int | None) -> list[Cells] | None:
    """The rows under a header of made-up names, if none stands there; `line` is the header's, if said."""
    first, *others = rows
    if line or (line is None and (_is_known(first) or any(map(roles, first)))):
        return None
    others = [row for row in others if row != first]
    if line is None and not any(_is_value(first, at, others) for at in range(len(first))):
        return None
    return [[f"column_{at + 1}" for at in range(max(map(len, rows)))], *rows]


def _is_value(first: Cells, at: int, others: Sequence[Cells]) -> bool:
    """Whether a cell of the first row is one of its column's: a number or date among such, or there again."""
    cell, column = first[at].strip(), [row[at].strip() for row in others if at < len(row)]
    alike = sum(map(_is_measured, column)) > len(column) / 2
    return bool(cell) and bool(column) and (cell in column or (alike and _is_measured(cell)))


def _is_measured(cell: str) -> bool:
    if _NUMBER.fullmatch(cell):
        return True
    try:
        return bool(moment(cell))
    except ValueError:
        return False


def _headlike(cells: Cells, width: int) -> float:
    """How much a row looks like a header of so many columns: filled, apart, no numbers, known names."""
    names = [cell.strip().casefold() for cell in cells[: _width(cells)]]
    filled = [name for name in names if name]
    if not filled or (width > 1 and len(filled) < 2 and len(names) < 2):
        return 0.0
    if not names[0]:  # of an index
        filled.append("")
    covers = (len(filled) + 0.5 * (len(names) - len(filled))) / max(width, len(names))
    apart = len(set(filled)) / len(filled)
    words = sum(not _NUMBER.fullmatch(name) and len(name) <= 64 for name in filled) / len(filled)
    return covers * apart * words * (1 + _is_known(filled))


def _is_known(names: Cells) -> bool:
    """Whether one of the names is one that tables of products have."""
    return any(re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_") in _KNOWN for name in names)


def _guesses(score: _Score, *, said: str | None, options: ReadOptions) -> list[str]:
    guesses = []
    if said is None and score.delimiter != ",":
        guesses.append(f"delimiter {score.delimiter!r} (--delimiter)")
    if options.quoting is None and score.quoting != "double":
        what = "quotes escaped by a backslash" if score.quoting == "backslash" else "cells in single quotes"
        guesses.append(f"{what} (--quoting)")
    if options.header_line is None and score.line > 1:
        guesses.append(f"header in line {score.line} (--header-line)")
    return guesses
