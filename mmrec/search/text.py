"""Full text in memory: documents that share terms with a query, ranked by BM25; product numbers first."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from mmrec.data.terms import (
    COMPOUNDING,
    NUMBER,
    number_asked,
    number_in,
    small_letters,
    terms_of,
)
from mmrec.encoders.base import Vectors
from mmrec.search.hits import Hits, Mask, Positions, best
from mmrec.search.vectors import Changes, Document

if TYPE_CHECKING:
    from scipy.sparse import csc_array

SATURATION, LENGTHS = 1.2, 0.75  # k1 and b of BM25
LATER = 0.1  # share of later documents up to which they are counted apart from the first
MOST_COUNTED = 2**16 - 1  # times that one document has a term
GONE = -1  # the position of a document that was changed or deleted
COMPOUND, SHORTEST_PART = 0.3, 4  # weight of a longer word that a query's word of so many letters is part of


@dataclass(frozen=True, eq=False)
class FullText:
    """The terms of n documents.

    Later documents are counted in a part of their own, so that adding one does not copy all counts.

    Attributes:
        terms: column of each term.
        listed: the terms in the order of their columns, each between two line ends.
        parts: the first documents, and those that came later.
        language: of the words in Latin letters.
    """

    terms: Mapping[str, int]
    listed: str
    parts: tuple[_Counted, ...]
    language: str

    @classmethod
    def of(cls, documents: Iterable[Document], language: str = "english") -> FullText:
        """The full text of documents [n], in any order."""
        terms: dict[str, int] = {}
        counted = _Counted.of(documents, terms, language)
        return cls(terms, _listed("\n", terms, 0), (counted,), language)

    def changed(self, changes: Changes, documents: Iterable[Document]) -> FullText:
        """The full text of the changed documents, with those written [w]; this one stays as it is."""
        terms = dict(self.terms)
        now = np.full(len(changes.kept) + 1, GONE)  # the last is indexed by GONE
        now[:-1][changes.kept] = np.flatnonzero(changes.stays)
        first, *later = (replace(part, positions=now[part.positions]) for part in self.parts)
        written = _Counted.of(documents, terms, self.language)
        written = replace(written, positions=changes.comes[written.positions])
        later = [_joined([*later, written])]
        listed = _listed(self.listed, terms, len(self.terms))
        if len(later[0]) > LATER * len(first):
            return FullText(terms, listed, (_joined([first, *later]),), self.language)
        return FullText(terms, listed, (first, *later), self.language)

    def top(self, words: str, k: int, allowed: Mask | None = None) -> Hits:
        """The k best documents for any of these words, ties by position; a product number's come first.

        Args:
            allowed: documents [n] that may be found; None for all.
        """
        scores = self.scores(words)
        numbered = self.numbered(words)
        scores[numbered] += scores.max(initial=0) + 1
        return best(scores, k, scores > 0 if allowed is None else allowed & (scores > 0))

    def numbered(self, words: str) -> Positions:
        """The documents that have the product number which a query is, else those that have it as a part."""
        asked = number_asked(words)
        if asked is None:
            return np.zeros(0, np.intp)
        whole = NUMBER + asked
        terms = [whole] if whole in self.terms else self._having(asked, only=NUMBER)
        found = [part.having(self.terms[term])[0] for term in terms for part in self.parts]
        return np.concatenate([np.zeros(0, np.intp), *found]).astype(np.intp)

    def scores(self, words: str) -> Vectors:
        """BM25 [n] of every document; 0 for those without any of the words.

        In a language that writes compounds ("Kinderkleid"), those that begin or end with a word of the query
        count a little for it. Documents without terms, such as of an item with only a picture, do not count
        in n and mean lengths.

        Source: Robertson & Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond, with the
        inverse document frequency of Lucene, log(1 + (n - m + .5) / (m + .5)) of a term in m documents.
        """
        scores = np.zeros(len(self), np.float32)
        for term, times in Counter(terms_of(words, self.language)).items():
            rarity = self._add(scores, term, times) if term in self.terms else np.inf
            if self.language in COMPOUNDING and len(term) >= SHORTEST_PART:
                for longer in self._having(term, only=""):
                    self._add(scores, longer, times * COMPOUND, rarity)
        return scores

    def _add(self, scores: Vectors, term: str, weight: float, most: float = np.inf) -> float:
        """Adds a term's part of BM25, of a rarity of at most so much; returns the term's rarity."""
        n, mean_length = self._totals
        found = [part.having(self.terms[term]) for part in self.parts]
        m = sum(len(positions) for positions, _, _ in found)
        rarity = float(np.log1p((n - m + 0.5) / (m + 0.5)))
        for positions, counts, lengths in found:
            damped = counts + SATURATION * (1 - LENGTHS + LENGTHS * lengths / mean_length)
            scores[positions] += weight * min(rarity, most) * (SATURATION + 1) * counts / damped
        return rarity

    def _having(self, part: str, *, only: str) -> list[str]:
        """The product numbers that contain a part, or the longer words that begin or end with it."""
        asked, found = [part] if only else [f"\n{part}", f"{part}\n"], set()
        for text in asked:
            at = self.listed.find(text)
            while at >= 0:
                start = self.listed.rfind("\n", 0, at + 1) + 1
                end = self.listed.find("\n", max(start, at + 1))
                found.add(self.listed[start:end])
                at = self.listed.find(text, end)
        return sorted(term for term in found - {part} if term.startswith(NUMBER) == bool(only))

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
    def of(cls, documents: Iterable[Document], terms: dict[str, int], language: str) -> _Counted:
        """Counts the terms of documents; adds new terms to `terms`."""
        from scipy.sparse import csr_array

        columns, counts, ends = array("i"), array("H"), array("q", [0])
        positions, lengths = array("q"), array("f")
        for position, item_id, words in documents:
            found = Counter(terms_of(words, language))
            lengths.append(sum(count for term, count in found.items() if term[0] != NUMBER))
            if number := number_in(small_letters(item_id)):
                found[NUMBER + number] += 1
            positions.append(position)
            columns.extend([terms.setdefault(term, len(terms)) for term in found])
            counts.extend([min(count, MOST_COUNTED) for count in found.values()])
            ends.append(len(columns))
        data, indices = np.frombuffer(counts, np.uint16), np.frombuffer(columns, np.int32)
        rows = csr_array(
            (data, indices, np.frombuffer(ends, np.int64)), shape=(len(positions), len(terms))
        )
        return cls(rows.tocsc(), np.frombuffer(lengths, np.float32), np.frombuffer(positions, np.int64))

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


def _listed(before: str, terms: Mapping[str, int], known: int) -> str:
    """The list of terms with those after the `known` first."""
    return before + "".join(f"{term}\n" for term in islice(terms, known, None))


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
