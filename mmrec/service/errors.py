"""Errors as HTTP answers: one JSON form for ours, the framework's and those that nobody foresaw.

::

    {"error": {"kind": "DataError", "message": "k: Input should be ...", "field": "k",
               "what_to_do": "Change what the message names ...", "request_id": "5f0c..."}}
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmrec.errors import ConfigError, DataError, MmrecError, NotFitted, StoreBusy, StoreMismatch, UnknownItem

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)
ALTERNATIVE = re.compile(r"^constrained-|\[|^Picture$")  # what pydantic calls one of the types of a value
STATUS: dict[type[MmrecError], int] = {
    DataError: 422, ConfigError: 422, UnknownItem: 404, StoreBusy: 409, NotFitted: 409, StoreMismatch: 409,
}
ADVICE = {
    "DataError": "Change what the message names, and send the request again.",
    "ConfigError": "Change the setting that is named, and send the request again.",
    "UnknownItem": "Check the id, or send the item with POST /items first.",
    "StoreBusy": "Send the same request again later.",
    "NotFitted": "Train with POST /fit first, or ask for content.",
    "StoreMismatch": "Open the store with the encoders and the version that made it.",
    "NotFound": "GET /openapi.json lists the routes.",
    "MethodNotAllowed": "The header Allow names the methods of this route.",
    "Unforeseen": "Send the request id to the service's operators: their log says more.",
    "BadRequest": "Check how the body is encoded; GET /openapi.json describes it.",
}
HTTP_KINDS = {400: "BadRequest", 404: "NotFound", 405: "MethodNotAllowed", 413: "TooLarge"}
FAILED = "the service failed at this request"
MESSAGES = {  # in place of ours, which name folders of the service's machine
    "StoreBusy": "another process has been writing to the store for too long",
    "StoreMismatch": "the store was made with other encoders, or by another version",
}


class Refused(MmrecError):
    """The service does not do what was asked, though the shop might.

    Attributes:
        status: of HTTP.
        kind: word for programs.
        what_to_do: sentence for people.
        headers: of the answer.
    """

    def __init__(
        self, status: int, kind: str, message: str, what_to_do: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.what_to_do, self.headers = status, kind, what_to_do, headers or {}


def described(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and description of an error; of a failure of the service, no more than that it happened."""
    if isinstance(error, Refused):
        return error.status, _form(error.kind, str(error), None, error.what_to_do)
    if isinstance(error, MmrecError):
        kind = type(error).__name__
        status = next((s for k, s in STATUS.items() if isinstance(error, k)), 500)
        message = MESSAGES.get(kind, str(error)) if status < 500 else FAILED
        advice = ADVICE.get(kind, ADVICE["Unforeseen"])
        return status, _form(kind, message, getattr(error, "field", None), advice)
    return 500, _form("InternalError", FAILED, None, ADVICE["Unforeseen"])


def dump(value: Any) -> bytes:
    """JSON in UTF-8; a lone surrogate, which has no UTF-8, becomes a question mark."""
    return _JSON.encode(value).encode("utf-8", "replace")


def _members(value: Any) -> dict[str, Any]:
    """A result as JSON; a quarter of the time that `dataclasses.asdict` takes, which copies all it finds."""
    return {name: getattr(value, name) for name in value.__slots__}


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_members)


def error_body(description: Mapping[str, Any], request_id: str) -> bytes:
    """The one form of every error."""
    return dump({"error": {**description, "request_id": request_id}})


def install(app: FastAPI) -> None:
    """Gives the app's errors their form: ours, and those of the framework."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    async def ours(request: Request, error: Exception) -> Response:
        status, description = described(error)
        if status not in (400, 404, 422) and not isinstance(error, Refused):
            log.error("request %s: %s", request.scope["mmrec.request_id"], error, exc_info=status == 500)
        return _answer(request, status, description, getattr(error, "headers", None))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _answer(request, 422, invalid_form(error.errors()))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = HTTP_KINDS.get(error.status_code, "HttpError")
        description = _form(kind, str(error.detail).lower(), None, ADVICE.get(kind, ADVICE["BadRequest"]))
        return _answer(request, error.status_code, description, error.headers)

    app.add_exception_handler(MmrecError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def invalid_form(problems: Any) -> dict[str, Any]:
    """pydantic's problems as one DataError; what was sent is not repeated."""
    named = [{"field": _place(p["loc"]), "message": p["msg"]} for p in problems]
    message = "; ".join(f"{p['field'] or 'body'}: {p['message']}" for p in named[:5])
    form = _form("DataError", message, named[0]["field"] or None, ADVICE["DataError"])
    return {**form, "problems": named[:100]}


def _place(loc: Sequence[str | int]) -> str:
    """Where a problem lies, without the names of the types that a value may have."""
    return ".".join(
        str(part) for part in loc
        if part not in ("body", "query", "path") and not ALTERNATIVE.search(str(part))
    )


def _form(kind: str, message: str, field: str | None, what_to_do: str) -> dict[str, Any]:
    return {"kind": kind, "message": message, "field": field, "what_to_do": what_to_do}


def _answer(
    request: Request, status: int, description: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    from starlette.responses import Response

    body = error_body(description, request.scope["mmrec.request_id"])
    return Response(body, status, dict(headers or {}), "application/json")
