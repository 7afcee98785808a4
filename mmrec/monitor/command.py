"""`mmrec monitor`: what a store's service has shown, and what came of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Windows(StrEnum):
    """How long a window of the figures is."""

    HOUR = "hour"
    DAY = "day"


def plug(app: typer.Typer) -> None:
    """Add the command to the `mmrec` CLI."""
    app.command()(monitor)


def monitor(
    store: Annotated[Path, typer.Argument(help="Folder of the store, such as shop.mmrec.")],
    since: Annotated[datetime | None, typer.Option(
        help="Start, in UTC. Default: a week ago, or a day ago by the hour.")] = None,
    window: Annotated[Windows, typer.Option(help="Figures by the hour or by the day.")] = Windows.DAY,
    explore: Annotated[list[float] | None, typer.Option(
        help="Estimate the click-through, had this share of slots gone to new items; several may be given."
    )] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Tables for eyes in place of JSON.")] = False,
) -> None:
    """Requests, latency, click-through, cold items and concentration over time; drift; what if.

    Reads the logs that `mmrec serve` keeps in the store, while it serves or afterwards.
    """
    from rich.console import Console

    from mmrec.cli import opened, say
    from mmrec.monitor import report
    from mmrec.monitor.policies import with_share
    from mmrec.monitor.tables import tables_of

    with opened(store) as shop:
        policies = {f"explore {share:g}": with_share(share) for share in explore or ()}
        found = report.monitor(shop, since=since, window=window.value, policies=policies)
        for table in tables_of(found) if plain else ():
            Console(markup=False, highlight=False, width=150).print(table)
        if not plain:
            say(found.as_dict())
