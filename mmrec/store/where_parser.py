"""What a filter says, before what it means: its columns and values, and Python's reading of the rest."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from mmrec.errors import DataError
from mmrec.types import as_utc, composed, normal_id

Value = str | float | bool | datetime

MAX_LENGTH = 4_000  # characters
MAX_BRACKETS = 8  # nested; LanceDB's parser gives up at 20 to 50 levels, sometimes after minutes
MAX_NUMBER = 2.0**53  # from here on neighbouring integers are one float

_ESCAPE = r"""\\(?:['"\\abfnrtv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""
_TOKEN = re.compile(rf"""
    (?P<space>\s+)
  | (?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
  | (?P<string>(?:'(?:[^'\\\r\n]|{_ESCAPE})*'|"(?:[^"\\\r\n]|{_ESCAPE})*")(?!['"]))
  | (?P<word>[^\W\d]\w*)
  | (?P<symbol><>|[=!<>]=|[<>()\[\],])
""", re.VERBOSE)
_UNUSABLE = re.compile(r"[\x00\ud800-\udfff]")
_OPERATORS = {"and", "or", "not", "in", "is"}
_CONSTANTS = {"true": True, "false": False, "none": None, "null": None}
_QUOTING = "a string ends with the quote it began with; inside it write \\' for a quote, \\\\ for a backslash"
_INSTEAD = {
    "=": "write `==`", "&": "write `and`", "|": "write `or`", "!": "write `not`", "`": "write the bare name",
    "between": "write `10 <= price <= 20`", "like": "use `==` or `in`", "'": _QUOTING, '"': _QUOTING,
}


def wrong(problem: str) -> DataError:
    """The one error of a filter."""
    return DataError(f"where: {problem}", field="where")


def shown(value: Side) -> str:
    """An operand in a message, cut to one line."""
    text = value.name if isinstance(value, Column) else repr(value)
    return text if len(text) <= 80 else text[:80] + "..."


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column holds, and what it may be compared with."""

    holds: str
    fits: str
    literal: type
    ordered: bool = True


DATES = Kind("dates", "a date such as '2024-05-31' or '2024-05-31T12:00:00Z'", str)
FLAGS = Kind("True or False", "True or False", bool, ordered=False)
LISTS = Kind("lists of strings", "a string, as in `'Comedy' in genres`", str, ordered=False)
_KINDS = {
    pa.string(): Kind("strings", "a string such as 'mug'", str),
    pa.float64(): Kind("numbers", "a number such as 30", float),
    pa.timestamp("us", "UTC"): DATES,
    pa.bool_(): FLAGS,
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the expression names."""

    name: str
    kind: Kind

    def value(self, literal: Side) -> Value:
        """The literal as a value of this column."""
        if literal is None:
            raise wrong(f"a missing value is found by `{self.name} is None` or `is not None` alone")
        if not isinstance(literal, str | float | bool) or type(literal) is not self.kind.literal:
            raise self._misfit(literal)
        if self.name == "item_id":
            return str(normal_id(literal))
        if self.kind is not DATES:
            return composed(literal) if isinstance(literal, str) else literal
        try:
            return as_utc(datetime.fromisoformat(str(literal)))
        except (ValueError, OverflowError):
            raise self._misfit(literal) from None

    def _misfit(self, got: Side) -> DataError:
        kind = self.kind
        return wrong(f"{self.name} holds {kind.holds}: compare it with {kind.fits}, not with {shown(got)}")


Operand = Column | str | float | bool | None
Side = Operand | tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of the expression: its text for Python's parser, and the operand that this stands for."""

    text: str
    start: int
    operand: Operand = None


def read(expression: str, columns: Mapping[str, pa.DataType]) -> tuple[ast.expr, dict[str, Operand]]:
    """Python's reading of a filter with a placeholder for each column and value, and what these stand for.

    Raises:
        DataError: it cannot be read, or names an unknown column.
    """
    if not isinstance(expression, str):
        raise wrong(f"must be a string such as \"price < 30\", got {type(expression).__name__}")
    if len(expression) > MAX_LENGTH:
        raise wrong(f"is {len(expression):,} characters long, and {MAX_LENGTH:,} are allowed: shorten it")
    if not expression.strip():
        raise wrong("is empty: write a condition such as `price < 30`, or leave it out")
    if bad := _UNUSABLE.search(expression):
        raise wrong(f"character {bad.start() + 1} is {bad[0]!a}, which is not text: remove it")
    tokens = list(_tokens(expression, columns))
    _check_brackets(tokens)
    return _structure(tokens), {token.text: token.operand for token in tokens if token.text.startswith("_")}


def _tokens(expression: str, columns: Mapping[str, pa.DataType]) -> Iterator[_Token]:
    start = 0
    while start < len(expression):
        match = _TOKEN.match(expression, start)
        if match is None:
            char = expression[start]
            advice = _INSTEAD.get(char, "a filter holds columns, values, comparisons and brackets")
            raise wrong(f"cannot read {char!a} at character {start + 1}: {advice}")
        kind, end = match.lastgroup, match.end()
        while kind == "word" and end < len(expression) and f"_{expression[end]}".isidentifier():
            end += 1  # the marks that letters of some scripts carry, which `\w` leaves out
        text = expression[start:end]
        if kind == "symbol":
            yield _Token("!=" if text == "<>" else text, start)
        elif text.lower() in _OPERATORS:
            yield _Token(text.lower(), start)
        elif kind != "space":
            yield _Token(f"_{start}", start, _operand(str(kind), text, columns))
        start = end


def _check_brackets(tokens: Sequence[_Token]) -> None:
    depth = 0
    for token in tokens:
        depth += (token.text in "([") - (token.text in ")]")
        if depth > MAX_BRACKETS:
            raise wrong(f"brackets are nested more than {MAX_BRACKETS} deep: take some away")
        if depth < 0:
            break
    if depth:
        raise wrong("every bracket must be opened and closed: count them")


def _structure(tokens: Sequence[_Token]) -> ast.expr:
    """Python's reading of the tokens, one a line, so that an error's line says which one is at fault."""
    try:
        return ast.parse("\n".join(["(", *(token.text for token in tokens), ")"]), mode="eval").body
    except SyntaxError as error:
        at = min(max((error.lineno or 0) - 2, 0), len(tokens) - 1)
        raise wrong(
            f"cannot be read near character {tokens[at].start + 1}: write comparisons such as `price < 30`,"
            " joined by `and`, `or`, `not`"
        ) from None
    except (RecursionError, MemoryError):
        raise wrong("is nested too deep: take away brackets and `not`") from None


def _operand(kind: str, text: str, columns: Mapping[str, pa.DataType]) -> Operand:
    if kind == "number":
        return _number(text)
    if kind == "string":
        return _string(text)
    return _CONSTANTS[text.lower()] if text.lower() in _CONSTANTS else _column(text, columns)


def _number(text: str) -> float:
    value = float(text)
    if abs(value) >= MAX_NUMBER:
        raise wrong(f"{text[:40]} is 2**53 or beyond, where numbers are not exact: use a smaller one")
    return value


def _string(text: str) -> str:
    try:
        value = str(ast.literal_eval(text))
    except SyntaxError:  # an escape beyond Unicode: \U00110000
        value = "\x00"
    if _UNUSABLE.search(value):
        raise wrong(f"the string {text[:80]} holds a character that is not text: remove it")
    return value


def _column(word: str, columns: Mapping[str, pa.DataType]) -> Column:
    word = composed(word)
    alike = [name for name in columns if name.casefold() == word.casefold()]
    if word not in columns and len(alike) == 1:
        (word,) = alike
    if word not in columns:
        if advice := _INSTEAD.get(word.lower()):
            raise wrong(f"{word} is no part of a filter: {advice}")
        near = difflib.get_close_matches(word, columns, n=3, cutoff=0.5)
        known = ", ".join([*near, *sorted(set(columns) - set(near))])
        raise wrong(f"there is no column {word[:80]!a}; there are {known}")  # !a shows look-alike letters
    dtype = columns[word]
    kind = LISTS if pa.types.is_list(dtype) and dtype.value_type == pa.string() else _KINDS.get(dtype)
    if kind is None:
        raise wrong(f"{word} is of type {dtype}, which cannot be filtered: name another column")
    return Column(word, kind)
