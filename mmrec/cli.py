"""The `mmrec` command: every verb of Recommender; results on stdout as JSON lines, or tables by `--plain`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrec import cli_adapt, cli_services
from mmrec.cli_options import Plain, StorePath, errors_to_exit, opened, pairs, result_options, say, show_table
from mmrec.types import Recommendation

if TYPE_CHECKING:
    from mmrec.recommender import Recommender

app = typer.Typer(
    name="mmrec", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Multimodal content-embedding recommender: new items are found the minute they arrive.",
)

Ids = Annotated[list[str] | None, typer.Option(help="Item id; may be given several times.")]
Results = Annotated[int, typer.Option("--k", "-k", help="Number of results.")]
Where = Annotated[str | None, typer.Option(help="Condition, such as \"price < 30 and category == 'mug'\".")]
Diversity = Annotated[list[str] | None, typer.Option(
    help="0 is pure relevance, 1 pure diversity; of one field alone such as genres=0.3.")]
MaxPer = Annotated[list[str] | None, typer.Option(help="Most results of a value, such as brand=2.")]
Distinct = Annotated[str | None, typer.Option(
    help="Show one of nearly equal items: an attribute that they share, or a cosine such as 0.95.")]
Exposure = Annotated[list[str] | None, typer.Option(
    help="Share of the slots over all users: cold=0.2, tail=0.3, brand:Acme=0.1, or brand=even.")]


def main() -> None:
    """Entry point of the command: adds the commands of other packages, then runs."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    for point in entry_points(group="mmrec.commands"):
        point.load()(app)
    app()


@app.command()
def similar(
    store: StorePath,
    item_id: Annotated[str | None, typer.Argument(help="An item of the catalogue.")] = None,
    text: Annotated[str | None, typer.Option(help="Words in place of an item.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A picture in place of an item.")] = None,
    audio: Annotated[list[Path] | None, typer.Option(help="A sound in place of an item.")] = None,
    by: Annotated[str, typer.Option(help="content, behaviour, or one field such as image.")] = "content",
    k: Results = 10, where: Where = None, exclude: Ids = None, diversity: Diversity = None,
    max_per: MaxPer = None, distinct: Distinct = None, exposure: Exposure = None, plain: Plain = False,
) -> None:
    """Items like one of the catalogue, or like words, pictures and sounds."""
    with opened(store) as shop:
        show(shop, shop.similar(
            item_id, text=text, image=image, audio=audio, by=by,
            **result_options(k, where, exclude, diversity, max_per, distinct, exposure),
        ), plain)


@app.command()
def search(
    store: StorePath,
    words: Annotated[str | None, typer.Argument(help="Words to search for.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A picture; may be given several times.")] = None,
    audio: Annotated[list[Path] | None, typer.Option(help="A sound; may be given several times.")] = None,
    history: Ids = None,
    weight: Annotated[list[str] | None, typer.Option(
        help="Weight of a ranking, such as taste=0.5; may be given several times.")] = None,
    k: Results = 10, where: Where = None, exclude: Ids = None, diversity: Diversity = None,
    max_per: MaxPer = None, distinct: Distinct = None, exposure: Exposure = None, plain: Plain = False,
) -> None:
    """Items for words, a picture, a sound and a taste: full text and vectors together."""
    with opened(store) as shop:
        show(shop, shop.search(
            words, image=image, audio=audio, history=history, weights=pairs(weight, "weight"),
            **result_options(k, where, exclude, diversity, max_per, distinct, exposure),
        ), plain)


@app.command()
def recommend(
    store: StorePath,
    user: Annotated[str | None, typer.Option(help="A user whose interactions are recorded.")] = None,
    history: Ids = None, dislikes: Ids = None, exclude: Ids = None,
    taste: Annotated[str | None, typer.Option(help="What a new user likes, in words.")] = None,
    k: Results = 10, where: Where = None, diversity: Diversity = None, max_per: MaxPer = None,
    distinct: Distinct = None, exposure: Exposure = None,
    explore: Annotated[float, typer.Option(help="Share of the slots that goes to new items.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Of the draws of explored items.")] = None,
    plain: Plain = False,
) -> None:
    """Items for a user, for a history nobody has seen, or for a taste in words."""
    with opened(store) as shop:
        show(shop, shop.recommend(
            user=user, history=history, dislikes=dislikes or (), taste=taste, explore=explore, rng=seed,
            **result_options(k, where, exclude, diversity, max_per, distinct, exposure),
        ), plain)


@app.command()
def export(
    store: StorePath, file: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    users: Annotated[list[str] | None, typer.Option(help="User; all that are recorded, if none.")] = None,
    k: Results = 10, where: Where = None,
    batch: Annotated[int, typer.Option(help="Users served at once, which bounds the memory.")] = 1_000,
) -> None:
    """Writes what is recommended to users to a Parquet file."""
    with opened(store) as shop:
        served = shop.export(file, users=users, k=k, where=where, batch=batch)
        say({"file": str(file), "users": served})


@app.command()
def get(store: StorePath, item_ids: Annotated[list[str], typer.Argument(help="Item ids.")]) -> None:
    """Items as they were ingested, one JSON line each."""
    from mmrec.data.rows import item_as_dict

    with opened(store) as shop:
        say(*map(item_as_dict, shop.get(item_ids)))


@app.command()
def delete(store: StorePath, item_ids: Annotated[list[str], typer.Argument(help="Item ids.")]) -> None:
    """Takes items out of the catalogue."""
    with opened(store) as shop:
        say({"deleted": shop.delete(item_ids)})


@app.command()
def stats(store: StorePath) -> None:
    """Counts, fields, encoders and sizes."""
    with opened(store) as shop:
        say(shop.stats())


@app.command()
def doctor(
    store: StorePath, mend: Annotated[bool, typer.Option(help="Mend what can be mended.")] = True
) -> None:
    """Checks rows, vectors, indices, versions and disk; exit code 4 if something is wrong."""
    with opened(store) as shop:
        report = shop.doctor(mend=mend)
        say(report)
    if not report["healthy"]:
        raise typer.Exit(4)


@app.command()
def gallery(
    store: StorePath, page: Annotated[Path, typer.Argument(help="File to write, such as gallery.html.")],
    users: Annotated[list[str] | None, typer.Option(help="User; may be given several times.")] = None,
    items: Ids = None,
    searches: Annotated[list[str] | None, typer.Option(help="Words; may be given several times.")] = None,
    new_since: Annotated[datetime | None, typer.Option(
        help="Items that came later are cold: users see them apart, too.")] = None,
    k: Results = 6,
) -> None:
    """Writes one HTML page for eyes: what users are shown, what is near to items, what words find."""
    from mmrec.service.gallery import Visitor, gallery_of, write_gallery

    with opened(store) as shop:
        known = [Visitor(name=user, user=user) for user in users or ()]
        write_gallery(page, gallery_of(
            shop, title=store.stem, visitors=[*known, Visitor(name="Somebody unknown")],
            item_ids=items or [result.item_id for result in shop.recommend(k=8)], queries=searches or (),
            new_since=new_since, k=k,
        ))
        say({"page": str(page)})


@app.command()
def evaluate(
    store: StorePath,
    protocol: Annotated[str, typer.Option(
        help="item-cold, user-cold, warm, leave-last-out or global-time.")] = "item-cold",
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    baselines: Annotated[list[str] | None, typer.Option(
        help="Name of a baseline, or mmrec for the head; may be given several times. All baselines, if none"
             " is.")] = None,
    parts: Annotated[Path | None, typer.Option(
        help="Parquet table user, item, part: a published item-cold split.")] = None,
    every_kind: Annotated[bool, typer.Option(
        "--every-kind", help="Count every interaction as a wish, dislikes too.")] = False,
    groups: Annotated[list[str] | None, typer.Option(
        help="Attribute whose values are judged as groups, beside cold items, the tail and users by their"
             " history: who is shown, who gets worse lists, what more exposure costs.")] = None,
    html: Annotated[Path | None, typer.Option(
        help="Write a page too, such as report.html: tables and charts of where each model is good.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, which is the default.")] = False,
    plain: Plain = False,
) -> None:
    """Models tuned on validation and judged on test, on this shop's own behaviour and content."""
    from rich.console import Console

    from mmrec.evaluate.contest import row_of, tables_of

    if as_json and plain:
        raise typer.BadParameter("--json and --plain exclude each other: choose one")
    with opened(store) as shop:
        entries = shop.evaluate(
            protocol=protocol, seed=seed, models=baselines, parts=parts, every_kind=every_kind,
            groups=groups, page=html, progress=lambda name: typer.echo(f"tuning {name} ...", err=True),
        )
        if plain:
            Console(markup=False, width=150).print(*tables_of(entries))
        else:
            say(*map(row_of, entries))


@app.command()
def encoders(plain: Plain = False) -> None:
    """Models that can embed text and pictures: which are usable right now, and where from."""
    from mmrec.encoders import MODELS
    from mmrec.encoders.weights import locate

    with errors_to_exit():
        rows: list[dict[str, Any]] = [{
            "id": model.id, "modality": "+".join(model.modalities), "dim": model.dim,
            "training": model.supervision, "licence": model.licence,
            "megabytes": model.size and round(model.size / 1e6),
            "usable_from": location and location.source, "note": model.note,
        } for model, location in ((model, locate(model)) for model in MODELS.values())]
    if plain:
        show_table(
            ["model", "modality", "dim", "training", "licence", "MB", "usable from"],
            [["-" if cell is None else cell for cell in list(row.values())[:-1]] for row in rows],
        )
    else:
        say(*rows)


app.command()(cli_adapt.adapt)
app.command()(cli_adapt.rollback)
app.command()(cli_services.check)
app.command()(cli_services.suggest)
app.command()(cli_services.fit)
app.command()(cli_services.monitor)
app.command()(cli_services.serve)


def show(shop: Recommender, results: Sequence[Recommendation], plain: bool) -> None:
    """Prints results: JSON lines, or a table with each item's title."""
    if not plain:
        say(*map(asdict, results))
        return
    items = shop.get([result.item_id for result in results])
    show_table(["#", "item", "title", "score", "rung", "because of"], [
        [rank, item.item_id, item.title[:60], f"{result.score:.4f}", result.rung,
         ", ".join(f"{reason.name} {reason.contribution:+.3f}" for reason in result.reasons[:3])]
        for rank, (item, result) in enumerate(zip(items, results, strict=True), start=1)
    ])
