"""A service that is killed at any moment has kept whatever it acknowledged.

MMREC_KILLS sets how often; 10 unless told.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from itertools import islice

import httpx
import pytest

COMMAND = [  # most of a start is imports: they are done before it is its turn
    sys.executable, "-c",
    "import lancedb, mmrec.service.app; from mmrec.cli import app;"
    " input(); app()", "serve",
]
AHEAD = 2  # services that are imported while another one is at work
KILLS = int(os.environ.get("MMREC_KILLS", "10"))
MOST = 20  # acknowledged rows before the service is killed
LONGEST = 0.1  # seconds from the last of them to the kill
COUNTED = 3  # items of one request


class Writer:
    """Sends items and interactions, takes items out, and remembers what was acknowledged."""

    def __init__(self, name):
        self.name, self.n = name, 0
        self.items, self.gone, self.acts = set(), set(), set()

    def write(self, address):
        """Writes until the service is no more."""
        with httpx.Client(base_url=address, timeout=120) as client:
            try:
                while True:
                    self._round(client)
            except httpx.TransportError:
                return

    def _round(self, client):
        self.n += 1
        ids = [f"{self.name}-{self.n}-{part}" for part in range(COUNTED)]
        rows = [{"item_id": i, "text": {"title": f"red mug {self.n}"}} for i in ids]
        if client.post("/items", json=rows).raise_for_status().json()["added"] == COUNTED:
            self.items.update(ids)
        act = {"user_id": f"{self.name}-{self.n}", "item_id": ids[0], "time": "2024-05-01T10:00:00+00:00"}
        if client.post("/interactions", json=[act]).raise_for_status().json()["added"]:
            self.acts.add((act["user_id"], act["item_id"]))
        self.items.discard(ids[1])  # from here on it may be gone or not, until that is acknowledged
        client.delete(f"/items/{ids[1]}").raise_for_status()
        self.gone.add(ids[1])


def start(store):
    """A service that opens the store when it is told to."""
    return subprocess.Popen(
        [*COMMAND, str(store), "--port", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def acknowledged(writers):
    """Number of rows that the writers know to be in the store."""
    return sum(len(writer.items) + len(writer.acts) for writer in writers)


def killed(process, writers, rows, seconds, wait_until):
    """Serves while the writers write, until it is killed so many rows and seconds later."""
    threads = []
    try:
        print(file=process.stdin, flush=True)
        address = json.loads(process.stdout.readline())["address"]
        wait_until(lambda: httpx.get(address + "/health/ready").status_code == 200)
        threads = [threading.Thread(target=writer.write, args=(address,)) for writer in writers]
        before = acknowledged(writers)
        for thread in threads:
            thread.start()
        wait_until(lambda: acknowledged(writers) >= before + rows)
        time.sleep(seconds)
    finally:
        kill(process)
        for thread in threads:
            thread.join(120)
    assert process.returncode == -signal.SIGKILL  # it did not end before


@pytest.fixture
def services(open_shop):
    """A store, and services of it, one after the other."""
    with open_shop() as shop:
        store = shop.path
    waiting = deque(start(store) for _ in range(AHEAD))

    def following():
        while True:
            waiting.append(start(store))
            yield waiting.popleft()

    yield following()
    for process in waiting:
        kill(process)


def test_a_killed_service_has_kept_what_it_acknowledged(services, open_shop, wait_until):
    rng, writers = random.Random(), [Writer("a"), Writer("b")]
    for service in islice(services, KILLS):
        rows, moment = rng.randint(0, MOST), rng.uniform(0, LONGEST)
        killed(service, writers, rows, moment, wait_until)
        with open_shop() as shop:
            for writer in writers:
                kept = set(shop.catalogue.lookup(sorted(writer.items | writer.gone)))
                assert kept == writer.items, f"killed {moment} s after {rows} rows"
                acts = {(a.user_id, a.item_id) for u, _ in writer.acts for a in shop.interactions(u)}
                assert acts == writer.acts, f"killed {moment} s after {rows} rows"
    assert acknowledged(writers) > 0
    with open_shop() as shop:
        assert shop.doctor()["healthy"]
