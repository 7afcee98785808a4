"""Full text in memory: documents that share terms with a query, ranked by BM25.

LanceDB's index ranks the same way from the disk, where every search takes some milliseconds.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.search.hits import Hits, Mask, Positions, best
from mmrec.search.vectors import Changes
from mmrec.store.tables import LANGUAGE, LONGEST, STOP_WORDS

if TYPE_CHECKING:
    import tantivy
    from scipy.sparse import csc_array


ORDINALS = str.maketrans("ªº", "ao")  # which LanceDB folds and our analyser does not
SATURATION, LENGTHS = 1.2, 0.75  # k1 and b of BM25
LATER = 0.1  # share of later documents up to which they are counted apart from the first
GONE = -1  # the position of a document that was changed or deleted


def terms_of(text: str) -> Counter[str]:
    """Counts of the terms of a text: its words in small letters, without endings and accents.

    LanceDB's full-text index takes the same steps in the same order, but folds a few rare letters otherwise.
    """
    return Counter(_analyser().analyze(text.translate(ORDINALS)))


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


@dataclass(frozen=True, eq=False)
class FullText:
    """The terms of n documents.

    Later documents are counted in a part of their own, so that adding one does not copy all counts.

    Attributes:
        terms: column of each term.
        parts: the first documents, and those that came later.
    """

    terms: dict[str, int]
    parts: tuple[_Counted, ...]

    @classmethod
    def of(cls, documents: Sequence[str]) -> FullText:
        """The full text of documents [n]."""
        terms: dict[str, int] = {}
        return cls(terms, (_Counted.of(documents, np.arange(len(documents)), terms),))

    def changed(self, changes: Changes, documents: Sequence[str]) -> FullText:
        """The full text of the changed documents, with those written [w]; this one stays as it is."""
        terms = dict(self.terms)
        now = np.full(len(changes.kept) + 1, GONE)  # the last is indexed by GONE
        now[:-1][changes.kept] = np.flatnonzero(changes.stays)
        first, *later = (replace(part, positions=now[part.positions]) for part in self.parts)
        later = [_joined([*later, _Counted.of(documents, changes.comes, terms)])]
        if len(later[0]) > LATER * len(first):
            return FullText(terms, (_joined([first, *later]),))
        return FullText(terms, (first, *later))

    def top(self, words: str, k: int, allowed: Mask | None = None) -> Hits:
        """The k best documents for any of these words, ties by position.

        Args:
            allowed: documents [n] that may be found; None for all.
        """
        scores = self.scores(words)
        return best(scores, k, scores > 0 if allowed is None else allowed & (scores > 0))

    def scores(self, words: str) -> Vectors:
        """BM25 [n] of every document; 0 for those without any of the words.

        Documents without terms, such as of an item with only a picture, do not count in n and mean lengths.

        Source: Robertson & Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond, with the
        inverse document frequency of Lucene, log(1 + (n - m + .5) / (m + .5)) of a term in m documents.
        """
        scores = np.zeros(len(self), np.float32)
        n, mean_length = self._totals
        for term, times in terms_of(words).items():
            found = [part.having(self.terms[term]) for part in self.parts] if term in self.terms else []
            m = sum(len(positions) for positions, _, _ in found)
            rarity = np.log1p((n - m + 0.5) / (m + 0.5))
            for positions, counts, lengths in found:
                damped = counts + SATURATION * (1 - LENGTHS + LENGTHS * lengths / mean_length)
                scores[positions] += times * rarity * (SATURATION + 1) * counts / damped
        return scores

    @cached_property
    def _n(self) -> int:
        return sum(int(part.alive.sum()) for part in self.parts)

    def __len__(self) -> int:
        return self._n

    @cached_property
    def _totals(self) -> tuple[int, float]:
        """Number of documents with terms, and their mean number of terms."""
        lengths = np.concatenate([part.lengths[part.alive] for part in self.parts])
        n = int(np.count_nonzero(lengths))
        return n, float(lengths.sum()) / max(n, 1)


@dataclass(frozen=True, eq=False)
class _Counted:
    """Counts of m documents.

    Attributes:
        counts: number of times that each document has each term [m, terms].
        lengths: number of terms of each [m].
        positions: position of each in the catalogue [m], or `GONE`.
    """

    counts: csc_array
    lengths: Vectors
    positions: Positions

    @classmethod
    def of(cls, documents: Sequence[str], positions: Positions, terms: dict[str, int]) -> _Counted:
        """Counts the terms of documents; adds new terms to `terms`."""
        from scipy.sparse import csr_array

        columns, counts, ends = array("i"), array("f"), [0]
        for document in documents:
            found = terms_of(document)
            columns.extend([terms.setdefault(term, len(terms)) for term in found])
            counts.extend(found.values())
            ends.append(len(columns))
        rows = csr_array(
            (np.array(counts, np.float32), np.array(columns, np.int32), ends),
            shape=(len(documents), len(terms)),
        )
        return cls(rows.tocsc(), rows.sum(axis=1), positions)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def alive(self) -> Mask:
        """Which documents [m] are still in the catalogue."""
        return self.positions != GONE

    def having(self, column: int) -> tuple[Positions, Vectors, Vectors]:
        """Documents with a term: their positions in the catalogue, counts of the term, and lengths."""
        known = column < self.counts.shape[1]  # else the term came later
        entries = slice(*self.counts.indptr[column : column + 2]) if known else slice(0)
        rows, counts = self.counts.indices[entries], self.counts.data[entries]
        positions = self.positions[rows]
        there = positions != GONE
        return positions[there], counts[there], self.lengths[rows[there]]


def _joined(parts: Sequence[_Counted]) -> _Counted:
    """Several parts as one, without the documents that are gone."""
    from scipy.sparse import vstack

    alive = np.concatenate([part.alive for part in parts])
    wide = [part.counts.copy() for part in parts]
    for counts in wide:
        counts.resize(counts.shape[0], max(part.counts.shape[1] for part in parts))
    lengths = np.concatenate([part.lengths for part in parts])
    positions = np.concatenate([part.positions for part in parts])
    return _Counted(vstack(wide, format="csr")[alive].tocsc(), lengths[alive], positions[alive])
