"""The towers that serve before any training: worked by hand, and as sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmrec.encoders.base import unit
from mmrec.model.towers import IdentityTowers

AXES = np.eye(3, dtype=np.float32)
NUMBERS = st.integers(-9, 9).map(lambda v: (v + 0.5) / 3)


def weights(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


@st.composite
def histories(draw):
    n = draw(st.integers(1, 6))
    history = unit(draw(arrays(np.float32, (n, 3), elements=NUMBERS)))
    return history, draw(arrays(np.float32, n, elements=NUMBERS))


def test_an_items_vector_is_its_content():
    np.testing.assert_array_equal(IdentityTowers(0.5).items(AXES, ["a", "", "b"]), AXES)


def test_a_user_is_the_weighted_mean_of_the_history():
    user = IdentityTowers(0.5).user(AXES[:2], weights(3, 1))
    np.testing.assert_allclose(user, np.array([3, 1, 0]) / np.sqrt(10), atol=1e-6)


def test_a_dislike_pushes_away_as_strongly_as_is_said():
    user = IdentityTowers(0.5).user(AXES, weights(1, 1, -4))
    np.testing.assert_allclose(user, np.array([1, 1, -1]) / np.sqrt(3), atol=1e-6)  # .5, .5, -.5 x mean
    indifferent = IdentityTowers(0).user(AXES, weights(1, 1, -4))
    np.testing.assert_allclose(indifferent, np.array([1, 1, 0]) / np.sqrt(2), atol=1e-6)


def test_dislikes_alone_look_the_other_way():
    np.testing.assert_allclose(IdentityTowers(0.5).user(AXES[:1], weights(-1)), [-1, 0, 0], atol=1e-6)


@pytest.mark.parametrize(("history", "given_weights"), [
    (AXES[:0], weights()), (AXES[:2], weights(0, 0)), (np.vstack([AXES[0], -AXES[0]]), weights(1, 1)),
], ids=["nothing", "no weight", "opposites"])
def test_a_history_that_says_nothing_gives_zeros(history, given_weights):
    towers = IdentityTowers(0.5)
    user = towers.user(history, given_weights)
    assert not user.any()
    assert not towers.attributions(history, given_weights, user).any()


@given(histories(), st.floats(0, 2))
def test_a_user_has_norm_1_or_0(known, dislike_weight):
    user = IdentityTowers(dislike_weight).user(*known)
    assert user.dtype == np.float32
    norm = float(np.linalg.norm(user))
    assert norm == pytest.approx(1, abs=1e-5) or norm == 0


@given(histories(), st.floats(0, 2))
def test_attributions_sum_to_the_user(known, dislike_weight):
    towers = IdentityTowers(dislike_weight)
    user = towers.user(*known)
    parts = towers.attributions(*known, user)
    assert parts.shape == known[0].shape
    np.testing.assert_allclose(parts.sum(axis=0), user, atol=1e-3)


def test_an_item_is_attributed_its_weight_of_the_user():
    towers = IdentityTowers(0.5)
    user = towers.user(AXES[:2], weights(3, -1))
    parts = towers.attributions(AXES[:2], weights(3, -1), user)
    np.testing.assert_allclose(parts, np.array([[1, 0, 0], [0, -0.5, 0]]) / np.sqrt(1.25), atol=1e-6)


@given(histories())
def test_only_the_proportions_of_the_likes_matter(known):
    history, given_weights = known[0], np.abs(known[1])
    towers = IdentityTowers(0.5)
    np.testing.assert_allclose(
        towers.user(history, given_weights), towers.user(history, 5 * given_weights), atol=1e-4)


@given(st.lists(histories(), max_size=4))
def test_many_users_are_users_one_by_one(known):
    catalogue = np.vstack([history for history, _ in known] or [AXES[:0]])  # [n, 3]
    ends = np.cumsum([len(history) for history, _ in known]).astype(int)
    places = [range(end - len(history), end) for end, (history, _) in zip(ends, known, strict=True)]
    towers = IdentityTowers(0.5)
    users = towers.users(catalogue, places, [given_weights for _, given_weights in known])
    assert (users.shape, users.dtype) == ((len(known), 3), np.float32)
    for user, one in zip(users, known, strict=True):
        np.testing.assert_array_equal(user, towers.user(*one))


def test_every_part_of_an_untrained_row_is_the_row():
    towers = IdentityTowers(0.5)
    assert not towers.trained
    assert towers.spans(3) == (slice(0, 3), slice(0, 3))
