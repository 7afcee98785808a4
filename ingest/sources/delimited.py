"""Rows of CSV and its kin, so that a stray quote costs no more than itself.

Python's `csv` in strict mode decides what a row is. Where it refuses, the row is read again by laxer rules,
and the reading that gives as many cells as the header has is taken.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from ingest.sources.records import Tally, mended
from mmrec.types import MAX_TEXT

Quoting = Literal["double", "backslash", "single", "none"]
Cells = list[str]
_ESCAPED = re.compile(r'(\\+)"')
_QUOTE = "\ufdd0"  # stands for an escaped quote while `csv` reads; Unicode keeps it free for such uses
_CUT = "\x1f"  # stands for a delimiter of several characters
_SWAPPED = str.maketrans("'\"", "\"'")
_STRAY = "a stray quote was taken as it stands (--quoting none if the file quotes nothing)"
_BROKEN = "the row is not valid CSV: mend its quotes, or say --quoting none if the file quotes nothing"
_LAX_MOST, _LAX_QUOTES = 100_000, 200  # characters and quotes of a line that is read by the laxer rule
_SWALLOWED = 3  # lines in one quoted cell that look like whole rows: the quote that opened it was a stray one


def split_rows(
    lines: Iterable[str], delimiter: str, quoting: Quoting = "double", *, width: int | None = None,
    tally: Tally | None = None,
) -> Iterator[tuple[int, Cells, str | None]]:
    """Rows as (line where it begins, cells, problem); blank lines are passed over.

    Args:
        delimiter: one character, or several such as "::".
        quoting: how a quote inside a quoted cell is written: doubled, or after a backslash; "single" where
            cells stand in ' instead, "none" where quotes mean nothing.
        width: cells of a row, if that is known.
        tally: counts what was mended.
    """
    if len(delimiter) > 1:
        cut = (line.replace(delimiter, _CUT) for line in lines)
        yield from split_rows(cut, _CUT, quoting, width=width, tally=tally)
        return
    if quoting == "single":
        translated = (line.translate(_SWAPPED) for line in lines)
        for n, cells, problem in split_rows(translated, delimiter, width=width, tally=tally):
            yield n, [cell.translate(_SWAPPED) for cell in cells], problem
        return
    source, reader = _Lines(lines), _Reader(delimiter, quoting, width, tally or Tally())
    quoted = quoting != "none"
    while (text := source.take()) is not None:
        start = source.number
        if not text.isascii() or "\0" in text:
            text, problem = mended(text, start, reader.tally)
            if problem:
                yield start, [], problem
                continue
            text = text.removeprefix("\ufeff")  # of a file that was joined to another
        raw = text
        if not (text := text.rstrip("\r\n")):
            continue
        while width and text.endswith("\\") and text.count(delimiter) < width - 1 and (more := source.take()):
            text = raw = f"{text[:-1]}\n{more.rstrip()}"  # MySQL's way of writing a line break in a cell
        if quoted and '"' in text:
            found = reader.whole(text) or reader.quoted(text, raw, source)
            yield start, found or [], None if found else _BROKEN
        else:
            yield start, text.split(delimiter), None


class _Lines:
    """Lines that can be given back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._back: deque[str] = deque()
        self.number = 0

    def take(self) -> str | None:
        self.number += 1
        return self._back.popleft() if self._back else next(self._lines, None)

    def give_back(self, lines: Sequence[str]) -> None:
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)


class _Reader:
    """Rows that hold quotes."""

    def __init__(self, delimiter: str, quoting: Quoting, width: int | None, tally: Tally) -> None:
        self.delimiter, self.width, self.tally = delimiter, width, tally
        self._backslash = quoting == "backslash"
        # One setting for the whole process; it also bounds what an open quote can swallow.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_TEXT))
        self._next: deque[str] = deque()
        self._csv = csv.reader(iter(self._next.popleft, None), delimiter=delimiter, strict=True)
        # A quoted cell ends at a quote before a delimiter or the end, whatever quotes stand inside it.
        cut = re.escape(delimiter)
        end = rf'"[ \t]*(?={cut}|$)'
        inside = rf'[^"]*(?:(?!{end})"[^"]*)*'
        self._lax = re.compile(rf'(?:"({inside}){end}|([^{cut}]*))(?:{cut}|$)')

    def whole(self, text: str) -> Cells | None:
        """The cells of a line that is a sound row; None if it needs a closer look."""
        if self._backslash or text.count('"') % 2:
            return None
        self._next.append(text)
        try:
            cells = next(self._csv)
        except (csv.Error, IndexError):  # the latter where the quote is still open
            return None
        return cells if self.width is None or len(cells) <= self.width else None

    def quoted(self, text: str, raw: str, source: _Lines) -> Cells | None:
        """The cells of a row that begins with a line (`raw` with its end); more are taken if needed."""
        taken: Cells = []
        start = source.number
        try:
            cells = self._strict(self._more(raw, source, taken), escaped=self._backslash)
            if not (taken and self._looks_like_rows([text, *taken])):
                for number, line in enumerate(taken, start + 1):
                    mended(line, number, self.tally)
                return self._narrowed(cells, text)
        except (csv.Error, StopIteration):
            pass
        source.give_back(taken)
        self.tally.add(_STRAY, start)
        return self._mended(text) or self._over_lines(text, source)

    def _strict(self, lines: Iterable[str], *, escaped: bool = False, spaced: bool = False) -> Cells:
        if escaped:
            lines = (_ESCAPED.sub(_unescaped, line) for line in lines)
        cells = next(csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=spaced))
        return [cell.replace(_QUOTE, '"') for cell in cells] if escaped else cells

    def _more(self, raw: str, source: _Lines, taken: Cells) -> Iterator[str]:
        """The line, and as many more as the open quote asks for, unless it has swallowed whole rows."""
        yield raw
        alike = 0
        while (line := source.take()) is not None:
            taken.append(line)
            alike = alike + 1 if self._looks_like_rows([line]) else 0
            if alike == _SWALLOWED:
                return
            yield line if line.isascii() and "\0" not in line else mended(line, 0, Tally())[0]
        source.number -= 1  # nothing was taken

    def _looks_like_rows(self, lines: Cells) -> bool:
        """Whether each line alone is a row: as many cells as the header, and no white space in the first."""
        if self.width is None or self.width < 2:
            return False
        alone = [line.split(self.delimiter) for line in lines]
        return all(len(cells) == self.width and len(cells[0].split()) == 1 for cells in alone)

    def _narrowed(self, cells: Cells, text: str) -> Cells:
        """The cells; another reading of the line where these are too many and that one fits."""
        if self.width is not None and len(cells) > self.width:
            return next((other for other in self._readings(text) if len(other) == self.width), cells)
        return cells

    def _mended(self, text: str) -> Cells | None:
        readings = [*self._readings(text), self._laxly(text), text.split(self.delimiter)]
        if self.width is None:
            return readings[0]
        return next((cells for cells in readings if len(cells) == self.width), None)

    def _readings(self, text: str) -> Iterator[Cells]:
        for escaped, spaced in ((True, False), (False, True)):
            if '\\"' in text if escaped else f'{self.delimiter} "' in text:
                try:
                    yield self._strict([text], escaped=escaped, spaced=spaced)
                except csv.Error:
                    continue

    def _laxly(self, text: str) -> Cells:
        cells: Cells = []
        at = 0
        if len(text) > _LAX_MOST or text.count('"') > _LAX_QUOTES:
            return cells
        while found := self._lax.match(text, at):
            cells.append(found[2] if found[1] is None else found[1].replace('""', '"'))
            if found.end() == len(text):
                break
            at = found.end()
        if text.endswith(self.delimiter):
            cells.append("")
        return cells

    def _over_lines(self, text: str, source: _Lines) -> Cells | None:
        """Cells of a row with a line break and a stray quote in one of them."""
        taken: Cells = []
        while len(taken) < 20 and (line := source.take()) is not None:
            taken.append(line)
            text = f"{text}\n{line.rstrip()}"
            if len(cells := self._laxly(text)) == self.width and not self._looks_like_rows([line]):
                return cells
        source.give_back(taken)
        return None


def _unescaped(found: re.Match[str]) -> str:
    """Half of the backslashes before a quote, and the quote as a stand-in where one was left over."""
    count = len(found[1])
    return "\\" * (count // 2) + (_QUOTE if count % 2 else '"')
