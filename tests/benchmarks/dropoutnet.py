"""DropoutNet, a published network for cold items, as one more baseline of the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mmrec.encoders.base import Vectors, unit
from mmrec.evaluate.baselines import ALS, Baseline, Grid
from mmrec.model.closed_form import truncated_svd

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_matrix

    Modules = tuple[torch.nn.Module, torch.nn.Module]  # of users and of items, as all pairs here
    Tensors = tuple[torch.Tensor, torch.Tensor]

_USERS, _ITEMS = 256, 512  # of one step


@dataclass(kw_only=True)
class DropoutNet(Baseline):
    """Two towers over [content, ALS factors] that reproduce the scores of ALS, often without item factors.

    A user's content is the mean of the history's; a cold item has zeros for factors. The content is cut to
    its strongest components, and content and factors are scaled to one length, so that both count.

    Source: Volkovs, Yu & Poutanen 2017, DropoutNet: addressing cold start in recommender systems.

    Args:
        factors: of ALS, and of the towers' outputs.
        regularization: of ALS.
        components: of the content that are kept.
        hidden: width of the one hidden layer of each tower.
        dropout: share of items whose factors are hidden in a step.
        learning_rate: of Adam.
        steps: each of 256 users and 512 items.
        seed: of ALS, the towers and the steps.
    """

    name: str = "DropoutNet"
    factors: int = 128
    regularization: float = 10.0
    components: int = 256
    hidden: int = 256
    dropout: float = 0.5
    learning_rate: float = 1e-3
    steps: int = 1200
    seed: int = 0
    grid: ClassVar[Grid] = tuple(
        {"dropout": dropout, "regularization": reg} for dropout in (0.25, 0.5, 0.75) for reg in (10.0, 60.0)
    )
    _als: ALS = field(init=False, repr=False)
    _content: Vectors = field(init=False, repr=False)  # [items, c], c components
    _scales: tuple[float, float] = field(init=False, repr=False)  # of users' content and factors
    _user_tower: torch.nn.Module = field(init=False, repr=False)
    _vectors: Vectors = field(init=False, repr=False)  # [items, f]

    def fit(self, train: csr_matrix, content: Vectors, /) -> None:
        import torch

        self._als = ALS(factors=self.factors, regularization=self.regularization, seed=self.seed)
        self._als.fit(train, content)
        self._content, _ = truncated_svd(unit(content), self.components)
        wanted, known = self._als.user_factors(train), self._als.item_factors()  # [users, f], [items, f]
        self._scales = _length(self._tastes(train)), _length(wanted)
        users = torch.from_numpy(self._user_inputs(train, wanted))  # [users, c + f]
        warm = np.flatnonzero(train.getnnz(axis=0))
        scales = _length(self._content), _length(known[warm])
        items = torch.from_numpy(_side_by_side(self._content, known, *scales))  # [items, c + f]
        teachers = torch.from_numpy(wanted / _rms_of_scores(wanted, known)), torch.from_numpy(known[warm])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            towers = self._tower(users.shape[1]), self._tower(items.shape[1])
            self._train(towers, (users, items[warm]), teachers)
        self._user_tower = towers[0]
        with torch.no_grad():
            self._vectors = towers[1](items).numpy()

    def _train(self, towers: Modules, inputs: Tensors, teachers: Tensors) -> None:
        """Brings scores of random users and warm items to those of their factors."""
        import torch

        (user_tower, item_tower), (users, items), (wanted, known) = towers, inputs, teachers
        optimiser = torch.optim.Adam([*user_tower.parameters(), *item_tower.parameters()], self.learning_rate)
        for _ in range(self.steps):
            some, others = torch.randint(len(users), (_USERS,)), torch.randint(len(items), (_ITEMS,))
            shown = items[others]  # [b, c + f], a copy
            shown[torch.rand(_ITEMS) < self.dropout, -self.factors :] = 0
            scores = user_tower(users[some]) @ item_tower(shown).T  # [a, f] @ [f, b] -> [a, b]
            loss = (scores - wanted[some] @ known[others].T).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    def score(self, histories: csr_matrix, /) -> Vectors:
        import torch

        inputs = self._user_inputs(histories, self._als.user_factors(histories))
        with torch.no_grad():
            users: Vectors = self._user_tower(torch.from_numpy(inputs)).numpy()
        return users @ self._vectors.T  # [u, f] @ [f, items] -> [u, items]

    def _tower(self, width: int) -> torch.nn.Module:
        from torch import nn

        return nn.Sequential(nn.Linear(width, self.hidden), nn.Tanh(), nn.Linear(self.hidden, self.factors))

    def _user_inputs(self, histories: csr_matrix, factors: Vectors) -> Vectors:
        return _side_by_side(self._tastes(histories), factors, *self._scales)

    def _tastes(self, histories: csr_matrix) -> Vectors:
        """Mean content of each history, [u, c]."""
        sizes = np.maximum(np.asarray(histories.sum(axis=1)), 1)  # [u, 1]
        tastes: Vectors = (histories @ self._content) / sizes  # [u, items] @ [items, c] -> [u, c]
        return tastes


def _side_by_side(
    content: Vectors, factors: Vectors, content_length: float, factors_length: float
) -> Vectors:
    """Inputs [n, c + f] of a tower, whose two parts are as long, and entries are about 1."""
    width = content.shape[1] + factors.shape[1]
    inputs: Vectors = np.hstack([content / content_length, factors / factors_length]) * np.sqrt(width / 2)
    return inputs.astype(np.float32)


def _length(rows: Vectors) -> float:
    """Root mean square norm of rows [n, e]; 1 where all is 0."""
    return float(np.sqrt(np.square(rows).sum(axis=1).mean())) or 1.0


def _rms_of_scores(users: Vectors, items: Vectors) -> float:
    """Root mean square of users @ items.T, [u, f] and [n, f], without all those scores."""
    squares = ((users.T @ users) * (items.T @ items)).sum()  # [f, f]
    return float(np.sqrt(squares / (len(users) * len(items)))) or 1.0
