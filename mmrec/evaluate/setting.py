"""The words of the evaluation: a log, a split of it, the questions put to a model, and what a model is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Places = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Log:
    """Interactions by position, each user's in the order of time.

    Attributes:
        user_ids: of all users; a position in it is a user.
        item_ids: of all items of the catalogue; a position in it is an item.
        users: user of each interaction [n].
        items: item of each interaction [n].
        times: microseconds since 1970 of each interaction [n].
    """

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    users: Places
    items: Places
    times: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Setting:
    """One question put to a model: rank these candidates for these histories.

    Attributes:
        name: such as `cold`, `warm`, `overall`, `5 revealed`.
        histories: what the model sees of u users, [u, items]; none of it is ever ranked.
        relevant: what is right, [u, items]; every row has at least one.
        candidates: items that are ranked, all of the setting's catalogue, never a sample.
    """

    name: str
    histories: csr_matrix
    relevant: csr_matrix
    candidates: Places


@dataclass(frozen=True, slots=True)
class Split:
    """A log divided once, by protocol and seed.

    Attributes:
        train: what models are fitted on, [users, items].
        cold: items without an interaction in training.
        validation: settings to choose hyper-parameters by.
        test: settings to report, of the same names.
    """

    protocol: str
    seed: int
    train: csr_matrix
    cold: Places
    validation: Mapping[str, Setting]
    test: Mapping[str, Setting]


class Model(Protocol):
    """What can be evaluated: a user is nothing but a history, so an unseen user is an ordinary one."""

    name: str

    def fit(self, train: csr_matrix, content: Vectors) -> None:
        """Learns from histories [users, items] and the items' content [items, c] (cold ones included)."""

    def score(self, histories: csr_matrix) -> Vectors:
        """Scores [u, items] of all items for u histories; higher is better."""
