"""What a search finds: the best of scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmrec.search.hits import SortedKeys, best


@given(
    scores=arrays(np.float32, st.integers(0, 40), elements=st.integers(-3, 3).map(float)),
    k=st.integers(1, 50), seed=st.integers(0, 9),
)
def test_best_is_a_stable_sort_cut_at_k(scores, k, seed):
    allowed = np.random.default_rng(seed).random(len(scores)) < 0.7
    hits = best(scores, k, allowed)
    expected = sorted(np.flatnonzero(allowed), key=lambda p: (-scores[p], p))[:k]
    assert hits.positions.tolist() == expected
    assert hits.scores.tolist() == [scores[p] for p in expected]


@given(st.sets(st.text(max_size=3)), st.text(max_size=3))
def test_sorted_keys_are_found_as_in_a_dictionary(keys, other):
    keys = sorted(keys)
    position = {key: row for row, key in enumerate(keys)}
    found = SortedKeys(keys)
    assert dict(found) == position
    assert [found[key] for key in keys] == list(range(len(keys)))
    assert found.get(other) == position.get(other)
    assert (other in found) is (other in position)
