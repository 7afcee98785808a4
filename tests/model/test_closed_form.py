"""The regressions against a solver of one item after the other, and the directions of a catalogue."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.errors import DataError
from mmrec.model.closed_form import directions, regressions


@pytest.mark.parametrize(("dropout", "power"), [(0.0, 0.0), (0.3, 0.5)])
def test_each_column_is_a_ridge_regression_on_all_others(dropout, power):
    x = (np.random.default_rng(0).random((60, 8)) < 0.3).astype(float)
    sizes = np.maximum(x.sum(axis=1), 1)
    weighed = x * np.sqrt((sizes / sizes.mean()) ** -power)[:, None]
    found = regressions(csr_matrix(x), 5.0, dropout=dropout, user_power=power)
    for item in range(8):
        others = np.delete(np.arange(8), item)
        gram = weighed[:, others].T @ weighed[:, others]
        penalty = 5.0 * np.eye(7) + dropout / (1 - dropout) * np.diag(np.diag(gram))
        expected = np.linalg.solve(gram + penalty, weighed[:, others].T @ weighed[:, item])
        assert found[others, item] == pytest.approx(expected, abs=1e-5)
        assert found[item, item] == 0


@pytest.mark.parametrize("flatness", [0.0, 0.5, 1.0])
def test_directions_are_those_of_most_variance_as_strong_as_is_asked(flatness):
    x = (np.random.default_rng(0).normal(size=(50, 6)) * [5, 4, 3, 0.1, 0.2, 0.1]).astype(np.float32)
    found = directions(x, 3, flatness)
    _, strengths, right = np.linalg.svd(x)
    np.testing.assert_allclose(
        np.abs(right[:3] @ found), np.diag((strengths[:3] / strengths[0]) ** -flatness), atol=1e-4)
    expected = strengths[0] * (strengths[:3] / strengths[0]) ** (1 - flatness)
    np.testing.assert_allclose(np.linalg.norm(x @ found, axis=0), expected, rtol=1e-4)


def test_no_penalty_is_refused():
    with pytest.raises(DataError, match="give more"):
        regressions(csr_matrix(np.eye(3)), 0.0)
