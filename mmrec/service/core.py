"""One shop at work behind the routes: its threads, its jobs, its figures."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from pydantic_core import to_json

from mmrec.errors import MmrecError
from mmrec.recommender import Recommender
from mmrec.service import items
from mmrec.service.jobs import Jobs
from mmrec.service.metrics import Metrics
from mmrec.service.settings import ServiceSettings
from mmrec.service.together import Together
from mmrec.service.warmth import Warmth
from mmrec.types import Interaction, Item, Recommendation, RecordReport, Rejection

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
