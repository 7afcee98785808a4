"""`mmrec ingest` and `mmrec quarantine`: any source into a store, every row accounted for.

Exit codes: 0 all rows were taken (some without a picture, perhaps: a warning says so), 1 an error, 2 wrong
use, 3 some rows were rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.quarantine import DOWNLOADS, NAME, Quarantine
from ingest.read import Manner, Opened, open_given, open_several
from ingest.record import record
from ingest.retype import kinds_of, retype
from ingest.sources import Columns
from ingest.sources.columns import Mode
from ingest.sources.several import Given, Line, Unread, sources_of
from ingest.sources.values import Kind
from ingest.telling import (
    CHARACTERS,
    SOURCES,
    AllowUrls,
    Dates,
    Decimal,
    Delimiter,
    Encoding,
    Order,
    Plain,
    Quotes,
    Strict,
    bar,
    delimiter_of,
    options_of,
    pairs_of,
    tell,
    tell_notes,
    tries,
)
from mmrec.cli_options import errors_to_exit
from mmrec.config import Config
from mmrec.errors import DataError, Rejection
from mmrec.types import IMAGE, IngestReport, Item

_TRIED = 20  # first items of which one is shown in what to try next


class Format(StrEnum):
    """Formats of items."""

    auto = "auto"
    items = "items"
    table = "table"
    images = "images"
    movielens = "movielens"
    fashion = "fashion"


def plug(app: typer.Typer) -> None:
    """Add the commands to the `mmrec` CLI."""
    app.command()(ingest)
    app.command()(record)
    app.command()(retype)
    app.command("quarantine")(waiting)


ImageRoot = Annotated[Path | None, typer.Option(
    exists=True, file_okay=False, help="Folder in which pictures may lie besides SOURCE's own."
)]
Types = Annotated[str | None, typer.Option(
    help="What columns hold, by commas: NAME=bool, number, date, list or category."
)]
Embeddings = Annotated[str | None, typer.Option(
    help="Columns of vectors that another model made, by commas: NAME=FIELD, such as vggish=audio."
)]
Language = Annotated[str | None, typer.Option(
    help="Language of the words, such as german, for full text; told by them, if not said."
)]
Variants = Annotated[Mode | None, typer.Option(
    help="Whether a product's variants are one item (merge, if not said) or an item each (split)."
)]
AllowOutside = Annotated[bool, typer.Option(
    "--allow-outside", help="Take pictures from anywhere on this machine; only for a SOURCE that you trust."
)]


def ingest(
    store: Annotated[Path, typer.Argument(help="Folder of the store; made if it is not there.")],
    sources: Annotated[list[str] | None, SOURCES] = None,
    format: Annotated[Format, typer.Option(help="What SOURCE is.")] = Format.auto,
    id: Annotated[str | None, typer.Option(help="Column of the item's id.")] = None,
    text: Annotated[str | None, typer.Option(help="Columns of texts, by commas.")] = None,
    image: Annotated[str | None, typer.Option(help="Columns of picture paths or URLs, by commas.")] = None,
    audio: Annotated[str | None, typer.Option(help="Columns of paths of sounds, by commas.")] = None,
    embeddings: Embeddings = None,
    attributes: Annotated[str | None, typer.Option(help="Columns of attributes, by commas.")] = None,
    added_at: Annotated[str | None, typer.Option(help="Column of the date of joining.")] = None,
    delimiter: Delimiter = None,
    dates: Dates = None,
    decimal: Decimal = None,
    types: Types = None,
    variants: Variants = None,
    encoding: Encoding = None,
    quoting: Annotated[Quotes | None, typer.Option(help="How a CSV file writes a quote in a cell.")] = None,
    header_line: Annotated[int | None, typer.Option(min=0, help="Line of a table's header; 0: none.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook; the first with rows.")] = None,
    images_table: Annotated[Path | None, typer.Option(help="Table about a folder of pictures.")] = None,
    image_root: ImageRoot = None,
    allow_outside: AllowOutside = False,
    allow_urls: AllowUrls = False,
    refresh_urls: Annotated[bool, typer.Option("--refresh-urls", help="Download them anew.")] = False,
    strict: Strict = False,
    retry: Annotated[bool, typer.Option("--retry", help="Take the mended rows of the quarantine.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings of a new store (TOML).")] = None,
    language: Language = None,
    plain: Plain = False,
) -> None:
    """Take items into a store. Rows that cannot be taken go to STORE/quarantine.jsonl.

    Columns that are not named are guessed. After mending the quarantine: mmrec ingest STORE --retry
    """
    if retry == bool(sources):
        raise typer.BadParameter("give SOURCE, or --retry for the rows in the quarantine: one of the two")
    if refresh_urls and not allow_urls:
        raise typer.BadParameter("--refresh-urls needs --allow-urls")
    said = {name: value for name, value in locals().items() if name != "retry"}
    _take(**said)


def _take(
    store: Path, sources: list[str] | None, plain: bool, config: Path | None, strict: bool, allow_urls: bool,
    refresh_urls: bool, language: str | None, **said: Any,
) -> None:
    quarantine, unread = Quarantine(store / NAME), Unread()
    with errors_to_exit():
        run = _Run(quarantine, None if not sources else sources[0])
        if sources:
            opened = _open(sources, allow_urls, None if strict else unread, known=kinds_of(store), **said)
        else:
            places = {name: said[name] for name in ("image_root", "allow_outside")}
            rows = quarantine.retry_rows(**places)
            opened = Opened(rows, lambda: sum(1 for _ in quarantine.entries()), None, [])
        report = run.ingest(opened, store, config, strict, allow_urls, refresh_urls, unread, language)
    tell_notes(opened.notes, opened.how)
    tell(report, plain=plain, quarantine=quarantine.path, unread=unread, after=tries(store, run.shown))


def _open(
    sources: Sequence[str], allow_urls: bool, unread: Unread | None, *, known: Mapping[str, Kind],
    format: Format, images_table: Path | None, image_root: Path | None, allow_outside: bool,
    encoding: str | None, quoting: Quotes | None, header_line: int | None, sheet: str | None, **said: Any,
) -> Opened:
    manner = Manner(
        format=format.value, columns=_columns(**said), table=images_table, image_root=image_root,
        allow_outside=allow_outside, options=options_of(encoding, quoting, header_line, sheet), known=known,
    )
    given = sources_of(sources, allow_urls=allow_urls, unread=unread if sources[1:] else None)
    if len(given) == 1 and not unread:
        return open_given(given[0], manner)
    if images_table is not None:
        raise DataError("a table about pictures is for one folder of them: give that folder alone")
    return open_several(given, manner, unread)


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
        kind, field = "taken without" if content.get("part") else "rejected for", content.get("field")
        what = f"{kind} {'picture' if field == IMAGE else field or 'the row'}"
        example = " ".join(filter(None, where)) or f"line {entry.position} of the quarantine"
        typer.echo(f"{count:,} {what}, such as {example}: {reason[:CHARACTERS]}")
    if not groups:
        typer.echo("nothing waits in the quarantine")


class _Run:
    """An ingest; if it is stopped, too, the quarantine gets what was rejected and accepted so far.

    Attributes:
        shown: some of the items that the store has by now.
    """

    def __init__(self, quarantine: Quarantine, source: str | None) -> None:
        self.quarantine, self.source = quarantine, source
        self.shown: Sequence[Item] = ()
        self._waiting = quarantine.ids()
        self._accepted: set[str] = set()
        self._rejected: list[Rejection] = []
        self._read: dict[int, Given] = {}  # of several sources, those of which there were rows
        self._first: dict[str, None] = {}

    def ingest(
        self, opened: Opened, store: Path, config: Path | None, strict: bool, allow_urls: bool,
        refresh_urls: bool, unread: Unread, language: str | None,
    ) -> IngestReport:
        from mmrec.recommender import Recommender
        from mmrec.store.ingest import Intake

        settings: Config | dict[str, Any] | None = None if config is None else Config.read(config)
        if language is not None:
            given = settings.model_dump() if isinstance(settings, Config) else {}
            settings = given | {"language": language}
        create = self.source is not None  # a retry has its store
        with Recommender.open(store, settings, create=create) as shop:
            rows, intake, whole = opened.rows, Intake(shop.catalogue, strict=strict), False
            if allow_urls:
                from ingest.fetch import fetch_images

                rows = fetch_images(rows, store.absolute() / DOWNLOADS, refresh=refresh_urls)
            try:
                with bar(opened.total) as progress:
                    report = intake.run(self._watch(rows), progress, self._accept)
                whole = True
            finally:
                several = [given for given in self._read.values() if given.name not in unread]
                self.quarantine.merge(
                    {id(one): one for one in (*self._rejected, *intake.rejections)}.values(),
                    self._accepted, self.source, opened.folder, incomplete=intake.incomplete.values(),
                    whole=whole and (several if self._read else True),
                )
            self.shown = list(shop.catalogue.get(list(self._first)).values())
            if report.added and shop.catalogue.config.language == "auto":
                opened.notes.append(f"words taken as {shop.catalogue.language.title()} (--language)")
        return report

    def _watch(self, rows: Iterable[Item | Rejection]) -> Iterator[Item | Rejection]:
        for row in rows:
            if isinstance(row.line, Line):
                self._read[id(row.line.given)] = row.line.given
            if isinstance(row, Rejection):
                self._rejected.append(row)
            elif len(self._first) < _TRIED:
                self._first[row.item_id] = None
            yield row

    def _accept(self, item_ids: Sequence[str]) -> None:
        self._accepted.update(self._waiting.intersection(item_ids))


def _columns(
    text: str | None, image: str | None, audio: str | None, embeddings: str | None, attributes: str | None,
    delimiter: str | None, dates: Order | None, types: str | None, **said: Any,
) -> Columns | None:
    options = {
        **said, "text": _names(text), "image": _names(image), "audio": _names(audio),
        "attributes": _names(attributes),
        "delimiter": delimiter_of(delimiter), "dates": None if dates is None else dates.value,
        "types": pairs_of(types, "--types"),
        "embeddings": None if embeddings is None else pairs_of(embeddings, "--embeddings"),
    }
    return Columns(**options) if any(options.values()) else None


def _names(option: str | None) -> tuple[str, ...] | None:
    return None if option is None else tuple(name.strip() for name in option.split(",") if name.strip())
