"""`mmrec retype`: the type of a stored attribute, changed afterwards."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ingest.sources.amounts import Decimals
from ingest.sources.guesses import infer
from ingest.sources.moments import Order
from ingest.sources.values import Hints, Kind
from ingest.telling import Dates, Decimal, Plain
from mmrec.cli_options import StorePath, opened, say


class Type(StrEnum):
    """Types of attributes."""

    number = "number"
    category = "category"
    date = "date"
    bool = "bool"
    list = "list"


def kinds_of(store: Path) -> dict[str, Kind]:
    """Kinds of the attributes of a store, by name; none of one that is not there."""
    from mmrec.recommender import Recommender
    from mmrec.store import schema
    from mmrec.store.open import Store

    if not Store.exists(store):
        return {}
    with Recommender.open(store, create=False) as shop:
        types = schema.attribute_types(shop.catalogue.table.schema)
    kinds = cast(dict[Kind, Any], schema.KINDS).items()
    return {name: kind for name, type_ in types.items() for kind, one in kinds if one == type_}


def retype(
    store: StorePath,
    name: Annotated[str, typer.Argument(help="The attribute.")],
    type: Annotated[Type, typer.Argument(help="What it shall hold.")],
    dates: Dates = None,
    decimal: Decimal = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of it.")] = False,
    plain: Plain = False,
) -> None:
    """Change the type of a stored attribute. Values that cannot become it are lost, and counted.

    They are read as those of a file are: "12,90 EUR" becomes a number, "ja" true.
    """
    with opened(store) as shop:
        facts = shop.snapshot().facts
        values = facts[name].drop_null().to_pylist() if name in shop.snapshot().attributes else []
        hints = Hints(
            dates=cast(Order | None, dates and dates.value), decimals=cast(Decimals | None, decimal),
            types={name: type.value},
        )
        reading = infer(name, values, hints)
        read = None if reading is None or type is Type.category else reading.read
        report = shop.retype(name, type.value, read=read, dry_run=dry_run)
    if plain:
        typer.echo(_sentence(report, dry_run=dry_run))
    else:
        say(report)


def _sentence(report: dict[str, Any], *, dry_run: bool) -> str:
    done, gone = ("would become", "would be lost") if dry_run else ("became", "are lost")
    kept, lost = report["values"] - report["lost"], report["lost"]
    told = f"{report['name']}: {kept:,} of {report['values']:,} values {done} a {report['type']}"
    examples = ", ".join(map(repr, report["examples"]))
    return f"{told}; {lost:,} cannot and {gone}, such as {examples}" if lost else told
