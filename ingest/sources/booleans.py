"""Yes and no in the words of many languages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ingest.sources.names import Role
from ingest.sources.values import FIXED, Reading, one_of, reader

_YES_NO = (  # pairs of words; those of one letter or of several meanings count only if both stand there
    ("true", "false"), ("yes", "no"), ("ja", "nein"), ("ja", "nee"), ("ja", "nej"), ("oui", "non"),
    ("si", "no"), ("sí", "no"), ("sì", "no"), ("sim", "não"), ("sim", "nao"), ("tak", "nie"), ("ano", "ne"),
    ("áno", "nie"), ("da", "ne"), ("da", "nu"), ("igen", "nem"), ("evet", "hayır"), ("evet", "hayir"),
    ("kyllä", "ei"), ("jah", "ei"), ("да", "нет"), ("так", "ні"), ("да", "не"), ("ναι", "όχι"), ("כן", "לא"),
    ("نعم", "لا"), ("بله", "خیر"), ("हाँ", "नहीं"), ("ใช่", "ไม่ใช่"), ("ใช่", "ไม่"), ("có", "không"),
    ("ya", "tidak"), ("wahr", "falsch"), ("vrai", "faux"), ("verdadero", "falso"), ("verdadeiro", "falso"),
    ("vero", "falso"), ("waar", "onwaar"), ("prawda", "fałsz"), ("истина", "ложь"), ("はい", "いいえ"),
    ("是", "否"), ("예", "아니오"), ("예", "아니요"), ("네", "아니요"), ("有", "無"), ("✓", "✗"), ("✔", "✘"),
    ("✅", "❌"), ("○", "×"), ("y", "n"), ("t", "f"), ("j", "n"), ("on", "off"),
)
_STATES = (  # words that are yes and no where the column's name asks for them
    ("active", "inactive"), ("aktiv", "inaktiv"), ("enabled", "disabled"), ("available", "unavailable"),
    ("published", "unpublished"), ("visible", "hidden"), ("o", "n"), ("s", "n"), ("v", "f"), ("x", ""),
)


def bools(cells: Sequence[Any], meant: frozenset[Role]) -> Reading | None:
    """How cells are read that all say yes or no; None if one says something else."""
    if not all(isinstance(cell, bool | str) for cell in cells):
        return None
    words = {cell.strip().lower() for cell in cells if isinstance(cell, str)}
    if not words or (words & {"true", "false"} and words <= {"true", "false", "1", "0"}):
        return FIXED["bool"]
    for yes, no in (*_YES_NO, *(_STATES if "flag" in meant else ())):
        doubtful = len(yes) == 1 or yes in ("on", "si", "tak", "da", "ya", "ano")
        if words <= {yes, no} and (len(words) == 2 or not doubtful or "flag" in meant):
            also = f" and {no!r} are true and false" if no else " is true"
            note = None if yes == "true" else f"{yes!r}{also} (--types NAME=category)"
            read = partial(one_of, yes=frozenset({yes, "true"}), no=frozenset({no, "false"}))
            return Reading("bool", reader(read), note=note)
    return None
