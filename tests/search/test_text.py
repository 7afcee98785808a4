"""Full text in memory: BM25 by its formula, as LanceDB ranks, whatever came, changed and went."""

from __future__ import annotations

from collections.abc import Iterable
from math import log

import languages
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.search import text as fulltext
from mmrec.search.text import FullText
from mmrec.search.vectors import Changes, Document, Part

DOCUMENTS = ["red mug", "a blue mug", "red red chair of wood", "", "wooden chair", "mugs, mugs and mugs"]
WORDS = ["red", "mug", "chair", "wooden", "lamp", "the"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
SHELVES = st.dictionaries(st.sampled_from("abcdefgh"), TEXTS, min_size=1)


def by_the_formula(documents: list[list[str]], query: list[str]) -> list[float]:
    """BM25 of documents whose terms are given."""
    n = sum(map(bool, documents))
    mean = sum(map(len, documents)) / n
    scores = [0.0] * len(documents)
    for term in query:
        m = sum(term in document for document in documents)
        for place, document in enumerate(documents):
            f = document.count(term)
            damped = f + 1.2 * (1 - 0.75 + 0.75 * len(document) / mean)
            scores[place] += log(1 + (n - m + 0.5) / (m + 0.5)) * f * 2.2 / damped
    return scores


def changes_of(before: dict[str, str], now: dict[str, str], written: set[str]) -> Changes:
    """What turns the shelf before into the one now, of which some were written."""
    keys, comes = sorted(now), sorted(written)
    kept = np.array([key in now and key not in written for key in sorted(before)], np.bool_)
    stays = np.array([key not in written for key in keys], np.bool_)
    return Changes(keys, Part(None, comes), kept, stays, np.flatnonzero(~stays))


def counted(texts: Iterable[str], language: str = "english") -> FullText:
    return FullText.of((Document(at, "", text) for at, text in enumerate(texts)), language)


def of(shelf: dict[str, str]) -> FullText:
    return counted(shelf[key] for key in sorted(shelf))


def test_scores_are_those_of_the_formula():
    terms = [["red", "mug"], ["blue", "mug"], ["red", "red", "chair", "wood"], [], ["wooden", "chair"],
             ["mug", "mug", "mug"]]
    for query in (["red"], ["mug"], ["red", "mug"], ["mug", "mug", "chair"], ["lamp"]):
        expected = by_the_formula(terms, query)
        np.testing.assert_allclose(counted(DOCUMENTS).scores(" ".join(query)), expected, rtol=1e-6)


def test_the_best_come_first_ties_by_position_and_only_what_is_allowed():
    found = counted(DOCUMENTS)
    assert found.top("red mug", 10).positions.tolist()[0] == 0
    same = counted(["mug", "lamp", "mug", "mug"])
    assert same.top("mug", 2).positions.tolist() == [0, 2]
    assert same.top("mug", 5, np.array([False, True, True, True])).positions.tolist() == [2, 3]
    assert same.top("velvet", 5).positions.tolist() == []
    assert same.top("", 5).positions.tolist() == []


@pytest.mark.parametrize("documents", [[], [""], ["the"]])
def test_documents_without_terms_are_never_found(documents):
    assert not counted(documents).top("the red mug", 5).positions.size


@given(before=SHELVES, steps=st.lists(st.tuples(SHELVES, st.sets(st.sampled_from("abcdefgh"))), max_size=4),
       later=st.sampled_from([0.0, 0.5, 100.0]))
def test_whatever_came_changed_and_went_scores_are_those_of_counting_anew(before, steps, later):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fulltext, "LATER", later)
        shelf, found = before, of(before)
        for written, gone in steps:
            now = {key: text for key, text in (shelf | written).items() if key in written or key not in gone}
            earlier, expected = found.scores("red mug the chair"), of(now)
            texts = [Document(at, "", written[key]) for at, key in reversed([*enumerate(sorted(written))])]
            changed = found.changed(changes_of(shelf, now, set(written)), texts)
            assert len(changed) == len(now)
            for query in ("red mug", "chair", "wooden lamp lamp"):
                np.testing.assert_allclose(changed.scores(query), expected.scores(query), rtol=1e-5)
            assert (found.scores("red mug the chair") == earlier).all()  # for who reads the one before
            shelf, found = now, changed


def test_few_that_came_later_are_counted_apart_until_they_are_many():
    shelf = {f"{n:03}": "mug" for n in range(100)}
    found = of(shelf)
    for n in range(10):
        now = shelf | {f"{n:03}": "lamp"}
        found = found.changed(changes_of(shelf, now, {f"{n:03}"}), [Document(0, "", "lamp")])
        shelf = now
        assert len(found.parts) == 2
    found = found.changed(changes_of(shelf, shelf, {"050"}), [Document(0, "", "mug")])
    assert len(found.parts) == 1
    assert found.top("lamp", 20).positions.tolist() == list(range(10))


def test_a_compound_is_found_by_its_parts_below_the_word_itself():
    titles = ["Kleid", "Kinderkleider", "Kleiderbügel", "Hut", "Umkleidekabine"]
    assert counted(titles, "german").top("Kleider", 9).positions.tolist() == [0, 1, 2]
    assert counted(titles, "english").top("Kleid", 9).positions.tolist() == [0]
    short = counted(["Hüte", "Hutablage"], "german")
    assert short.top("Hut", 9).positions.tolist() == [0]


def test_a_product_number_comes_first_as_a_whole_else_by_its_parts():
    numbers = ["NOR.0707-60", "MUG-16-07", "T710TBH", "4006381333931", "NOR.0707-6"]
    texts = ["oak", "mug 16 07 16 07", "tape", "pen, 3 in a box", "mug-16-07 goes with it"]
    found = FullText.of(map(Document, range(5), numbers, texts))
    for query, expected in {
        "NOR.0707-60": [0], "nor070760": [0], "NOR.0707": [0, 4], "0707-60": [0], "T710": [2], "t710tbh": [2],
        "4 006381 333931": [3], "400638": [3], "MUG-16-07": [1, 4], "MUG-16-07 pen": [1, 3, 4], "99999": [],
    }.items():
        assert sorted(found.top(query, 9).positions.tolist()) == expected, query
    assert found.top("mug-16-07", 1).positions.tolist() == [1]
    assert found.numbered("oak shelf 60").size == 0
    assert found.top("T710", 9, np.zeros(5, np.bool_)).positions.size == 0


@pytest.mark.parametrize("name", languages.LANGUAGES)
def test_full_text_alone_ranks_well_in_other_languages(name):
    words = languages.LANGUAGES[name]
    assert languages.quality(words, "german" if name == "German" else "english") >= 0.8


def test_every_product_number_is_first():
    assert languages.numbers_first() == (languages.NUMBERS, languages.NUMBERS)


@pytest.mark.parametrize(
    "words", ["it's", '"', "*", "AND", "(", "\\", "'; --", "\0", "日本", " ", 999 * "x", "\n", "#"]
)
def test_any_words_may_be_searched_for(words):
    assert not counted(["red mug", "", "a lamp"]).top(words, 5).positions.size
    assert not counted(["rote Tasse", ""], "german").top(words, 5).positions.size
