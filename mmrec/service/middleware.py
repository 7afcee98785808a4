"""How much is taken on: bodies of bounded size, a bounded queue, and a time for each request."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from mmrec.service.core import Metrics, Warmth
from mmrec.service.errors import Refused, described, error_body
from mmrec.service.settings import ServiceSettings, is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEALTH = frozenset({"/health/live", "/health/ready"})  # need no key, and are never sent away
MOST_CALLERS = 10_000  # whose buckets are remembered
REALM = {"WWW-Authenticate": "Bearer"}


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


class Door:
    """Lets in who has a key, or, where none is set, this machine's own programs; and not too often."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app, self.settings = app, settings
        self._keys = [key.get_secret_value().encode() for key in settings.api_keys]
        self._buckets = Buckets(settings.rate, settings.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refused at the door."""
        if scope["type"] == "http" and scope["path"] not in HEALTH:
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
                "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.", REALM,
            )
        if not self._keys:
            self._check_origin(headers)

    def _key(self, headers: dict[bytes, bytes]) -> int | None:
        """Which key was sent; every one is compared in full, so that time tells nothing."""
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        sent = bearer.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"").strip()
        matches = [hmac.compare_digest(sent, key) for key in self._keys]
        return matches.index(True) if any(matches) else None

    def _check_origin(self, headers: dict[bytes, bytes]) -> None:
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


log = logging.getLogger(__name__)
METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})


class Envelope:
    """The outermost layer: no error leaves it but as an answer in the one form."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Names the request, hands it on, and counts the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
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
            if not isinstance(error, Refused):
                log.exception("request %s failed", request_id)
            await _send_error(stamped, error, request_id)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics.answered(method, route, status, time.perf_counter() - started)


def whole_segments(scope: Scope) -> str:
    """The path with `/` and `%` inside a segment still escaped: an id such as `SKU/12` stays one segment."""
    raw = scope.get("raw_path") or scope["path"].replace("%", "%25").encode()
    segments = (unquote(segment) for segment in raw.decode("latin-1").split("/"))
    return "/".join(segment.replace("%", "%25").replace("/", "%2F") for segment in segments)


async def _send_error(send: Send, error: Exception, request_id: str) -> None:
    status, description = described(error)
    body = error_body(description, request_id)
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    headers |= getattr(error, "headers", {})
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


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
