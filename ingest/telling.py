"""What the commands of ingest share: options of files, a progress bar, and the report on screen."""

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

from ingest.sources import ReadOptions
from mmrec.errors import Rejection
from mmrec.types import IngestReport, RecordReport

REJECTED = 3  # exit code
CHARACTERS = 300  # of a reason on screen
_SHOWN = 5  # rejections named on screen
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first row that is not taken whole.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print a sentence instead of a JSON line.")]
Delimiter = Annotated[str | None, typer.Option(help="Of a CSV file; found out if not said.")]
Encoding = Annotated[str | None, typer.Option(help="Of a text file, such as cp1252; found out.")]


class Quotes(StrEnum):
    """How a quote inside a quoted cell is written; "none" if quotes mean nothing."""

    double = "double"
    backslash = "backslash"
    none = "none"


def pairs_of(option: str | None, name: str) -> dict[str, str]:
    """`NAME=KIND` pairs of an option, by commas."""
    found = [pair.split("=") for pair in (option or "").split(",") if pair.strip()]
    if any(len(pair) != 2 or not all(part.strip() for part in pair) for pair in found):
        raise typer.BadParameter(f"{name} takes NAME=KIND, by commas")
    return {before.strip(): after.strip() for before, after in found}


def delimiter_of(option: str | None) -> str | None:
    """The delimiter; a shell user writes a tab as two characters."""
    return "\t" if option == r"\t" else option


def options_of(
    encoding: str | None, quoting: Quotes | None = None, header_line: int | None = None,
    sheet: str | None = None,
) -> ReadOptions:
    """How a file is to be read, where the user said so."""
    return ReadOptions(
        encoding=encoding, quoting=None if quoting is None else quoting.value, header_line=header_line,
        sheet=sheet,
    )


@contextmanager
def bar(total: Callable[[], int | None]) -> Iterator[Callable[[int], None] | None]:
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


def tell_notes(notes: Iterable[str]) -> None:
    """What was guessed or left out while reading."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def tell(report: IngestReport | RecordReport, *, plain: bool, quarantine: Path | None = None) -> None:
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
        typer.echo(f"{word} {', '.join(filter(None, where))}: {one.reason[:CHARACTERS]}", err=True)
    if len(ones) > _SHOWN:
        typer.echo(f"... and {len(ones) - _SHOWN:,} more", err=True)
