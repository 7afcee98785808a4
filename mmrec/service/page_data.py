"""The page at `/`: its files, and the routes that only it needs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from jinja2 import Undefined
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mmrec.data.formats import parse_row
from mmrec.errors import DataError
from mmrec.monitor import report
from mmrec.monitor.figures import Window
from mmrec.monitor.offpolicy import with_share
from mmrec.recommender import Recommender
from mmrec.service import models, uploads
from mmrec.service.core import Service
from mmrec.service.errors import Json
from mmrec.service.gallery import TEMPLATES
from mmrec.store.files import StoreFiles
from mmrec.types import NOUNS

PAGE = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
}
HEADERS = {
    "Cache-Control": "no-cache",  # kept, but asked about each time: another version has the same names
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'"
        " blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
QUARANTINE = "quarantine.jsonl"  # in the store's folder, written by whoever fills it
MOST_CARDS = 500
MOST_POLICIES = 5  # that are judged in one answer
MOST_ROWS = 200  # of the quarantine in one answer
MOST_SHOWN = 500  # characters of each text of a rejected row
MOST_TEXTS = 20
FRESH = 30  # days before the newest item: what came since is new
HOLDS = {  # in words, by the type that a column of `where` has
    "string": "words", "double": "number", "bool": "true or false", "timestamp[us, tz=UTC]": "date",
}
_FOLDERS = re.compile(
    r"(?<=['\"])(?:[A-Za-z]:)?[/\\][^'\"\n]*[/\\](?=[^/\\'\"\n]+['\"])"  # in quotes, blanks and all
    r"|(?<!\w)(?:\w+:(?=[/\\]))?(?:[/\\][^\s/\\'\"]*)*[/\\](?=[^\s/\\'\"])"
)

router = APIRouter(responses=models.ERRORS)


class Page:
    """Answers for the page's files and for `/docs`; they hold nothing of the shop: everyone may have them.

    Only the names that were there at the start are known: no path of a request reaches the disk.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._files = {
            "/" if path.name == "index.html" else f"/static/{path.name}":
            _answer(path.read_bytes(), path.suffix) for path in PAGE.iterdir() if path.suffix in TYPES
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends a file, or hands the request on."""
        if scope["path"] == "/docs" and "/docs" not in self._files:
            template = TEMPLATES.overlay(undefined=Undefined).get_template("docs.html")
            docs = template.render(api=scope["app"].openapi())
            self._files["/docs"] = _answer(docs.encode(), ".html")
        file = self._files.get(scope["path"])
        if file is None or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        tag, known = file.headers["etag"], Headers(scope=scope).get("if-none-match", "")
        if tag in (one.strip().removeprefix("W/") for one in known.split(",")):
            file = Response(None, 304, HEADERS | {"ETag": tag})
        await file(scope, receive, send)


def _answer(body: bytes, suffix: str) -> Response:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Response(body, 200, HEADERS | {"ETag": tag}, TYPES[suffix])


class Cards(models.Body):
    """Items to be shown."""

    item_ids: Annotated[models.Ids, Field(max_length=MOST_CARDS)]


class Card(models.ItemShown):
    """An item, whether nobody has chosen it yet, and whether it came among the last."""

    cold: bool
    new: bool


class Rejected(BaseModel):
    """A row that was not taken in, or, as `part` says, only its `field` was not; `line` is of its source."""

    item_id: str | None
    field: str | None
    reason: str
    source: str | None
    line: int | None
    part: bool
    text: dict[str, str]


class RejectedPage(BaseModel):
    """Some of the rows in the quarantine, oldest first."""

    total: int
    offset: int
    rows: list[Rejected]


@router.get("/stats")
async def stats(core: Service) -> Response:
    """Counts, spaces of `similar`, encoders, and the columns that conditions may name."""
    return Json(await core.read(stats_of, core.shop))


@router.post("/cards", response_model=list[Card])
async def cards(core: Service, body: Cards) -> Response:
    """Items for a page to show, in the order of the ids; those that are not in the catalogue are left out."""
    return Json(await core.read(cards_of, core.shop, body.item_ids))


@router.get("/quarantine", response_model=RejectedPage)
async def quarantine(
    core: Service, offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 50,
) -> Response:
    """The rows that were rejected and wait to be mended; of pictures, the names of their files alone."""
    return Json(await core.read(rejected_of, core.shop.store.files, offset, limit))


@router.get("/monitor")
async def monitor(
    core: Service, window: Window = "day",
    explore: Annotated[list[models.Share] | None, Query(max_length=MOST_POLICIES)] = None,
) -> Response:
    """What was shown and what came of it, by the day of a week or by the hour of a day; drift of new items.

    For each share that `explore` names, also an estimate of the click-through, had it gone to new items.
    """
    policies = {f"explore {share:g}": with_share(share) for share in explore or ()}
    found = await core.read(partial(report.monitor, core.shop, window=window, policies=policies))
    return Json(found.as_dict())


def stats_of(shop: Recommender) -> dict[str, Any]:
    """`Recommender.stats`, and what each column of `where` holds."""
    columns = shop.snapshot().facts.schema
    return {**shop.stats(), "columns": {c.name: HOLDS.get(str(c.type), "list of words") for c in columns}}


def cards_of(shop: Recommender, item_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the items that are in the catalogue, as JSON."""
    chosen, found, snapshot = shop.behaviour.popularity(), shop.catalogue.get(item_ids), shop.snapshot()
    young = {snapshot.ids[place] for place in snapshot.known(found) if snapshot.ages[place] < FRESH}
    return [
        {**uploads.shown(item), "cold": not chosen.get(item.item_id), "new": item.item_id in young}
        for item in (found[i] for i in item_ids if i in found)
    ]


def rejected_of(files: StoreFiles, offset: int, limit: int) -> dict[str, Any]:
    """Some rows of a store's quarantine; none if it has none."""
    rows, total = [], 0
    with suppress(FileNotFoundError), files.open(QUARANTINE) as file:
        for line in filter(None, map(bytes.strip, file)):
            if offset <= total < offset + limit:
                rows.append(_rejected(line))
            total += 1
    return {"total": total, "offset": offset, "rows": rows}


def _rejected(line: bytes) -> dict[str, Any]:
    try:
        content: Mapping[str, Any] = parse_row(line)
    except DataError:
        content = {"reason": "this line of the quarantine is damaged"}
    row = _mapping(content.get("row"))
    texts = list(_mapping(row.get("text")).items())[:MOST_TEXTS]
    number, source = content.get("line"), content.get("source")
    return {
        "item_id": _text(content.get("item_id")), "field": _text(content.get("field")),
        "reason": without_folders(str(content.get("reason")), *map(row.get, NOUNS)),
        "source": re.split(r"[/\\]", source)[-1] if isinstance(source, str) else None,
        "line": number if isinstance(number, int) else None, "part": content.get("part") is True,
        "text": {str(name): str(words)[:MOST_SHOWN] for name, words in texts},
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:MOST_SHOWN]


def without_folders(reason: str, *files: Any) -> str:
    """A reason that names pictures and sounds by their files alone, not by where these lie."""
    reason = reason[:10 * MOST_SHOWN]
    for source in (one for given in files for one in (given if isinstance(given, list) else [given])):
        if isinstance(source, str) and source:
            reason = reason.replace(source, re.split(r"[/\\]", source)[-1])
    return _FOLDERS.sub("", reason)[:2 * MOST_SHOWN]
