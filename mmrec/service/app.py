"""The HTTP app over one Recommender: routes, around them limits, the door, the page and the envelope."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from mmrec.recommender import Recommender
from mmrec.service import errors
from mmrec.service import page_data as live
from mmrec.service.core import Core, Watcher
from mmrec.service.middleware import BodyLimit, Door, Envelope, Queue
from mmrec.service.models import add_schemas
from mmrec.service.routes import router
from mmrec.service.settings import ServiceSettings


def create_app(shop: Recommender, settings: ServiceSettings, *, watcher: Watcher | None = None) -> FastAPI:
    """The app of one shop; it gets warm while it answers `/health/live`, and is ready afterwards.

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
    app.include_router(router)
    errors.install(app)
    # the last one added is the outermost
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(Queue, settings=settings, metrics=core.metrics, warmth=core.warmth)
    app.add_middleware(Door, settings=settings)
    live.mount(app)
    app.add_middleware(Envelope, metrics=core.metrics)
    return app


class App(FastAPI):
    """FastAPI with the schemas of the bodies that the routes read themselves."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            add_schemas(super().openapi())
        return super().openapi()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    core: Core = app.state.core
    warming = asyncio.create_task(core.warm())
    yield
    await asyncio.gather(warming, return_exceptions=True)
    await core.close()
