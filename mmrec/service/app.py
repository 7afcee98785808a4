"""The HTTP app of one Recommender: its routes, each a call of one verb, and the layers around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from prometheus_client import generate_latest
from pydantic import AfterValidator, ValidationError
from starlette.types import Receive, Scope, Send

from mmrec.data.media import located
from mmrec.errors import Rejection, UnknownItem
from mmrec.monitor.impressions import ImpressionLog
from mmrec.monitor.shown import keep_shown
from mmrec.recommender import Recommender
from mmrec.service import errors, models, page_data, uploads
from mmrec.service.core import Call, Core, Service
from mmrec.service.errors import Json
from mmrec.service.jobs import Progress
from mmrec.service.middleware import Authentication, BodyLimit, Queue, RequestIds
from mmrec.service.models import body_schemas
from mmrec.service.settings import ServiceSettings
from mmrec.types import AUDIO, IMAGE, NOUNS, Item

router = APIRouter(responses=models.ERRORS)
ItemId = Annotated[str, Path(description="Any id, percent-encoded."), AfterValidator(unquote)]
Where = Annotated[models.Where | None, Query()]


@router.post("/items", response_model=models.Ingested, openapi_extra=models.ITEMS)
async def add_items(request: Request, core: Service) -> Response:
    """Ingests a batch of items, new and changed; one bad item does not stop the others."""
    sent = await uploads.sent_by(request)

    def read() -> list[Item | Rejection]:
        return uploads.items_of(uploads.rows_of(sent, "items", core.settings.max_batch), sent, core.shop)

    return Json(await core.ingest(await core.encode(read)))


@router.get("/items", response_model=models.ItemPage)
async def browse(
    core: Service, where: Where = None, offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> Response:
    """Items in the order of their ids, all or those that a condition keeps."""

    def page() -> Response:
        total, found = core.shop.browse(where, offset=offset, limit=limit)
        return Json({"total": total, "offset": offset, "items": [uploads.shown(item) for item in found]})

    return await core.read(page)


@router.get("/items/{item_id}", response_model=models.ItemShown)
async def get_item(core: Service, item_id: ItemId) -> Response:
    """An item as it was ingested."""
    return Json(uploads.shown((await core.read(core.shop.get, [item_id]))[0]))


@router.delete("/items/{item_id}")
async def delete_item(core: Service, item_id: ItemId) -> Response:
    """Takes an item out of the catalogue; interactions with it stay."""
    if not await core.write(core.shop.delete, [item_id]):
        raise UnknownItem(f"{item_id!r} is not in the catalogue: nothing was deleted")
    return Json({"deleted": 1})


@router.get("/items/{item_id}/image", response_class=Response)
async def get_image(
    core: Service, item_id: ItemId, n: Annotated[int, Query(ge=0, lt=32)] = 0,
    size: Annotated[int, Query(ge=16, le=1_024)] = 1_024,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """An item's picture as a JPEG, its longest side `size` pixels at most."""
    tag, jpeg = await core.read(uploads.picture, core.shop, item_id, n, size, if_none_match)
    headers = {"ETag": tag, "Cache-Control": "private, max-age=60"}
    if jpeg is None:
        return Response(None, 304, headers)
    return Response(jpeg, 200, headers, media_type="image/jpeg")


@router.get("/items/{item_id}/audio", response_class=FileResponse)
async def get_audio(
    core: Service, item_id: ItemId, n: Annotated[int, Query(ge=0, lt=32)] = 0,
) -> Response:
    """An item's sound as its file is, whole or the `Range` that is asked for."""
    path, media_type = await core.read(uploads.sound, core.shop, item_id, n)
    return FileResponse(path, headers={"Cache-Control": "private, max-age=60"}, media_type=media_type)


@router.get("/items/{item_id}/similar", response_model=models.Results)
async def similar_to_item(
    request: Request, core: Service, item_id: ItemId, by: Annotated[models.Space, Query()] = "content",
    k: Annotated[models.K, Query()] = 10, where: Where = None,
) -> Response:
    """Items like one of the catalogue."""
    return await _found(request, core, "similar", {"item_id": item_id, "by": by, "k": k, "where": where})


@router.post("/similar", response_model=models.Results, openapi_extra=models.SIMILAR)
async def similar(request: Request, core: Service) -> Response:
    """Items like words, pictures and sounds that are not in the catalogue."""
    sent = await uploads.sent_by(request)
    return await _found(request, core, "similar", await core.read(similar_arguments, sent))


@router.post("/search", response_model=models.Results)
async def search(request: Request, core: Service, body: models.SearchRequest) -> Response:
    """Items for words, a picture, a sound and a history: one ranking for each, fused."""
    asked = body.options()
    asked |= {field: located(asked[field], None, field) for field in NOUNS if field in asked}
    return await _found(request, core, "search", asked)


@router.post("/recommend", response_model=models.Results)
async def recommend(request: Request, core: Service, body: models.RecommendRequest) -> Response:
    """Items for a user, for a history nobody has seen, for a taste in words, or for nobody in particular."""
    asked = body.options()
    if "taste" in asked:  # whose words a model has to encode
        await request.scope["mmrec.enter_lane"]("encode")
    return await _found(request, core, "recommend", asked)


@router.post("/interactions", response_model=models.Recorded, openapi_extra=models.INTERACTIONS)
async def record(request: Request, core: Service) -> Response:
    """Records interactions; what is recorded already is not doubled."""
    sent = await uploads.sent_by(request)
    rows = await core.read(uploads.rows_of, sent, "interactions", core.settings.max_batch)
    report = await core.record(await core.read(uploads.interactions_of, rows))

    def answer() -> Response:
        if core.watcher:
            refused = {rejection.line for rejection in report.rejections}
            core.watcher.acted([row for n, row in enumerate(rows, 1) if n not in refused])
        return Json({
            "added": report.added, "unchanged": report.unchanged, "rejected": report.rejected,
            "rejections": [
                {"index": r.line and r.line - 1, "reason": r.reason, "field": r.field}
                for r in report.rejections
            ],
        })

    return await core.read(answer)


@router.post("/fit", status_code=202, response_model=models.JobShown)
async def fit(request: Request, core: Service, body: models.FitRequest | None = None) -> Response:
    """Starts to train on what was recorded; the answer names the job to ask for its progress."""
    options = body.options() if body else {}

    def work(progress: Progress) -> dict[str, Any]:
        keep_shown(core.shop)
        return core.shop.fit(**options, device=core.settings.device, progress=progress).as_dict()

    return Json(core.jobs.start("fit", work, request.scope["mmrec.request_id"]).as_dict(), 202)


@router.post("/check", status_code=202, response_model=models.JobShown)
async def check(request: Request, core: Service) -> Response:
    """Starts to look for what would mislead a training; the job's result is the report."""
    def work(progress: Progress) -> dict[str, Any]:
        progress({"stage": "reading the data"})
        return core.shop.check().as_dict()

    return Json(core.jobs.start("check", work, request.scope["mmrec.request_id"]).as_dict(), 202)


@router.post("/suggest", status_code=202, response_model=models.JobShown)
async def suggest(request: Request, core: Service, body: models.SuggestRequest | None = None) -> Response:
    """Starts to look for values that items lack; the job's result has the suggestions."""
    options = body.options() if body else {}

    def work(progress: Progress) -> dict[str, Any]:
        progress({"stage": "learning from the items that have them"})
        return {"suggestions": [asdict(one) for one in core.shop.suggest(**options)]}

    return Json(core.jobs.start("suggest", work, request.scope["mmrec.request_id"]).as_dict(), 202)


@router.get("/jobs/{job_id}", response_model=models.JobShown)
async def get_job(core: Service, job_id: str) -> Response:
    """A job: its state, its progress, and its result or error."""
    return Json(core.jobs.get(job_id).as_dict())


@router.get("/health/live")
async def live() -> Response:
    """Whether the process answers at all."""
    return Json({"status": "live"})


@router.get("/health/ready")
async def ready(core: Service) -> Response:
    """Whether models and vectors are loaded; 503 until then."""
    core.readiness.check()
    return Json({"status": "ready"})


@router.get("/metrics", response_class=Response)
async def metrics(core: Service) -> Response:
    """Metrics for Prometheus."""
    text = generate_latest(core.metrics.registry)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def similar_arguments(sent: uploads.Sent) -> dict[str, Any]:
    """The arguments of `similar` in a body; a form, which knows nothing but strings, says `k` by one, too."""
    json = "" in sent.fields
    said = uploads.parsed(sent.fields[""]) if json else sent.fields
    try:
        asked = models.SimilarRequest.model_validate(said, strict=json).options()
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    uploaded = {AUDIO: [data for part, _, data in sent.files if part == AUDIO]}
    uploaded[IMAGE] = [data for part, _, data in sent.files if part != AUDIO]
    return asked | {
        field: located(asked.get(field), None, field) or uploaded[field] or None for field in NOUNS
    }


async def _found(request: Request, core: Service, method: str, asked: Mapping[str, Any]) -> Response:
    return Json(await core.found(Call(request.scope["mmrec.request_id"], method, asked)))


def create_app(
    shop: Recommender, settings: ServiceSettings, *, watcher: ImpressionLog | None = None
) -> FastAPI:
    """The app of one shop; it loads its models while it answers `/health/live`, and is ready afterwards."""
    core = Core(shop, settings, watcher)
    app = App(
        title="mmrec", version=version("mmrec"), lifespan=_lifespan,
        summary="A shop's recommendations, similar items and search.",
        docs_url=None, redoc_url=None, redirect_slashes=False,
    )
    app.state.core = core
    app.include_router(router)
    app.include_router(page_data.router)
    errors.install(app)
    # the last one added is the outermost
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(Queue, settings=settings, metrics=core.metrics, readiness=core.readiness)
    app.add_middleware(Authentication, settings=settings)
    app.add_middleware(page_data.Page)
    app.add_middleware(RequestIds, metrics=core.metrics)
    return app


class App(FastAPI):
    """FastAPI with the schemas of the bodies that the routes read themselves; HEAD is answered as GET."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes a request; the server, which knows that it was HEAD, leaves the body out."""
        if scope["type"] != "http":  # the beginning and the end, which are nothing to the layers around
            await self.router({**scope, "app": self}, receive, send)
            return
        head = scope["method"] == "HEAD"
        await super().__call__({**scope, "method": "GET"} if head else scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            super().openapi()["components"]["schemas"] |= body_schemas()
        return super().openapi()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    core: Core = app.state.core
    loading = asyncio.create_task(core.load())
    yield
    await asyncio.gather(loading, return_exceptions=True)
    await core.close()
