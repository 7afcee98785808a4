"""Raw rows as Items: blanks dropped, texts without markup, values of NumPy and pandas as plain ones.

A source hands over rows of canonical shape (`mmrec.data.files`) with values as it found them. Cleaning
decides what they mean; whether they make an Item is decided by `Item` itself.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mmrec.data.rows import BAD, ImagePaths, from_decimal, from_numpy, item_from_dict, rejected
from mmrec.types import MAX_TEXT, Item, Rejection

# Whole values by which tables say "nothing here". Case counts: "Nan" may be a bread, "NA" is Namibia.
BLANKS = frozenset({"", "nan", "NaN", "null", "NULL", "Null", "None", "<NA>", "NaT", "N/A", "n/a", "#N/A"})

# html.parser is not used: it takes time quadratic in hostile input (minutes for 50 kB) and raises on some.
# These patterns never look past the next "<" and never step back, so they are linear.
_TAG = re.compile(r"""</?([a-zA-Z][\w:-]*+)(?=[\s/>])(?:[^<>"']|"[^<"]*"|'[^<']*')*+>|<[!?][^<>]*+>""")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z\d]{1,31});")
_INLINE = frozenset({
    "a", "abbr", "b", "big", "code", "em", "font", "i", "ins", "mark", "s", "small", "span", "strong", "sub",
    "sup", "u",
})
_HIDDEN = (("<!--", "-->"), (r"<script\b", r"</script\s*>"), (r"<style\b", r"</style\s*>"))
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ud800-\udfff]")


def clean(
    row: Mapping[str, Any], *, line: int | None = None, paths: ImagePaths | None = None
) -> Item | Rejection:
    """The Item of a raw row of canonical shape, or why there is none; never raises for bad data.

    Args:
        row: `item_id`, `text`, `image`, `attributes`, `added_at`. Ids may be whole numbers; blanks are
            absent; texts may hold HTML; values may be those of NumPy, pandas and `decimal`.
        line: of the file it came from (1-based), for the report.
        paths: where its pictures may lie; None takes their paths as they are.
    """
    try:
        return item_from_dict(_tidied(row), line=line, paths=paths)
    except BAD as error:
        known = {**row, "item_id": item_id_of(row) or row.get("item_id")}
        return rejected(error, known, line=line, paths=paths)


def item_id_of(row: Mapping[str, Any]) -> str | None:
    """The id that `clean` finds in a row, None if it finds none."""
    try:
        item_id = _identifier(_plain(row.get("item_id")))
    except BAD:
        return None
    return item_id if isinstance(item_id, str) and item_id else None


def plain_text(text: str) -> str:
    """A text without tags, scripts, entities, invisible characters and odd white space; lines stay apart.

    A "<" that opens no tag stays: "size < 5".
    """
    for start, end in _HIDDEN:
        text = _without(text, start, end)
    text = _TAG.sub(lambda tag: "" if (tag[1] or "").lower() in _INLINE else "\n", text)
    return _neat(_ENTITY.sub(lambda entity: html.unescape(entity[0]), text))


def _tidied(row: Mapping[str, Any]) -> dict[str, Any]:
    tidy = {name: _plain(value) for name, value in row.items()}
    tidy["item_id"] = _identifier(tidy.get("item_id"))
    if isinstance(tidy.get("text"), Mapping):
        tidy["text"] = {name: _text(_plain(value)) for name, value in tidy["text"].items()}
    if isinstance(tidy.get("attributes"), Mapping):
        tidy["attributes"] = {name: _attribute(_plain(value)) for name, value in tidy["attributes"].items()}
    if isinstance(tidy.get("image"), list):
        tidy["image"] = [source for source in map(_plain, tidy["image"]) if source is not None]
    return tidy


def _plain(value: Any) -> Any:
    """A value without NumPy, pandas and decimal; None if it is blank."""
    kind = type(value)
    if kind.__module__ == "numpy":
        value = from_numpy(value)
    elif kind.__name__ in ("NAType", "NaTType"):
        return None
    elif isinstance(value, Decimal):
        value = from_decimal(value)
    elif isinstance(value, tuple | set | frozenset):
        value = sorted(value) if isinstance(value, set | frozenset) else list(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return None if isinstance(value, str) and value.strip() in BLANKS else value


def _identifier(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 12.0: how pandas holds whole numbers beside blanks
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else value


def _text(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _identifier(value) if float(value).is_integer() else str(value)
    if not isinstance(value, str) or len(value) > MAX_TEXT:  # Item refuses both
        return value
    text = plain_text(value)
    return None if text in BLANKS else text


def _attribute(value: Any) -> Any:
    if isinstance(value, list):
        parts = [_identifier(part) for part in map(_plain, value) if part is not None]
        return [_neat(part) if isinstance(part, str) else part for part in parts]
    return _neat(value) if isinstance(value, str) else value


def _neat(text: str) -> str:
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _without(text: str, start: str, end: str) -> str:
    """The text without its parts from `start` to `end`; an opening that is never closed stays."""
    head, *parts = re.split(f"({start})", text, flags=re.IGNORECASE)
    if not parts:
        return text
    kept = [head]
    for opening, part in zip(parts[::2], parts[1::2], strict=True):
        inside, *after = re.split(end, part, maxsplit=1, flags=re.IGNORECASE)
        kept += [" ", *after] if after else [opening, inside]
    return "".join(kept)
