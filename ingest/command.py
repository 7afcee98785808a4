"""`mmrec ingest` and `mmrec quarantine`: any source into a store, every row accounted for.

Exit codes: 0 all rows were taken (some without a picture, perhaps: a warning says so), 1 an error, 2 wrong
use, 3 some rows were rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.quarantine import DOWNLOADS, NAME, Quarantine
from ingest.read import Opened, open_rows
from ingest.record import record
from ingest.sources import Columns
from ingest.telling import (
    CHARACTERS,
    Delimiter,
    Encoding,
    Plain,
    Quotes,
    Strict,
    bar,
    delimiter_of,
    options_of,
    pairs_of,
    tell,
    tell_notes,
)
from mmrec.cli_options import errors_to_exit
from mmrec.config import Config
from mmrec.errors import DataError, Rejection
from mmrec.types import IngestReport, Item


class Format(StrEnum):
    """Formats of items."""

    auto = "auto"
    items = "items"
    table = "table"
    images = "images"
    movielens = "movielens"
    fashion = "fashion"


class Dates(StrEnum):
    """Orders of day, month and year."""

    dmy = "dmy"
    mdy = "mdy"
    ymd = "ymd"


def plug(app: typer.Typer) -> None:
    """Add the commands to the `mmrec` CLI."""
    app.command()(ingest)
    app.command()(record)
    app.command("quarantine")(waiting)


ImageRoot = Annotated[Path | None, typer.Option(
    exists=True, file_okay=False, help="Folder in which pictures may lie besides SOURCE's own."
)]
AllowOutside = Annotated[bool, typer.Option(
    "--allow-outside", help="Take pictures from anywhere on this machine; only for a SOURCE that you trust."
)]


def ingest(
    store: Annotated[Path, typer.Argument(help="Folder of the store; made if it is not there.")],
    source: Annotated[Path | None, typer.Argument(help="File or folder with the items.")] = None,
    format: Annotated[Format, typer.Option(help="What SOURCE is.")] = Format.auto,
    id: Annotated[str | None, typer.Option(help="Column of the item's id.")] = None,
    text: Annotated[str | None, typer.Option(help="Columns of texts, by commas.")] = None,
    image: Annotated[str | None, typer.Option(help="Columns of picture paths or URLs, by commas.")] = None,
    attributes: Annotated[str | None, typer.Option(help="Columns of attributes, by commas.")] = None,
    added_at: Annotated[str | None, typer.Option(help="Column of the date of joining.")] = None,
    delimiter: Delimiter = None,
    dates: Annotated[Dates | None, typer.Option(help="Order of dates such as 01.02.2024.")] = None,
    decimal: Annotated[str | None, typer.Option(help="What stands before decimals: , or .")] = None,
    types: Annotated[str | None, typer.Option(
        help="What columns hold, by commas: NAME=bool, number, date, list or category.")] = None,
    encoding: Encoding = None,
    quoting: Annotated[Quotes | None, typer.Option(help="How a CSV file writes a quote in a cell.")] = None,
    header_line: Annotated[int | None, typer.Option(min=1, help="Line of a table's header.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook; the first with rows.")] = None,
    images_table: Annotated[Path | None, typer.Option(help="Table about a folder of pictures.")] = None,
    image_root: ImageRoot = None,
    allow_outside: AllowOutside = False,
    allow_urls: Annotated[bool, typer.Option("--allow-urls", help="Download pictures behind URLs.")] = False,
    refresh_urls: Annotated[bool, typer.Option("--refresh-urls", help="Download them anew.")] = False,
    strict: Strict = False,
    retry: Annotated[bool, typer.Option("--retry", help="Take the mended rows of the quarantine.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings of a new store (TOML).")] = None,
    plain: Plain = False,
) -> None:
    """Take items into a store. Rows that cannot be taken go to STORE/quarantine.jsonl.

    Columns that are not named are guessed. After mending the quarantine: mmrec ingest STORE --retry
    """
    if retry == (source is not None):
        raise typer.BadParameter("give SOURCE, or --retry for the rows in the quarantine: one of the two")
    if refresh_urls and not allow_urls:
        raise typer.BadParameter("--refresh-urls needs --allow-urls")
    said = {name: value for name, value in locals().items() if name != "retry"}
    _take(**said)


def _take(
    store: Path, source: Path | None, format: Format, images_table: Path | None, image_root: Path | None,
    allow_outside: bool, encoding: str | None, quoting: Quotes | None, header_line: int | None,
    sheet: str | None, plain: bool, config: Path | None, strict: bool, allow_urls: bool,
    refresh_urls: bool, **said: Any,
) -> None:
    with errors_to_exit():
        quarantine = Quarantine(store / NAME)
        if source is None:
            rows = quarantine.retry_rows(image_root=image_root, allow_outside=allow_outside)
            opened = Opened(rows, lambda: sum(1 for _ in quarantine.entries()), None)
        else:
            opened = open_rows(
                source, format=format.value, columns=_columns(**said), table=images_table,
                image_root=image_root, allow_outside=allow_outside,
                options=options_of(encoding, quoting, header_line, sheet),
            )
        report = _ingest(
            opened, store, quarantine, source=None if source is None else str(source), config=config,
            strict=strict, allow_urls=allow_urls, refresh_urls=refresh_urls,
        )
    tell_notes(opened.notes)
    tell(report, plain=plain, quarantine=quarantine.path)


def waiting(store: Annotated[Path, typer.Argument(help="Folder of the store.")]) -> None:
    """Say why rows wait in the quarantine: for each reason how many, and one of them."""
    with errors_to_exit():
        if not store.is_dir():
            raise DataError(f"there is no store {store}: check the path")
        groups = Quarantine(store / NAME).summary()
    for count, reason, entry in groups:
        content = entry.content or {}
        line, source = content.get("line"), content.get("source")
        where = [entry.item_id, f"line {line}" if line else None, f"of {source}" if source else None]
        kind = "taken without" if content.get("part") else "rejected for"
        what = f"{kind} {content.get('field') or 'the row'}"
        example = " ".join(filter(None, where)) or f"line {entry.position} of the quarantine"
        typer.echo(f"{count:,} {what}, such as {example}: {reason[:CHARACTERS]}")
    if not groups:
        typer.echo("nothing waits in the quarantine")


class _Run:
    """The rejections and accepted ids of an ingest so far: the quarantine gets them if it is stopped, too."""

    def __init__(self, waiting: frozenset[str]) -> None:
        self._waiting = waiting
        self.accepted: set[str] = set()
        self.rejections: Sequence[Rejection] = []

    def watch(self, rows: Iterable[Item | Rejection]) -> Iterator[Item | Rejection]:
        seen: list[Rejection] = []
        self.rejections = seen
        for row in rows:
            if isinstance(row, Rejection):
                seen.append(row)
            yield row

    def accept(self, item_ids: Sequence[str]) -> None:
        self.accepted.update(self._waiting.intersection(item_ids))


def _ingest(
    opened: Opened, store: Path, quarantine: Quarantine, *, source: str | None, config: Path | None,
    strict: bool, allow_urls: bool, refresh_urls: bool,
) -> IngestReport:
    from mmrec.recommender import Recommender

    settings = None if config is None else Config.read(config)
    with Recommender.open(store, settings, create=source is not None) as shop:  # a retry has its store
        rows, run = opened.rows, _Run(quarantine.ids())
        if allow_urls:
            from ingest.fetch import fetch_images

            rows = fetch_images(rows, store.absolute() / DOWNLOADS, refresh=refresh_urls)
        incomplete: Sequence[Rejection] = ()
        whole = False
        try:
            with bar(opened.total) as progress:
                report: IngestReport = shop.ingest(
                    run.watch(rows), strict=strict, progress=progress, on_accept=run.accept
                )
            run.rejections = report.rejections  # those of the store too
            incomplete, whole = report.incomplete, True
        finally:
            quarantine.merge(
                run.rejections, run.accepted, source, opened.folder, incomplete=incomplete, whole=whole
            )
    return report


def _columns(
    text: str | None, image: str | None, attributes: str | None, delimiter: str | None, dates: Dates | None,
    types: str | None, **said: Any,
) -> Columns | None:
    options = {
        **said, "text": _names(text), "image": _names(image), "attributes": _names(attributes),
        "delimiter": delimiter_of(delimiter), "dates": None if dates is None else dates.value,
        "types": pairs_of(types, "--types"),
    }
    return Columns(**options) if any(options.values()) else None


def _names(option: str | None) -> tuple[str, ...] | None:
    return None if option is None else tuple(name.strip() for name in option.split(",") if name.strip())
