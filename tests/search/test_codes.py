"""Codes of few bits: what they take, what they find, what a change leaves of them."""

import numpy as np
import pytest

from mmrec.search import topk as scoring
from mmrec.search.codes import BitCodes, Codes, codes_within
from mmrec.search.rows import Rows
from mmrec.search.topk import Scorer
from mmrec.search.vectors import Changes, Part

N, D = 12_000, 48


def world(n=N, seed=0):
    """Unit rows in clusters, and means of a few of them as queries."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((30, D))[rng.integers(0, 30, n)] + .6 * rng.standard_normal((n, D))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return x, np.array([x[rng.integers(0, n, 3)].mean(axis=0) for _ in range(20)], np.float32)


def share(scorer, x, queries, allowed=None):
    """Recall of the ten nearest."""
    shown = np.ones(len(x), bool) if allowed is None else allowed
    truth = [np.argsort(np.where(shown, x @ q, -np.inf))[-10:] for q in queries]
    found = [scorer.top(q, 10, allowed=allowed).positions for q in queries]
    return np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(truth, found, strict=True)])


@pytest.mark.parametrize(("room", "bits"), [(None, 8), (64 * N, 8), (64 * N - 1, 4), (43 * N, 3), (1, 2)])
def test_as_many_bits_are_kept_as_there_is_room_for(room, bits):
    codes = codes_within(Rows.of(world()[0]), room)
    assert (codes.bits, codes.exact) == (bits, bits == 8)
    if room and room > 1:
        assert codes.nbytes <= room + 4_096 * 64 + 4 * D * D  # and what does not grow with the rows
    told = Codes.size(N, D) if bits == 8 else BitCodes.size(N, D, bits)
    assert 0 <= codes.nbytes - told <= 4_096 * 64 + 4 * D * D


@pytest.mark.parametrize("bits", [4, 3, 2])
def test_few_bits_find_nearly_all_of_the_nearest_with_their_exact_scores(bits):
    x, queries = world()
    scorer = Scorer(x, BitCodes.size(N, D, bits))
    assert (scorer.exact, scorer.bits) == (False, bits)
    assert share(scorer, x, queries) >= .97
    hits = scorer.top(queries[0], 10)
    np.testing.assert_allclose(hits.scores, x[hits.positions] @ queries[0], rtol=1e-5)
    assert (np.diff(hits.scores) <= 0).all()


@pytest.mark.parametrize("kept", [.001, .02, .1, .7])
def test_a_filter_is_exact_however_much_it_keeps(kept):
    x, queries = world()
    allowed = np.random.default_rng(3).random(N) < kept
    scorer = Scorer(x, 1)
    assert all(allowed[scorer.top(q, 10, allowed=allowed).positions].all() for q in queries)
    assert share(scorer, x, queries, allowed) >= .97


def test_hidden_rows_are_not_found_and_others_take_their_places():
    x, queries = world()
    scorer = Scorer(x, 1)
    first = scorer.top(queries[0], 10).positions
    later = scorer.top(queries[0], 10, exclude=first[:4]).positions
    assert len(later) == 10
    assert not np.isin(first[:4], later).any()
    np.testing.assert_array_equal(later[:6], first[4:])


def test_many_queries_find_what_each_finds_alone():
    x, queries = world()
    scorer = Scorer(x, 1)
    for hits, q in zip(scorer.top_many(queries, 10), queries, strict=True):
        np.testing.assert_array_equal(hits.positions, scorer.top(q, 10).positions)


def test_changed_rows_are_found_where_they_now_are_and_the_earlier_codes_stay(monkeypatch):
    monkeypatch.setattr(scoring, "FEW", 0)
    x, queries = world()
    scorer, new = Scorer(x, 1), world(50, seed=9)[0]
    ids = [f"i{n:05d}" for n in range(N)]
    keys = sorted([*ids[100:], *(f"n{n:02d}" for n in range(50))])
    kept, stays = np.array([i in set(keys) for i in ids]), np.array([k[0] == "i" for k in keys])
    changes = Changes(keys, Part(None, []), kept, stays, np.flatnonzero(~stays))
    now = scorer.changed(changes, scorer.rows.changed(changes, new))
    assert (now.bits, now.exact, len(now)) == (2, False, N - 50)
    whole = np.vstack([x[100:], new])
    assert share(now, whole, [*queries, *new[:5]]) >= .97
    assert now.top(new[7], 1).positions[0] == N - 100 + 7
    assert share(scorer, x, queries) >= .97
