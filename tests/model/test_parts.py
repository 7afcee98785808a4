"""Rows of a head in fewer numbers: the best that their width allows."""

import numpy as np
import pytest

from mmrec.model.parts import Blend, Compression, ItemEmbeddings, Shares, embeddings_from, importance

N, U, D, M = 60, 40, 9, 7  # items, users, numbers that are searched, and that a history is read from


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def compression(rng, width, importance=None):
    items, users, sums = normal(rng, N, D), normal(rng, U, D) * np.arange(1, D + 1), normal(rng, U, M)
    importance = np.eye(M, dtype=np.float32) if importance is None else importance
    users = users.astype(np.float32)
    return Compression.of(items, users, sums, importance, width), items, users, sums


@pytest.mark.parametrize("width", [1, 3, 6, 9, 100])
def test_scores_have_the_least_error_that_a_rank_allows(rng, width):
    found, items, users, _ = compression(rng, width)
    scores = users @ items.T
    error = np.square(scores - (users @ found.users) @ (items @ found.items).T).sum()
    left_out = np.linalg.svd(scores, compute_uv=False)[width:]  # Eckart & Young
    assert error == pytest.approx(np.square(left_out).sum(), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("width", [1, 3, 7])
def test_sums_have_the_least_weighed_error_that_a_rank_allows(rng, width):
    root = normal(rng, M, M)
    found, _, _, sums = compression(rng, width, root @ root.T)
    error = (sums - (sums @ found.inputs) @ found.restored) @ root
    left_out = np.linalg.svd(sums @ root, compute_uv=False)[width:]
    assert np.square(error).sum() == pytest.approx(np.square(left_out).sum(), rel=1e-2, abs=1e-2)


def test_rows_of_full_width_come_back_whole(rng):
    found, items, _, _ = compression(rng, D)
    rows = np.hstack([items, normal(rng, N, M)])
    assert found.rows(rows).shape == (N, D + M)
    np.testing.assert_allclose(found.whole(found.rows(rows)), rows, atol=1e-3)
    narrow, _, _, _ = compression(rng, 2)
    assert narrow.rows(rows).shape == (N, 4)
    assert narrow.whole(narrow.rows(rows)).shape == rows.shape
    np.testing.assert_array_equal(Compression.none(D, M).rows(rows), rows)
    np.testing.assert_array_equal(Compression.none(D, M).whole(rows), rows)


def test_what_no_score_reads_is_not_kept(rng):
    r, h, p = 2, 3, 2
    sums, base = normal(rng, U, r + h + p), normal(rng, h)
    covariances = tuple(np.eye(n, dtype=np.float32) for n in (r, h + 1, p))
    covariances[0][1, 1] = 0  # no item's output differs there
    equal = Shares(0.0, 0.5, 0.5)
    cost = importance(sums, base, covariances, Blend(warm=equal, short=equal, cold=equal))
    assert cost.shape == (r + h + p,) * 2
    assert not cost[:r].any()  # the linear part has no share
    blended = importance(sums, base, covariances, Blend())
    assert blended[0, 0] > 0
    assert not blended[1].any()
    np.testing.assert_allclose(blended, blended.T)
    slope = (1 - np.tanh(sums[:, r : r + h] + base) ** 2).mean(axis=0)
    ratios = np.diag(blended)[r : r + h] / slope**2
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)


def test_it_begins_where_the_items_were_learned_and_new_ones_where_their_content_says():
    rng = np.random.default_rng(0)
    learned = ItemEmbeddings(*(rng.normal(size=shape).astype(np.float32) for shape in ((5, 3), 3, (5, 3), 5)))
    predicted = rng.normal(size=(1, 2 + 2 + 3 + 3 + 1)).astype(np.float32)  # of a linear part of rank 2
    start = embeddings_from(learned, np.array([4, -1, 0]), predicted, (2, 3))
    np.testing.assert_array_equal(start.input, [learned.input[4], predicted[0, 4:7], learned.input[0]])
    np.testing.assert_array_equal(start.output, [learned.output[4], predicted[0, 7:10], learned.output[0]])
    np.testing.assert_array_equal(start.bias, [learned.bias[4], predicted[0, 10], learned.bias[0]])
    np.testing.assert_array_equal(start.base, learned.base)
