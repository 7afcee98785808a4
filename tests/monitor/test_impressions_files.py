"""The log on disk: whole files whatever happens, few of them, and no longer than they should be kept."""

import errno
import os
import threading
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.errors import DataError
from mmrec.monitor import impressions
from mmrec.monitor.impressions import ParquetLog, hour_of, read

SCHEMA = pa.schema([("n", pa.int64()), ("time", pa.timestamp("us", "UTC"))])
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
EVER = NOON - timedelta(days=900), NOON + timedelta(days=900)


@pytest.fixture(autouse=True, scope="module")
def _small():
    """Few rows in a file, kept for a short time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(impressions, "MOST_ROWS", 5)
        patch.setattr(impressions, "KEEP", timedelta(days=10))
        yield


@pytest.fixture
def log(tmp_path):
    return ParquetLog(tmp_path / "log", SCHEMA)


def rows(*numbers, time=NOON):
    return pa.table([pa.array(numbers, pa.int64()), [time] * len(numbers)], schema=SCHEMA)


def names(log):
    return sorted(path.name for path in log.folder.iterdir())


def numbers(log, since=EVER[0], until=EVER[1]):
    return sorted(read(log.folder, SCHEMA, since, until)["n"].to_pylist())


def put(log, *numbers, time=NOON):
    log.append(hour_of(time), rows(*numbers, time=time))


def test_batches_share_a_file_until_it_is_full_or_the_hour_is_over(log):
    put(log, 1, 2)
    put(log, 3, 4, 5)
    assert len(names(log)) == 1
    put(log, 6)
    assert len(names(log)) == 2
    put(log, 7, time=NOON + timedelta(hours=1))
    assert [name[:13] for name in names(log)] == ["2025-03-01T12", "2025-03-01T12", "2025-03-01T13"]
    assert numbers(log) == [1, 2, 3, 4, 5, 6, 7]


@settings(max_examples=20)
@given(batches=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), max_size=8))
def test_no_row_is_lost_or_doubled_whatever_the_batches(batches, tmp_path_factory):
    log = ParquetLog(tmp_path_factory.mktemp("log"), SCHEMA)
    total = 0
    for size, hour in batches:
        put(log, *range(total, total + size), time=NOON + timedelta(hours=hour))
        total += size
        assert numbers(log) == list(range(total))


def test_processes_write_files_of_their_own(log):
    other = ParquetLog(log.folder, SCHEMA)
    for n in range(4):
        put((log, other)[n % 2], n)
    assert len(names(log)) == 2
    assert numbers(other) == [0, 1, 2, 3]


def test_a_period_holds_its_rows_even_if_they_were_written_late(log):
    minutes = [NOON + timedelta(minutes=m) for m in range(200)]
    put(log, 1)
    put(log, 5, time=minutes[130])
    put(log, 2, time=minutes[58])  # two hours late
    assert numbers(log, NOON, minutes[60]) == [1, 2]
    assert numbers(log, minutes[1], minutes[60]) == [2]
    assert numbers(log, minutes[1], minutes[58]) == []
    assert numbers(log, minutes[58], minutes[131]) == [2, 5]
    assert numbers(log, minutes[131], EVER[1]) == []


def test_columns_may_be_chosen_and_a_folder_that_is_not_there_is_empty(log):
    assert read(log.folder, SCHEMA, *EVER, columns=["n"]).schema.names == ["n"]
    put(log, 1)
    assert read(log.folder, SCHEMA, *EVER, columns=["n"]).to_pydict() == {"n": [1]}


def test_old_files_and_what_was_begun_go(log):
    put(log, 1)
    put(log, 2, time=NOON + timedelta(days=9))
    begun, recent = log.folder / ".a.parquet.1.tmp", log.folder / ".b.parquet.2.tmp"
    begun.touch()
    recent.touch()
    os.utime(begun, (0, 0))
    put(log, 3, time=NOON + timedelta(days=10, hours=1))
    assert numbers(log) == [2, 3]
    assert not begun.exists()
    assert recent.exists()  # another process may be about to finish it


def test_a_damaged_file_is_left_out_and_named(log, caplog):
    put(log, 1)
    (log.folder / "2025-03-01T12-broken.parquet").write_bytes(b"PAR1 and no more")
    assert numbers(log) == [1]
    assert "2025-03-01T12-broken.parquet is left out" in caplog.text


def test_what_the_disk_refuses_leaves_the_log_as_it_was(log, monkeypatch):
    put(log, 1)
    before = names(log)

    def full(table, file, **options):
        file.write(b"PAR1 and no more")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises((DataError, OSError), match="No space left"):
            put(log, 2)
    assert names(log) == before
    assert numbers(log) == [1]
    put(log, 2)
    assert numbers(log) == [1, 2]


def test_writers_of_one_process_have_files_of_their_own_too(tmp_path, monkeypatch):
    monkeypatch.setattr(impressions, "MOST_ROWS", 100)
    logs = [ParquetLog(tmp_path / "log", SCHEMA) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda log=log, n=n: [put(log, 100 * n + m) for m in range(20)])
        for n, log in enumerate(logs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(logs[0]) == [100 * n + m for n in range(4) for m in range(20)]
    assert len(names(logs[0])) == 4  # and nothing unfinished
