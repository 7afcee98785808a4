"""Every error that mmrec raises on purpose, and what becomes of a row that raised one: a `Rejection`.

::

    MmrecError
    ├── ConfigError          a setting is unknown or out of range
    ├── DataError            an item, interaction, picture, query or file cannot be used as it is
    ├── EncodeError          a model cannot be found, loaded or run
    │   └── MissingExtra     ... because an optional package is not installed
    ├── NotFitted            the call needs a trained head, and `fit` has not run yet
    └── StoreError           the store on disk cannot do what was asked
        ├── UnknownItem      an item id is not in the catalogue
        ├── StoreMismatch    the store was made with other encoders or by another version
        └── StoreBusy        another process is writing

A message says what is wrong with the value, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class MmrecError(Exception):
    """Base of all errors raised by mmrec."""


class ConfigError(MmrecError):
    """A setting is unknown, of the wrong type or out of range."""


class DataError(MmrecError):
    """An item, interaction, picture, query or file cannot be used as it is.

    Attributes:
        field: the part of the item that is at fault (`"image"`, `"price"` ...), if one is.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class EncodeError(MmrecError):
    """A model cannot be found, loaded or run."""


class MissingExtra(EncodeError):
    """An optional package that this call needs is not installed."""


class NotFitted(MmrecError):
    """The call needs a trained head, and `fit` has not run on this store."""


class StoreError(MmrecError):
    """The store on disk cannot do what was asked."""


class UnknownItem(StoreError):
    """An item id is not in the catalogue."""


class StoreMismatch(StoreError):
    """The store was made with other encoders, or by a version that this one cannot read."""


class StoreBusy(StoreError):
    """Another process holds the store's writer lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One input row that was not taken, and why.

    Attributes:
        reason: what is wrong, what was expected, what to do.
        item_id: of the row, where it could be read.
        field: the part at fault, where one is.
        line: line of the input file (1-based), where there is one.
        row: the row as JSON-ready values, to be mended and ingested again.
    """

    reason: str
    item_id: str | None = None
    field: str | None = None
    line: int | None = None
    row: Mapping[str, Any] | None = None


def named(item_ids: Sequence[str]) -> str:
    """The first of some ids and "is" or "are", for a message."""
    shown = ", ".join(repr(i) for i in item_ids[:5])
    more = f" and {len(item_ids) - 5} more" if len(item_ids) > 5 else ""
    return f"{shown}{more} {'is' if len(item_ids) == 1 else 'are'}"
