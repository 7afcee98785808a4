from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.errors import DataError
from mmrec.evaluate.logs import Setting, Split, check, check_setting


def rows(*lists: list[int]) -> csr_matrix:
    """Ones [users, 6] at each user's items."""
    dense = np.zeros((len(lists), 6), np.float32)
    for user, items in enumerate(lists):
        dense[user, items] = 1
    return csr_matrix(dense)


def setting(
    name: str, relevant: csr_matrix, candidates: list[int], seen: csr_matrix | None = None
) -> Setting:
    seen = rows([0, 1], [2]) if seen is None else seen
    return Setting(name, seen, relevant, np.array(candidates, np.int32))


def split(**changes: object) -> Split:
    """Two users, of whom one saw 0 and 1, the other 2; items 4 and 5 are cold."""
    good = Split(
        "item-cold", 1, rows([0, 1], [2]), np.array([3, 4, 5], np.int32),
        {"cold": setting("cold", rows([4], [4]), [4, 5])}, {"cold": setting("cold", rows([5], [5]), [4, 5])},
    )
    return replace(good, **changes)


def test_a_good_split_passes() -> None:
    check(split())


def test_a_cold_item_in_training_is_refused_and_counted() -> None:
    with pytest.raises(DataError, match=r"item-cold: 1 items \(positions 4\) are cold and occur in training"):
        check(split(train=rows([0, 1], [2, 4])))


def test_a_warm_candidate_of_the_cold_setting_is_refused() -> None:
    easy = {"cold": setting("cold", rows([5], [5]), [2, 4, 5])}
    with pytest.raises(DataError, match=r"cold: 1 items \(positions 2\) are candidates and not cold"):
        check(split(test=easy))


def test_a_pair_that_is_relevant_in_validation_and_in_test_is_refused() -> None:
    again = {"cold": setting("cold", rows([4, 5], [5]), [4, 5])}
    with pytest.raises(DataError, match="cold: 1 pairs are relevant in validation and in test"):
        check(split(test=again))


def test_users_who_cannot_be_told_apart_raise_no_false_alarm() -> None:
    twins = rows([0, 1], [0, 1])
    one = {"cold": setting("cold", rows([4]), [4, 5], rows([0, 1]))}
    check(split(train=twins, validation=one, test=one))


def test_parts_that_ask_different_questions_are_refused() -> None:
    with pytest.raises(DataError, match="validation asks 'cold', test asks nothing"):
        check(split(test={}))
    with pytest.raises(DataError, match="at least one setting"):
        check(split(validation={}, test={}))


def test_training_on_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="no interaction is left for training"):
        check(split(train=rows([], [])))


@pytest.mark.parametrize(("bad", "message"), [
    (setting("x", rows([1], [4]), [1, 4]), "1 relevant pairs are in their own history"),
    (setting("x", rows([3], [4, 5]), [3, 4]), r"1 items \(positions 5\) are relevant and no candidates"),
    (setting("x", rows([3], []), [3]), "1 users have nothing relevant"),
    (setting("x", rows([3]), [3]), "must have one shape"),
    (setting("x", rows(), [3], rows()), "no user has both a history and something relevant"),
    (setting("x", rows([3], [3]), [4, 3]), "different positions in ascending order"),
    (setting("x", rows([3], [3]), [3, 3]), "different positions in ascending order"),
    (setting("x", rows([3], [3]), []), "different positions in ascending order"),
    (setting("x", rows([3], [3]), [3, 6]), "positions of the 6 items"),
])
def test_a_setting_that_leaks_or_cannot_be_answered_is_refused(bad: Setting, message: str) -> None:
    with pytest.raises(DataError, match=f"x: .*{message}"):
        check_setting(bad)


def test_a_check_leaves_the_order_of_a_history_alone() -> None:
    ordered = csr_matrix((np.ones(2, np.float32), [1, 0], [0, 2]), (1, 6))
    check_setting(setting("x", rows([3]), [3], ordered))
    assert ordered.indices.tolist() == [1, 0]
