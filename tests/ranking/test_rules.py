"""The rules of a page, by themselves; what they make of one is told by `test_diversity`."""

import numpy as np

from mmrec.ranking.diversity import label_rows


def test_labels_are_alike_by_what_they_have_in_common(monkeypatch):
    rows = label_rows([["a", "b"], "a", ["b", "a"], None, [], "c"])
    cosines = rows @ rows.T  # [m, labels] @ [labels, m] -> [m, m]
    np.testing.assert_allclose(cosines[0], [1, 0.5**0.5, 1, 0, 0, 0], atol=1e-6)
    assert not rows[3:5].any()
    monkeypatch.setattr("mmrec.ranking.diversity.MOST_LABELS", 2)
    np.testing.assert_allclose(label_rows([*"abc"]), [[1, 0], [0, 1], [1, 0]])
