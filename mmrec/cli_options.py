"""How the command line says what it wishes of results: options, and what their words mean."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from mmrec.errors import DataError

Pictures = Annotated[list[Path] | None, typer.Option(help="A picture; may be given several times.")]
Diversity = Annotated[list[str] | None, typer.Option(
    help="0 is pure relevance, 1 pure diversity; of one field alone such as genres=0.3.")]
MaxPer = Annotated[list[str] | None, typer.Option(help="Most results of a value, such as brand=2.")]
Distinct = Annotated[str | None, typer.Option(
    help="Show one of nearly equal items: an attribute that they share, or a cosine such as 0.95.")]


def pairs(given: Sequence[str] | None, name: str) -> dict[str, float] | None:
    """`brand=2` and the like as a mapping; whole numbers stay whole.

    Raises:
        DataError: one of them is none.
    """
    found: dict[str, float] = {}
    for pair in given or ():
        key, _, value = pair.rpartition("=")
        try:
            found[key] = int(value) if value.strip().isdecimal() else float(value)
        except ValueError:
            key = ""
        if not key:
            raise DataError(f"{name} must be a name and a number, such as brand=2, got {pair!r}", field=name)
    return found or None


def dials(given: Sequence[str] | None) -> float | dict[str, float]:
    """`0.3`, or `genres=0.3` and the like.

    Raises:
        DataError: one of them is neither.
    """
    if given and len(given) == 1:
        with suppress(ValueError):
            return float(given[0])
    return pairs(given, "diversity") or 0.0


def cosine_or_name(distinct: str | None) -> float | str | None:
    """A number if it is one, else the name of an attribute."""
    try:
        return None if distinct is None else float(distinct)
    except ValueError:
        return distinct
