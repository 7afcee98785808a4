"""`mmrec record`: what users did, from a file of any columns into a store."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.sources import LogColumns, open_interactions
from ingest.telling import (
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


class Behaviour(StrEnum):
    """Formats of interactions."""

    auto = "auto"
    interactions = "interactions"
    movielens = "movielens"


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
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    strict: Strict = False,
    plain: Plain = False,
) -> None:
    """Keep what users did: clicks, purchases, likes, dislikes. Columns that are not named are guessed."""
    _record(**locals())


def _record(
    store: Path, source: Path, format: Behaviour, delimiter: str | None, encoding: str | None, strict: bool,
    plain: bool, kinds: str | None, rating_threshold: float | None, **said: Any,
) -> None:
    columns = LogColumns(
        **said, threshold=rating_threshold, kinds=pairs_of(kinds, "--kinds"),
        delimiter=delimiter_of(delimiter),
    )
    with errors_to_exit():
        from mmrec.recommender import Recommender

        with Recommender.open(store, create=False) as shop, bar(lambda: None) as progress:
            opened = open_interactions(
                source, format=format.value, columns=None if columns == LogColumns() else columns,
                options=options_of(encoding), weighed=shop.config.kind_weights,
            )
            report = shop.record(opened, strict=strict, progress=progress)
    tell_notes(opened.notes)
    tell(report, plain=plain)
