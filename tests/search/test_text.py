"""Full text in memory: BM25 by its formula, as LanceDB ranks, whatever came, changed and went."""

from __future__ import annotations

from math import log

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.search import text as fulltext
from mmrec.search.text import FullText
from mmrec.search.vectors import Changes, Part, numbered
from mmrec.store.files import LocalFiles
from mmrec.store.tables import KeyedTable

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
    return Changes(keys, Part(None, numbered(comes)), kept, stays, np.flatnonzero(~stays))


def of(shelf: dict[str, str]) -> FullText:
    return FullText.of([shelf[key] for key in sorted(shelf)])


def test_scores_are_those_of_the_formula():
    terms = [["red", "mug"], ["blue", "mug"], ["red", "red", "chair", "wood"], [], ["wooden", "chair"],
             ["mug", "mug", "mug"]]
    for query in (["red"], ["mug"], ["red", "mug"], ["mug", "mug", "chair"], ["lamp"]):
        expected = by_the_formula(terms, query)
        np.testing.assert_allclose(FullText.of(DOCUMENTS).scores(" ".join(query)), expected, rtol=1e-6)


def test_the_index_on_the_disk_ranks_alike(tmp_path):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([*WORDS, "a1", "b2"], rng.integers(1, 9))) for _ in range(300)]
    table = KeyedTable(LocalFiles(tmp_path), "rows", pa.schema(
        [pa.field("key", pa.string(), nullable=False), pa.field("words", pa.string())]))
    table.upsert(pa.table([[f"{n:03}" for n in range(300)], texts], schema=table.schema))
    table.index_text("words")
    for query in ("red mug", "a1", "chair chair lamp", "the", "velvet"):
        ours, theirs = FullText.of(texts).top(query, 300), table.match(query, "words", 300)
        assert dict(zip(ours.positions.tolist(), ours.scores.tolist(), strict=True)) == pytest.approx(
            {int(key): score for key, score in theirs}, rel=1e-4)


def test_the_best_come_first_ties_by_position_and_only_what_is_allowed():
    found = FullText.of(DOCUMENTS)
    assert found.top("red mug", 10).positions.tolist()[0] == 0
    same = FullText.of(["mug", "lamp", "mug", "mug"])
    assert same.top("mug", 2).positions.tolist() == [0, 2]
    assert same.top("mug", 5, np.array([False, True, True, True])).positions.tolist() == [2, 3]
    assert same.top("velvet", 5).positions.tolist() == []
    assert same.top("", 5).positions.tolist() == []


@pytest.mark.parametrize("documents", [[], [""], ["the"]])
def test_documents_without_terms_are_never_found(documents):
    assert not FullText.of(documents).top("the red mug", 5).positions.size


@given(before=SHELVES, steps=st.lists(st.tuples(SHELVES, st.sets(st.sampled_from("abcdefgh"))), max_size=4),
       later=st.sampled_from([0.0, 0.5, 100.0]))
def test_whatever_came_changed_and_went_scores_are_those_of_counting_anew(before, steps, later):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fulltext, "LATER", later)
        shelf, found = before, of(before)
        for written, gone in steps:
            now = {key: text for key, text in (shelf | written).items() if key in written or key not in gone}
            earlier, expected = found.scores("red mug the chair"), of(now)
            texts = [written[key] for key in sorted(written)]
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
        found = found.changed(changes_of(shelf, now, {f"{n:03}"}), ["lamp"])
        shelf = now
        assert len(found.parts) == 2
    found = found.changed(changes_of(shelf, shelf, {"050"}), ["mug"])
    assert len(found.parts) == 1
    assert found.top("lamp", 20).positions.tolist() == list(range(10))
