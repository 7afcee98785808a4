"""OpenAPI of the bodies that come as JSON or multipart, which the routes read themselves."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from mmrec.service.models import ErrorAnswer, InteractionRow, ItemRow, SimilarRequest

COMPONENTS = "#/components/schemas/"
FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": meaning} for status, meaning in (
        (401, "The API key is missing or wrong."), (403, "Asked from another site, without a key."),
        (404, "There is no such item, picture or job."),
        (409, "The store is busy or not fit for it, or a job is running."),
        (413, "The body is too large."), (422, "A value cannot be used."),
        (429, "Too many requests."), (503, "Not ready, overloaded, or too slow."),
    )
}


def ref(model: type[BaseModel]) -> dict[str, str]:
    """A reference to a model's schema."""
    return {"$ref": COMPONENTS + model.__name__}


def body(json: dict[str, Any], form: dict[str, Any], example: Any) -> dict[str, Any]:
    """A body that is JSON, or a form with these parts."""
    return {"requestBody": {"required": True, "content": {
        "application/json": {"schema": json, "example": example},
        "multipart/form-data": {"schema": {"type": "object", "properties": form}},
    }}}


def add_schemas(document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with the schemas that `ref` refers to."""
    models = [(model, "validation") for model in (ItemRow, InteractionRow, SimilarRequest)]
    _, found = models_json_schema(models, ref_template=COMPONENTS + "{model}")  # type: ignore[arg-type]
    document["components"]["schemas"] |= found["$defs"]
    return document


ITEMS = body(
    {"type": "array", "items": ref(ItemRow)},
    {"items": {"type": "string", "description": "JSON list of items; `image` names uploaded files."},
     "image": FILES},
    [{"item_id": "B07", "text": {"title": "Wool blanket"}, "attributes": {"price": 9.5, "category": "home"}}],
)
INTERACTIONS = {"requestBody": {"required": True, "content": {"application/json": {
    "schema": {"type": "array", "items": ref(InteractionRow)},
    "example": [{"user_id": "u42", "item_id": "B07", "kind": "click", "time": "2024-05-02T10:00:00+00:00"}],
}}}}
SIMILAR = body(
    ref(SimilarRequest),
    {"text": {"type": "string"}, "image": FILES, "by": {"type": "string"}, "k": {"type": "integer"},
     "where": {"type": "string"}},
    {"text": "warm wool blanket", "k": 5},
)
