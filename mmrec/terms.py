"""The terms of a text: what full text compares, in memory and on the disk alike."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tantivy

LANGUAGE = "English"
LONGEST = 40  # letters of a term
# Source: the stop words of Lucene's EnglishAnalyzer.
STOP_WORDS = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no",
    "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to",
    "was", "will", "with",
]


def terms_of(text: str) -> Counter[str]:
    """How often each term stands in a text: its words in small letters without endings and accents.

    LanceDB's full-text index takes texts apart with the same library, by the same steps in the same order.
    """
    return Counter(_analyser().analyze(text))


@cache
def _analyser() -> tantivy.TextAnalyzer:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    steps = TextAnalyzerBuilder(Tokenizer.simple())
    for step in (
        Filter.remove_long(LONGEST), Filter.lowercase(), Filter.stemmer(LANGUAGE.lower()),
        Filter.custom_stopword(STOP_WORDS), Filter.ascii_fold(),
    ):
        steps = steps.filter(step)
    return steps.build()
