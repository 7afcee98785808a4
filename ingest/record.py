"""`mmrec record`: what users did, from a file of any columns into a store."""

from __future__ import annotations

from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.sources import LogColumns, open_logs
from ingest.sources.several import Unread, sources_of
from ingest.telling import (
    SOURCES,
    AllowUrls,
    Delimiter,
    Encoding,
    Plain,
    Strict,
    bar,
    delimiter_of,
    options_of,
    pairs_of,
    tell,
    tell_notes,
)
from mmrec.cli_options import errors_to_exit
from mmrec.data.impressions import read_impressions
from mmrec.errors import DataError


class Behaviour(StrEnum):
    """Formats of interactions."""

    auto = "auto"
    interactions = "interactions"
    movielens = "movielens"
    impressions = "impressions"


def record(
    store: Annotated[Path, typer.Argument(help="Folder of the store.")],
    sources: Annotated[list[str], SOURCES],
    format: Annotated[Behaviour, typer.Option(help="What SOURCE is.")] = Behaviour.auto,
    user: Annotated[str | None, typer.Option(help="Column of the user's id.")] = None,
    item: Annotated[str | None, typer.Option(help="Column of the item's id.")] = None,
    kind: Annotated[str | None, typer.Option(help="Column of what was done.")] = None,
    weight: Annotated[str | None, typer.Option(help="Column of a weight.")] = None,
    rating: Annotated[str | None, typer.Option(help="Column of a rating.")] = None,
    time: Annotated[str | None, typer.Option(help="Column of the time.")] = None,
    session: Annotated[str | None, typer.Option(help="Column that stands for an unknown user.")] = None,
    quantity: Annotated[str | None, typer.Option(help="Column of a quantity; below 0 is a refund.")] = None,
    rating_threshold: Annotated[float | None, typer.Option(
        help="Rating from which one is a like; 4 of 5, or the upper third of another scale.")] = None,
    dislikes: Annotated[bool, typer.Option(
        "--dislikes", help="Take ratings below the scale's middle third as dislikes.")] = False,
    kinds: Annotated[str | None, typer.Option(
        help="What kinds mean, by commas: zap=dislike,buy2=purchase.")] = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    header_line: Annotated[int | None, typer.Option(min=0, help="Line of a table's header; 0: none.")] = None,
    allow_urls: AllowUrls = False,
    strict: Strict = False,
    plain: Plain = False,
) -> None:
    """Keep what users did: clicks, purchases, likes, dislikes. Columns that are not named are guessed.

    With `--format impressions`, what they were shown: rows of user_id, items, propensities and time.
    """
    _record(**locals())


def _record(
    store: Path, sources: list[str], format: Behaviour, delimiter: str | None, encoding: str | None,
    header_line: int | None, allow_urls: bool, strict: bool, plain: bool, kinds: str | None,
    rating_threshold: float | None, **said: Any,
) -> None:
    columns = LogColumns(
        **said, threshold=rating_threshold, kinds=pairs_of(kinds, "--kinds"),
        delimiter=delimiter_of(delimiter),
    )
    unread = Unread()
    with errors_to_exit():
        from mmrec.recommender import Recommender

        noting = unread if sources[1:] and not strict else None
        given = sources_of(sources, allow_urls=allow_urls, unread=noting)
        noting = unread if given[1:] and not strict else noting
        if format is Behaviour.impressions:
            with Recommender.open(store, create=False) as shop, bar(lambda: None) as progress:
                shown = chain.from_iterable(read_impressions(one.path) for one in given)
                tell(shop.record(shown, strict=strict, progress=progress), plain=plain, unread=unread)
            return
        with Recommender.open(store, create=False) as shop, bar(lambda: None) as progress:
            logs = open_logs(
                given, format=format.value, columns=None if columns == LogColumns() else columns,
                options=options_of(encoding, header_line=header_line), weighed=shop.config.kind_weights,
                unread=noting,
            )
            if not logs:
                raise DataError("; ".join(unread.values()))
            report = shop.record(chain.from_iterable(logs), strict=strict, progress=progress)
    tell_notes(note for log in logs for note in log.notes)
    tell(report, plain=plain, unread=unread)
