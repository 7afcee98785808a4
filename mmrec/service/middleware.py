"""The layers around the routes, the outermost first: request ids, authentication, queue, size of bodies."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmrec.service.core import Metrics, Readiness
from mmrec.service.errors import Refused, error_answer
from mmrec.service.settings import ServiceSettings, is_loopback

log = logging.getLogger(__name__)

METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})
HEALTH = frozenset({"/health/live", "/health/ready"})  # need no key, and are never sent away
UNQUEUED = HEALTH | {"/metrics", "/openapi.json"}  # touch no store, and are wanted most when it is full
MOST_CALLERS = 10_000  # whose buckets are remembered
CODINGS = ("identity", "gzip", "deflate")  # of bodies; deflate is zlib's form, as HTTP says
ZLIB_OR_GZIP = 47  # the window and the form that zlib is to find out


class RequestIds:
    """Names each request and counts its answer; an error that comes this far is answered in the one form."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on."""
        request_id = scope["mmrec.request_id"] = uuid.uuid4().hex
        scope["path"] = whole_segments(scope)
        started, status = time.perf_counter(), 0

        async def stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()), (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            await self.app(scope, receive, stamped)
        except Exception as error:
            if status:  # the answer has begun: all that is left is to cut it off
                raise
            if not isinstance(error, HTTPException):
                log.exception("request %s failed", request_id)
            await error_answer(error, request_id)(scope, receive, stamped)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics.answered(method, route, status, time.perf_counter() - started)


def whole_segments(scope: Scope) -> str:
    """The path with `/` and `%` inside a segment still escaped: an id such as `SKU/12` stays one segment."""
    raw = scope.get("raw_path") or scope["path"].replace("%", "%25").encode()
    segments = (unquote(segment) for segment in raw.decode("latin-1").split("/"))
    return "/".join(segment.replace("%", "%25").replace("/", "%2F") for segment in segments)


class Authentication:
    """Admits requests with a key, or of this machine's own programs where none is set; at a bounded rate."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app, self.settings = app, settings
        self._keys = [key.get_secret_value().encode() for key in settings.api_keys]
        self._buckets = Buckets(settings.rate, settings.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refused for a request that is not admitted."""
        if scope["path"] not in HEALTH:
            self._admit(scope)
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        key = self._key(headers) if self._keys else None
        client = scope["client"][0] if scope.get("client") else "unknown"
        wait = self._buckets.take(f"client {client}" if key is None else f"key {key}")
        if wait:
            raise Refused(
                429, "RateLimited", f"more than {self.settings.rate:g} requests a second",
                "Wait for the seconds that Retry-After says.", {"Retry-After": str(math.ceil(wait))},
            )
        if self._keys and key is None:
            raise Refused(
                401, "Unauthorised", "the API key is missing or wrong",
                "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.", {"WWW-Authenticate": "Bearer"},
            )
        if not self._keys:
            _check_origin(headers)

    def _key(self, headers: dict[bytes, bytes]) -> int | None:
        """Which key was sent; every one is compared in full, so that the time it takes tells nothing."""
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        sent = bearer.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"").strip()
        matches = [hmac.compare_digest(sent, key) for key in self._keys]
        return matches.index(True) if any(matches) else None


def _check_origin(headers: dict[bytes, bytes]) -> None:
    """Keeps pages of other sites from asking through a browser on this machine."""
    host = headers.get(b"host", b"").decode("latin-1")
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not is_loopback(_split(f"//{host}").hostname or "") or (origin and _split(origin).netloc != host):
        raise Refused(
            403, "Forbidden", "without an API key, only this machine is served, under its own name",
            "Ask 127.0.0.1 or localhost, or set MMREC_API_KEYS and send a key.",
        )


def _split(address: str) -> SplitResult:
    """The parts of an address; empty ones if it makes no sense."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


class Buckets:
    """Token buckets: each caller may ask `burst` times at once, and `rate` times a second in the long run.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self._clock = rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when

    def take(self, caller: str) -> float:
        """Takes a token; returns 0, or the seconds until there is one."""
        if not self.rate:
            return 0.0
        now = self._clock()
        tokens, since = self._buckets.pop(caller, (self.burst, now))
        tokens = min(self.burst, tokens + (now - since) * self.rate)
        granted = tokens >= 1
        self._buckets[caller] = (tokens - granted, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)  # whoever has been silent for longest
        return 0.0 if granted else (1 - tokens) / self.rate


class Queue:
    """Bounds the requests that are worked on and those that wait, and gives up the slow ones.

    There is one lane for reads, one for what a model has to encode, and one for writes: a request never waits
    for those of another lane. `scope["mmrec.enter_lane"]` moves a request to a lane that its body asks for.
    """

    def __init__(
        self, app: ASGIApp, settings: ServiceSettings, metrics: Metrics, readiness: Readiness
    ) -> None:
        self.app, self.timeout, self.readiness = app, settings.timeout, readiness
        self.lanes = {name: Lane(settings, metrics) for name in ("read", "encode", "write")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refused when the lane is full, or no time is left."""
        if scope["path"] in UNQUEUED:
            await self.app(scope, receive, send)
            return
        self.readiness.check()
        try:
            async with asyncio.timeout(self.timeout) as limit, AsyncExitStack() as place:

                async def enter(lane: str) -> None:
                    await place.aclose()
                    await place.enter_async_context(self.lanes[lane].place())

                scope["mmrec.enter_lane"] = enter
                await enter(lane_of(scope["method"], scope["path"]))
                await self.app(scope, receive, send)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Refused(
                503, "TimedOut", f"the request took longer than {self.timeout:g} s",
                "Ask for less at once, or later. A write may still be done; sending it again does no harm.",
                {"Retry-After": "1"},
            ) from None


class Lane:
    """Works on `in_flight` requests, lets `waiting` wait, and sheds the others."""

    def __init__(self, settings: ServiceSettings, metrics: Metrics) -> None:
        self._most, self._metrics = settings.in_flight + settings.waiting, metrics
        self._slots = asyncio.Semaphore(settings.in_flight)
        self._inside = 0  # in flight and waiting

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Waits for a slot and holds it; raises Refused if too many wait already."""
        if self._inside >= self._most:
            self._metrics.shed.inc()
            raise Refused(
                503, "Overloaded", f"{self._inside} requests are being worked on or waiting",
                "Wait for the seconds that Retry-After says.", {"Retry-After": "1"},
            )
        self._inside += 1
        try:
            async with self._slots:
                with self._metrics.in_flight.track_inprogress():
                    yield
        finally:
            self._inside -= 1


def lane_of(method: str, path: str) -> str:
    """The lane of a request, as far as its route says."""
    if method in ("POST", "DELETE") and path.startswith(("/items", "/interactions")):
        return "write"
    return "encode" if path in ("/search", "/similar") else "read"


class BodyLimit:
    """Counts a body's bytes as they arrive, whatever its length was said to be; packed ones unpacked, too."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app, self.most = app, settings.max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Has the app read no more than it may; a body that says that it is longer never reaches the app."""
        too_large = HTTPException(
            413, f"the body has more than {self.most:,} bytes", {"Connection": "close"})
        headers = Headers(scope=scope)
        said, coding = headers.get("content-length", "0"), headers.get("content-encoding", "identity").lower()
        if said.isdigit() and int(said) > self.most:
            raise too_large
        if coding not in CODINGS:
            raise Refused(415, "UnknownEncoding", f"the Content-Encoding {coding[:80]!r} is not known",
                          f"Send the body as it is, or by {' or '.join(CODINGS[1:])}.")
        inflate = zlib.decompressobj(ZLIB_OR_GZIP) if coding in CODINGS[1:] else None
        size = packed = 0

        async def counted() -> Message:
            nonlocal size, packed
            message = await receive()
            packed += len(message.get("body", b""))
            if inflate and message["type"] == "http.request":
                message["body"] = inflated(inflate, message, self.most - size + 1, coding)
            size += len(message.get("body", b""))
            if max(size, packed) > self.most:
                raise too_large  # of the one type that the framework does not take for a fault of its parsing
            return message

        await self.app(scope, counted, send)


def inflated(inflate: Any, message: Message, most: int, coding: str) -> bytes:
    """A part of a packed body, unpacked to so many bytes at most."""
    try:
        part: bytes = inflate.decompress(message.get("body", b""), most)
    except zlib.error as error:
        raise HTTPException(400, f"the body is no {coding}: {error}") from None
    if not (message.get("more_body") or inflate.eof or len(part) == most):
        raise HTTPException(400, f"the body is cut off, the end of its {coding} is missing")
    return part
