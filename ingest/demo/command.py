"""`mmrec demo`: a small shop from nothing to recommendations, measured, with a page to look at."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest.demo import DemoShop, make_shop
from ingest.demo.shop import FEWEST_PRODUCTS
from mmrec import __version__
from mmrec.cli_options import errors_to_exit
from mmrec.data.files import replacing
from mmrec.errors import DataError, StoreError
from mmrec.types import Interaction, Item, Recommendation

if TYPE_CHECKING:
    from ingest.demo.results import Clicks, Measured
    from mmrec.recommender import Recommender

MARKER = "demo.json"  # tells a folder of the demo from others, and with which settings it was made
SHOP, STORE, PAGE = "shop", "demo.mmrec", "index.html"
EXAMPLES = 5  # results of each example on screen


def plug(app: typer.Typer) -> None:
    """Add the command to the `mmrec` CLI."""
    app.command()(demo)


def demo(
    folder: Annotated[Path, typer.Option(help="Where to make it.")] = Path("demo"),
    products: Annotated[int, typer.Option(min=FEWEST_PRODUCTS, help="Number of products.")] = 600,
    shoppers: Annotated[int, typer.Option(min=1, help="Number of shoppers.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another shop.")] = 7,
    text_encoder: Annotated[str, typer.Option(help="See `mmrec encoders`.")] = "auto",
    image_encoder: Annotated[str, typer.Option(help="See `mmrec encoders`.")] = "auto",
) -> None:
    """Make a small shop, recommend its new products, measure how well, and write a page to look at.

    Run it again and it goes on with what is there. Other options make the folder's shop anew.
    """
    encoders = {"text_encoder": text_encoder, "image_encoder": image_encoder}
    with errors_to_exit():
        claim(folder, {"products": products, "shoppers": shoppers, "seed": seed, **encoders})
        _run(folder, products, shoppers, seed, encoders)


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Makes a folder the demo's: a new one, or one of an earlier run, emptied if that had other settings.

    Raises:
        StoreError: the folder holds files that no demo made.
    """
    marker, text = folder / MARKER, json.dumps({"mmrec": __version__, **settings})
    folder.mkdir(parents=True, exist_ok=True)
    if not marker.is_file():
        if any(folder.iterdir()):
            raise StoreError(f"{folder} holds files that no demo made: give another --folder")
    elif marker.read_text(encoding="utf-8") != text:
        for name in (SHOP, STORE):
            shutil.rmtree(folder / name, ignore_errors=True)
    with replacing(marker) as file:
        file.write(text.encode())


@dataclass
class Step:
    """A step under way: `advance` moves its bar, `outcome` is what it says at the end."""

    advance: Callable[[int], None]
    outcome: str = ""


class Steps:
    """Runs steps one after the other: a bar on standard error, then a line on standard output."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.started = time.perf_counter()

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[Step]:
        """One step; without a total its bar only shows that it is alive."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        started, screen = time.perf_counter(), Console(stderr=True)
        columns = [TextColumn(f"{name:<10}"), BarColumn(), TimeElapsedColumn()]
        if total is not None:
            columns.insert(2, MofNCompleteColumn())
        with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
            bar = progress.add_task(name, total=total)
            step = Step(lambda n: progress.advance(bar, n))
            yield step
        self.say((f"{name:<10}", "bold"), step.outcome, (f"  {time.perf_counter() - started:.1f} s", "dim"))

    def say(self, *parts: str | tuple[str, str]) -> None:
        """One line, however long; a part may carry its style."""
        self.console.print(Text.assemble(*parts), soft_wrap=True)


def _run(folder: Path, products: int, shoppers: int, seed: int, encoders: Mapping[str, str]) -> None:
    steps = Steps()
    with steps.step("Draw", products) as step:
        shown = make_shop(
            (folder / SHOP).resolve(), seed=seed, products=products, shoppers=shoppers, sounds=True,
            progress=lambda *_: step.advance(1),
        )
        step.outcome = (
            f"{len(shown.items):,} products ({len(shown.cold)} of them cold: newer than every click) and"
            f" {len(shown.shoppers):,} shoppers in {folder / SHOP}"
        )
    with steps.step("Load") as step:
        from mmrec.recommender import Recommender

        shop = Recommender.open(folder / STORE, encoders)
        models = shop.stats()["encoders"]
        step.outcome = f"{models['text']} for texts, {models['image']} for pictures"
    with shop:
        _fill(shop, shown, steps)
        _train(shop, steps, seed)
        _answer(shop, shown, steps, folder, seed)
    steps.say(f"All of it took {time.perf_counter() - steps.started:.0f} s.")
    steps.say("Look at it: open ", (str(folder / PAGE), "bold"), " in a browser.")


def _fill(shop: Recommender, shown: DemoShop, steps: Steps) -> None:
    with steps.step("Ingest", len(shown.items)) as step:
        report = shop.ingest(shown.items, progress=step.advance)
        step.outcome = (
            f"{report.added} items added, {report.updated} updated, {report.unchanged} unchanged,"
            f" {report.rejected} rejected; {report.encoder_calls:,} texts and pictures encoded"
        )
    with steps.step("Record", len(shown.interactions)) as step:
        log = shop.record(shown.interactions, progress=step.advance)
        step.outcome = f"{log.added:,} clicks, likes, purchases and dislikes, {log.unchanged:,} known before"


def _train(shop: Recommender, steps: Steps, seed: int) -> None:
    with steps.step("Fit") as step:
        try:
            report = shop.fit(seed=seed)
            step.outcome = f"{report.interactions:,} wishes learned from; " + (
                f"corrected for exposure by {report.exposure}" if report.exposure else "as they stand"
            )
        except DataError:
            step.outcome = "too small a log to learn from: content alone serves"


def _answer(shop: Recommender, shown: DemoShop, steps: Steps, folder: Path, seed: int) -> None:
    from ingest.demo.results import TOP, click_rates, describe, measurable, measure
    from mmrec.service.gallery import write_gallery

    shoppers = measurable(shown)
    with steps.step("Recommend", len(shoppers)) as step:
        results = measure(shop, shown, seed=seed, advance=step.advance)
        clicks = click_rates(shop, shown, seed=seed)
        step.outcome = f"{TOP} cold items to each of {len(shoppers)} shoppers, and measured"
    with steps.step("Gallery") as step:
        page = describe(shop, shown, results, clicks)
        write_gallery(folder / PAGE, page)
        step.outcome = f"a page with {len(page.profiles)} visitors and {len(page.neighbourhoods)} items"
    _show_similar(shop, shown, steps)
    _show_recommended(shop, shown, steps)
    if results:  # a tiny shop may have nobody who would click on something cold
        _show_measured(results, steps)
    _show_clicks(clicks, steps)


def _show_similar(shop: Recommender, shown: DemoShop, steps: Steps) -> None:
    item = shown.items[-1]
    steps.say("\nMost similar to ", (item.text["title"], "bold"), ":")
    _show(shop, shop.similar(item.item_id, k=EXAMPLES), steps.console)


def _show_recommended(shop: Recommender, shown: DemoShop, steps: Steps) -> None:
    from ingest.demo.results import COLD

    who = next((who for who in shown.shoppers if who.new), shown.shoppers[0])
    acts = shop.interactions(who.user_id)[-EXAMPLES:]
    known = [f"{act.kind} {item.text['title']}" for act, item in zip(acts, _items(shop, acts), strict=True)]
    steps.say("\nNew arrivals for ", (who.user_id, "bold"), f", of whom is known: {'; '.join(known)}:")
    _show(shop, shop.recommend(user=who.user_id, k=EXAMPLES, where=COLD), steps.console)


def _show(shop: Recommender, found: Sequence[Recommendation], console: Console) -> None:
    table = Table("rung", "item", "title", "score")
    for result, item in zip(found, _items(shop, found), strict=True):
        table.add_row(result.rung, item.item_id, item.text["title"], f"{result.score:.2f}")
    console.print(table)


def _items(shop: Recommender, rows: Sequence[Recommendation | Interaction]) -> list[Item]:
    return shop.get([row.item_id for row in rows])


def _show_measured(results: Sequence[Measured], steps: Steps) -> None:
    from ingest.demo.results import TOP

    steps.say("\nHow well the cold items were ranked (mean over shoppers, 95% interval):")
    table = Table("", f"recall@{TOP}", f"ndcg@{TOP}")
    for number, result in enumerate(results):
        if number == 0 or result.group != results[number - 1].group:
            table.add_section()
            table.add_row(f"[bold]{result.group}[/]")
        table.add_row(f"  {result.ranking}", str(result.recall), str(result.ndcg))
    steps.console.print(table)


def _show_clicks(clicks: Sequence[Clicks], steps: Steps) -> None:
    steps.say("\nTrue clicks on a product of ten that are shown (mean over all shoppers, 95% interval):")
    table = Table("", "untrained", "trained", "trained / untrained")
    for one in clicks:
        table.add_row(one.among, str(one.before), str(one.after), str(one.gain))
    steps.console.print(table)
