

"""What the tests of the model share: a world in which one field of two says what users choose."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.encoders.base import unit


@pytest.fixture
def tastes():
    """Makes histories, content whose first four numbers are a taste and the rest noise, and items' tastes."""
    return world


def world(items=120, users=150, seed=0):
    """Users choose by the first field, a faint one; the loud second says nothing of them."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, items)
    content = np.hstack([0.5 * np.eye(4)[kind], unit(rng.normal(size=(items, 12)))]).astype(np.float32)
    x = np.zeros((users, items), np.float32)
    for user in range(users):
        x[user, rng.choice(np.flatnonzero(kind == user % 4), 8, replace=False)] = 1
    return csr_matrix(x), content, kind
