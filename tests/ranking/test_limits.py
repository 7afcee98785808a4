"""Numbers that a caller may give; which ones are refused is told where they are asked for."""

import numpy as np

from mmrec.ranking.request import scaled


def test_relevance_is_brought_to_a_scale_from_0_to_1():
    np.testing.assert_allclose(scaled(np.array([2.0, 6.0, 3.0])), [0, 1, 0.25])
    np.testing.assert_array_equal(scaled(np.array([5.0, 5.0])), [0, 0])
    assert scaled(np.zeros(0)).shape == (0,)
