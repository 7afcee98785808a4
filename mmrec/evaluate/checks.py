"""What no split may do: let a model see what it is asked for, or ask for what cannot be found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from mmrec.errors import DataError
from mmrec.evaluate.setting import Places, Setting, Split

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

WHOLE_ROWS = frozenset({"item-cold", "warm"})  # protocols whose histories are whole rows of training


def check(split: Split) -> None:
    """Refuses a split that leaks, or that cannot be measured.

    A setting does not name its users. A pair that is relevant in validation and in test is found all the
    same: where histories are whole training rows, by a row that only one user has; where the history of the
    test holds what was relevant in validation, by `check_setting`. Of unseen users it cannot be told: their
    protocol draws them apart.

    Raises:
        DataError: a cold item occurs in training, a relevant pair is in both parts, training is empty, the
            parts differ in their settings, or a setting is refused by `check_setting`.
    """
    if not split.train.nnz:
        raise DataError(f"{split.protocol}: no interaction is left for training, the log is too small")
    leaked = np.intersect1d(split.train.indices, split.cold)
    if len(leaked):
        raise DataError(f"{split.protocol}: {_some(leaked)} cold and occur in training, which is a leak")
    if set(split.validation) != set(split.test) or not split.test:
        raise DataError(
            f"{split.protocol}: validation asks {_names(split.validation)}, test asks {_names(split.test)};"
            " both must ask the same, and at least one setting: the log may be too small"
        )
    for name, setting in split.test.items():
        check_setting(split.validation[name])
        check_setting(setting)
        if split.protocol in WHOLE_ROWS:
            _check_apart(split.train, split.validation[name], setting)
    _check_cold(split)


def check_setting(setting: Setting) -> None:
    """Refuses a setting whose answers are seen, cannot be found, or are missing.

    Raises:
        DataError: a relevant pair is in its own history, candidates lack a relevant item or are not sorted,
            a user has nothing relevant, or there are no users.
    """
    name, seen, relevant = setting.name, setting.histories, setting.relevant
    if seen.shape != relevant.shape:
        raise DataError(f"{name}: histories {seen.shape} and relevant {relevant.shape} must have one shape")
    if not relevant.shape[0]:
        raise DataError(f"{name}: no user has both a history and something relevant, the log is too small")
    if not np.diff(relevant.indptr).all():
        raise DataError(f"{name}: {(np.diff(relevant.indptr) == 0).sum()} users have nothing relevant")
    if seen.multiply(relevant).nnz:
        raise DataError(f"{name}: {seen.multiply(relevant).nnz} relevant pairs are in their own history")
    _check_candidates(name, setting.candidates, relevant)


def _check_candidates(name: str, candidates: Places, relevant: csr_matrix) -> None:
    if not len(candidates) or (np.diff(candidates) <= 0).any():  # ties are broken by this order
        raise DataError(f"{name}: candidates must be different positions in ascending order")
    if candidates[0] < 0 or candidates[-1] >= relevant.shape[1]:
        raise DataError(f"{name}: candidates must be positions of the {relevant.shape[1]} items")
    lost = np.setdiff1d(relevant.indices, candidates)
    if len(lost):
        raise DataError(f"{name}: {_some(lost)} relevant and no candidates, so nobody could find them")


def _check_apart(train: csr_matrix, validation: Setting, test: Setting) -> None:
    """Refuses a pair that is relevant in validation and in test."""
    owners = Counter(_histories(train))
    rows = {seen: row for row, seen in enumerate(_histories(validation.histories)) if owners[seen] == 1}
    same = [(rows[seen], row) for row, seen in enumerate(_histories(test.histories)) if seen in rows]
    if same:
        ours, theirs = np.array(same).T  # [users of both, 2] -> two of [users of both]
        twice = validation.relevant[ours].multiply(test.relevant[theirs]).nnz
        if twice:
            raise DataError(f"{test.name}: {twice} pairs are relevant in validation and in test")


def _check_cold(split: Split) -> None:
    """Refuses a setting called cold with candidates that occur in training."""
    for part in (split.validation, split.test):
        if "cold" in part:
            warm = np.setdiff1d(part["cold"].candidates, split.cold)
            if len(warm):
                raise DataError(f"cold: {_some(warm)} candidates and not cold, which makes it easier")


def _histories(rows: csr_matrix) -> list[bytes]:
    """Each row's items as a key, in whatever order they are."""
    return [np.sort(items).tobytes() for items in np.split(rows.indices, rows.indptr[1:-1])]


def _some(places: Places) -> str:
    """The subject of a sentence: some positions, and how many there are."""
    shown = ", ".join(map(str, places[:5].tolist()))
    return f"{len(places)} items (positions {shown}{', ...' if len(places) > 5 else ''}) are"


def _names(part: object) -> str:
    return ", ".join(map(repr, part)) or "nothing"  # type: ignore[call-overload]
