"""The HTTP app of one Recommender: its routes, its page, and the layers around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from mmrec.recommender import Recommender
from mmrec.service import errors, page_data, routes
from mmrec.service.core import Core, Watcher
from mmrec.service.middleware import Authentication, BodyLimit, Queue, RequestIds
from mmrec.service.models import body_schemas
from mmrec.service.settings import ServiceSettings


def create_app(shop: Recommender, settings: ServiceSettings, *, watcher: Watcher | None = None) -> FastAPI:
    """The app of one shop; it loads its models while it answers `/health/live`, and is ready afterwards.

    Args:
        watcher: is told what was shown, and what users did.
    """
    core = Core(shop, settings, watcher)
    app = App(
        title="mmrec", version=version("mmrec"), lifespan=_lifespan,
        summary="A shop's recommendations, similar items and search.",
        docs_url=None, redoc_url=None, redirect_slashes=False,
    )
    app.state.core = core
    app.include_router(routes.router)
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
    """FastAPI with the schemas of the bodies that the routes read themselves."""

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
