"""Raw rows as plain ones, by every road alike: blanks absent, texts without markup, values of Python itself.

What comes from files, frames and requests passes here before it becomes an `Item`; an `Item` that a caller
makes in Python keeps what it is given.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from mmrec.types import MAX_TEXT, NOUNS, composed, normal_id

Told = Callable[[str], object]  # is called with what was mended

# Whole values by which tables say "nothing here". Case counts: "Nan" may be a bread, "NA" is Namibia.
BLANKS = frozenset({"", "nan", "NaN", "null", "NULL", "Null", "None", "<NA>", "NaT", "N/A", "n/a", "#N/A"})
ROUNDS = 5  # of escaping that are taken away: feeds have `&amp;lt;p&amp;gt;`

# Own patterns: html.parser takes time quadratic in hostile input and raises on some, nh3 takes quadratic time
# for nested blocks, and both take "a<b" for a tag. These never look past the next "<" and never step back.
_TAG = re.compile(r"""</?([a-zA-Z][\w:-]*+)(?=[\s/>])(?:[^<>"']|"[^<"]*"|'[^<']*')*+>|<[!?][^<>]*+>""")
_ENTITY = re.compile(r"(&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z\d]{1,31});)")
_character = lru_cache(maxsize=1_024)(html.unescape)
_INLINE = frozenset({
    "a", "abbr", "b", "big", "code", "em", "font", "i", "ins", "mark", "s", "small", "span", "strong", "sub",
    "sup", "u",
})
_BLOCKS = frozenset({
    "article", "aside", "blockquote", "body", "br", "center", "dd", "div", "dl", "dt", "figure", "footer",
    "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "iframe", "img", "input", "label",
    "li", "link", "main", "meta", "nav", "object", "ol", "option", "p", "pre", "section", "style", "script",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul", "video",
})
_HIDDEN = (("<!--", "-->"), (r"<script\b", r"</script\s*>"), (r"<style\b", r"</style\s*>"))
_HIDING = re.compile(r"<(?:!--|script\b|style\b)", re.IGNORECASE)
_CDATA = re.compile(r"<!\[CDATA\[|\]\]>")
_SHORTCODE = re.compile(r"\[(/?)([a-zA-Z][\w-]*+)((?:[\s=][^\[\]]*+)?)\]")
_LONE = frozenset({"gallery", "embed", "playlist", "products", "contact-form-7"})  # shortcodes of one tag
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ud800-\udfff]")
# Letters that the first bytes of UTF-8 look like in Windows-1252 or -1251, before one of a byte that follows.
_SUSPECT = re.compile(
    "[\xc2-\xf4\u0413\u0420\u0421\u0432][\x80-\xbf\u0152-\u0192\u02c6\u02dc\u0402-\u040f\u0452-\u045f"
    "\u0490\u0491\u2010-\u203a\u20ac\u2116\u2122]"
)
_ORDINARY = bytes([0x0A, *range(0x20, 0x7F), 0xA0, *range(0xC0, 0x100)])  # letters of Latin-1 and blanks
_BROKEN_BLANK = re.compile(b"\xa0(?<=[\xc2-\xf4]\xa0)")  # what of these is suspect
_HOST = re.compile(r"//[\w-]+(?:\.[\w-]+)+[/:?]|www\.[\w-]+(?:\.[\w-]+)+/", re.IGNORECASE)


def tidied(row: Mapping[str, Any], told: Told = str) -> dict[str, Any]:
    """A row of canonical shape with plain values, to be read by `mmrec.data.rows.item_from_dict`.

    Args:
        row: those of `mmrec.data.rows.ITEM_KEYS`. Ids may be whole numbers; blanks are
            absent; texts may hold HTML; values may be those of NumPy, pandas and `decimal`.
        told: is called with a sentence for each thing that is mended or left out.
    """
    tidy = {name: plain(value) for name, value in row.items()}
    tidy["item_id"] = identifier(tidy.get("item_id"))
    if isinstance(tidy.get("text"), Mapping):
        tidy["text"] = {name: _text(plain(value), told) for name, value in tidy["text"].items()}
    if isinstance(tidy.get("attributes"), Mapping):
        tidy["attributes"] = {
            name: _attribute(plain(value), told) for name, value in tidy["attributes"].items()
        }
    for field in NOUNS:
        if tidy.get(field) is not None:
            tidy[field] = _files(tidy[field], told)
    return tidy


def plain(value: Any) -> Any:
    """A value without NumPy, pandas and decimal; None if it is blank."""
    kind = type(value)
    if kind is str:
        return None if value.isspace() or (len(value) < 9 and value.strip() in BLANKS) else value
    if kind is int or kind is bool:
        return value
    if kind.__module__ == "numpy":
        value = from_numpy(value)
    elif kind.__name__ in ("NAType", "NaTType"):
        return None
    elif isinstance(value, Decimal):
        value = from_decimal(value)
    elif isinstance(value, tuple | set | frozenset):
        value = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return None if isinstance(value, str) and value.strip() in BLANKS else value


def identifier(value: Any) -> Any:
    """An id as `Item` takes it: whole numbers as strings, 12.0 too (pandas holds them so beside blanks)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return normal_id(value)


def plain_text(text: str, told: Told = str) -> str:
    """A text as people read it; its lines stay apart.

    Tags, scripts, comments, entities (escaped several times, too), CDATA, shortcodes of shop systems and
    invisible characters go, white space becomes single blanks, broken encodings ("KÃ¤se") are mended. A "<"
    that opens no tag stays: "size < 5".
    """
    if "<" in text or "&" in text or "[" in text:
        text = _without_markup(text)
    return neat(text, told)


def unescaped(text: str) -> str:
    """A text with its entities as the characters that they stand for."""
    return _replaced(_ENTITY, _character, text) if "&" in text else text


def neat(text: str, told: Told = str) -> str:
    """A text without invisible characters, odd white space and broken encodings, composed (NFC)."""
    if not (ordinary := _is_ordinary(text)):
        if not text.isascii():
            text = _mended(text, told)
        text = composed(_INVISIBLE.sub("", text))
    text = text.replace("\xa0", " ")
    if ordinary and "  " not in text:
        return "\n".join(filter(None, map(str.strip, text.split("\n")))) if "\n" in text else text.strip()
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.splitlines())))


def _is_ordinary(text: str) -> bool:
    """Whether a text has but letters of Latin-1 and blanks: nothing is broken, hidden or composed in it."""
    try:
        letters = text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return not (letters.translate(None, _ORDINARY) or (b"\xa0" in letters and _BROKEN_BLANK.search(letters)))


def from_decimal(value: Decimal) -> int | float:
    """A decimal as an integer if it is one and not huge, else as the nearest float."""
    whole = value.is_finite() and value.adjusted() < 20 and value == value.to_integral_value()
    return int(value) if whole else float(value)


def from_numpy(value: Any) -> Any:
    """A scalar or array of NumPy as plain Python values."""
    if value.dtype.kind == "M":
        value = value.astype("datetime64[us]")  # nanoseconds would come out as integers
    return value.tolist()


def _text(value: Any, told: Told) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return identifier(value) if float(value).is_integer() else str(value)
    if not isinstance(value, str) or len(value) > MAX_TEXT:  # Item refuses both
        return value
    text = plain_text(value, told)
    return None if text in BLANKS else text


def _attribute(value: Any, told: Told) -> Any:
    if isinstance(value, list):
        parts = (part if isinstance(part, str) else identifier(part) for part in map(plain, value))
        return [_attribute(part, told) for part in parts if part is not None]
    return neat(unescaped(unescaped(value)), told) if isinstance(value, str) else value


def _files(value: Any, told: Told) -> Any:
    """One picture or sound or a list, addresses with their scheme."""
    found = []
    for source in value if isinstance(value, list) else [value]:
        source = plain(source)
        if isinstance(source, str):
            source = source.strip()
            if _HOST.match(source):
                told("https: was put before addresses of pictures that begin with // or www.")
                source = f"https://{source.removeprefix('//')}"
        if source is not None:
            found.append(source)
    return found if isinstance(value, list) else found[0] if found else None


def _without_markup(text: str) -> str:
    for number in range(ROUNDS):
        before = text
        if "[" in text or "]" in text:
            text = _CDATA.sub("", text)
        if _HIDING.search(text):
            for start, end in _HIDDEN:
                text = _without(text, start, end)
        if "<" in text:  # "&lt;john&gt;" was never a tag
            text = _TAG.sub(_known_tag, text) if number else _replaced(_TAG, _in_place_of, text)
        text = unescaped(_without_shortcodes(text) if "]" in text else text)
        if text == before or not ("<" in text or "[" in text or "]" in text or _ENTITY.search(text)):
            break
    return text


def _replaced(pattern: re.Pattern[str], by: Callable[[Any], str], text: str) -> str:
    """The text with each match of a pattern put in its place by what its one group is; faster than `sub`."""
    parts = pattern.split(text)
    parts[1::2] = map(by, parts[1::2])
    return "".join(parts)


@lru_cache(maxsize=1_024)
def _in_place_of(tag: str | None) -> str:
    return "" if (tag or "").lower() in _INLINE else "\n"


def _known_tag(tag: re.Match[str]) -> str:
    name = (tag[1] or "").lower()
    return "" if name in _INLINE else "\n" if name in _BLOCKS else tag[0]


def _without_shortcodes(text: str) -> str:
    """The text without `[caption id="a1"]` and `[/caption]`, what stands between them stays; and "[sic]"."""
    closed = {code[2].lower() for code in _SHORTCODE.finditer(text) if code[1]}

    def left(code: re.Match[str]) -> str:
        name, options = code[2].lower(), code[3]
        return " " if code[1] or name in closed or name in _LONE or "=" in options else code[0]

    return _SHORTCODE.sub(left, text)


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


def _mended(text: str, told: Told) -> str:
    """A text in UTF-8 that was read as another encoding, as it was."""
    if not _SUSPECT.search(text):
        return text
    from ftfy import TextFixerConfig, fix_encoding

    mended = str(fix_encoding(text, TextFixerConfig(unescape_html=False, replace_lossy_sequences=False)))
    if mended != text:
        told('broken letters such as "Ã¤" were mended')
    return mended
