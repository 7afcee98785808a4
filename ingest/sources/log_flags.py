"""What was done, in logs without a column of kinds: told by a column of yes and no, or by being of orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ingest.sources.log_columns import LogColumns, plain_column
from mmrec.config import meaning

_YES, _NO = frozenset({"1", "1.0", "true", "yes", "y", "t"}), frozenset({"0", "0.0", "false", "no", "n", "f"})
_FLAGGED = frozenset({"click", "like", "purchase", "add_to_cart", "wishlist", "view"})
_ORDERS = frozenset({"orderid", "invoiceno", "invoiceid", "basketid", "transactionid", "name"})


class Flag(NamedTuple):
    """A column that says whether something was done.

    Attributes:
        column: its name.
        yes: the kind of an act where it says so ...
        no: ... and where it does not: what was shown is no wish.
    """

    column: str
    yes: str
    no: str

    def kind(self, cells: Mapping[str, Any]) -> str | None:
        """The kind of a row; None where the cell says nothing."""
        word = str(cells.get(self.column)).strip().lower()
        return self.yes if word in _YES else self.no if word in _NO else None


def flag_of(columns: LogColumns, sample: Sequence[Mapping[str, Any]]) -> Flag | None:
    """The column that says yes or no of a kind it is called by: `clicked`, `is_purchase`, `liked`."""
    if columns.kind or columns.rating:
        return None
    names = dict.fromkeys(name for row in sample for name in row if name not in columns.named.values())
    for name in names:
        words = {str(row[name]).strip().lower() for row in sample if row.get(name) not in (None, "")}
        kind = "click" if plain_column(name) in ("label", "clk", "target") else meaning(name)
        if kind in _FLAGGED and words and words <= _YES | _NO:
            return Flag(name, kind, "dislike" if kind == "like" else "impression")
    return None


def are_orders(columns: LogColumns) -> bool:
    """Whether rows are lines of orders, by their quantity or the number of their order."""
    unsaid = not (columns.kind or columns.rating)
    return unsaid and (columns.quantity is not None or plain_column(columns.session or "") in _ORDERS)
