"""What a filter asks of a row: evaluated on Arrow columns, or written as SQL for LanceDB.

`not` stands at single predicates alone, never above AND or OR. Then unknown may count as false in every
predicate: the whole is true for the same rows as in SQL's three-valued logic. A predicate on a missing value
is therefore simply false, here and in the SQL, which says so itself (`IS NOT NULL AND NOT ...`): LanceDB 0.40
takes `x NOT IN (1) OR x NOT IN (2)` for true of every row, those without x as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial, reduce
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

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
