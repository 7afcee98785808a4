"""What readers wait while pictures are taken in: `python tests/benchmarks/serving_while_ingesting.py`.

A service with the offline encoders holds some products. One client asks for recommendations and one searches
by words, first alone, then while 256 pictures of 640 x 480 pixels arrive in one `POST /items`. All of it is
on loopback and shares the machine's cores. Prints one JSON line a case.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from service import Ask, Load, answer, get, say, service

from mmrec import Item, Recommender

WORDS = ("red", "blue", "oak", "wool", "linen", "clay", "mug", "lamp", "chair", "blanket", "bowl", "shelf")
LIMITS = "recommend p99 < 5 x quiet, search p99 < 1 s"


def title(rng: random.Random) -> str:
    return " ".join(rng.sample(WORDS, 4))


def recommending(items: int) -> Ask:
    rng = random.Random(0)
    return lambda: (b"/recommend", json.dumps({"history": [f"i{rng.randrange(items)}"], "k": 10}).encode())


def searching() -> Ask:
    rng = random.Random(1)
    return lambda: (b"/search", json.dumps({"text": title(rng), "k": 10}).encode())


def pictures(n: int) -> tuple[bytes, bytes]:
    """A multipart body with n items and a noisy JPEG for each, and its content type."""
    rng, boundary = np.random.default_rng(0), b"mmrec-pictures"
    rows = [{"item_id": f"n{i}", "text": {"title": f"thing {i}"}, "image": f"p{i}.jpg"} for i in range(n)]
    head = b"--" + boundary + b'\r\nContent-Disposition: form-data; name="'
    parts = [head + b'items"\r\n\r\n' + json.dumps(rows).encode() + b"\r\n"]
    for i in range(n):
        small = rng.integers(0, 256, (24, 32, 3), np.uint8)  # [h, w, 3]
        file = io.BytesIO()
        Image.fromarray(small).resize((640, 480)).save(file, "JPEG")
        name = b'image"; filename="p%d.jpg"\r\nContent-Type: image/jpeg\r\n\r\n' % i
        parts.append(head + name + file.getvalue() + b"\r\n")
    return b"".join(parts) + b"--" + boundary + b"--\r\n", b"multipart/form-data; boundary=" + boundary


async def client(port: int, ask: Ask, until: asyncio.Event, pause: float = 0.02) -> Load:
    """One request after the other, until told to stop."""
    found, started = Load(0.0), time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not until.is_set():
        begun = time.perf_counter()
        status, _ = await answer(reader, writer, *ask())
        found.statuses[status] += 1
        found.times.append(time.perf_counter() - begun)
        await asyncio.sleep(pause)
    writer.close()
    found.seconds = time.perf_counter() - started
    return found


async def upload(port: int, body: bytes, kind: bytes) -> float:
    """Seconds until the pictures are acknowledged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.perf_counter()
    writer.write(
        b"POST /items HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: " + kind + b"\r\ncontent-length: "
        + str(len(body)).encode() + b"\r\n\r\n" + body
    )
    status = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
    writer.close()
    if status != b"200":
        raise SystemExit(f"the pictures were answered by {status.decode()}")
    return time.perf_counter() - started


async def asked(port: int, items: int, during: asyncio.Task | None, seconds: float) -> dict[str, Load]:
    """Both clients at once, until something is done or for some seconds."""
    until = asyncio.Event()
    clients = [asyncio.create_task(client(port, ask, until)) for ask in (recommending(items), searching())]
    await (asyncio.wait([during]) if during else asyncio.sleep(seconds))
    until.set()
    return dict(zip(("recommend", "search"), await asyncio.gather(*clients), strict=True))


async def measured(port: int, items: int, n: int, seconds: float) -> None:
    while (await get(port, b"/health/ready"))[0] != 200:
        await asyncio.sleep(0.1)
    await asked(port, items, None, 2)
    quiet = await asked(port, items, None, seconds)
    body, kind = pictures(n)
    ingesting = asyncio.create_task(upload(port, body, kind))
    busy = await asked(port, items, ingesting, seconds)
    for name in quiet:
        say(f"{name}, quiet", **quiet[name].row())
        say(f"{name}, while pictures come", **busy[name].row())
    p99 = {name: np.percentile([quiet[name].times, busy[name].times][1], 99) for name in quiet}
    say(
        "result", pictures=n, seconds=round(ingesting.result(), 1), limits=LIMITS,
        recommend_p99_to_quiet=round(p99["recommend"] / np.percentile(quiet["recommend"].times, 99), 2),
        search_p99_s=round(p99["search"], 3),
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--items", type=int, default=500)
    options.add_argument("--pictures", type=int, default=256)
    options.add_argument("--seconds", type=float, default=15, help="of the quiet measurement")
    chosen = options.parse_args()
    os.environ["MMREC_TIMEOUT"] = "600"  # of the upload
    with tempfile.TemporaryDirectory() as folder:
        path, rng = Path(folder) / "shop.mmrec", random.Random(2)
        with Recommender.open(path) as shop:
            shades = [Image.new("RGB", (64, 64), (n % 256, 80, 9)) for n in range(chosen.items)]
            shop.ingest(
                Item(item_id=f"i{n}", text={"title": title(rng)}, image=shade)
                for n, shade in enumerate(shades)
            )
        with service(path) as (port, _):
            asyncio.run(measured(port, chosen.items, chosen.pictures, chosen.seconds))


if __name__ == "__main__":
    main()
