"""Load on the service, on loopback: `python tests/benchmarks/service.py --minutes 15`; one JSON line a case.

The service is a process of its own over 100,000 made-up items; this one sends the requests and shares the
machine's cores with it. `POST /recommend` is compared with a constant route of the same app that answers as
many bytes; then come five times as many clients as the queue holds, and reads and writes together
for a while.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from measure import catalogue
from stores import store_of

D = 128
CONNECTIONS = 8
OVERLOAD = 5  # times as many clients as are worked on or may wait
WARM = 0.2  # share of a mixed run before its memory is looked at

Ask = Callable[[], tuple[bytes, bytes]]  # path and JSON body of the next request


@dataclass
class Load:
    """Statuses, and seconds of the answers that were given."""

    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    first: bytes = b""  # body

    @property
    def rate(self) -> float:
        """Answers with status 200 a second."""
        return self.statuses[200] / self.seconds

    def row(self) -> dict[str, object]:
        """Rate, median and 99th percentile of the answers with status 200."""
        p50, p99 = np.percentile(self.times or [np.nan], [50, 99])
        return {
            "rate": round(self.rate, 1), "p50_ms": round(1e3 * p50, 2), "p99_ms": round(1e3 * p99, 2),
            "p99_to_p50": round(p99 / p50, 2), "statuses": dict(self.statuses),
        }


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: bytes, body: bytes
) -> tuple[int, bytes]:
    """Status and body of one request on a connection that is kept."""
    verb = b"POST" if body else b"GET"
    writer.write(
        verb + b" " + path + b" HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(size)


async def load(port: int, ask: Ask, seconds: float, connections: int = CONNECTIONS) -> Load:
    """As many requests as so many connections get answered, one after the other on each."""
    found, end = Load(seconds), time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            started = time.perf_counter()
            status, body = await answer(reader, writer, *ask())
            found.statuses[status] += 1
            if status == 200:
                found.times.append(time.perf_counter() - started)
                found.first = found.first or body
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return found


async def get(port: int, path: bytes, body: bytes = b"") -> tuple[int, bytes]:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await answer(reader, writer, path, body)
    finally:
        writer.close()


def recommend(items: int, rng: random.Random) -> Ask:
    """Ten items for three random ones."""

    def ask() -> tuple[bytes, bytes]:
        history = [f"i{rng.randrange(items):07d}" for _ in range(3)]
        return b"/recommend", json.dumps({"history": history, "k": 10}).encode()

    return ask


def mixed(items: int, rng: random.Random) -> Ask:
    """Four reads, then a write: mostly a click, sometimes an item, new or changed."""
    read, serial = recommend(items, rng), itertools.count()

    def ask() -> tuple[bytes, bytes]:
        n = next(serial)
        if n % 5:
            return read()
        if n % 50:
            act = {"user_id": f"u{rng.randrange(10_000)}", "item_id": f"i{rng.randrange(items):07d}"}
            return b"/interactions", json.dumps([act]).encode()
        row = {"item_id": f"new{rng.randrange(1_000)}", "attributes": {"brand": f"b{rng.randrange(500)}"}}
        return b"/items", json.dumps([row]).encode()

    return ask


async def compared(port: int, items: int, seconds: float) -> None:
    """`POST /recommend` beside the constant route, by turns."""
    ask, path = recommend(items, random.Random(0)), b"/constant"
    size = len((await get(port, *ask()))[1])
    both = {"recommend": Load(0.0), "constant": Load(0.0)}
    for name, body in itertools.islice(itertools.cycle([("recommend", ask), ("constant", None)]), 6):
        fixed = (path + b"?size=" + str(size).encode(), b"{}")
        part = await load(port, body or (lambda fixed=fixed: fixed), seconds / 6)
        both[name].seconds += part.seconds
        both[name].statuses += part.statuses
        both[name].times += part.times
    for name, found in both.items():
        say(name, **found.row(), bytes=size)
    ratio = both["recommend"].rate / both["constant"].rate
    say("recommend to constant", ratio=round(ratio, 3), limit=">= .5")


async def overloaded(port: int, items: int, seconds: float) -> None:
    """Far more clients than the queue holds; how it answers meanwhile, and how soon all is well again."""
    rng = random.Random(1)
    crowd = asyncio.create_task(load(port, recommend(items, rng), seconds, OVERLOAD * 80))
    lives = []
    await asyncio.sleep(seconds / 10)
    while not crowd.done():
        started = time.perf_counter()
        lives.append(((await get(port, b"/health/live"))[0], time.perf_counter() - started))
        await asyncio.sleep(0.1)
    found, started = await crowd, time.perf_counter()
    while (await get(port, *recommend(items, rng)()))[0] != 200:
        await asyncio.sleep(0.05)
    say(
        "overload", clients=OVERLOAD * 80, **found.row(), shed=found.statuses[503] + found.statuses[429],
        live=dict(Counter(status for status, _ in lives)), live_slowest_s=round(max(s for _, s in lives), 2),
        recovered_s=round(time.perf_counter() - started, 2), limit="recovers within 5 s",
    )


async def reads_and_writes(port: int, pid: int, items: int, seconds: float) -> None:
    """Four reads for each write; the service's memory over time."""
    import psutil

    process, memory = psutil.Process(pid), []
    work = asyncio.create_task(load(port, mixed(items, random.Random(2)), seconds))
    while not work.done():
        memory.append(process.memory_info().rss / 2**20)
        await asyncio.wait([work], timeout=seconds / 60)
    found, steady = await work, memory[int(WARM * len(memory)):]
    # medians, as the vectors before and after a write are held at once for a moment
    early, *_, late = (float(np.median(part)) for part in np.array_split(steady, 4))
    say(
        "reads and writes", minutes=round(seconds / 60, 2), **found.row(),
        errors=found.statuses.total() - found.statuses[200], rss_mib=[round(m) for m in memory[::10]],
        rss_change=round(late / early - 1, 3), limit="0 errors, +-.05",
    )


@contextmanager
def service(store: Path) -> Iterator[tuple[int, int]]:
    """Port and process id of a service that runs for as long as this lasts."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(store)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"MMREC_RATE": "0"},
    )
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.wait(60)


def serve(store: Path) -> None:
    """The app of `mmrec serve` with one more route, whose answer has any size."""
    from fastapi import Response

    from mmrec import Recommender
    from mmrec.cli_services import listen, run
    from mmrec.monitor.impressions import watching
    from mmrec.service.app import create_app
    from mmrec.service.settings import ServiceSettings

    async def constant(size: int) -> Response:
        return Response(b'"' + b"x" * (size - 2) + b'"', media_type="application/json")

    settings = ServiceSettings.read(os.environ, port=0)
    with Recommender.open(store, create=False) as shop, listen(settings) as at, watching(shop) as watcher:
        app = create_app(shop, settings, watcher=watcher)
        app.add_api_route("/constant", constant, methods=["POST"])
        print(at.getsockname()[1], flush=True)
        run(app, settings, at)


def say(case: str, **figures: object) -> None:
    """One line."""
    print(json.dumps({"case": case, **figures}), flush=True)


async def measured(port: int, pid: int, items: int, seconds: float, minutes: float) -> None:
    """All cases, once the service is warm."""
    while (await get(port, b"/health/ready"))[0] != 200:
        await asyncio.sleep(0.1)
    await load(port, recommend(items, random.Random(3)), 1)
    await compared(port, items, seconds)
    await overloaded(port, items, seconds / 3)
    await reads_and_writes(port, pid, items, 60 * minutes)


def main() -> None:
    """Makes a store, serves it, and asks."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--seconds", type=float, default=30, help="of the comparison")
    options.add_argument("--minutes", type=float, default=15, help="of reads and writes together")
    options.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.serve:
        serve(asked.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        store_of(Path(folder) / "shop.mmrec", catalogue(asked.items, D)).close()
        with service(Path(folder) / "shop.mmrec") as (port, pid):
            asyncio.run(measured(port, pid, asked.items, asked.seconds, asked.minutes))


if __name__ == "__main__":
    main()
