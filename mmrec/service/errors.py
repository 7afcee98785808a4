"""Answers in JSON; errors of mmrec, of the framework and unexpected ones have one form.

::

    {"error": {"kind": "DataError", "message": "k: Input should be ...", "field": "k",
               "what_to_do": "Change what the message names ...", "request_id": "5f0c..."}}
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mmrec.errors import ConfigError, DataError, MmrecError, NotFitted, StoreBusy, StoreMismatch, UnknownItem

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
    "InternalError": "Send the request id to the service's operators: their log says more.",
    "BadRequest": "Check how the body is encoded; GET /openapi.json describes it.",
    "HttpError": "Check the request; GET /openapi.json describes the routes.",
    "TooLarge": "Send smaller batches, or smaller pictures.",
}
HTTP_KINDS = {400: "BadRequest", 404: "NotFound", 405: "MethodNotAllowed", 413: "TooLarge"}
FAILED = "the service failed at this request"
MESSAGES = {  # in place of ours, which name folders of the service's machine
    "StoreBusy": "another process has been writing to the store for too long",
    "StoreMismatch": "the store was made with other encoders, or by another version",
}


class Json(JSONResponse):
    """An answer in JSON, from a value or from bytes that are JSON already."""

    def render(self, content: Any) -> bytes:
        """The body in UTF-8; a lone surrogate, which has no UTF-8, becomes a question mark."""
        if isinstance(content, bytes):
            return content
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


class Refused(HTTPException):
    """The service refuses what the shop might have answered: its `kind` for programs, advice for people."""

    def __init__(
        self, status: int, kind: str, message: str, what_to_do: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.kind, self.what_to_do = kind, what_to_do


def described(error: Exception) -> tuple[int, dict[str, Any]]:
    """HTTP status and description of an error; the cause of a failure of the service is not told."""
    if isinstance(error, Refused):
        return error.status_code, _description(error.kind, error.detail, advice=error.what_to_do)
    if isinstance(error, HTTPException):
        kind = HTTP_KINDS.get(error.status_code, "HttpError")
        return error.status_code, _description(kind, str(error.detail).lower())
    if isinstance(error, RequestValidationError):
        return 422, _invalid(error)
    kind = type(error).__name__ if isinstance(error, MmrecError) else "InternalError"
    status = next((status for ours, status in STATUS.items() if isinstance(error, ours)), 500)
    if status == 500:
        return 500, _description(kind, FAILED)
    return status, _description(kind, MESSAGES.get(kind, str(error)), getattr(error, "field", None))


def error_answer(error: Exception, request_id: str) -> Json:
    """The answer to a request that raised this error."""
    status, description = described(error)
    headers = error.headers if isinstance(error, HTTPException) else None
    return Json({"error": {**description, "request_id": request_id}}, status, headers)


def install(app: FastAPI) -> None:
    """Has the app answer mmrec's errors and the framework's in the one form."""
    for kind in (MmrecError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answered)


async def _answered(request: Request, error: Exception) -> Response:
    answer = error_answer(error, request.scope["mmrec.request_id"])
    if isinstance(error, MmrecError) and answer.status_code not in (404, 422):
        log.error("request %s: %s", request.scope["mmrec.request_id"], error,
                  exc_info=answer.status_code == 500)
    return answer


def _invalid(error: RequestValidationError) -> dict[str, Any]:
    """All of pydantic's problems as one DataError; what was sent is not repeated."""
    problems = [{"field": _place(p["loc"]), "message": p["msg"]} for p in error.errors()]
    message = "; ".join(f"{p['field'] or 'body'}: {p['message']}" for p in problems[:5])
    return _description("DataError", message, problems[0]["field"] or None) | {"problems": problems[:100]}


def _place(loc: Sequence[str | int]) -> str:
    """Where a problem lies, without the names of the types that a value may have."""
    parts = (str(part) for part in loc if part not in ("body", "query", "path"))
    return ".".join(part for part in parts if not ALTERNATIVE.search(part))


def _description(kind: str, message: str, field: str | None = None, advice: str = "") -> dict[str, Any]:
    advice = advice or ADVICE.get(kind, ADVICE["InternalError"])
    return {"kind": kind, "message": message, "field": field, "what_to_do": advice}
