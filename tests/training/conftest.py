"""A log whose users choose by one field of the content alone."""

import numpy as np
import pytest

from mmrec.encoders.base import unit
from mmrec.evaluate.logs import log_of_positions
from mmrec.evaluate.splits import item_cold


@pytest.fixture(scope="session")
def split():
    """Users choose by one field alone; the other, louder one says nothing of them."""
    rng = np.random.default_rng(0)
    kind, noise = rng.integers(0, 6, 400), rng.normal(size=(400, 24))
    content = np.hstack([unit(np.eye(6)[kind] + 0.1 * rng.normal(size=(400, 6))), 4 * unit(noise)])
    taste = rng.integers(0, 6, 400)
    rows = [rng.choice(np.flatnonzero(kind == taste[u]), 12, replace=False) for u in range(400)]
    users = np.repeat(np.arange(400), 12)
    log = log_of_positions(
        [f"u{n}" for n in range(400)], [f"i{n}" for n in range(400)], users=users,
        items=np.concatenate(rows), times=np.arange(len(users)),
    )
    return item_cold(log, 1), unit(content.astype(np.float32))
