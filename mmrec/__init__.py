"""mmrec: a multimodal content-embedding recommender; new items are found the minute they arrive."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrec.config import Config
    from mmrec.data.files import read_interactions, read_items, write_items
    from mmrec.data.impressions import Impression, read_impressions
    from mmrec.errors import MmrecError, Rejection
    from mmrec.recommender import Recommender
    from mmrec.types import IngestReport, Interaction, Item, Recommendation

__version__ = "0.1.0"
__all__ = [
    "Config", "Impression", "IngestReport", "Interaction", "Item", "MmrecError", "Recommendation",
    "Recommender", "Rejection", "__version__", "read_impressions", "read_interactions", "read_items",
    "write_items",
]

_HOME = {
    "Config": "config", "Impression": "data.impressions", "IngestReport": "types", "Interaction": "types",
    "Item": "types", "MmrecError": "errors", "Recommendation": "types", "Recommender": "recommender",
    "Rejection": "errors", "read_impressions": "data.impressions", "read_interactions": "data.files",
    "read_items": "data.files", "write_items": "data.files",
}


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used, so that `import mmrec` costs next to nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'mmrec' has no attribute {name!r}")
    value = getattr(import_module(f"mmrec.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
