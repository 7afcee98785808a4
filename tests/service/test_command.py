"""`mmrec serve` as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote, urlsplit

import httpx
import pytest

from mmrec.cli_services import listen
from mmrec.monitor.impressions import CLICKS, CLICKS_FOLDER, IMPRESSIONS, IMPRESSIONS_FOLDER, read
from mmrec.service.settings import ServiceSettings
from mmrec.store.where_parser import MAX_LENGTH

COMMAND = [
    sys.executable, "-c",
    "from mmrec.cli import app; app()", "serve",
]


def start(store, *arguments, **environment):
    return subprocess.Popen(
        [*COMMAND, str(store), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | environment,
    )


def listens(address):
    try:
        socket.create_connection(("127.0.0.1", urlsplit(address).port)).close()
    except OSError:
        return False
    return True


@contextmanager
def in_flight(address, body):
    """A connection whose request the service has begun to read: it has asked for the body."""
    with socket.create_connection(("127.0.0.1", urlsplit(address).port)) as connection:
        connection.sendall(
            f"POST /items HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".encode()
        )
        with connection.makefile("rb", buffering=0) as answer:
            assert answer.readline().startswith(b"HTTP/1.1 100 ")
            assert answer.readline() == b"\r\n"
        yield connection


def test_it_serves_and_finishes_what_is_in_flight(open_shop, red_blue, shown, told, wait_until):
    with open_shop() as shop:
        shop.ingest(red_blue)
        path, wanted = shop.path, told(shop.recommend(history=["r0"], k=3))
    process = start(path, "--port", "0", "--timeout", "600")
    try:
        address = json.loads(process.stdout.readline())["address"]
        assert address.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=address) as client:

            def ready():
                return client.get("/health/ready").status_code == 200

            wait_until(ready)
            answer = client.post("/recommend", json={"history": ["r0"], "k": 3})
            assert shown(answer) == wanted
            request_id = answer.json()["request_id"]
            act = {"user_id": "u", "item_id": wanted[0][0], "request_id": request_id}
            assert client.post("/interactions", json=[act]).json()["added"] == 1
        body = b'[{"item_id": "late", "text": {"title": "red cup"}}]'
        with in_flight(address, body) as connection:
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: not listens(address))
            connection.sendall(body)
            answer = connection.makefile("rb").read()
        process.wait()
    finally:
        process.kill()
        _, stderr = process.communicate()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["added"] == 1
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    with open_shop() as shop:
        assert "late" in shop
        period = (datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC) + timedelta(minutes=1))
        log = read(shop.path / IMPRESSIONS_FOLDER, IMPRESSIONS, *period)
        assert log["item_id"].to_pylist() == [row[0] for row in wanted]
        assert set(log["request_id"].to_pylist()) == {request_id}
        assert all(ms > 0 for ms in log["latency_ms"].to_pylist())
        assert read(shop.path / CLICKS_FOLDER, CLICKS, *period)["item_id"].to_pylist() == [act["item_id"]]


def test_sigterm_while_it_trains_ends_in_order_and_keeps_what_served(crowd, wait_until):
    process = start(crowd.path, "--port", "0")
    try:
        address = json.loads(process.stdout.readline())["address"]
        wait_until(lambda: httpx.get(address + "/health/ready", timeout=None).status_code == 200)
        job = address + "/jobs/" + httpx.post(address + "/fit", json={"epochs": 10_000}).json()["job_id"]
        wait_until(lambda: "epoch" in (httpx.get(job, timeout=None).json()["progress"] or {}))
        process.terminate()
        process.wait()
    finally:
        process.kill()
        _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    assert not crowd.stats()["fitted"]
    assert crowd.doctor()["healthy"]


def test_a_job_that_takes_no_step_does_not_spoil_the_end():
    deep = """
import atexit, sys, threading, torch
from mmrec.cli_services import exit_if_busy
from mmrec.service.jobs import Jobs

def work(told):
    x = torch.rand(100, 100, requires_grad=True)
    while True:
        (x @ x).sum().backward()
        deep.set()

deep, jobs = threading.Event(), Jobs()
atexit.register(exit_if_busy, jobs)
jobs.start("fit", work, "r1")
deep.wait()
jobs.stop(0.1)
sys.exit(0)
"""
    done = subprocess.run([sys.executable, "-c", deep], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_longest_condition_is_read_in_however_many_pieces_it_comes(shop, running):
    where = quote("\U0010ffff" * MAX_LENGTH)
    request = f"GET /items?where={where} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    with (
        running(shop.path) as address,
        socket.create_connection(("127.0.0.1", urlsplit(address).port)) as connection,
    ):
        for piece in (request[:20_000], request[20_000:40_000], request[40_000:]):
            connection.sendall(piece)
            time.sleep(0.1)  # mostly, the pieces then come one by one
        answer = connection.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 422 ")
    assert json.loads(body)["error"]["field"] == "where"


def test_open_shows_the_gallery_in_a_browser(shop, tmp_path, wait_until):
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}\n', encoding="utf-8")
    browser.chmod(0o700)
    process = start(shop.path, "--port", "0", "--open", BROWSER=f"{browser} %s")
    try:
        address = json.loads(process.stdout.readline())["address"]
        wait_until(lambda: seen.exists() and seen.read_text(encoding="utf-8") == address)
        wait_until(lambda: "<html" in httpx.get(address, timeout=None).text)
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture
def run(mmrec):
    """Runs the command in this process, where it must not come to serve."""
    return partial(mmrec, "serve")


@pytest.mark.parametrize(("arguments", "environment", "words"), [
    (["--host", "0.0.0.0"], {}, "MMREC_API_KEYS"),
    (["--port", "70000"], {}, "port"),
    ([], {"MMREC_API_KEYS": "k3y"}, "16 or more"),
    (["--host", "no.such.host.invalid"], {"MMREC_API_KEYS": "0123456789abcdef"}, "cannot listen"),
])
def test_it_refuses_to_start_unsafely(shop, run, monkeypatch, arguments, environment, words):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = run(shop.path, *arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "k3y" not in result.output


def test_it_needs_a_store_and_a_free_port(shop, run, tmp_path):
    missing = run(tmp_path / "none.mmrec", "--port", "0")
    assert missing.exit_code == 1
    assert "no mmrec store" in missing.stderr
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = run(shop.path, "--port", other.getsockname()[1])
    assert taken.exit_code == 1
    assert "give another --host or --port" in taken.stderr


def test_answers_are_sent_without_delay():
    settings = ServiceSettings.make(port=0)
    with listen(settings) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
