"""What the routes share: one shop with its threads, batched calls, jobs, metrics and readiness."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, cast

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic_core import to_json

from mmrec.errors import MmrecError
from mmrec.monitor.impressions import ImpressionLog
from mmrec.recommender import Recommender
from mmrec.service import uploads
from mmrec.service.errors import Refused, described
from mmrec.service.jobs import Jobs
from mmrec.service.settings import ServiceSettings
from mmrec.types import Recommendation

log = logging.getLogger(__name__)

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)  # seconds
ENCODED = ("text", "image", "audio", "taste")  # arguments that a model has to encode
ENCODING = 2  # threads for them: one searches while another encodes
LAST_STEP = 8.0  # seconds that a job may take to reach a step where it can be stopped

A = TypeVar("A")
B = TypeVar("B")


class Metrics:
    """Prometheus metrics of one service; routes are named by their pattern, so that there are few."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mmrec_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "mmrec_request_seconds", "Seconds until a request was answered.", ["route"],
            buckets=BUCKETS, registry=self.registry)
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
        """Counts the results of one answer."""
        for rung, count in Tally(result.rung for result in results).items():
            self.results.labels(route, rung).inc(count)


class Readiness:
    """Whether models and vectors are loaded, so that requests are served."""

    def __init__(self) -> None:
        self.ready = False
        self.failure: str | None = None  # of loading

    def load(self, shop: Recommender) -> None:
        """Loads what the first requests would load; an error is kept for `check` to tell."""
        try:
            import torch  # noqa: F401  (a faster search of the vectors, see `mmrec.search`)

            for first in shop.recommend(k=1):
                shop.similar(first.item_id, k=1)
            dict(shop.encoders)  # loads them
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


class BatchedCalls(Generic[A, B]):
    """Answers all calls that wait when a thread is free with one piece of work.

    A write of one row takes the store as long as one of a thousand; many recommendations share one pass over
    all vectors.

    Args:
        work: answers many calls at once; gives an answer for each, or the error of one of them.
        pool: whose threads do it.
    """

    def __init__(self, work: Callable[[Sequence[A]], Sequence[B | Exception]], pool: Executor) -> None:
        self._do, self._pool = work, pool
        self._lock = threading.Lock()
        self._waiting: list[tuple[A, Future[B]]] = []

    async def call(self, one: A) -> B:
        """The answer to one call; raises its own error, or what the work raised for all of its batch."""
        future: Future[B] = Future()
        with self._lock:
            self._waiting.append((one, future))
            first = len(self._waiting) == 1
        if first:  # else the work that an earlier call has submitted takes this one along
            self._pool.submit(self._work)
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        answers: Sequence[B | Exception]
        try:
            answers = self._do([one for one, _ in batch])
        except Exception as error:
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.set_running_or_notify_cancel():  # the request has run out of time
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class Call(NamedTuple):
    """A request for items: the name of a method of Recommender, and its arguments."""

    request_id: str
    method: str
    arguments: Mapping[str, Any]


class Core:
    """One shop at work.

    Requests that read run in `settings.threads` threads; those that a model has to encode something for have
    threads of their own, so that the others never wait for a model; writes run one after the other.

    Attributes:
        watcher: is told what was shown and what came of it, in the threads that do the work.
        ingest: ingests rows of items, in one write with the others that wait; gives what became of each row.
        record: records rows of interactions, in one write with the others that wait.
    """

    def __init__(
        self, shop: Recommender, settings: ServiceSettings, watcher: ImpressionLog | None = None
    ) -> None:
        self.shop, self.settings, self.watcher = shop, settings, watcher
        shop.latest.serve_stale = True  # a request shall not wait for an item that another one brings
        self.jobs, self.metrics, self.readiness = Jobs(), Metrics(), Readiness()
        self._readers = ThreadPoolExecutor(settings.threads, "mmrec-read")
        self._encoders = ThreadPoolExecutor(ENCODING, "mmrec-encode")
        self._writer = ThreadPoolExecutor(1, "mmrec-write")
        self.ingest = BatchedCalls(partial(self._written, uploads.ingest, shop), self._writer).call
        self.record = BatchedCalls(shop.record_many, self._writer).call
        self._recommend = BatchedCalls(self._recommended, self._readers).call

    async def read(self, work: Callable[..., A], /, *arguments: Any) -> A:
        """Runs work that reads the store."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *arguments)

    async def encode(self, work: Callable[..., A], /, *arguments: Any) -> A:
        """Runs work that may wait for an encoder, or decode pictures."""
        return await asyncio.get_running_loop().run_in_executor(self._encoders, work, *arguments)

    async def write(self, work: Callable[..., A], /, *arguments: Any) -> A:
        """Runs work that writes to the store; once it is done, every reader sees it."""
        call = partial(self._written, work, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._writer, call)

    def _written(self, work: Callable[..., A], /, *arguments: Any) -> A:
        try:
            return work(*arguments)
        finally:
            try:
                self.shop.latest.catch_up()
            except MmrecError:  # what is written is written; whoever reads is told what is wrong
                log.exception("what was written cannot be brought into memory")

    async def found(self, call: Call) -> bytes:
        """The JSON of what `recommend`, `search` or `similar` finds."""
        if any(call.arguments.get(name) is not None for name in ENCODED):
            return await self.encode(self._find, call)
        if call.method == "recommend":
            return await self._recommend(call)
        return await self.read(self._find, call)

    def _find(self, call: Call) -> bytes:
        started = time.perf_counter()
        results = getattr(self.shop, call.method)(**call.arguments)
        return self._told(call, results, time.perf_counter() - started)

    def _recommended(self, calls: Sequence[Call]) -> list[bytes | Exception]:
        started = time.perf_counter()
        try:
            found = self.shop.recommend_each([call.arguments for call in calls])
        except Exception as error:  # an unexpected one: the other calls shall not suffer for it
            return [error] if len(calls) == 1 else [self._recommended([call])[0] for call in calls]
        seconds = time.perf_counter() - started
        return [self._answer(call, results, seconds) for call, results in zip(calls, found, strict=True)]

    def _answer(
        self, call: Call, found: list[Recommendation] | Exception, seconds: float
    ) -> bytes | Exception:
        try:
            return found if isinstance(found, Exception) else self._told(call, found, seconds)
        except Exception as error:
            return error

    def _told(self, call: Call, results: list[Recommendation], seconds: float) -> bytes:
        """The JSON of results, counted as shown; called in a thread, as 10,000 of them take their time."""
        self.metrics.shown(call.method, results)
        if self.watcher:
            self.watcher.shown(*call, results, seconds)
        return to_json({"request_id": call.request_id, "results": results})

    async def load(self) -> None:
        """Loads models and vectors; requests are served from then on."""
        await self.encode(self.readiness.load, self.shop)

    async def close(self) -> None:
        """Waits for the work that is under way; a job is stopped."""
        await asyncio.to_thread(self.jobs.stop, LAST_STEP)
        for pool in (self._readers, self._encoders, self._writer):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)


async def core_of(request: Request) -> Core:
    """The core of the app that a request came to."""
    return cast(Core, request.app.state.core)


Service = Annotated[Core, Depends(core_of)]
