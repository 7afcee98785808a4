"""One shop at work behind the routes: its threads, its jobs, its figures."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic_core import to_json

from mmrec.errors import MmrecError
from mmrec.recommender import Recommender
from mmrec.service import uploads as items
from mmrec.service.errors import Refused, described
from mmrec.service.jobs import Jobs
from mmrec.service.settings import ServiceSettings
from mmrec.types import Interaction, Item, Recommendation, RecordReport, Rejection

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The figures of one service; routes are named by their pattern, so that there are few."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mmrec_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "mmrec_request_seconds", "Seconds until a request was answered.", ["route"],
            buckets=SECONDS, registry=self.registry)
        self.results = Counter(
            "mmrec_results", "Results shown, by the rung that found them.", ["route", "rung"],
            registry=self.registry)
        self.in_flight = Gauge(
            "mmrec_requests_in_flight", "Requests being worked on.", registry=self.registry)
        self.shed = Counter(
            "mmrec_requests_shed", "Requests sent away as the queue was full.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def shown(self, route: str, results: Iterable[Recommendation]) -> None:
        """Counts what one answer shows."""
        for rung, count in Tally(result.rung for result in results).items():
            self.results.labels(route, rung).inc(count)

    def text(self) -> bytes:
        """All figures, in Prometheus's own format."""
        return generate_latest(self.registry)


log = logging.getLogger(__name__)


class Warmth:
    """The way from cold to ready.

    Attributes:
        ready: whether requests are served.
        failure: why it will not get warm, if it will not.
    """

    def __init__(self) -> None:
        self.ready = False
        self.failure: str | None = None

    def warm(self, shop: Recommender) -> None:
        """Loads what the first requests would load; an error is kept for `/health/ready` to tell."""
        try:
            import torch  # noqa: F401  (it scans faster, see `mmrec.search.codes`, and a service has the time to load it)

            first = shop.recommend(k=1)
            if first:
                shop.similar(first[0].item_id, k=1)
            for modality in shop.encoders:
                shop.encoders[modality]  # loads it
            shop.search("warm up", k=1)
        except Exception as error:  # of any library that loads a model: it must not go unnoticed in a thread
            self.failure = described(error)[1]["message"]
            log.exception("the service cannot get ready")
        else:
            self.ready = True

    def check(self) -> None:
        """Raises Refused while the service is not ready."""
        if self.failure is not None:
            raise Refused(
                503, "NotReady", f"the service cannot get ready: {self.failure}",
                "Mend it on the service's machine, whose log says more, and start the service again.",
            )
        if not self.ready:
            raise Refused(
                503, "NotReady", "the service is loading its models and vectors",
                "Wait until GET /health/ready answers 200.", {"Retry-After": "1"},
            )


A = TypeVar("A")
B = TypeVar("B")


class Together(Generic[A, B]):
    """Gathers requests for one kind of work.

    A write of one row takes the store as long as one of a thousand, since most of it is a new version of the
    table and its way to the disk; many recommendations share the reading of all vectors. Whatever waits when
    a thread is free is one piece of work.

    Args:
        work: does many at once; gives an answer for each, or an error for one of them.
        pool: whose threads do it.
    """

    def __init__(self, work: Callable[[Sequence[A]], Sequence[B | Exception]], pool: Executor) -> None:
        self._do, self._pool = work, pool
        self._lock = threading.Lock()
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []

    async def ask(self, one: A) -> B:
        """The answer to one request.

        Raises:
            The error that is its answer, or what the work raised, to each whom it served.
        """
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append((one, future))
            called = len(self._waiting) > 1
        if not called:  # else the work that those before have called for takes this one along
            self._pool.submit(self._work)
        answer: B = await future
        return answer

    def _work(self) -> None:
        with self._lock:
            taken, self._waiting = self._waiting, []
        answers: Sequence[B | Exception]
        try:
            answers = self._do([one for one, _ in taken])
        except Exception as error:
            answers = [error] * len(taken)
        settled = [(future, answer) for (_, future), answer in zip(taken, answers, strict=True)]
        for loop in {future.get_loop() for future, _ in settled}:  # one, unless several serve this app
            loop.call_soon_threadsafe(_settle, [pair for pair in settled if pair[0].get_loop() is loop])


def _settle(settled: Sequence[tuple[asyncio.Future[B], B | Exception]]) -> None:
    for future, answer in settled:
        if future.done():  # the request has run out of time
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


log = logging.getLogger(__name__)

T = TypeVar("T")
RECOMMEND = "recommend"
LAST_STEP = 8.0  # seconds that a job may take to end where it can


class Watcher(Protocol):
    """Whoever wants to know what was shown and what came of it; called in the threads that do the work."""

    def shown(
        self, request_id: str, route: str, asked: Mapping[str, Any], results: Sequence[Recommendation],
        seconds: float | None = None,
    ) -> None:
        """An answer of recommend, search or similar, found in some seconds, is about to be sent."""

    def acted(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """These rows of interactions were recorded, with the `request_id` that they name, if any."""


class Asked(NamedTuple):
    """A request for recommendations: the arguments of its verb."""

    request_id: str
    route: str
    asked: Mapping[str, Any]


class Core:
    """What the routes share.

    Attributes:
        shop: whose verbs are called; reads in `settings.threads` threads, writes one after the other.
    """

    def __init__(self, shop: Recommender, settings: ServiceSettings, watcher: Watcher | None = None) -> None:
        self.shop, self.settings, self.watcher = shop, settings, watcher
        shop._index.hasty = True  # a request shall not wait for an item that another one brings
        self.jobs, self.metrics, self.warmth = Jobs(), Metrics(), Warmth()
        self._readers = ThreadPoolExecutor(settings.threads, "mmrec-read")
        self._writer = ThreadPoolExecutor(1, "mmrec-write")
        self._ingesting = Together(partial(self._shown, items.ingest, shop), self._writer)
        self._recording = Together(shop.record_many, self._writer)
        self._recommending = Together(self._recommend, self._readers)

    async def read(self, work: Callable[..., T], /, *arguments: Any, **options: Any) -> T:
        """Runs work that reads the store."""
        call = partial(work, *arguments, **options)
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    async def write(self, work: Callable[..., T], /, *arguments: Any, **options: Any) -> T:
        """Runs work that writes to the store; once it is done, every reader sees it."""
        call = partial(self._shown, work, *arguments, **options)
        return await asyncio.get_running_loop().run_in_executor(self._writer, call)

    def _shown(self, work: Callable[..., T], /, *arguments: Any, **options: Any) -> T:
        try:
            return work(*arguments, **options)
        finally:
            self._show()

    def _show(self) -> None:
        try:
            self.shop._index.catch_up()
        except MmrecError:  # what is written is written; who reads is told what is wrong
            log.exception("what was written cannot be brought into memory")

    async def ingest(self, rows: Sequence[Item | Rejection]) -> dict[str, Any]:
        """Takes items in, in one write with whatever else waits to be taken in."""
        return await self._ingesting.ask(rows)

    async def record(self, rows: Sequence[Interaction | Rejection]) -> RecordReport:
        """Keeps behaviour, in one write with whatever else waits to be kept."""
        return await self._recording.ask(rows)

    async def found(
        self, route: str, request_id: str, verb: Callable[..., list[Recommendation]],
        asked: Mapping[str, Any],
    ) -> bytes:
        """The JSON of what a verb finds."""

        def work() -> bytes:
            started = time.perf_counter()
            results = verb(**asked)
            return self._told(Asked(request_id, route, asked), results, time.perf_counter() - started)

        return await self.read(work)

    async def recommended(self, request_id: str, asked: Mapping[str, Any]) -> bytes:
        """The JSON of what is recommended, found together with what others ask for at the moment."""
        if "taste" in asked:  # the others need not wait for its words to be embedded
            return await self.found(RECOMMEND, request_id, self.shop.recommend, asked)
        return await self._recommending.ask(Asked(request_id, RECOMMEND, asked))

    def _recommend(self, waiting: Sequence[Asked]) -> list[bytes | Exception]:
        started = time.perf_counter()
        found = self._found_each(waiting)
        seconds = time.perf_counter() - started
        return [self._answer(one, results, seconds) for one, results in zip(waiting, found, strict=True)]

    def _found_each(self, waiting: Sequence[Asked]) -> Sequence[list[Recommendation] | Exception]:
        try:
            return self.shop.recommend_each([one.asked for one in waiting])
        except Exception as error:  # that nobody foresaw: the others shall not suffer for one of them
            if len(waiting) == 1:
                return [error]
        return [self._found_each([one])[0] for one in waiting]

    def _answer(
        self, one: Asked, found: list[Recommendation] | Exception, seconds: float
    ) -> bytes | Exception:
        try:
            return found if isinstance(found, Exception) else self._told(one, found, seconds)
        except Exception as error:
            return error

    def _told(self, one: Asked, results: list[Recommendation], seconds: float) -> bytes:
        """The JSON of results, noted as shown; called in a thread, as 10,000 of them take their time."""
        self.metrics.shown(one.route, results)
        if self.watcher:
            self.watcher.shown(*one, results, seconds)
        return to_json({"request_id": one.request_id, "results": results})

    async def warm(self) -> None:
        """Gets ready; requests are served from then on."""
        await self.read(self.warmth.warm, self.shop)

    async def close(self) -> None:
        """Waits for the work that is under way; a job is ended."""
        await asyncio.to_thread(self.jobs.stop, LAST_STEP)
        for pool in (self._readers, self._writer):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)
