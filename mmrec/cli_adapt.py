"""The commands around an encoder that learns from the shop: `mmrec adapt` and `mmrec rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmrec.cli_options import Plain, StorePath, opened, say, show_table, training_status

if TYPE_CHECKING:
    from mmrec.training.adapt import AdaptReport


def adapt(
    store: StorePath,
    method: Annotated[str | None, typer.Option(
        help="behaviour; of pictures simclr, moco, byol or vicreg too; of text simcse, tsdae, masked-words or"
             " contrast. Default: behaviour where enough is recorded.")] = None,
    modality: Annotated[str | None, typer.Option(
        help="Whose encoder, such as text. Default: image where there are pictures.")] = None,
    minutes: Annotated[float, typer.Option(help="Of training, at most.")] = 15.0,
    pairs: Annotated[Path | None, typer.Option(
        help="Table whose first two columns are ids of items that belong together (Parquet, CSV, TSV), in"
             " place of what is recorded.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Let it serve whatever the figures say.")] = False,
    seed: Annotated[int, typer.Option(help="Also of which items teach and which judge.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="SVG picture to write, of the training's curves.")] = None,
    plain: Plain = False,
) -> None:
    """Adapts an encoder to the catalogue; it serves if new items are then found better, and no search worse.

    The encoder before serves until all is done, and again after `mmrec rollback`.
    """
    with opened(store) as shop, training_status() as progress:
        report = shop.adapt(
            method=method, modality=modality, minutes=minutes, pairs=pairs, force=force, seed=seed,
            progress=progress,
        )
        if plot:
            from mmrec.training.adapt_chart import curves_of

            plot.write_text(curves_of(report), encoding="utf-8")
    if plain:
        _show(report)
    else:
        say(report.as_dict())


def rollback(
    store: StorePath,
    forget: Annotated[bool, typer.Option(
        "--forget", help="Rather free the room of the embeddings of before, for good.")] = False,
) -> None:
    """Lets the encoder from before `mmrec adapt` serve again; where a head served, run `mmrec fit` then."""
    with opened(store) as shop:
        say(shop.rollback(forget=forget))


def _show(report: AdaptReport) -> None:
    show_table(["figure", "before", "after", "difference", "asked"], [
        [one.name, f"{one.before:.4f}", f"{one.after:.4f}", str(one.difference), one.asked]
        for one in report.figures
    ])
    show_table(["training", *(name for name in report.best if name != "loss")], [
        [what, *(f"{value:g}" for name, value in figures.items() if name != "loss")]
        for what, figures in (("frozen", report.frozen), ("adapted", report.best))
    ])
    serving = "the adapted encoder serves" if report.served else f"{report.parent} serves on"
    typer.echo(
        f"{report.modality} by {report.method}, {report.items} items, {report.pairs} pairs an epoch,"
        f" {report.minutes:.1f} min: {serving}, as {report.why}"
    )
