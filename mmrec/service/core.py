"""One shop at work behind the routes: its threads, its jobs, its figures."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

from mmrec.errors import MmrecError
from mmrec.recommender import Recommender
from mmrec.service.errors import dump
from mmrec.service.jobs import Jobs
from mmrec.service.metrics import Metrics
from mmrec.service.settings import ServiceSettings
from mmrec.service.together import Together
from mmrec.service.warmth import Warmth
from mmrec.types import Interaction, Recommendation, RecordReport, Rejection

log = logging.getLogger(__name__)

T = TypeVar("T")
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
        self._recording = Together(shop.record_many, self._writer)

    async def read(self, work: Callable[..., T], /, *arguments: Any, **options: Any) -> T:
        """Runs work that reads the store."""
        call = partial(work, *arguments, **options)
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    async def write(self, work: Callable[..., T], /, *arguments: Any, **options: Any) -> T:
        """Runs work that writes to the store; once it is done, every reader sees it."""

        def call() -> T:
            try:
                return work(*arguments, **options)
            finally:
                self._show()

        return await asyncio.get_running_loop().run_in_executor(self._writer, call)

    def _show(self) -> None:
        try:
            self.shop._index.catch_up()
        except MmrecError:  # what is written is written; who reads is told what is wrong
            log.exception("what was written cannot be brought into memory")

    async def record(self, rows: Sequence[Interaction | Rejection]) -> RecordReport:
        """Keeps behaviour, in one write with whatever else waits to be kept."""
        return await self._recording.ask(rows)

    async def found(
        self, route: str, request_id: str, verb: Callable[..., list[Recommendation]],
        asked: Mapping[str, Any],
    ) -> bytes:
        """The JSON of what a verb finds; rendered in the thread, as 10,000 results take their time."""

        def work() -> bytes:
            started = time.perf_counter()
            results = verb(**asked)
            seconds = time.perf_counter() - started
            self.metrics.shown(route, results)
            if self.watcher:
                self.watcher.shown(request_id, route, asked, results, seconds)
            return dump({"request_id": request_id, "results": results})

        return await self.read(work)

    async def warm(self) -> None:
        """Gets ready; requests are served from then on."""
        await self.read(self.warmth.warm, self.shop)

    async def close(self) -> None:
        """Waits for the work that is under way; a job is ended."""
        await asyncio.to_thread(self.jobs.stop, LAST_STEP)
        for pool in (self._readers, self._writer):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)
