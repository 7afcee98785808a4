"""What behaviour teaches an encoder: items that one user chose belong together.

Items are divided once, by their ids: most teach, some tell when to stop, and some judge what came of it. What
users did with those that judge is never learned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmrec.encoders.base import Vectors, unit
from mmrec.model.content import Embedded
from mmrec.training.adapter import Batch, centred
from mmrec.training.validation import kept

STOP, JUDGE = 0.1, 0.2  # shares of the items
MOST_PAIRS = 50_000  # of an epoch
HELD = 4  # batches of held-out pairs
Mask = NDArray[np.bool_]


class Parts(NamedTuple):
    """Which items [n] teach, stop and judge."""

    teach: Mask
    stop: Mask
    judge: Mask

    @classmethod
    def of(cls, item_ids: Sequence[str], seed: int) -> Parts:
        """By the hash of each id: an item is of one part for ever, also when others come."""
        digests = (hashlib.blake2b(f"{seed} {one}".encode(), digest_size=4).digest() for one in item_ids)
        place = np.array([int.from_bytes(one, "little") / 2**32 for one in digests])
        judge, stop = place < JUDGE, (place >= JUDGE) & (place < JUDGE + STOP)
        return cls(~judge & ~stop, stop, judge)


@dataclass(frozen=True)
class PairSource:
    """Batches of items that belong together.

    Attributes:
        fields: embeddings of the items, by field [n, e] each.
        mean: of all of these [e].
        histories: what users chose [users, n], of items that teach or stop.
        parts: of the items.
        batch_size: pairs.
    """

    fields: Mapping[str, Embedded]
    mean: Vectors
    histories: csr_matrix
    parts: Parts
    batch_size: int

    @property
    def pairs(self) -> int:
        """Pairs of an epoch."""
        taught = kept(self.histories, self.parts.teach[self.histories.indices])
        lengths = np.diff(taught.indptr)
        return min(MOST_PAIRS, int(lengths[lengths > 1].sum()))

    def epochs(self, rng: np.random.Generator) -> Callable[[], Iterator[Batch]]:
        """Gives the batches of one epoch at each call."""
        taught = kept(self.histories, self.parts.teach[self.histories.indices])
        logs = np.log(np.maximum(np.bincount(taught.indices, minlength=taught.shape[1]), 1) / taught.nnz)

        def epoch() -> Iterator[Batch]:
            for _ in range(-(-self.pairs // self.batch_size)):
                if batch := self._batch(taught, taught, logs, rng):
                    yield batch

        return epoch

    def held_out(self, rng: np.random.Generator) -> list[Batch]:
        """Some batches of pairs with an item that tells when to stop."""
        new = kept(self.histories, self.parts.stop[self.histories.indices])
        none = np.zeros(new.shape[1])
        found = (self._batch(new, self.histories, none, rng) for _ in range(HELD * len(self.fields)))
        return [batch for batch in found if batch]

    def _batch(
        self, first: csr_matrix, second: csr_matrix, logs: NDArray[np.float64], rng: np.random.Generator
    ) -> Batch | None:
        """Pairs of an interaction of the first, and another item of that user of the second; of one field."""
        values, present = self.fields[rng.choice(list(self.fields))]
        users, left, right = drawn(first, second, self.batch_size, rng)
        good = present[left] & present[right]
        users, left, right = users[good], left[good], right[good]
        if len(users) < 2:
            return None
        return Batch(
            centred(values[left], self.mean), centred(values[right], self.mean),
            torch.from_numpy(np.stack([logs[left], logs[right]]).astype(np.float32)),
            (self._own(users, right), self._own(users, left)),
        )

    def _own(self, users: NDArray[np.intp], items: NDArray[np.intp]) -> torch.Tensor:
        """Which of the items [b] each user chose too [b, b], but for the one in its own row."""
        own = self.histories[users][:, items].toarray() > 0
        np.fill_diagonal(own, False)
        return torch.from_numpy(own)


def drawn(
    first: csr_matrix, second: csr_matrix, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """At most n users, items of `first` [users, items] and other items of theirs in `second`, at random."""
    if not first.nnz:
        return (np.zeros(0, np.intp),) * 3
    some = rng.integers(first.nnz, size=n)
    users = np.searchsorted(first.indptr, some, side="right") - 1
    lengths = np.diff(second.indptr)[users]
    places = second.indptr[users] + (rng.random(n) * lengths).astype(np.intp)
    left, right = first.indices[some], second.indices[np.minimum(places, second.nnz - 1)]
    good = (lengths > 0) & (left != right)
    return users[good], left[good].astype(np.intp), right[good].astype(np.intp)


def mean_of(fields: Mapping[str, Embedded]) -> Vectors:
    """Mean [e] of all embeddings of some fields."""
    x = np.concatenate([unit(values[present]) for values, present in fields.values()])
    mean: Vectors = x.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean
