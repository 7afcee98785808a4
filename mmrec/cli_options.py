"""What the commands share: the meaning of options, opening a store, errors, and output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrec.errors import DataError, MmrecError

if TYPE_CHECKING:
    from mmrec.recommender import Recommender

StorePath = Annotated[Path, typer.Argument(help="Folder of the store, such as shop.mmrec.")]
Plain = Annotated[bool, typer.Option("--plain", help="A table for eyes in place of JSON lines.")]


def result_options(
    k: int, where: str | None, exclude: Sequence[str] | None, diversity: Sequence[str] | None,
    max_per: Sequence[str] | None, distinct: str | None, exposure: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The options of results as arguments of `similar`, `search` and `recommend`."""
    return {
        "k": k, "where": where, "exclude": exclude or (), "diversity": dials(diversity),
        "max_per": pairs(max_per, "max_per"), "distinct": cosine_or_name(distinct),
        "exposure": shares(exposure),
    }


def pairs(given: Sequence[str] | None, name: str) -> dict[str, float] | None:
    """`brand=2` and the like as a mapping, whole numbers as such; DataError if one is no name and number."""
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
    """`0.3` as a number, or `genres=0.3` and the like as a mapping; DataError if one is neither."""
    if given and len(given) == 1:
        with suppress(ValueError):
            return float(given[0])
    return pairs(given, "diversity") or 0.0


def shares(given: Sequence[str] | None) -> dict[str, Any] | None:
    """`brand=even`, `cold=0.2` and `brand:Acme=0.3` as a mapping; DataError if one is none of these."""
    found: dict[str, Any] = {}
    for pair in given or ():
        key, _, share = pair.rpartition("=")
        name, colon, value = key.partition(":")
        if share.strip() == "even" and name and not colon:
            found[name] = "even"
        elif not colon:
            found |= pairs([pair], "exposure") or {}
        elif isinstance(values := found.setdefault(name, {}), dict):
            values |= pairs([f"{value}={share}"], "exposure") or {}
        else:
            raise DataError(f"exposure: {name} has a share already, got {pair!r} too", field="exposure")
    return found or None


def cosine_or_name(distinct: str | None) -> float | str | None:
    """A number if it is one, else the name of an attribute."""
    try:
        return None if distinct is None else float(distinct)
    except ValueError:
        return distinct


@contextmanager
def errors_to_exit() -> Iterator[None]:
    """Turns errors of ours and of the disk into one line on stderr and exit code 1."""
    try:
        yield
    except BrokenPipeError:  # the reader of a pipe (head, less) has seen enough
        raise typer.Exit(0) from None
    except (MmrecError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def opened(path: Path) -> Iterator[Recommender]:
    """A store that exists, with errors turned into exit codes."""
    from mmrec.recommender import Recommender

    with errors_to_exit(), Recommender.open(path, create=False) as shop:
        yield shop


def say(*values: Any) -> None:
    """Prints each value as one JSON line."""
    for value in values:
        typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints a table for eyes, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*map(str, row))
    Console(markup=False, emoji=False, highlight=False).print(table)  # titles hold brackets and colons


@contextmanager
def training_status() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A line on stderr with the stage of the work, and of a training its epoch and loss."""
    from rich.console import Console

    with Console(stderr=True).status("reading ...") as status:

        def update(now: Mapping[str, Any]) -> None:
            epoch = f", epoch {now['epoch']}, loss {now['loss']:.3f}" if "epoch" in now else ""
            status.update(f"{now['stage']}{epoch} ...")

        yield update
