"""Every error that mmrec raises on purpose.

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
