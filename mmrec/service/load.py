"""How much is taken on: bodies of bounded size, a bounded queue, and a time for each request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mmrec.service.errors import Refused
from mmrec.service.metrics import Metrics
from mmrec.service.safety import HEALTH
from mmrec.service.settings import ServiceSettings
from mmrec.service.warmth import Warmth

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNQUEUED = HEALTH | {"/metrics", "/openapi.json"}  # touch no store, and are wanted most when it is full
PAUSE = {"Retry-After": "1"}


class Queue:
    """Works on `in_flight` requests, lets `waiting` wait, sheds the others, and gives up the slow ones."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings, metrics: Metrics, warmth: Warmth) -> None:
        self.app, self.settings, self.metrics, self.warmth = app, settings, metrics, warmth
        self._slots = asyncio.Semaphore(settings.in_flight)
        self._inside = 0  # in flight and waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refused when there is no room, or no time left."""
        if scope["type"] != "http" or scope["path"] in UNQUEUED:
            await self.app(scope, receive, send)
            return
        self.warmth.check()
        if self._inside >= self.settings.in_flight + self.settings.waiting:
            self.metrics.shed.inc()
            raise Refused(
                503, "Overloaded", f"{self._inside} requests are being worked on or waiting",
                "Wait for the seconds that Retry-After says.", PAUSE,
            )
        self._inside += 1
        try:
            await self._in_time(scope, receive, send)
        finally:
            self._inside -= 1

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self.settings.timeout) as limit, self._slots:
                with self.metrics.in_flight.track_inprogress():
                    await self.app(scope, receive, send)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Refused(
                503, "TimedOut", f"the request took longer than {self.settings.timeout:g} s",
                "Ask for less at once, or later. A write may still be done; sending it again does no harm.",
                PAUSE,
            ) from None


class BodyLimit:
    """Counts a body's bytes as they arrive, whatever its length was said to be."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app, self.most = app, settings.max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refused in place of an answer when the body is too large."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if said.isdigit() and int(said) > self.most:
            raise self._refusal()
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.most:
                raise self._refusal()
            return message

        async def held_back(message: Message) -> None:
            if size <= self.most:  # else the app answers an error of reading, which is not what happened
                await send(message)

        await self.app(scope, counted, held_back)
        if size > self.most:
            raise self._refusal()

    def _refusal(self) -> Refused:
        return Refused(
            413, "TooLarge", f"the body has more than {self.most:,} bytes",
            "Send smaller batches, or smaller pictures.", {"Connection": "close"},
        )
