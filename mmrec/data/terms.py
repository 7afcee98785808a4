"""The terms by which full text finds a text: its words, by their script and language, and product numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from mmrec.config import LANGUAGES

if TYPE_CHECKING:
    import regex
    import tantivy
    from py3langid.langid import LanguageIdentifier

COMPOUNDING = {"danish", "dutch", "finnish", "german", "hungarian", "norwegian", "swedish"}
_BY_SCRIPT = {"ARABIC": "arabic", "CYRILLIC": "russian", "GREEK": "greek", "TAMIL": "tamil"}
_WITHOUT_STOP_WORDS = {"arabic", "greek", "romanian", "tamil", "turkish"}  # tantivy has no list of theirs
LONGEST = 40  # letters of a term
NUMBER = "#"  # what the term of a product number starts with
_SHORTEST_NUMBER = 3
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"  # scripts without blanks
_ASCII_WORD, _ASCII_NUMBER = re.compile("[a-z0-9]+"), re.compile("[a-z0-9]+(?:[-./_][a-z0-9]+)*")
_FIRST_HAN = "\u3400"
SAMPLE = 100_000  # letters by which a language is told
_SURE = 0.7  # probability from which it is told: few words in a row reach it in a language not theirs


def terms_of(text: str, language: str = "english") -> list[str]:
    """The terms of a text, in its order, with repetitions.

    A word is in small letters (NFKC), without its ending in its language, and without accents. A script
    without blanks is cut into pairs of letters, and its ideographs are terms as well. A product number
    such as "NOR.0707-60" is a term beside its parts.

    Args:
        language: of the words in Latin letters, a value of `LANGUAGES`; another script tells its own.
    """
    small = small_letters(text)
    if small.isascii():
        found = [term for word in _ASCII_WORD.findall(small) if (term := _stem(word, language))]
        return found + [NUMBER + n for n in map(number_in, _ASCII_NUMBER.findall(small)) if n]
    words, runs, numbers = _patterns()
    found = [term for word in words.findall(small) if (term := _stem(word, language))]
    for run in runs.findall(small):
        pairs = map("".join, pairwise(run))
        found += [*(letter for letter in run if len(run) == 1 or letter >= _FIRST_HAN), *pairs]
    return found + [NUMBER + n for n in map(number_in, numbers.findall(small)) if n]


def small_letters(text: str) -> str:
    """The text in small letters, in one form of Unicode."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()


def number_in(word: str) -> str | None:
    """The letters and digits of a product number; None for what is too short, too long or has no digit."""
    bare = re.sub(r"[\W_]", "", word)
    return bare if _SHORTEST_NUMBER <= len(bare) <= LONGEST and re.search(r"\d", bare) else None


def number_asked(words: str) -> str | None:
    """The product number that a query is: one word with a digit, or digits in groups ("4 006381 333931")."""
    small = small_letters(words).strip()
    return number_in(small) if re.fullmatch(r"\S+|[\d\s-]+", small) else None


def language_of(texts: Iterable[str]) -> str:
    """The language of the words in Latin letters of some texts, a value of `LANGUAGES`; English if unsure."""
    size, sample = 0, []
    for text in texts:
        sample.append(re.sub(r"[^\W\d_a-zA-Z\u00c0-\u024f]+", " ", text))
        size += len(text)
        if size > SAMPLE:
            break
    if not re.search("[a-zA-Z]", joined := "\n".join(sample)):
        return "english"
    return LANGUAGES.get(_identifier().classify(joined)[0], "english")


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_SURE)
    identifier.set_languages(list(LANGUAGES))
    return identifier


@lru_cache(2**18)
def _stem(word: str, language: str) -> str | None:
    """A word without its ending and accents; None for a stop word, or what is too long."""
    if len(word) > LONGEST:
        return None
    script = "LATIN" if word.isascii() else unicodedata.name(word[0], "?").split()[0]
    terms = _analyser(language if script == "LATIN" else _BY_SCRIPT.get(script)).analyze(word)
    return terms[0] if terms else None


@cache
def _analyser(language: str | None) -> tantivy.TextAnalyzer:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    steps = TextAnalyzerBuilder(Tokenizer.raw())
    if language is not None and language not in _WITHOUT_STOP_WORDS:
        steps = steps.filter(Filter.stopword(language))
    if language is not None:
        steps = steps.filter(Filter.stemmer(language))
    return steps.filter(Filter.ascii_fold()).build()


@cache
def _patterns() -> tuple[regex.Pattern[str], regex.Pattern[str], regex.Pattern[str]]:
    """Words with blanks between them, runs of letters without, and what may be a product number."""
    import regex

    word = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+"
    return (
        regex.compile(word, regex.V1), regex.compile(f"[{_UNSPACED}]+", regex.V1),
        regex.compile(rf"(?:{word})(?:[-./_](?:{word}))*", regex.V1),
    )
