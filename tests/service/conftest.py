"""The real app over real shops on toy encoders, asked through its whole stack."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from mmrec import Interaction, Item, Recommender
from mmrec.service.app import create_app
from mmrec.service.settings import ServiceSettings


@pytest.fixture
def serve() -> Iterator[Callable[..., TestClient]]:
    """Serves a shop with these settings, and waits until it is ready."""
    with ExitStack() as closing:

        def serve_(shop: Recommender, *, watcher: Any = None, **settings: Any) -> TestClient:
            app = create_app(shop, ServiceSettings.make(**settings), watcher=watcher)
            client = closing.enter_context(TestClient(app, base_url="http://127.0.0.1:8000"))
            until(lambda: client.get("/health/ready").status_code == 200)
            return client

        yield serve_


@pytest.fixture
def client(serve: Callable[..., TestClient], red_blue_shop: Recommender) -> TestClient:
    """The service of `red_blue_shop`. Only to be read."""
    return serve(red_blue_shop)


@pytest.fixture
def own(serve: Callable[..., TestClient], shop: Recommender) -> TestClient:
    """The service of `shop`, empty at first."""
    return serve(shop)


@pytest.fixture
def crowd(shop: Recommender) -> Recommender:
    """A shop with behaviour enough to train on: 30 users, each with half of the red mugs or blue lamps."""
    titles, rng = {"r": "red mug", "b": "blue lamp"}, np.random.default_rng(0)
    shop.ingest(Item(item_id=f"{c}{n}", text={"title": titles[c]}) for c in "rb" for n in range(8))
    shop.record(
        Interaction(user_id=f"u{user}", item_id=f"{'rb'[user % 2]}{n}")
        for user in range(30) for n in rng.choice(8, 4, replace=False)
    )
    return shop


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    """Waits until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Waits until something is true."""
    return until


COMMAND = [
    sys.executable, "-c",
    "from mmrec.cli import app; app()", "serve",
]


@pytest.fixture(scope="session")
def running() -> Callable[..., Any]:
    """Runs `mmrec serve` on a store for as long as a `with` block lasts; gives its address, once ready."""

    @contextmanager
    def run(store: Path, **environment: str) -> Iterator[str]:
        process = subprocess.Popen(
            [*COMMAND, str(store), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=os.environ | environment,
        )
        try:
            address = json.loads(process.stdout.readline())["address"]  # type: ignore[union-attr]
            until(lambda: httpx.get(address + "/health/ready").status_code == 200)
            yield address
        finally:
            process.terminate()
            process.communicate(timeout=120)

    return run


@pytest.fixture(scope="session")
def shown() -> Callable[[Any], list[tuple[Any, ...]]]:
    """All that an answer says of its results, to be compared with those of the verb."""

    def rows(answer: Any) -> list[tuple[Any, ...]]:
        return [
            (r["item_id"], r["score"], r["rung"], r["propensity"],
             [(x["source"], x["name"], x["contribution"]) for x in r["reasons"]])
            for r in answer.json()["results"]
        ]

    return rows


@pytest.fixture(scope="session")
def told() -> Callable[[Any], list[tuple[Any, ...]]]:
    """The same of what a verb gave."""

    def rows(found: Any) -> list[tuple[Any, ...]]:
        return [
            (r.item_id, r.score, r.rung, r.propensity,
             [(x.source, x.name, x.contribution) for x in r.reasons])
            for r in found
        ]

    return rows
