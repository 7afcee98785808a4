"""What the commands of ingest share: options of files, a progress bar, and the report on screen."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from ingest.sources import ReadOptions
from ingest.sources.names import is_title
from mmrec.errors import Rejection
from mmrec.types import IngestReport, Item, RecordReport

REJECTED = 3  # exit code
CHARACTERS = 300  # of a reason on screen
_SHOWN = 5  # rejections named on screen
_FETCH = "is a URL: fetch it first"  # in the reason for a picture that was not downloaded
_WORDS = 5  # of a title that are searched for
SOURCES = typer.Argument(
    metavar="SOURCE...", show_default=False,
    help="Files, folders, patterns in quotes, https addresses (--allow-urls), or - for standard input.",
)
AllowUrls = Annotated[bool, typer.Option("--allow-urls", help="Download what lies behind https addresses.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first row that is not taken whole.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print a sentence instead of a JSON line.")]
Delimiter = Annotated[str | None, typer.Option(help="Of a CSV file; found out if not said.")]
Encoding = Annotated[str | None, typer.Option(help="Of a text file, such as cp1252; found out.")]


Decimal = Annotated[str | None, typer.Option(help="What stands before decimals: , or .")]


class Quotes(StrEnum):
    """How a quote inside a quoted cell is written; cells in single quotes; "none" if quotes mean nothing."""

    double = "double"
    backslash = "backslash"
    single = "single"
    none = "none"


class Order(StrEnum):
    """Orders of day, month and year."""

    dmy = "dmy"
    mdy = "mdy"
    ymd = "ymd"


Dates = Annotated[Order | None, typer.Option(help="Order of dates such as 01.02.2024.")]


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


def tell_notes(notes: Iterable[str], how: Iterable[str] = ()) -> None:
    """As what sources were read, and what was guessed or left out."""
    for sentence in (*how, *(f"note: {note}" for note in notes)):
        typer.echo(sentence, err=True)


def tries(store: Path, items: Sequence[Item]) -> list[str]:
    """Commands to try next on a store that holds some items, as a shell takes them."""
    wordy = [(item, words) for item in items if item.text and (words := _words(_title(item)))]
    if not items:
        return []
    item, words = wordy[0] if wordy else (items[0], "")
    search = ("search", store, words) if words else ("search", store, "--history", item.item_id)
    commands = (search, ("similar", store, item.item_id), ("gallery", store, "page.html"))
    return [_command(*map(str, parts)) for parts in commands]


def _title(item: Item) -> str:
    return next((text for name, text in item.text.items() if is_title(name)), item.title)


def _words(title: str) -> str:
    return " ".join([word for word in title.split() if any(map(str.isalnum, word))][:_WORDS])


def _command(verb: str, *arguments: str) -> str:
    guard = ["--"] if any(one.startswith("-") and one != "--history" for one in arguments) else []
    return shlex.join(["mmrec", verb, *guard, *arguments])


def tell(
    report: IngestReport | RecordReport, *, plain: bool, quarantine: Path | None = None,
    unread: Mapping[str, str] = MappingProxyType({}), after: Sequence[str] = (),
) -> None:
    """Print the report, name some rejections, and leave with the code that fits.

    Args:
        report: what became of the rows.
        plain: whether as a sentence.
        quarantine: where rows wait that were not taken.
        unread: sources that could not be read, and why.
        after: commands to try next.
    """
    reasons = ("rejections", "incomplete")
    counts = {part.name: getattr(report, part.name) for part in fields(report) if part.name not in reasons}
    if "seconds" in counts:
        counts["seconds"] = round(counts["seconds"], 3)
    incomplete = report.incomplete if isinstance(report, IngestReport) else ()
    if isinstance(report, IngestReport):
        counts["incomplete"] = len(incomplete)
    waits = quarantine if report.rejected or incomplete else None
    if waits:
        counts["quarantine"] = str(waits)
    typer.echo(_sentence(counts) if plain else json.dumps(counts))
    if incomplete:
        taken = sum(counts[name] for name in ("added", "updated", "unchanged"))
        less = len(incomplete) - counts["without_picture"]
        lacks = [f"{counts['without_picture']:,} without their picture"] if counts["without_picture"] else []
        lacks += [f"{less:,} without another part that cannot be used"] if less else []
        typer.echo(f"warning: {taken:,} taken, of them {', '.join(lacks)}", err=True)
    _complain("without", incomplete)
    _complain("rejected", report.rejections)
    if waits:
        typer.echo(
            f"what was not taken ({report.rejected + len(incomplete):,}) is in {waits}: mend `row` there,"
            f" then `mmrec ingest {waits.parent} --retry`", err=True,
        )
    for name, why in unread.items():
        typer.echo(f"not read, or not to its end: {name}: {why[:CHARACTERS]}", err=True)
    for line in ("try next:", *(f"  {command}" for command in after)) if after else ():
        typer.echo(line, err=True)
    if report.rejected or unread:
        raise typer.Exit(REJECTED)


def _sentence(counts: dict[str, Any]) -> str:
    return ", ".join(
        f"{value:,} {name.replace('_', ' ')}" for name, value in counts.items() if name != "quarantine"
    )


def _complain(word: str, ones: Sequence[Rejection]) -> None:
    """Names some; the pictures that are addresses are told by the first of them and their number."""
    addresses = [one for one in ones if _FETCH in one.reason]
    shown = [one for one in ones if _FETCH not in one.reason or one is addresses[0]]
    for one in shown[:_SHOWN]:
        where = [f"line {one.line}" if one.line else None, one.item_id, one.field]
        more = f" (so of {len(addresses):,} items)" if addresses[1:] and one is addresses[0] else ""
        typer.echo(f"{word} {', '.join(filter(None, where))}: {one.reason[:CHARACTERS]}{more}", err=True)
    if len(shown) > _SHOWN:
        typer.echo(f"... and {len(shown) - _SHOWN:,} more", err=True)
