"""Who may ask, and how often: API keys, callers of this machine alone, and a limit of requests a second."""

from __future__ import annotations

import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from mmrec.service.errors import Refused
from mmrec.service.settings import ServiceSettings, is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

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
