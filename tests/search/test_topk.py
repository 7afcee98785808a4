"""The fast scorer against one that scores every row: the same answer, whatever hides rows or ties them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch  # noqa: F401  (whose loading takes longer than an example may)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmrec.errors import DataError
from mmrec.search import codes
from mmrec.search import topk as scoring
from mmrec.search.codes import Codes
from mmrec.search.rows import Rows
from mmrec.search.scans import FaissScan, IntegerScan
from mmrec.search.topk import Scorer
from mmrec.search.vectors import Changes, Part

EIGHTHS = st.integers(-8, 8).map(lambda i: i / 8)  # float32 sums of products are exact, so ties are real


@pytest.fixture(autouse=True, params=[IntegerScan, FaissScan])
def scanned(request, monkeypatch):
    """Every test of this file by both ways of scanning."""
    monkeypatch.setattr(codes, "quickest", lambda: request.param)
    return request.param


def naive(matrix, query, k, allowed=None, exclude=()):
    """Positions of the k best, by float64 scores of all rows."""
    scores = matrix.astype(np.float64) @ query.astype(np.float64)
    shown = np.any(matrix, axis=1) & bool(np.any(query))
    if allowed is not None:
        shown &= allowed
    shown[list(exclude)] = False
    return sorted(np.flatnonzero(shown), key=lambda row: (-scores[row], row))[:k]


def coded(matrix):
    """A scorer that has codes however small the matrix."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "SMALL", 1)
        return Scorer(matrix)


def world(n=3_000, d=32, seed=0):
    """Unit rows whose principal axes decay as a text encoder's do, and means of a few of them as queries."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    x = rng.standard_normal((n, d)) / np.sqrt(np.arange(1, d + 1)) @ turn  # [n, d] @ [d, d] -> [n, d]
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return x, np.array([x[rng.integers(0, n, 3)].mean(axis=0) for _ in range(20)], np.float32)


@st.composite
def searches(draw):
    """Few distinct numbers in few columns, so that rows repeat, tie and are empty."""
    n, d = draw(st.integers(0, 60)), draw(st.integers(1, 4))
    matrix = draw(arrays(np.float32, (n, d), elements=EIGHTHS))
    queries = draw(arrays(np.float32, (draw(st.integers(1, 4)), d), elements=EIGHTHS))
    allowed = draw(st.none() | arrays(np.bool_, n))
    places = st.lists(st.integers(0, n - 1), max_size=5) if n else st.just([])
    return matrix, queries, draw(st.integers(1, 80)), allowed, [draw(places) for _ in queries]


@given(searches())
def test_one_query_finds_what_scoring_every_row_finds(search):
    matrix, queries, k, allowed, exclude = search
    found = Scorer(matrix).top(queries[0], k, allowed=allowed, exclude=exclude[0])
    assert found.positions.tolist() == naive(matrix, queries[0], k, allowed, exclude[0])
    assert found.scores.dtype == np.float32
    np.testing.assert_array_equal(found.scores, matrix[found.positions] @ queries[0])


@given(searches(), st.integers(1, 30))
def test_many_queries_find_what_each_finds_alone_in_blocks_of_any_size(search, block):
    matrix, queries, k, allowed, exclude = search
    scorer = Scorer(matrix)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmrec.search.hits.SCORES", block)
        patch.setattr("mmrec.search.hits.POOL", 1)
        many = scorer.top_many(queries, k, allowed=allowed, exclude=exclude)
    for hits, query, hidden in zip(many, queries, exclude, strict=True):
        assert hits.positions.tolist() == naive(matrix, query, k, allowed, hidden)


@settings(max_examples=25)
@given(st.integers(0, 99), st.sampled_from([0, .0001, .01, .1, .5, 1]), st.integers(1, 12),
       st.sampled_from([1, 4, 2000]))
def test_codes_never_change_an_answer(seed, share, k, levels):
    """From rows that are all different to rows that are all the same."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(-8, 9, (levels, 8)) / np.float32(8)
    matrix = rows[rng.integers(0, levels, 2_000)]
    query = rng.integers(-8, 9, 8).astype(np.float32) / 8
    allowed = None if share == 1 else rng.random(2_000) < share
    hidden = rng.integers(0, 2_000, 20)
    found = coded(matrix).top(query, k, allowed=allowed, exclude=hidden)
    assert found.positions.tolist() == naive(matrix, query, k, allowed, hidden)


@pytest.mark.parametrize("k", [1, 10, 50])
@pytest.mark.parametrize("share", [1, .5, .1, .01])
def test_the_codes_answer_alone_on_vectors_like_real_ones(monkeypatch, k, share):
    matrix, queries = world()
    scorer = coded(matrix)
    allowed = np.random.default_rng(1).random(len(matrix)) < share
    if share == 1 or share > scoring.FEW:
        monkeypatch.setattr(scorer, "_open", lambda *_: pytest.fail("all rows were scored"))
    expected = [naive(matrix, query, k, allowed) for query in queries]
    assert [scorer.top(query, k, allowed=allowed).positions.tolist() for query in queries] == expected
    for some in np.split(queries, 5):
        many = scorer.top_many(some, k, allowed=allowed)
        assert [hits.positions.tolist() for hits in many] == [expected.pop(0) for _ in some]


def test_a_small_matrix_needs_no_codes_and_a_large_one_has_them_within_a_third_of_its_size():
    matrix = np.tile(world()[0], (7, 1))
    small, large = Scorer(matrix[:3_000]), Scorer(matrix)
    assert small.nbytes == 3_000
    assert .25 * matrix.nbytes < large.nbytes < .33 * matrix.nbytes
    assert np.shares_memory(large.rows[:], matrix)


@settings(max_examples=50)
@given(st.integers(0, 99), st.integers(1, 40), st.floats(-3, 3), st.integers(1, 30))
def test_no_row_that_the_codes_leave_out_scores_above_their_ceiling(seed, d, tail, width):
    """Also when one column, or one row, is a thousand times another."""
    rng = np.random.default_rng(seed)
    matrix = (rng.standard_normal((300, d)) * 10 ** (tail * rng.random(d))).astype(np.float32)
    matrix[rng.integers(300)] *= 1000
    query = (rng.standard_normal(d) * 10 ** (tail * rng.random(d))).astype(np.float32)
    (rows, ceiling), = Codes(Rows.of(matrix)).nominate(query[None], width)
    left_out = np.setdiff1d(np.arange(300), rows)
    assert len(rows) >= width
    assert (matrix[left_out].astype(np.float64) @ query <= ceiling).all()


def test_the_ceiling_is_tight_enough_to_leave_nearly_all_rows_out():
    matrix, queries = world()
    coded_rows = Codes(Rows.of(matrix))
    for query in queries:
        tenth = np.sort(matrix @ query)[-10]
        assert coded_rows.nominate(query[None], 90)[0].ceiling < tenth  # 90 suffice to be sure of 10 results


def test_codes_are_asked_among_allowed_rows_alone():
    matrix, queries = world()
    allowed = np.zeros(len(matrix), np.bool_)
    allowed[[5, 17, 2_999]] = True
    (rows, ceiling), = Codes(Rows.of(matrix)).nominate(queries[:1], 10, allowed)
    assert sorted(rows) == [5, 17, 2_999]
    assert ceiling == -np.inf


def test_equal_rows_tie_by_position_wherever_they_stand():
    matrix, queries = world(d=30)
    copies = [3, 4, 1_001, 1_500, 2_999]
    matrix[copies] = matrix[7]
    scorer = coded(matrix)
    for allowed in (None, np.arange(3_000) % 2 == 1, np.isin(np.arange(3_000), [*copies, 7])):
        found = scorer.top(matrix[7], 6, allowed=allowed)
        same = found.scores == found.scores[0]
        expected = [p for p in sorted([*copies, 7]) if allowed is None or allowed[p]]
        assert found.positions[same].tolist() == expected
    many = scorer.top_many(np.array([matrix[7], queries[0]]), 6)[0]
    assert many.positions.tolist() == sorted([*copies, 7])


def test_a_pair_of_vectors_has_one_score_by_every_road():
    matrix, queries = world(d=30)
    scorer, plain = coded(matrix), Scorer(matrix)
    for query, many in zip(queries, scorer.top_many(queries, 10), strict=True):
        by_codes, by_product = scorer.top(query, 10), plain.top(query, 10)
        only = np.zeros(len(matrix), np.bool_)
        only[many.positions] = True
        for other in (by_codes, by_product, scorer.top(query, 10, allowed=only)):
            assert other.positions.tolist() == many.positions.tolist()
            assert other.scores.tobytes() == many.scores.tobytes()


def test_the_larger_the_catalogue_the_more_candidates_are_asked_for(monkeypatch):
    matrix, queries = world()
    scorer, widths = coded(matrix), []
    named = Codes.nominate
    monkeypatch.setattr(Codes, "nominate", lambda self, Q, width, allowed=None: (
        widths.append(width) or named(self, Q, width, allowed)))
    for dense, width in ((scoring.DENSE, 72), (len(matrix), 144), (len(matrix) // 2, 216)):
        monkeypatch.setattr(scoring, "DENSE", dense)
        assert scorer.top(queries[0], 10).positions.tolist() == naive(matrix, queries[0], 10)
        assert widths.pop(0) == width
        widths.clear()


def test_those_who_hide_many_rows_do_not_widen_the_scan_of_the_others(monkeypatch):
    matrix, queries = world()
    rng = np.random.default_rng(3)
    exclude = [rng.choice(3_000, size, replace=False) for size in (0, 3, 230, 20, 250, 9)]
    scorer, widths = coded(matrix), []
    named = Codes.nominate
    monkeypatch.setattr(Codes, "nominate", lambda self, Q, width, allowed=None: (
        widths.append((len(Q), width)) or named(self, Q, width, allowed)))
    monkeypatch.setattr(FaissScan, "most", 10)
    found = scorer.top_many(queries[:6], 5, exclude=exclude)
    assert widths == [(4, 72), (1, 282), (1, 302)]
    for hits, query, hidden in zip(found, queries, exclude, strict=False):
        assert hits.positions.tolist() == naive(matrix, query, 5, exclude=hidden)
    monkeypatch.setattr(FaissScan, "most", 20)
    crowd = scorer.top_many(queries, 5, exclude=[exclude[4]] * 20)
    assert len(widths) == 3  # as a product of all rows is faster for them
    expected = [naive(matrix, query, 5, exclude=exclude[4]) for query in queries]
    assert [hits.positions.tolist() for hits in crowd] == expected


def test_rows_of_zeros_are_never_found_even_where_all_others_score_below():
    matrix = np.zeros((2_000, 3), np.float32)
    matrix[[11, 12, 13]] = -1
    scorer, query = coded(matrix), np.ones(3, np.float32)
    assert scorer.top(query, 5).positions.tolist() == [11, 12, 13]
    assert scorer.top_many(query[None], 5)[0].positions.tolist() == [11, 12, 13]
    assert coded(matrix[:5]).top(query, 5).positions.tolist() == []


def test_a_query_of_zeros_finds_nothing():
    matrix, queries = world(200)
    empty = np.zeros(32, np.float32)
    assert len(Scorer(matrix).top(empty, 5).positions) == 0
    none, some = Scorer(matrix).top_many(np.array([empty, queries[0]]), 5)
    assert (len(none.positions), len(some.positions)) == (0, 5)


def test_threads_may_search_at_once():
    matrix, queries = world()
    scorer = coded(matrix)
    alone = [scorer.top(query, 10).positions.tolist() for query in queries]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda query: scorer.top(query, 10).positions.tolist(), [*queries] * 10))
    assert together == alone * 10


def test_when_all_rows_tie_for_many_queries_the_first_are_found():
    matrix = np.ones((30_000, 2), np.float32)
    scorer = Scorer(matrix)
    for hits in (scorer.top(matrix[0], 3), *scorer.top_many(matrix[:4], 3)):
        assert hits.positions.tolist() == [0, 1, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad):
    matrix, queries = world(50)
    wrong = matrix.copy()
    wrong[17, 3] = bad
    with pytest.raises(DataError, match=r"row 17 .* encode that item again"):
        Scorer(wrong)
    queries[1, 2] = bad
    with pytest.raises(DataError, match="the query holds NaN"):
        Scorer(matrix).top(queries[1], 3)
    with pytest.raises(DataError, match="the query holds NaN"):
        Scorer(matrix).top_many(queries, 3)


def test_shapes_that_do_not_fit_are_refused():
    matrix, queries = world(50)
    scorer = Scorer(matrix)
    with pytest.raises(DataError, match=r"shape \[31\] .* 32 numbers"):
        scorer.top(queries[0, :31], 3)
    with pytest.raises(DataError, match=r"mask of shape \[49\]"):
        scorer.top(queries[0], 3, allowed=np.ones(49, np.bool_))
    with pytest.raises(DataError, match="2 lists to exclude for 20 queries"):
        scorer.top_many(queries, 3, exclude=[[], []])


def test_no_rows_no_columns_no_queries():
    for scorer in (Scorer(np.zeros((0, 4), np.float32)), Scorer(np.zeros((3, 0), np.float32))):
        query = np.ones(scorer.rows.shape[1], np.float32)
        assert len(scorer.top(query, 3).positions) == 0
        assert scorer.top_many(np.empty((0, len(query)), np.float32), 3) == []


def changed(scorer, gone, places, rows):
    """The scorer without the rows `gone`, and with others before these places of what is left."""
    n = len(scorer) - len(gone) + len(rows)
    kept, stays = np.ones(len(scorer), bool), np.ones(n, bool)
    kept[gone] = False
    comes = np.asarray(places) + np.arange(len(rows))
    stays[comes] = False
    changes = Changes([str(i) for i in range(n)], Part(None, []), kept, stays, comes)
    return scorer.changed(changes, scorer.rows.changed(changes, rows))


def test_a_scorer_that_was_changed_finds_what_a_new_one_finds():
    x, queries = world()
    rows = (x[:50] + x[50:100]) * np.float32(0.45)  # within the steps
    old = coded(x)
    now = changed(old, [3, 2_000], [0, 5, *range(100, 148)], rows)
    new = coded(now.rows[:])
    np.testing.assert_array_equal(now.rows[[0, 6]], rows[:2])
    np.testing.assert_array_equal(now.rows[-1], x[-1])
    assert len(now) == len(x) + 48
    for query in queries:
        assert now.top(query, 10).positions.tolist() == new.top(query, 10).positions.tolist()
        assert old.top(query, 10).positions.tolist() == naive(x, query, 10)
    assert now._codes._steps is old._codes._steps


def test_a_row_beyond_the_steps_of_the_codes_has_them_made_anew():
    x, queries = world()
    now = changed(coded(x), [], [7], 3 * x[:1])
    assert now._codes is None  # fewer than the scorer wants codes for, and the old ones would not do
    for query in queries:
        assert now.top(query, 10).positions.tolist() == naive(now.rows[:], query, 10)


def test_codes_are_made_anew_when_they_would_cut_off_more_than_before():
    x, _ = world()
    steps = coded(x)._codes._steps
    midway = ((np.rint(x[:1] / steps) * 0.9).astype(int) + 0.5) * steps
    now = changed(coded(x), [], [7], midway.astype(np.float32))
    assert now._codes is None
    assert now.top(midway[0].astype(np.float32), 5).positions.tolist() == naive(now.rows[:], midway[0], 5)


def test_codes_that_were_changed_are_those_of_the_whole():
    x, _ = world()
    old, new = Codes(Rows.of(x)), Codes(Rows.of(np.vstack([x, x[:1]])))
    changes = Changes(
        [str(i) for i in range(len(x) + 1)], Part(None, []), np.ones(len(x), bool),
        np.arange(len(x) + 1) < len(x), np.array([len(x)]),
    )
    now = old.changed(changes, x[:1])
    np.testing.assert_array_equal(now.scan.stored, new.scan.stored)
    assert (now._cut_off, now._longest, now.nbytes) == (new._cut_off, new._longest, new.nbytes)


def test_changed_rows_that_are_no_numbers_are_refused():
    x, _ = world()
    with pytest.raises(DataError, match="NaN"):
        changed(coded(x), [], [7], np.full((1, 32), np.nan, np.float32))
