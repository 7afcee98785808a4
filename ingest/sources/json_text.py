"""Records of JSON: lines, arrays, pretty-printed objects one after another, an object with a list inside."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

from ingest.sources.json_shapes import identified, under_names, value_records
from ingest.sources.records import Record, Tally, lines, mended
from mmrec.errors import DataError

MAX_DOCUMENT = 2**28  # characters of one value that is no element of the outermost list
_MONGO = frozenset({"$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$uuid"})
_WHITE = " \t\r\n,;)\ufeff\x1e"  # between values; commas where they belong and where they do not
# What stands before JSON in a script, or in front of one by mistake: `var products =`, `callback(`, comments.
_SCRIPT = re.compile(
    r"(?:\s|//[^\n]*\n|/\*(?:[^*]|\*(?!/))*+\*/)*+(?:(?:[\w.$]{1,60}\s+){0,3}[\w.$]{1,60}\s*=|[\w.$]{1,60}\(|)\s*"
    r"(?=\[\s*[{\[]|\{\s*[\"'])"
)
_VALUE = re.compile(f"[^{_WHITE}]")
_NO_NUMBER = "NaN and Infinity were taken as absent"
_MAX_PYTHON = 2**20  # characters of an object of Python


def is_lines(head: str) -> bool:
    """Whether a text that begins with JSON has one object a line."""
    first = [line for line in head.split("\n") if line.strip(_WHITE)][:20]
    if len(first) < 2 or first[0].strip(_WHITE) in ("{", "["):
        return False
    return any(map(_is_object, first)) or (len(first) > 1 and all(map(_is_row, first[:2])))


def is_json(head: str) -> bool:
    """Whether a text begins as JSON with objects does."""
    start = head.lstrip(_WHITE)
    if start[:1] == "[":
        return start[1:].lstrip(_WHITE)[:1] in ("{", "]", "[")
    return start[:1] == "{" and start[1:].lstrip()[:1] in ('"', "}", "'")


def script_before(head: str) -> str:
    """What a text has before its JSON, such as `var products =`."""
    found = _SCRIPT.match(head.lstrip(_WHITE))
    return head[: head.find(found[0]) + len(found[0])] if found and found[0].strip() else ""


def line_records(file: TextIO, tally: Tally) -> Iterator[Record]:
    """Objects of a file of JSON lines; blank lines are passed over."""
    return under_names(identified(_lines(file, tally)))


def _lines(file: TextIO, tally: Tally) -> Iterator[Record]:
    parser = _Parser(tally)
    for number, line in enumerate(lines(file), start=1):
        problem = None
        if not line.isascii() or "\0" in line:
            line, problem = mended(line.removeprefix("\ufeff"), number, tally)
        if problem is not None:
            yield Record({}, number, problem)
        elif not (text := line.strip(_WHITE)):
            continue
        else:
            try:
                value = parser.parse(text, number)
            except DataError as error:
                yield Record({}, number, str(error), text)
            else:
                yield from value_records(value, number, text, tally)


def document_records(file: TextIO, tally: Tally, skipped: int = 0) -> Iterator[Record]:
    """Objects of arrays and of any number of values one after another; memory holds one element at a time.

    Args:
        file: from which is read.
        tally: counts what was mended.
        skipped: characters at its beginning that are no JSON.
    """
    file.read(skipped)
    return under_names(identified(_documents(file, tally)))


def _documents(file: TextIO, tally: Tally) -> Iterator[Record]:
    text = _Text(file, _Parser(tally))
    while (start := text.peek()) is not None:
        if start != "[":
            yield from text.values(tally, lone=True)
            continue
        text.skip()
        while (start := text.peek()) not in (None, "]"):
            yield from text.values(tally, lone=False)
        text.skip()
        if start is None and not text.broken:
            yield Record({}, text.line, "the file ends inside a list: is it whole?")


class _Parser:
    """JSON with the faults that exports have."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._line = 0
        self._decoder = json.JSONDecoder(
            object_pairs_hook=_object, parse_constant=self._finite, parse_float=self._finite
        )

    def parse(self, text: str, line: int) -> Any:
        """The value of a line.

        Raises:
            DataError: it is no JSON, or says one thing twice.
        """
        self._line = line
        try:
            return self._decoder.decode(text)
        except (ValueError, RecursionError) as error:
            if text.startswith(("{'", '{"')) and (value := _python(text)) is not None:
                self._tally.add("an object of Python was read as JSON", line)
                return value
            raise DataError(f"the line is no valid JSON: {error}") from None

    def next(self, text: str, at: int, line: int) -> tuple[Any, int]:
        """The value at a place of a text, and where it ends."""
        self._line = line
        return self._decoder.raw_decode(text, at)

    def _finite(self, text: str) -> float | None:
        if math.isfinite(number := float(text)):
            return number
        self._tally.add(_NO_NUMBER, self._line)
        return None


class _Text:
    """A long text of JSON values, of which a part is in memory."""

    def __init__(self, file: TextIO, parser: _Parser) -> None:
        self._file, self._parser = file, parser
        self._part, self._at, self.line = "", 0, 1
        self._ended = self.broken = False

    def peek(self) -> str | None:
        """The next character that is no white space; None at the end."""
        while True:
            if found := _VALUE.search(self._part, self._at):
                self._go(found.start())
                return found[0]
            self._go(len(self._part))
            if not self._more():
                return None

    def skip(self) -> None:
        """Pass over one character."""
        self._at += 1

    def values(self, tally: Tally, *, lone: bool) -> Iterator[Record]:
        """The records of the value that stands here; of a lone one the list inside it."""
        line = self.line
        try:
            value, end = self._value()
        except DataError as error:
            yield Record({}, line, str(error), self._part[self._at : self._at + 500])
            self._part, self._at, self._ended, self.broken = "", 0, True, True
            return
        raw = self._part[self._at : min(end, self._at + 500)]
        self._go(end)
        yield from value_records(value, line, raw, tally, lone=lone)

    def _value(self) -> tuple[Any, int]:
        while True:
            try:
                return self._parser.next(self._part, self._at, self.line)
            except json.JSONDecodeError as error:
                whole = not error.msg.startswith("Unterminated") and error.pos < len(self._part) - 32
                if whole or not self._more():
                    line = self.line + self._part.count("\n", self._at, error.pos)
                    raise DataError(
                        f"the JSON breaks off in line {line:,}: {error.msg}. What follows was not read:"
                        " mend it there, or write one object a line"
                    ) from None
            except RecursionError:
                raise DataError("the object is nested too deeply") from None

    def _go(self, place: int) -> None:
        self.line += self._part.count("\n", self._at, place)
        self._at = place

    def _more(self) -> bool:
        """Read on, twice as much as is waiting; False at the end."""
        self._part, self._at = self._part[self._at :], 0
        if len(self._part) > MAX_DOCUMENT:
            raise DataError(
                f"an object of more than {MAX_DOCUMENT:,} characters: write a list of objects, or one object"
                " a line (`jq -c '.products[]'`)"
            )
        new = "" if self._ended else self._file.read(max(2**20, len(self._part)))
        self._ended = not new
        self._part += new
        return bool(new)


def _is_row(line: str) -> bool:
    """Whether a line is a list that begins with a plain value, as those under a list of names do."""
    try:
        value = json.loads(line.strip(_WHITE))
    except (ValueError, RecursionError):
        return False
    return isinstance(value, list) and bool(value) and not isinstance(value[0], dict | list)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line.strip(_WHITE) if line.strip()[-1:] != "," else line), dict)
    except (ValueError, RecursionError):
        return line.startswith("{'") and _python(line.strip()) is not None


def _python(text: str) -> dict[Any, Any] | None:
    """An object as Python prints it."""
    try:
        value = ast.literal_eval(text) if len(text) < _MAX_PYTHON else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) and all(isinstance(key, str) for key in value) else None


def _date(value: Any) -> Any:
    """MongoDB's date, which is ISO 8601 or milliseconds since 1970, as ISO 8601."""
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))).isoformat()
    except (ValueError, TypeError, OverflowError):
        return value


def _object(pairs: Sequence[tuple[str, Any]]) -> Any:
    if len(pairs) == 1 and pairs[0][0] in _MONGO:
        return _date(pairs[0][1]) if pairs[0][0] == "$date" else pairs[0][1]
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the key {twice!r} stands twice in one object: keep one", field=twice)
    return row
