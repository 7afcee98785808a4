"""The words of a filter: each token on its own, columns with their types, values as Python reads them."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial, reduce
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.errors import DataError
from mmrec.types import as_utc

Value = str | float | bool | datetime
Order = Literal["<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Predicate:
    """One column against values; false where the column is missing.

    Attributes:
        op: an order against the one value; `in`: equal to any value; `has`: a list that holds the one
            value; `missing`: no value at all.
        negated: asks the opposite, of rows that have a value.
    """

    column: str
    op: Order | Literal["in", "has", "missing"]
    values: tuple[Value, ...]
    negated: bool

    def mask(self, table: pa.Table) -> NDArray[np.bool_]:
        """For which rows it is true, [n]."""
        column = table.column(self.column).combine_chunks()
        there: NDArray[np.bool_] = np.asarray(column.is_valid(), np.bool_)
        if self.op == "missing":
            return there if self.negated else ~there
        found = pc.fill_null(_FIND[self.op](column, self.values), False)
        there &= np.asarray(found, np.bool_) != self.negated
        return there

    def sql(self, name: Callable[[str], str]) -> str:
        """The same for LanceDB."""
        column = f"`{name(self.column)}`"
        if self.op == "missing":
            return f"{column} IS NOT NULL" if self.negated else f"{column} IS NULL"
        text = _SQL[self.op].format(column, ", ".join(map(_quote, self.values)))
        return f"({column} IS NOT NULL AND NOT ({text}))" if self.negated else text


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions joined by one operator."""

    op: Literal["AND", "OR"]
    parts: tuple[Condition, ...]

    def mask(self, table: pa.Table) -> NDArray[np.bool_]:
        """For which rows it is true, [n]."""
        join = np.logical_and if self.op == "AND" else np.logical_or
        return reduce(join, (part.mask(table) for part in self.parts))

    def sql(self, name: Callable[[str], str]) -> str:
        """The same for LanceDB."""
        return "(" + f" {self.op} ".join(part.sql(name) for part in self.parts) + ")"


Condition = Predicate | Group


def _order(function: str, column: pa.Array, values: Sequence[Value]) -> pa.Array:
    return pc.call_function(function, [column, pa.scalar(values[0], column.type)])


def _in(column: pa.Array, values: Sequence[Value]) -> pa.Array:
    zeros = [-value for value in values if isinstance(value, float) and value == 0]  # is_in tells -0 from 0
    return pc.is_in(column, value_set=pa.array([*values, *zeros], column.type))


def _has(column: pa.Array, values: Sequence[Value]) -> pa.Array:
    hits = np.asarray(pc.fill_null(pc.equal(pc.list_flatten(column), values[0]), False))
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0))
    rows = np.repeat(np.arange(len(column)), lengths)  # [n] -> [values of all lists]
    found = np.zeros(len(column), np.bool_)
    found[rows[hits]] = True
    return pa.array(found)


def _quote(value: Value) -> str:
    """A literal of LanceDB's SQL, in which a backslash stands for itself."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, datetime):
        return f"timestamp '{value.replace(tzinfo=None).isoformat(' ')}'"
    return repr(value).lower()


_FIND: dict[str, Callable[[pa.Array, Sequence[Value]], pa.Array]] = {
    "<": partial(_order, "less"), "<=": partial(_order, "less_equal"),
    ">": partial(_order, "greater"), ">=": partial(_order, "greater_equal"),
    "in": _in, "has": _has,
}
_SQL = {
    "<": "{0} < {1}", "<=": "{0} <= {1}", ">": "{0} > {1}", ">=": "{0} >= {1}",
    "in": "{0} IN ({1})", "has": "array_has({0}, {1})",
}


MAX_LENGTH = 4_000  # characters
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
        if self.kind is not DATES:
            return literal
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
class Token:
    """A piece of the expression: its text for Python's parser, and the operand that this stands for."""

    text: str
    start: int
    operand: Operand = None


def _check(expression: object) -> None:
    if not isinstance(expression, str):
        raise wrong(f"must be a string such as \"price < 30\", got {type(expression).__name__}")
    if len(expression) > MAX_LENGTH:
        raise wrong(f"is {len(expression):,} characters long, and {MAX_LENGTH:,} are allowed: shorten it")
    if not expression.strip():
        raise wrong("is empty: write a condition such as `price < 30`, or leave it out")
    if bad := _UNUSABLE.search(expression):
        raise wrong(f"character {bad.start() + 1} is {bad[0]!a}, which is not text: remove it")


def tokens(expression: str, columns: Mapping[str, pa.DataType]) -> Iterator[Token]:
    """The pieces of the expression, with a placeholder for each column and value.

    Raises:
        DataError: a piece cannot be read, or names an unknown column.
    """
    _check(expression)
    start = 0
    while start < len(expression):
        match = _TOKEN.match(expression, start)
        if match is None:
            char = expression[start]
            advice = _INSTEAD.get(char, "a filter holds columns, values, comparisons and brackets")
            raise wrong(f"cannot read {char!a} at character {start + 1}: {advice}")
        kind, text = match.lastgroup, match[0]
        if kind == "symbol":
            yield Token("!=" if text == "<>" else text, start)
        elif text.lower() in _OPERATORS:
            yield Token(text.lower(), start)
        elif kind != "space":
            yield Token(f"_{start}", start, _operand(str(kind), text, columns))
        start = match.end()


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
    if word not in columns:
        raise _unknown(word, columns)
    dtype = columns[word]
    kind = LISTS if pa.types.is_list(dtype) and dtype.value_type == pa.string() else _KINDS.get(dtype)
    if kind is None:
        raise wrong(f"{word} is of type {dtype}, which cannot be filtered: name another column")
    return Column(word, kind)


def _unknown(word: str, columns: Mapping[str, pa.DataType]) -> DataError:
    if advice := _INSTEAD.get(word.lower()):
        return wrong(f"{word} is no part of a filter: {advice}")
    near = difflib.get_close_matches(word, columns, n=3, cutoff=0.5)
    known = ", ".join([*near, *sorted(set(columns) - set(near))])
    return wrong(f"there is no column {word[:80]!a}; there are {known}")  # !a shows look-alike letters
