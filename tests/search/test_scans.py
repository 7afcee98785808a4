"""Both ways of scanning 8-bit numbers against products of whole numbers, one by one."""

import subprocess
import sys

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.search import scans as scan
from mmrec.search.scans import LANES, FaissScan, IntegerScan, highest, integer_products, quickest

both = pytest.mark.parametrize("kind", [IntegerScan, FaissScan])


def numbers(n, d, seed=0, levels=255):
    """Codes [n, d], the extremes among them; few levels make rows tie."""
    rng = np.random.default_rng(seed)
    return np.linspace(-127, 127, levels).astype(np.int8)[rng.integers(0, levels, (n, d))]


def scanning(kind, rows, n):
    """A scan of codes [m, d], of which the first n count, in the bytes that it reads."""
    return kind(padded(rows).view(np.uint8) ^ kind.flipped, n)


def padded(codes):
    return np.pad(codes, ((0, 0), (0, -codes.shape[1] % LANES)))


def products(queries, rows):
    return queries.astype(np.int64) @ rows.astype(np.int64).T  # [b, d] @ [d, n] -> [b, n]


@settings(max_examples=40)
@given(
    st.integers(0, 99), st.integers(1, 400), st.integers(1, 40), st.integers(1, 60), st.integers(1, 6),
    st.sampled_from([2, 3, 255]), st.sampled_from([None, 0, .02, .5, 1]),
    st.sampled_from([IntegerScan, FaissScan]), st.sampled_from([0, 2**26]),
)
def test_no_allowed_row_beyond_those_named_is_above_the_ceiling(
    seed, n, d, width, b, levels, share, kind, large
):
    rows, queries = numbers(n, d, seed, levels), numbers(b, d, seed + 1, levels)
    allowed = None if share is None else np.random.default_rng(seed).random(n) < share
    shown = np.ones(n, bool) if allowed is None else allowed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "PRODUCTS", 2 * (n + 6))  # two queries at once
        filled = np.vstack([rows, np.full((n % 7, d), 127, np.int8)])
        patch.setattr(scan, "LARGE", large)
        patch.setattr(scan, "cores", lambda: 3)
        found = scanning(kind, filled, n).best(padded(queries), min(width, n), allowed)
    for named, scores in zip(found, products(queries, rows), strict=True):
        left_out = np.setdiff1d(np.flatnonzero(shown), named.rows)
        assert shown[named.rows].all()
        assert len(set(named.rows)) == len(named.rows) >= min(width, n, shown.sum())
        assert (scores[left_out] <= named.ceiling).all()
        assert not np.isneginf(named.ceiling) or not len(left_out)


@both
def test_not_many_more_rows_are_named_than_are_wanted(kind):
    rows, queries = numbers(20_000, 32), numbers(8, 32, 1)
    assert all(72 <= len(named.rows) <= 110 for named in scanning(kind, rows, 20_000).best(queries, 72, None))


@settings(max_examples=60)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=300), st.integers(1, 40))
def test_the_highest_are_those_of_a_sort(scores, width):
    scores = np.array(scores, np.int32)
    named = highest(scores, width)
    nth = np.sort(scores)[::-1][min(width, len(scores)) - 1]
    assert set(np.flatnonzero(scores >= nth)) <= set(named.rows)
    left_out = np.setdiff1d(np.arange(len(scores)), named.rows)
    assert not len(left_out) or scores[left_out].max() <= named.ceiling


@pytest.mark.parametrize("d", [31, 128, 500])
def test_the_sums_of_torch_do_not_saturate(d):
    rows = np.vstack([numbers(50, d), np.full((1, d), 127), np.full((1, d), -127)]).astype(np.int8)
    np.testing.assert_array_equal(integer_products(rows, rows), products(rows, rows))


@pytest.mark.parametrize("d", [32, 20])
def test_the_bytes_are_those_that_faiss_would_store(d):
    rows = numbers(100, d)
    plain = faiss.IndexScalarQuantizer(
        32, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    )
    filled = np.zeros((100, 32), np.float32)
    filled[:, :d] = rows
    plain.add(filled)
    scan = scanning(FaissScan, rows, 100)
    (_, ours), = scan.parts
    np.testing.assert_array_equal(*(faiss.vector_to_array(index.codes) for index in (ours, plain)))
    assert ours.ntotal == 100
    assert not ours.codes.is_owned  # faiss reads them where they are


@both
def test_a_scan_leaves_the_threads_of_the_libraries_as_they_were(kind):
    rows, before = numbers(100, 8), (faiss.omp_get_max_threads(), torch.get_num_threads())
    try:
        faiss.omp_set_num_threads(3)
        torch.set_num_threads(3)
        scanning(kind, rows, 100).best(padded(rows[:1]), 5, None)
        assert (faiss.omp_get_max_threads(), torch.get_num_threads()) == (3, 3)
    finally:
        faiss.omp_set_num_threads(before[0])
        torch.set_num_threads(before[1])


@pytest.mark.parametrize(("supported", "kind"), [(True, IntegerScan), (False, FaissScan)])
def test_torch_scans_where_the_processor_multiplies_bytes(monkeypatch, supported, kind):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: supported, raising=False)
    scan._multiplies_integers.cache_clear()
    try:
        assert quickest() is kind
    finally:
        scan._multiplies_integers.cache_clear()


def test_a_process_without_torch_does_not_load_it_for_a_scan():
    lines = (
        "import sys, numpy as np", "from mmrec.search.topk import Scorer",
        "x = np.random.default_rng(0).random((12_000, 8)).astype(np.float32)",
        "print(Scorer(x).top(x[5], 3).scores.size, 'faiss' in sys.modules, 'torch' in sys.modules)",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["3", "True", "False"]
