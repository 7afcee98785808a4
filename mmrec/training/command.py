"""`mmrec fit`: trains the head of a store, shows how it goes, and says what serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrec.cli import Plain, StorePath, opened, say, show_table

if TYPE_CHECKING:
    from mmrec.training.fit import FitReport


def plug(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(fit)


def fit(
    store: StorePath,
    warm_start: Annotated[bool, typer.Option(
        "--warm-start", help="Go on from the head that serves, in a fraction of the time.")] = False,
    ordered: Annotated[bool, typer.Option(
        "--ordered", help="Learn what comes next in time, in place of what belongs together.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over all users.")] = None,
    seed: Annotated[int, typer.Option(help="The same gives the same head.")] = 0,
    device: Annotated[str | None, typer.Option(help="Of torch, such as cuda; the CPU, if none.")] = None,
    curves: Annotated[bool, typer.Option("--curves", help="Print the loss of each epoch too.")] = False,
    plain: Plain = False,
) -> None:
    """Aligns content with behaviour: trains on all recorded wishes; the old head serves until it is done."""
    with opened(store) as shop, _bar() as progress:
        report = shop.fit(
            warm_start=warm_start, ordered=ordered, epochs=epochs, seed=seed, device=device,
            progress=progress,
        )
    if plain:
        _show(report)
        return
    said = report.as_dict()
    say(said if curves else {name: value for name, value in said.items() if name != "curves"})


@contextmanager
def _bar() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A line on stderr that tells the stage, and of a training its epoch and loss."""
    from rich.console import Console

    with Console(stderr=True).status("reading ...") as status:

        def told(now: Mapping[str, Any]) -> None:
            epoch = f", epoch {now['epoch']}, loss {now['loss']:.3f}" if "epoch" in now else ""
            status.update(f"{now['stage']}{epoch} ...")

        yield told


def _show(report: FitReport) -> None:
    show_table(["situation", "head", "best baseline", "what serves"], [
        [one.situation, f"{one.head:.4f}", "{} {:.4f}".format(*one.best), one.serves]
        for one in report.verdicts
    ])
    serving = "the head serves" if report.served else "plain content serves on: it ranks better than the head"
    typer.echo(
        f"{report.interactions} wishes of {report.users} users for {report.items} items,"
        f" {report.seconds:.1f} s: {serving} (figures: ndcg@20 on a validation within the training)"
    )
