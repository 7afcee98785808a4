"""Vectors by position, in memory and in a file: the same rows whatever was written in between."""

import errno
import io
import re
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.errors import StoreError
from mmrec.search import rows as module
from mmrec.search.rows import InMemory, OnDisk, Rows
from mmrec.search.vectors import Changes, Part
from mmrec.store.files import LocalFiles

KINDS = ("memory", "file")


@pytest.fixture(params=KINDS)
def files(request, tmp_path):
    return None if request.param == "memory" else LocalFiles(tmp_path)


def batches(x, order, size=3):
    """Rows in an order of arrival, some at a time."""
    for start in range(0, len(order), size):
        part = order[start : start + size]
        yield list(part), x[part]


def numbers(n, d=4, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def changes(kept, comes, m):
    """Changes that keep some of the earlier rows, and put others at these positions of m."""
    stays = np.ones(m, bool)
    stays[comes] = False
    return Changes([str(n) for n in range(m)], Part(None, []), kept, stays, np.asarray(comes, np.intp))


def test_rows_stand_at_their_positions_whatever_the_order_they_came_in(files):
    x = numbers(10)
    rows = Rows.read(batches(x, np.random.default_rng(1).permutation(10)), x.shape, files)
    assert rows.shape == (10, 4)
    assert rows.in_memory is (files is None)
    np.testing.assert_array_equal(rows[:], x)
    np.testing.assert_array_equal(rows[7], x[7])
    np.testing.assert_array_equal(rows[[3, 0, 3]], x[[3, 0, 3]])
    np.testing.assert_array_equal(rows[x[:, 0] > 0], x[x[:, 0] > 0])
    np.testing.assert_array_equal(np.asarray(rows), x)
    np.testing.assert_allclose(rows.scores(x[0]), x @ x[0], rtol=1e-5)
    for part, block in rows.blocks(4):
        np.testing.assert_array_equal(block, x[part])


def test_what_never_came_is_zeros(files):
    x = numbers(4)
    rows = Rows.read(batches(x, np.array([2, 0])), x.shape, files)
    np.testing.assert_array_equal(rows[[0, 2]], x[[0, 2]])
    assert not rows[[1, 3]].any()


def test_some_of_the_numbers_are_a_view(files):
    x = numbers(6)
    whole = Rows.read(batches(x, np.arange(6)), x.shape, files)
    some = whole.part(slice(1, 3))
    assert some.shape == (6, 2)
    assert some.storage is whole.storage
    np.testing.assert_array_equal(some[[5, 1]], x[[5, 1], 1:3])
    np.testing.assert_allclose(some.scores(x[0, 1:3]), x[:, 1:3] @ x[0, 1:3], rtol=1e-5)


def test_scores_are_those_of_all_rows_however_few_are_read_at_once(files, monkeypatch):
    monkeypatch.setattr("mmrec.search.rows.AT_ONCE", 3)
    x = numbers(10)
    rows = Rows.read(batches(x, np.random.default_rng(1).permutation(10)), x.shape, files)
    np.testing.assert_allclose(rows.scores(x[0]), x @ x[0], rtol=1e-5)
    assert Rows.of(x[:0]).scores(x[0]).shape == (0,)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_after_any_changes_the_rows_are_those_of_a_whole_matrix_and_earlier_ones_stay(kind, data):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", 4)  # so that what is no longer needed is soon left behind
        x = numbers(data.draw(st.integers(1, 8)))
        files = None if kind == "memory" else LocalFiles(Path(folder))
        earlier = [(Rows.read(batches(x, np.arange(len(x))), x.shape, files), x)]
        for step in range(data.draw(st.integers(1, 6))):
            rows, x = earlier[-1]
            kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(x), max_size=len(x))), bool)
            written = numbers(data.draw(st.integers(0, 4)), seed=step + 1)
            m = int(kept.sum()) + len(written)
            comes = sorted(data.draw(st.permutations(range(m)))[: len(written)])
            step_changes = changes(kept, comes, m)
            earlier.append((rows.changed(step_changes, written), step_changes.merged(x, written)))
        for rows, expected in earlier:
            np.testing.assert_array_equal(rows[:], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_written_again_and_again_do_not_pile_up(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 4)
    files = None if kind == "memory" else LocalFiles(tmp_path)
    x = numbers(10)
    rows = Rows.read(batches(x, np.arange(10)), x.shape, files)
    kept = np.arange(10) > 0
    for n in range(100):
        rows = rows.changed(changes(kept, [0], 10), numbers(1, seed=n))
        assert len(rows.storage.array) <= module.WASTE * 10 + 4 + 2
    np.testing.assert_array_equal(rows[:], np.vstack([numbers(1, seed=99), x[1:]]))


def test_threads_that_write_at_once_do_not_overwrite_one_another(files):
    storage = InMemory(np.zeros((0, 4), np.float32)) if files is None else OnDisk(files, 4)
    found = {}

    def write(n):
        first = storage.append(np.full((50, 4), n, np.float32))
        found[n] = first

    threads = [threading.Thread(target=write, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, first in found.items():
        assert (storage.array[first : first + 50] == n).all()


def test_a_file_lies_beside_the_store_and_leaves_nothing_behind(tmp_path):
    rows = Rows.read(batches(numbers(5), np.arange(5)), (5, 4), LocalFiles(tmp_path))
    assert rows[:].any()
    assert not list(tmp_path.iterdir())


class NearlyFull(io.FileIO):
    """A file on a disk that has room for so many bytes more."""

    room = 100

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = super().write(bytes(data)[: self.room])
        self.room -= written
        return written


def test_a_full_disk_is_said_with_what_to_do_and_what_was_written_stays(tmp_path):
    class Files:
        def scratch(self):
            return NearlyFull(tmp_path / "rows", "w+")

    storage, x = OnDisk(Files(), 4), numbers(20)
    assert storage.append(x[:2]) == 0
    with pytest.raises(StoreError, match=r"cannot write vectors .*Make room .*`memory`"):
        storage.append(x)
    np.testing.assert_array_equal(storage.array, x[:2])
    storage._file.room = 1_000
    assert storage.append(x) == 2
    np.testing.assert_array_equal(storage.array[2:], x)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's account of memory")
def test_rows_of_a_file_that_were_looked_up_do_not_stay_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOKED_UP", 64)  # each with 16 pages around it: 4 MB
    x, files = numbers(8_192, 1_024), LocalFiles(tmp_path)  # 32 MB, a page each
    rows = Rows.read(batches(x, np.arange(len(x)), size=1_024), x.shape, files)
    before = of_files()
    for row in np.random.default_rng(0).permutation(len(x)):
        assert rows[[row]][0, 0] == x[row, 0]
    assert of_files() - before < x.nbytes / 4


def of_files():
    """Bytes of memory into which this process has mapped files."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"RssFile:\s+(\d+)", status)[1])
