"""`mmrec ingest` and `mmrec record`: any source into a store, every row accounted for.

Exit codes: 0 all rows were taken (some without a picture, perhaps: a warning says so), 1 an error, 2 wrong
use, 3 some rows were rejected.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.quarantine import DOWNLOADS, NAME, Quarantine
from ingest.read import Opened, open_rows
from ingest.sources import Columns, LogColumns, ReadOptions, open_interactions
from mmrec.cli_options import errors_to_exit
from mmrec.config import Config
from mmrec.errors import DataError, Rejection
from mmrec.types import IngestReport, Item, RecordReport

REJECTED = 3  # exit code
_SHOWN = 5  # rejections named on screen
_CHARACTERS = 300  # of a reason on screen


class Format(StrEnum):
    """Formats of items."""

    auto = "auto"
    items = "items"
    table = "table"
    images = "images"
    movielens = "movielens"
    fashion = "fashion"


class Quotes(StrEnum):
    """How a quote inside a quoted cell is written; "none" if quotes mean nothing."""

    double = "double"
    backslash = "backslash"
    none = "none"


class Dates(StrEnum):
    """Orders of day, month and year."""

    dmy = "dmy"
    mdy = "mdy"
    ymd = "ymd"


class Behaviour(StrEnum):
    """Formats of interactions."""

    auto = "auto"
    interactions = "interactions"
    movielens = "movielens"


def plug(app: typer.Typer) -> None:
    """Add the commands to the `mmrec` CLI."""
    app.command()(ingest)
    app.command()(record)
    app.command("quarantine")(waiting)


Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first row that is not taken whole.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print a sentence instead of a JSON line.")]

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
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV file; found out if not said.")] = None,
    dates: Annotated[Dates | None, typer.Option(help="Order of dates such as 01.02.2024.")] = None,
    decimal: Annotated[str | None, typer.Option(help="What stands before decimals: , or .")] = None,
    types: Annotated[str | None, typer.Option(
        help="What columns hold, by commas: NAME=bool, number, date, list or category.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a text file, such as cp1252; found out.")] = None,
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
    with errors_to_exit():
        quarantine = Quarantine(store / NAME)
        if source is None:
            rows = quarantine.retry_rows(image_root=image_root, allow_outside=allow_outside)
            opened = Opened(rows, lambda: sum(1 for _ in quarantine.entries()), None)
        else:
            columns = _columns(
                id=id, text=_names(text), image=_names(image), attributes=_names(attributes),
                added_at=added_at, delimiter="\t" if delimiter == r"\t" else delimiter,
                dates=None if dates is None else dates.value, decimal=decimal, types=_pairs(types, "--types"),
            )
            opened = open_rows(
                source, format=format.value, columns=columns, table=images_table, image_root=image_root,
                allow_outside=allow_outside, options=_options(encoding, quoting, header_line, sheet),
            )
        report = _ingest(
            opened, store, quarantine, source=None if source is None else str(source), config=config,
            strict=strict, allow_urls=allow_urls, refresh_urls=refresh_urls,
        )
    for note in opened.notes:
        typer.echo(f"note: {note}", err=True)
    _tell(report, plain=plain, quarantine=quarantine.path)


def record(
    store: Annotated[Path, typer.Argument(help="Folder of the store.")],
    source: Annotated[Path, typer.Argument(help="File or folder with the interactions.")],
    format: Annotated[Behaviour, typer.Option(help="What SOURCE is.")] = Behaviour.auto,
    user: Annotated[str | None, typer.Option(help="Column of the user's id.")] = None,
    item: Annotated[str | None, typer.Option(help="Column of the item's id.")] = None,
    kind: Annotated[str | None, typer.Option(help="Column of what was done.")] = None,
    weight: Annotated[str | None, typer.Option(help="Column of a weight.")] = None,
    rating: Annotated[str | None, typer.Option(help="Column of a rating.")] = None,
    time: Annotated[str | None, typer.Option(help="Column of the time.")] = None,
    session: Annotated[str | None, typer.Option(help="Column that stands for an unknown user.")] = None,
    rating_threshold: Annotated[float | None, typer.Option(
        help="Rating from which one is a like; 4 of 5, or the upper third of another scale.")] = None,
    dislikes: Annotated[bool, typer.Option(
        "--dislikes", help="Take ratings below the scale's middle third as dislikes.")] = False,
    kinds: Annotated[str | None, typer.Option(
        help="What kinds mean, by commas: zap=dislike,buy2=purchase.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV file; found out if not said.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a text file, such as cp1252; found out.")] = None,
    strict: Strict = False,
    plain: Plain = False,
) -> None:
    """Keep what users did: clicks, purchases, likes, dislikes. Columns that are not named are guessed."""
    columns = LogColumns(
        user=user, item=item, kind=kind, weight=weight, rating=rating, time=time, session=session,
        threshold=rating_threshold, dislikes=dislikes, kinds=_pairs(kinds, "--kinds"),
        delimiter="\t" if delimiter == r"\t" else delimiter,
    )
    with errors_to_exit():
        from mmrec.recommender import Recommender

        with Recommender.open(store, create=False) as shop, _bar(lambda: None) as progress:
            opened = open_interactions(
                source, format=format.value, columns=None if columns == LogColumns() else columns,
                options=_options(encoding, None, None, None), weighed=shop.config.kind_weights,
            )
            report = shop.record(opened, strict=strict, progress=progress)
    for note in opened.notes:
        typer.echo(f"note: {note}", err=True)
    _tell(report, plain=plain)


def _pairs(option: str | None, name: str) -> dict[str, str]:
    pairs = [pair.split("=") for pair in (option or "").split(",") if pair.strip()]
    if any(len(pair) != 2 or not all(part.strip() for part in pair) for pair in pairs):
        raise typer.BadParameter(f"{name} takes NAME=KIND, by commas")
    return {before.strip(): after.strip() for before, after in pairs}


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
        typer.echo(f"{count:,} {what}, such as {example}: {reason[:_CHARACTERS]}")
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
            with _bar(opened.total) as progress:
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


def _columns(**options: Any) -> Columns | None:
    return Columns(**options) if any(option for option in options.values()) else None


def _options(
    encoding: str | None, quoting: Quotes | None, header_line: int | None, sheet: str | None
) -> ReadOptions:
    return ReadOptions(
        encoding=encoding, quoting=None if quoting is None else quoting.value, header_line=header_line,
        sheet=sheet,
    )


def _names(option: str | None) -> tuple[str, ...] | None:
    return None if option is None else tuple(name.strip() for name in option.split(",") if name.strip())


@contextmanager
def _bar(total: Callable[[], int | None]) -> Iterator[Callable[[int], None] | None]:
    """A progress bar on standard error, for eyes only; yields what moves it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rows", total=total(), rate="")

        def move(rows: int) -> None:
            progress.advance(task, rows)
            speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
            progress.update(task, rate=f"{speed:,.0f} rows/s" if speed else "")

        yield move


def _tell(report: IngestReport | RecordReport, *, plain: bool, quarantine: Path | None = None) -> None:
    """Print the report, name some rejections, and leave with the code that fits."""
    reasons = ("rejections", "incomplete")
    counts = {part.name: getattr(report, part.name) for part in fields(report) if part.name not in reasons}
    if "seconds" in counts:
        counts["seconds"] = round(counts["seconds"], 3)
    incomplete = report.incomplete if isinstance(report, IngestReport) else ()
    waits = quarantine if report.rejected or incomplete else None
    if waits:
        counts["quarantine"] = str(waits)
    typer.echo(_sentence(counts) if plain else json.dumps(counts))
    if incomplete:
        taken = sum(counts[name] for name in ("added", "updated", "unchanged"))
        typer.echo(f"warning: {taken:,} taken, of them {len(incomplete):,} without their picture", err=True)
    _complain("without", incomplete)
    _complain("rejected", report.rejections)
    if waits:
        typer.echo(
            f"what was not taken ({report.rejected + len(incomplete):,}) is in {waits}: mend `row` there,"
            f" then `mmrec ingest {waits.parent} --retry`", err=True,
        )
    if report.rejected:
        raise typer.Exit(REJECTED)


def _sentence(counts: dict[str, Any]) -> str:
    return ", ".join(
        f"{value:,} {name.replace('_', ' ')}" for name, value in counts.items() if name != "quarantine"
    )


def _complain(word: str, ones: Sequence[Rejection]) -> None:
    for one in ones[:_SHOWN]:
        where = [f"line {one.line}" if one.line else None, one.item_id, one.field]
        typer.echo(f"{word} {', '.join(filter(None, where))}: {one.reason[:_CHARACTERS]}", err=True)
    if len(ones) > _SHOWN:
        typer.echo(f"... and {len(ones) - _SHOWN:,} more", err=True)
