"""The bodies of requests and answers, as OpenAPI describes them.

Their constraints repeat those of `mmrec.ranking.request.Request` and of the store, for clients to see.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from mmrec.ranking.request import MOST_RESULTS
from mmrec.store.where_parser import MAX_LENGTH
from mmrec.types import MAX_DIM, MAX_ID, MAX_IMAGES, Recommendation

MOST_WORDS = 10_000  # characters of a query
MOST_IDS = 10_000  # of a history or another list

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
Several = Annotated[list[Id], Field(max_length=MOST_IDS)]
Ids = Annotated[Several, BeforeValidator(  # one by itself is a list of one
    lambda ids: [ids] if isinstance(ids, str) else ids, json_schema_input_type=Several | Id)]
Words = Annotated[str, Field(max_length=MOST_WORDS)]
Space = Annotated[str, Field(max_length=64, examples=["content"])]  # no field has a longer name
Where = Annotated[str, Field(max_length=MAX_LENGTH, examples=["price < 30 and category == 'mug'"])]
K = Annotated[int, Field(ge=1, le=MOST_RESULTS)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Body(BaseModel):
    """A body without unknown members."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def options(self) -> dict[str, Any]:
        """What was set, as arguments of a verb."""
        return self.model_dump(exclude_unset=True, exclude_none=True, by_alias=True)


class Picture(Body):
    """A picture or sound inside JSON."""

    base64: str


Pictures = Picture | Annotated[list[Picture], Field(max_length=MAX_IMAGES)]


class ItemRow(Body):
    """One item; in a multipart body, `image` and `audio` name uploaded files."""

    item_id: Id
    text: dict[str, str] = {}
    image: Picture | str | Annotated[list[Picture | str], Field(max_length=MAX_IMAGES)] | None = None
    audio: Picture | str | Annotated[list[Picture | str], Field(max_length=MAX_IMAGES)] | None = None
    embeddings: dict[str, Annotated[list[float], Field(min_length=1, max_length=MAX_DIM)]] = {}
    attributes: dict[str, Any] = {}
    added_at: str | float | None = None


class InteractionRow(Body):
    """One interaction of one user; `request_id` names the answer that showed the item."""

    user_id: Id
    item_id: Id
    kind: str = "click"
    weight: float = 1.0
    time: str | float | None = None
    request_id: str | None = None


class PageOptions(Body):
    """What any request may ask of its results."""

    k: K = 10
    where: Where | None = None
    exclude: Ids | None = None
    diversity: Share | dict[str, Share] | None = None
    max_per: dict[str, Annotated[int, Field(ge=1, le=MOST_RESULTS)]] | None = None
    distinct: Annotated[float, Field(gt=0, le=1)] | Words | None = None
    exposure: Annotated[dict[str, Literal["even"] | Share | dict[str, Share]], Field(
        examples=[{"cold": 0.2}, {"brand": "even"}])] | None = None


class SimilarRequest(PageOptions, json_schema_extra={"examples": [{"text": "warm wool blanket", "k": 5}]}):
    """Words, pictures and sounds that are not in the catalogue."""

    text: Words | dict[str, Words] | None = None
    image: Pictures | None = None
    audio: Pictures | None = None
    by: Space = "content"


class SearchRequest(PageOptions, json_schema_extra={"examples": [
    {"text": "red dress", "k": 10}, {"text": "red dress", "history": ["B07"], "weights": {"taste": 0.5}},
]}):
    """Words, files and a history to search for, together or alone; `weights` weigh their rankings."""

    text: Annotated[str, Field(min_length=1, max_length=MOST_WORDS)] | None = None
    image: Pictures | None = None
    audio: Pictures | None = None
    history: Ids | None = None
    weights: dict[str, Annotated[float, Field(ge=0, le=1000)]] | None = None


class RecommendRequest(PageOptions, json_schema_extra={"examples": [
    {"user": "u42", "k": 10, "where": "price < 30"}, {"history": ["B07", "B11"], "dislikes": ["B03"]},
]}):
    """A user whose interactions are recorded, or a history, or a taste in words, or nothing at all."""

    user: Id | None = None
    history: Ids | None = None
    dislikes: Ids | None = None
    taste: Words | None = None
    signals: dict[str, Share] | None = None
    explore: Share | None = None
    seed: Annotated[Seed, Field(description="Of the draws of explored items.")] | None = Field(
        None, serialization_alias="rng")  # as `recommend` calls it


class FitRequest(Body, json_schema_extra={"examples": [{"warm_start": True}]}):
    """How to train."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    warm_start: bool | None = None
    ordered: bool | None = None
    seed: Seed | None = None


class SuggestRequest(Body, json_schema_extra={"examples": [{"fields": ["category"], "least": 0.9}]}):
    """Which missing values to suggest: of which items (all), in which categories (all), how certain ones."""

    item_ids: Ids | None = None
    fields: Ids | None = None
    least: Share | None = None


class Results(BaseModel):
    """What was found, the best first."""

    request_id: str
    results: list[Recommendation]


class Outcome(BaseModel):
    """What became of one row of a batch, in the order of the batch."""

    item_id: str | None
    outcome: Literal["added", "updated", "unchanged", "rejected"]
    reason: Annotated[str | None, Field(description="Why it was rejected, or taken without a part.")] = None
    field: Annotated[str | None, Field(description="The part at fault.")] = None


class Ingested(BaseModel):
    """What became of a batch of items."""

    added: int
    updated: int
    unchanged: int
    rejected: int
    without_picture: Annotated[int, Field(description="Taken without a picture that cannot be used.")]
    incomplete: Annotated[int, Field(description="Taken without a part that cannot be used, pictures too.")]
    items: list[Outcome]


class RowRejected(BaseModel):
    """A row that was not taken: its place in the batch, from 0, and why."""

    index: int | None
    reason: str
    field: str | None


class Recorded(BaseModel):
    """What became of a batch of interactions."""

    added: int
    unchanged: int
    rejected: int
    rejections: list[RowRejected]


class ItemShown(BaseModel):
    """An item as it was ingested; `images` and `sounds` are addresses of this service."""

    item_id: str
    text: dict[str, str] = {}
    attributes: dict[str, Any] = {}
    added_at: str
    images: list[str]
    sounds: list[str]


class ItemPage(BaseModel):
    """Some items of all that were asked for, in the order of their ids."""

    total: int
    offset: int
    items: list[ItemShown]


class ErrorDescription(BaseModel):
    """What went wrong, where, and what to do."""

    kind: str
    message: str
    field: str | None
    what_to_do: str
    request_id: str


class JobProgress(BaseModel):
    """The stage of a job; while it trains, also the epoch that ended, its loss, and the seconds so far."""

    stage: str
    epoch: int | None = None
    loss: float | None = None
    seconds: float | None = None


class JobShown(BaseModel):
    """A job and how far it is."""

    job_id: str
    kind: str
    state: Literal["running", "done", "failed"]
    started: str
    finished: str | None
    progress: JobProgress | None
    result: Annotated[dict[str, Any] | None, Field(description="What the verb gives.")]
    error: ErrorDescription | None


class ErrorAnswer(BaseModel):
    """The one form of every error."""

    error: ErrorDescription


COMPONENTS = "#/components/schemas/"
FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": meaning} for status, meaning in (
        (401, "The API key is missing or wrong."), (403, "Asked from another site, without a key."),
        (404, "There is no such item, picture, sound or job."),
        (409, "The store is busy or not fit for it, or a job is running."),
        (413, "The body is too large."), (415, "The Content-Encoding is unknown."),
        (422, "A value cannot be used."),
        (429, "Too many requests."), (503, "Not ready, overloaded, or too slow."),
    )
}


def body(json: dict[str, Any], example: Any, form: dict[str, Any] | None = None) -> dict[str, Any]:
    """Documents a body that a route reads itself: JSON, or a form with these parts."""
    content = {"application/json": {"schema": json, "example": example}}
    if form:
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": form}}
    return {"requestBody": {"required": True, "content": content}}


def several(model: str) -> dict[str, Any]:
    """The schema of a batch of rows: a list, or one row by itself."""
    row = {"$ref": COMPONENTS + model}
    return {"anyOf": [{"type": "array", "items": row}, row]}


def body_schemas() -> dict[str, Any]:
    """The schemas of the bodies that the routes read themselves, by the names that `body` refers to."""
    models = [(model, "validation") for model in (ItemRow, InteractionRow, SimilarRequest)]
    _, found = models_json_schema(models, ref_template=COMPONENTS + "{model}")  # type: ignore[arg-type]
    schemas: dict[str, Any] = found["$defs"]
    return schemas


ITEMS = body(
    several("ItemRow"),
    [{"item_id": "B07", "text": {"title": "Wool blanket"}, "attributes": {"price": 9.5, "category": "home"}}],
    {"items": {"type": "string", "description": "JSON list of items, or one; `image` and `audio` name"
               " uploaded files, of several with one name each in its turn."},
     "image": FILES, "audio": FILES},
)
INTERACTIONS = body(
    several("InteractionRow"),
    [{"user_id": "u42", "item_id": "B07", "kind": "click", "time": "2024-05-02T10:00:00+00:00"}],
)
SIMILAR = body(
    {"$ref": COMPONENTS + "SimilarRequest"},
    {"text": "warm wool blanket", "k": 5},
    {"text": {"type": "string"}, "image": FILES, "audio": FILES, "by": {"type": "string"},
     "k": {"type": "integer"}, "where": {"type": "string"}},
)
