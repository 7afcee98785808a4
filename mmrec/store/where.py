"""Small filter expressions that are parsed, never pasted: `price < 30 and category in ('mug', 'lamp')`.

The language is a corner of Python's::

    price < 30          10 <= price < 20       30 > price            price != -1.5
    category == 'mug'   category in ('mug', 'lamp')                  category not in ('mug', 'lamp')
    'Comedy' in genres  'Comedy' not in genres                       (a column that holds lists)
    on_sale             not on_sale            on_sale == False      (a column of True and False)
    added_at >= '2024-05-31'                   added_at < '2024-05-31T12:00:00+02:00'
    price is None       price is not None      ... joined by and, or, not and brackets

Keywords may be in capitals, `NULL` is `None`, `<>` is `!=`. A date without a zone is UTC, one without a time
is its midnight. A comparison holds one column and one value, so no condition is true by itself: `... or True`
is an error. So is all the rest of Python.

A missing value satisfies nothing but `is None`. The logic is SQL's, of three values: with a missing price,
`price < 30`, `price != 30` and `not price < 30` are all unknown, and an item is kept only where the whole is
true. `Where.mask` (Arrow, in memory) and `Where.sql` (LanceDB) keep the same items. Numbers are taken to be
finite, as those of an `Item` are.

Why no string can widen a result: Python's parser sees structure alone. Every column and value is handed to it
as a numbered placeholder, the nodes it returns are on a short list, and what goes into SQL is written anew
from the values.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial, reduce
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmrec.store.tables import literals
from mmrec.store.where_parser import FLAGS, LISTS, Column, Operand, Side, Value, read, shown, wrong

Order = Literal["<", "<=", ">", ">="]
_ORDERS: dict[type[ast.cmpop], tuple[Order, Order]] = {  # column first, column second
    ast.Lt: ("<", ">"), ast.LtE: ("<=", ">="), ast.Gt: (">", "<"), ast.GtE: (">=", "<="),
}


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
        values = ", ".join(map(_quote, self.values))
        texts = {"in": f"{column} IN ({values})", "has": f"array_has({column}, {values})"}
        text = texts.get(self.op, f"{column} {self.op} {values}")
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
        return literals([value])
    if isinstance(value, datetime):
        return f"timestamp '{value.replace(tzinfo=None).isoformat(' ')}'"
    return repr(value).lower()


_FIND: dict[str, Callable[[pa.Array, Sequence[Value]], pa.Array]] = {
    "<": partial(_order, "less"), "<=": partial(_order, "less_equal"),
    ">": partial(_order, "greater"), ">=": partial(_order, "greater_equal"),
    "in": _in, "has": _has,
}


@dataclass(frozen=True, slots=True)
class Where:
    """A filter that was read and found sound; `parse` makes it.

    Attributes:
        expression: as it was written.
        columns: the columns it names.
    """

    expression: str
    columns: frozenset[str]
    _condition: Condition = field(repr=False)

    def mask(self, table: pa.Table) -> NDArray[np.bool_]:
        """Which rows of the table are kept, [n]; the table has `columns` by name and type."""
        return self._condition.mask(table)

    def sql(self, name: Callable[[str], str] = str) -> str:
        """The filter for LanceDB; `name` gives the stored name of a column, which is quoted here."""
        return self._condition.sql(name)


def parse(expression: str, columns: Mapping[str, pa.DataType]) -> Where:
    """Reads a filter.

    Args:
        expression: as the module describes, at most 4,000 characters.
        columns: what may be named, with its type: string, float64, bool, timestamp[us, UTC] or list<string>.

    Raises:
        DataError: it cannot be read, names an unknown column, or compares what cannot be compared; the
            message says where, and what would fit.
    """
    structure, operands = read(expression, columns)
    condition = _Builder(operands).condition(structure, negated=False)
    named = frozenset(operand.name for operand in operands.values() if isinstance(operand, Column))
    return Where(expression, named, condition)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Turns the allowed nodes into conditions, and refuses the others."""

    operands: Mapping[str, Operand]

    def condition(self, node: ast.expr, *, negated: bool) -> Condition:
        """The condition or its opposite: `not` moves down to the predicates (De Morgan)."""
        while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node, negated = node.operand, not negated
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(part, negated=negated) for part in node.values]
            return _join("AND" if isinstance(node.op, ast.And) != negated else "OR", parts)
        if isinstance(node, ast.Compare):
            sides = [self.side(side) for side in (node.left, *node.comparators)]
            tests = [
                _compare(left, op, right, negated)
                for left, op, right in zip(sides, node.ops, sides[1:], strict=False)
            ]
            return _join("OR" if negated else "AND", tests)
        return _flag(self.side(node), negated)

    def side(self, node: ast.expr) -> Side:
        """A column, a value, or the operands in brackets."""
        if isinstance(node, ast.Tuple | ast.List):
            return tuple(self.operand(part) for part in node.elts)
        return self.operand(node)

    def operand(self, node: ast.expr) -> Operand:
        """A column or a value; the last gate, which lets nothing else through."""
        if isinstance(node, ast.Name):
            return self.operands[node.id]
        raise wrong("only columns and values can be compared: no calls, no indexing, no nested comparisons")


def _join(op: Literal["AND", "OR"], parts: Sequence[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else Group(op, tuple(parts))


def _flag(side: Side, negated: bool) -> Predicate:
    if not isinstance(side, Column):
        raise wrong(f"{shown(side)} alone is no condition: a condition must name a column")
    if side.kind is not FLAGS:
        raise wrong(f"{side.name} alone is no condition, for it holds {side.kind.holds}: compare it")
    return Predicate(side.name, "in", (True,), negated)


def _compare(left: Side, op: ast.cmpop, right: Side, negated: bool) -> Predicate:
    if isinstance(op, ast.Is | ast.IsNot):
        return _missing(left, right, negated != isinstance(op, ast.IsNot))
    if isinstance(op, ast.In | ast.NotIn):
        return _member(left, right, negated != isinstance(op, ast.NotIn))
    column, value = _pair(left, right)
    if isinstance(op, ast.Eq | ast.NotEq):
        return Predicate(column.name, "in", (value,), negated != isinstance(op, ast.NotEq))
    if not column.kind.ordered:
        raise wrong(f"{column.name} holds {column.kind.holds}, which has no order: use `==`")
    return Predicate(column.name, _ORDERS[type(op)][column is right], (value,), negated)


def _pair(left: Side, right: Side) -> tuple[Column, Value]:
    column, literal = (left, right) if isinstance(left, Column) else (right, left)
    if isinstance(literal, Column) or not isinstance(column, Column):
        raise wrong(
            f"{shown(left)} and {shown(right)} cannot be compared: one must be a column, the other a value"
        )
    if column.kind is LISTS:
        raise wrong(f"{column.name} holds lists of strings: write `'Comedy' in {column.name}`")
    return column, column.value(literal)


def _missing(left: Side, right: Side, negated: bool) -> Predicate:
    if isinstance(left, Column) and right is None:
        return Predicate(left.name, "missing", (), negated)
    raise wrong("`is` takes a column and None, as in `price is None`: for other values use `==`")


def _member(left: Side, right: Side, negated: bool) -> Predicate:
    if isinstance(right, Column) and right.kind is LISTS:
        return Predicate(right.name, "has", (right.value(left),), negated)
    if not isinstance(right, tuple) or not right:
        raise wrong(
            "`in` takes a column of lists, or values in brackets with a comma: ('mug', 'lamp') or ('mug',)"
        )
    if not isinstance(left, Column) or left.kind is LISTS:
        raise wrong(f"{shown(left)} cannot be in (...): that takes a column of single values")
    return Predicate(left.name, "in", tuple(left.value(value) for value in right), negated)
