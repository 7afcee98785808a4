"""What surrounds every answer: a request id, the time it took, and a form for whatever goes wrong."""

from __future__ import annotations

import logging
import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mmrec.service.errors import Refused, described, error_body
from mmrec.service.metrics import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
