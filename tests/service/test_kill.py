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

import httpx

COMMAND = [
    sys.executable, "-c",
    "from mmrec.cli import app; from mmrec.service.command import plug; plug(app); app()", "serve",
]
KILLS = int(os.environ.get("MMREC_KILLS", "10"))
LONGEST = 1.0  # seconds of writes before the service is killed
COUNTED = 3  # items of one request


class Writer:
    """Sends items and interactions, takes items out, and remembers what was acknowledged."""

    def __init__(self, name):
        self.name, self.n = name, 0
        self.items, self.gone, self.acts = set(), set(), set()

    def write(self, address):
        """Writes until the service is no more."""
        with httpx.Client(base_url=address, timeout=30) as client:
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


def killed(store, writers, seconds, wait_until):
    """Serves while the writers write, until it is killed."""
    process = subprocess.Popen(
        [*COMMAND, str(store), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    threads = []
    try:
        address = json.loads(process.stdout.readline())["address"]
        wait_until(lambda: httpx.get(address + "/health/ready").status_code == 200, 30)
        threads = [threading.Thread(target=writer.write, args=(address,)) for writer in writers]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for thread in threads:
            thread.join(30)
    assert process.returncode == -signal.SIGKILL  # it did not end before


def test_a_killed_service_has_kept_what_it_acknowledged(open_shop, wait_until):
    with open_shop() as shop:
        store = shop.path
    rng, writers, counts = random.Random(), [Writer("a"), Writer("b")], []
    for _ in range(KILLS):
        moment = rng.uniform(0.02, LONGEST)
        killed(store, writers, moment, wait_until)
        counts.append(sum(len(w.items) + len(w.acts) for w in writers))
        with open_shop() as shop:
            for writer in writers:
                kept = set(shop._catalogue.lookup(sorted(writer.items | writer.gone)))
                assert kept == writer.items, f"killed after {moment} s"
                acts = {(a.user_id, a.item_id) for u, _ in writer.acts for a in shop.interactions(u)}
                assert acts == writer.acts, f"killed after {moment} s"
    assert counts[-1] > 0
    with open_shop() as shop:
        assert shop.doctor()["healthy"]
