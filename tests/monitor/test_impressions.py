"""The watcher: what it logs, and that neither a crash nor a full disk nor a flood harms more than it must."""

import json
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from mmrec.errors import StoreError
from mmrec.monitor import impressions
from mmrec.monitor.impressions import (
    CLICKS,
    CLICKS_FOLDER,
    IMPRESSIONS,
    IMPRESSIONS_FOLDER,
    ImpressionLog,
    read,
    watching,
)
from mmrec.ranking.request import Exploration
from mmrec.types import Recommendation

NOON = datetime(2025, 3, 1, 12, 0, 0, 250, tzinfo=UTC)
EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
FOUND = [
    Recommendation(item_id="a", score=0.5, rung="history", propensity=0.8),
    Recommendation(item_id="b", score=0.25, rung="popular"),
]


def shown(store):
    return read(store / IMPRESSIONS_FOLDER, IMPRESSIONS, *EVER).to_pylist()


def clicks(store):
    names = ("request_id", "item_id", "kind", "time")
    rows = read(store / CLICKS_FOLDER, CLICKS, *EVER).to_pylist()
    return [tuple(row[name] for name in names) for row in rows]


@pytest.fixture
def log(tmp_path):
    """A log that writes when it is told to."""
    with ImpressionLog(tmp_path, seconds=600, clock=lambda: NOON) as log:
        yield log


def test_each_item_of_an_answer_is_a_row(tmp_path, log):
    asked = {"user": "u1", "k": 2, "explore": 0.2, "image": [b"png"]}
    log.shown("q1", "recommend", asked, FOUND, 0.0125)
    assert shown(tmp_path) == []
    log.flush()
    first, second = shown(tmp_path)
    assert first == {
        "request_id": "q1", "time": NOON, "route": "recommend", "user": "u1",
        "asked": json.dumps({"k": 2, "explore": 0.2}), "explore": 0.2, "latency_ms": 12.5, "slot": 0,
        "item_id": "a", "rung": "history", "score": 0.5, "propensity": 0.8, "cold": None,
    }
    assert (second["slot"], second["item_id"], second["rung"], second["propensity"]) == (1, "b", "popular", 1)


def test_an_answer_that_found_nothing_is_a_row_without_an_item(tmp_path, log):
    log.shown("q1", "search", {"text": "nothing"}, [])
    log.shown("q2", "search", {"text": "x" * 9_999}, FOUND[:1])
    log.flush()
    nothing, long = shown(tmp_path)
    assert (nothing["item_id"], nothing["slot"], nothing["user"], nothing["latency_ms"]) == (None,) * 4
    assert (long["item_id"], long["asked"]) == ("a", None)


def test_odd_requests_are_logged_too(tmp_path, log):
    log.shown("q1", "recommend", {"user": "half \ud800", "explore": Exploration(share=0.3)}, FOUND)
    log.flush()
    assert shown(tmp_path)[0]["user"] == "half ?"
    assert shown(tmp_path)[0]["explore"] == 0.3


def test_interactions_that_name_a_request_close_the_loop(tmp_path, log):
    row = {"user_id": "u1", "item_id": "a", "request_id": "q1", "time": "2020-01-01T00:00:00Z"}
    log.acted([
        row, row | {"kind": "purchase"}, {"user_id": "u1", "item_id": "b"}, row | {"request_id": None},
        row | {"request_id": ""}, row | {"request_id": 7}, row | {"request_id": "\ud800"},
        row | {"request_id": "q" * 65},
    ])
    log.flush()
    assert clicks(tmp_path) == [("q1", "a", "click", NOON), ("q1", "a", "purchase", NOON)]


def test_rows_are_written_after_a_time_or_when_they_are_many_and_at_the_end(tmp_path, wait_until):
    with ImpressionLog(tmp_path / "time", seconds=0.05) as log:
        (tmp_path / "time").mkdir()
        log.shown("q1", "recommend", {}, FOUND)
        wait_until(lambda: len(shown(tmp_path / "time")) == 2)
    (tmp_path / "size").mkdir()
    with ImpressionLog(tmp_path / "size", seconds=600, rows=4) as log:
        log.shown("q1", "recommend", {}, FOUND)
        log.shown("q2", "recommend", {}, FOUND)
        wait_until(lambda: len(shown(tmp_path / "size")) == 4)
        log.shown("q3", "recommend", {}, FOUND)
        log.acted([{"user_id": "u", "item_id": "a", "request_id": "q3"}])
    assert len(shown(tmp_path / "size")) == 6
    assert len(clicks(tmp_path / "size")) == 1


def test_what_the_disk_refuses_waits_and_memory_is_bounded(tmp_path, log, monkeypatch, caplog):
    monkeypatch.setattr(impressions, "MOST_WAITING", 6)
    folder = tmp_path / IMPRESSIONS_FOLDER
    folder.write_text("a file where the folder should be")
    log.shown("q1", "recommend", {}, FOUND)
    log.flush()
    assert "2 rows wait" in caplog.text
    for n in range(2, 6):
        log.shown(f"q{n}", "recommend", {}, FOUND)
    assert log.dropped == 4  # two answers: three fill the memory
    folder.unlink()
    log.flush()
    assert [row["request_id"] for row in shown(tmp_path)] == ["q1", "q1", "q2", "q2", "q3", "q3"]


def test_threads_lose_nothing(tmp_path):
    with ImpressionLog(tmp_path, seconds=0.01, rows=20) as log:
        def work(name):
            for n in range(100):
                log.shown(f"{name}-{n}", "recommend", {}, FOUND)
                log.acted([{"user_id": "u", "item_id": "a", "request_id": f"{name}-{n}"}])
        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    wanted = sorted(f"{name}-{n}" for name in "abcd" for n in range(100))
    assert sorted(row["request_id"] for row in shown(tmp_path) if row["slot"] == 0) == wanted
    assert len(shown(tmp_path)) == 2 * len(wanted)
    assert sorted(click[0] for click in clicks(tmp_path)) == wanted


CHILD = """
import sys
from itertools import count
from pathlib import Path
from mmrec.monitor.impressions import ImpressionLog
from mmrec.types import Recommendation

log = ImpressionLog(Path(sys.argv[1]), seconds=600)
found = [Recommendation(item_id=i, score=1.0, rung="popular") for i in "ab"]
for n in count():
    log.shown(str(n), "recommend", {}, found)
    if n % 20 == 19:
        log.flush()
        print(n, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.21])
def test_a_killed_process_loses_no_more_than_what_it_had_not_written(tmp_path, delay):
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    time.sleep(delay)  # for another moment of its work
    process.kill()
    written = [int(line) for line in process.communicate()[0].splitlines()]
    rows = read(tmp_path / IMPRESSIONS_FOLDER, IMPRESSIONS, *EVER)
    requests = sorted(int(name) for name in set(rows["request_id"].to_pylist()))
    assert requests == list(range(len(requests)))  # no hole
    assert len(requests) > max(written, default=19)
    assert rows.num_rows == 2 * len(requests)  # no answer is torn, none is there twice
    files = list((tmp_path / IMPRESSIONS_FOLDER).glob("*.parquet"))
    assert sum(pq.read_metadata(file).num_rows for file in files) == rows.num_rows


def test_a_shop_s_log_tells_what_was_cold(open_shop, red_blue):
    """One day lies between each item and the next; 30 days after r0 was added, the others are cold."""
    month = red_blue[0].added_at + timedelta(days=30)
    with open_shop() as shop:
        shop.ingest(red_blue)
        with watching(shop, clock=lambda: month) as log:
            log.shown("q1", "recommend", {}, [
                Recommendation(item_id=i, score=1.0, rung="newest") for i in ("r0", "r1", "b3", "gone")])
        assert [row["cold"] for row in shown(shop.path)] == [False, True, True, None]
        # once trained, cold is what came afterwards
        shop.store.save_facts(fitted_at=(red_blue[5].added_at + timedelta(hours=1)).isoformat())
        with watching(shop, clock=lambda: month) as log:
            log.shown("q2", "recommend", {}, [
                Recommendation(item_id=i, score=1.0, rung="newest") for i in ("r0", "b1", "b2", "b3")])
        assert [row["cold"] for row in shown(shop.path) if row["request_id"] == "q2"] == [
            False, False, True, True]


def test_a_store_that_cannot_tell_costs_the_flag_and_no_more(tmp_path, caplog):
    def broken(item_ids, times):
        raise StoreError("no store")

    with ImpressionLog(tmp_path, cold=broken) as log:
        log.shown("q1", "recommend", {}, FOUND)
    assert [row["cold"] for row in shown(tmp_path)] == [None, None]
    assert "cannot tell which items were cold" in caplog.text
