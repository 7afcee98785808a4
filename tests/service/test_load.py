"""Limits under load: bodies without end, a full queue, requests that take too long."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from mmrec import Item, Recommender
from mmrec.encoders.base import ToyText
from mmrec.service.app import create_app
from mmrec.service.settings import ServiceSettings


@pytest.fixture
def slow(red_blue_shop):
    """A route of the service whose work lasts until it is let go."""
    gate = threading.Event()

    def add(client):
        core = client.app.state.core

        async def wait():
            await core.read(gate.wait, 120)
            return {"waited": True}

        client.app.add_api_route("/slow", wait)
        return gate

    yield add
    gate.set()


def test_a_body_is_counted_as_it_arrives(serve, red_blue_shop):
    client = serve(red_blue_shop, max_body=1_000)
    sent = []

    def chunks():
        for _ in range(100):
            sent.append(1)
            yield b"[" * 100

    for path in ("/items", "/search", "/similar", "/interactions"):  # read by us, and by the framework
        answer = client.post(path, content=chunks(), headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert answer.json()["error"]["kind"] == "TooLarge"
        assert "1,000" in answer.json()["error"]["message"]
    said = client.post("/search", content=b"x" * 1_001, headers={"content-type": "application/json"})
    assert said.status_code == 413
    assert client.post("/search", json={"text": "mug"}).status_code == 200


def test_a_form_is_counted_too(serve, red_blue_shop):
    client = serve(red_blue_shop, max_body=10_000)
    answer = client.post("/similar", files={"image": ("x.png", b"x" * 20_000)})
    assert answer.status_code == 413


@pytest.mark.parametrize(("said", "wanted"), [([], 1_100), ([(b"content-length", b"1001")], 0)])
def test_a_body_that_is_too_large_is_not_read_to_its_end(red_blue_shop, said, wanted):
    app = create_app(red_blue_shop, ServiceSettings.make(max_body=1_000))
    app.state.core.readiness.ready = True
    read = 0

    async def receive():
        nonlocal read
        read += 100
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    answers = []

    async def send(message):
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/items", "raw_path": b"/items", "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json"), *said],
        "client": ("::1", 1),
        "http_version": "1.1", "scheme": "http", "server": ("localhost", 80), "root_path": "",
        "asgi": {"version": "3.0"},
    }
    asyncio.run(app(scope, receive, send))
    assert [a["status"] for a in answers if a["type"] == "http.response.start"] == [413]
    assert read == wanted


def test_a_full_queue_sheds_and_recovers(serve, red_blue_shop, slow, wait_until):
    client = serve(red_blue_shop, in_flight=2, waiting=1, threads=2, timeout=600)
    gate = slow(client)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.get, "/slow") for _ in range(4)]
        wait_until(lambda: "mmrec_requests_shed_total 1.0" in client.get("/metrics").text)
        assert "mmrec_requests_in_flight 2.0" in client.get("/metrics").text
        shed = client.get("/items/r0")
        assert shed.json()["error"]["kind"] == "Overloaded"
        assert int(shed.headers["retry-after"]) >= 1
        assert client.get("/health/live").status_code == client.get("/health/ready").status_code == 200
        gate.set()
        assert sorted(a.result().status_code for a in asked) == [200, 200, 200, 503]
    assert client.get("/items/r0").status_code == 200
    figures = client.get("/metrics").text
    assert "mmrec_requests_in_flight 0.0" in figures
    assert "mmrec_requests_shed_total 2.0" in figures


def test_a_request_that_takes_too_long_is_given_up(serve, red_blue_shop, slow, wait_until):
    client = serve(red_blue_shop, timeout=0.2, threads=2)
    gate = slow(client)
    answer = client.get("/slow")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "TimedOut")
    wait_until(lambda: client.get("/items/r0").status_code == 200)  # by the other thread
    gate.set()


def test_work_that_waited_in_vain_is_never_done(serve, red_blue_shop, slow, wait_until):
    client = serve(red_blue_shop, timeout=0.2, threads=1)
    gate, done = slow(client), []
    core = client.app.state.core

    async def later():
        await core.read(done.append, 1)

    client.app.add_api_route("/later", later)
    client.get("/slow")
    assert client.get("/later").json()["error"]["kind"] == "TimedOut"  # the one thread is still busy
    gate.set()
    wait_until(lambda: client.get("/items/r0").status_code == 200)
    assert done == []


def test_it_serves_health_alone_until_it_is_warm(red_blue_shop):
    app = create_app(red_blue_shop, ServiceSettings())

    async def ask():
        transport = httpx.ASGITransport(app)  # which does not start the lifespan, so nothing gets warm
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            before = [await client.get(p) for p in ("/health/live", "/health/ready", "/items/r0")]
            await app.state.core.load()
            return before, [await client.get(p) for p in ("/health/ready", "/items/r0")]

    before, after = asyncio.run(ask())
    assert [a.status_code for a in before] == [200, 503, 503]
    assert before[2].json()["error"]["kind"] == "NotReady"
    assert before[2].headers["retry-after"] == "1"
    assert [a.status_code for a in after] == [200, 200]


def test_a_shop_that_cannot_get_warm_says_why(tmp_path, caplog):
    class Gone(ToyText):
        def forward(self, pieces):
            raise OSError("no such weights")

    path = tmp_path / "shop.mmrec"
    toy = {"text_encoder": "toy", "image_encoder": "none"}
    with Recommender.open(path, toy) as shop:
        shop.ingest([Item(item_id="a", text={"title": "red mug"})])
    with Recommender.open(path, toy, encoders={"text": Gone()}) as shop:
        app = create_app(shop, ServiceSettings())

        async def ask():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                await app.state.core.load()
                return await client.get("/health/ready")

        answer = asyncio.run(ask())
    assert answer.status_code == 503
    assert "cannot get ready" in answer.json()["error"]["message"]
    assert "no such weights" in caplog.text
    assert "no such weights" not in answer.text


class Gated(ToyText):
    """Encodes when it may."""

    def __init__(self):
        super().__init__()
        self.may = threading.Event()
        self.may.set()

    def forward(self, pieces):
        assert self.may.wait(120)
        return super().forward(pieces)


@pytest.mark.parametrize(("route", "body"), [
    ("/search", {"text": "mug"}), ("/similar", {"text": "mug"}), ("/recommend", {"taste": "mug"}),
    ("/items", [{"item_id": "new", "text": {"title": "cup"}}]),
])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_recommendation_waits_for_nothing_that_a_model_encodes(
    serve, open_shop, wait_until, threads, route, body
):
    encoder = Gated()
    with open_shop(encoders={"text": encoder}) as shop, ThreadPoolExecutor(5) as pool:
        shop.ingest(Item(item_id=name, text={"title": "red mug"}) for name in "abc")
        client = serve(shop, threads=threads, in_flight=2, waiting=2, timeout=600)
        encoder.may.clear()
        try:
            asked = [pool.submit(client.post, route, json=body) for _ in range(5)]
            wait_until(lambda: "mmrec_requests_shed_total 1.0" in client.get("/metrics").text)
            answer = client.post("/recommend", json={"history": ["a"], "k": 2})
            assert [result["item_id"] for result in answer.json()["results"]] == ["b", "c"]
            assert client.get("/items/a/similar").status_code == client.get("/items/a").status_code == 200
        finally:
            encoder.may.set()
        assert sorted(one.result().status_code for one in asked) == [200, 200, 200, 200, 503]
