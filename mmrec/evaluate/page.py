"""A contest on a shop's own behaviour, and the HTML report of a contest: its tables, and charts of recall."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from mmrec.data.files import replacing
from mmrec.errors import DataError
from mmrec.evaluate import groups as by_groups
from mmrec.evaluate import slices
from mmrec.evaluate.charts import Chart, Look, figure, looks_of, price_chart, svg_of
from mmrec.evaluate.contest import HEADINGS, PROTOCOLS, Entry, Makers, contest, rows_of, split_of, words_of
from mmrec.evaluate.exposure import Exposure, exposure_of
from mmrec.evaluate.logs import Log, Places, Split, check_log, log_and_refused, summary
from mmrec.evaluate.slices import Dates, Slice
from mmrec.evaluate.splits import refused_beside
from mmrec.search.snapshot import Snapshot
from mmrec.store.interactions import Interactions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = Mapping[str, Sequence[Mapping[str, Any]]]  # figures of each epoch, by the name of the curve
NOT_DRAWN = "stage", "epoch", "seconds"  # of what is known of an epoch
K = 20  # length of the lists that charts judge


def evaluate_shop(
    snapshot: Snapshot, behaviour: Interactions, heads: Makers, *, protocol: str = "item-cold",
    seed: int = 0, models: Sequence[str] | None = None, parts: str | Path | None = None,
    every_kind: bool = False, groups: Sequence[str] | None = None, page: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Entry]:
    """How well models do on a shop's own behaviour, with its content as the features of all models.

    Args:
        heads: models beside the baselines, by name; each is made with `spans`, where each field lies in the
            content, and `ordered`, whether it learns what comes next.
        protocol: `item-cold`, `user-cold`, `warm`, `leave-last-out` or `global-time`.
        models: names of baselines, and `mmrec` for the head; None takes all baselines.
        parts: Parquet table user, item, part: a published item-cold split.
        every_kind: whether every interaction counts as positive, dislikes too.
        groups: attributes whose values are judged as groups, beside cold items, the tail, and users by the
            length of their history; None judges no groups.
        page: HTML file to write: the tables, and charts of where each model is good.
        progress: called with the name of each model before its turn.

    Raises:
        DataError: there is too little behaviour, the page cannot be written, or an argument cannot be used.
        MissingExtra: a model that was named, or the page, needs a library that is not installed.
    """
    if page is not None:
        check_page(page)  # before the work
    values = _values(snapshot, groups)
    log, refused = log_and_refused(behaviour, snapshot.ids, every_kind=every_kind)
    if protocol in PROTOCOLS:
        check_log(log, behaviour.table.count(), by_time=PROTOCOLS[protocol].ordered)
    try:
        split = split_of(log, protocol, seed, parts)
    except DataError as error:
        raise DataError(f"{error}. {summary(log)}", field=error.field) from error
    given = _given(split, log, refused, ordered=PROTOCOLS[protocol].ordered)
    entries = contest(
        split, snapshot.content_by(snapshot.plan), models, progress=progress,
        heads={name: partial(make, spans=snapshot.plan.spans, **given) for name, make in heads.items()},
        rng=np.random.Generator(np.random.PCG64(seed)),
        groups=values, exposure=_exposure(log.items, refused),
    )
    if page is not None:
        write_page(page, entries, split, added_at=snapshot.facts["added_at"].to_numpy())
    return entries


def _given(split: Split, log: Log, refused: Log, *, ordered: bool) -> dict[str, Any]:
    """What a head is told beside training; no dislikes where they may be later than what is asked."""
    return {
        "ordered": ordered, "exposure": _exposure(split.train.indices, refused),
        "refused": None if ordered else refused_beside(log, refused, split.train),
    }


def _exposure(items: Places, refused: Log) -> Exposure | None:
    """What choices of items [n] and a log of dislikes betray of exposure."""
    n = len(refused.item_ids)
    return exposure_of(*(np.bincount(one, minlength=n).astype(np.float64) for one in (items, refused.items)))


def _values(snapshot: Snapshot, groups: Sequence[str] | None) -> Mapping[str, Sequence[Any]] | None:
    """The values of some attributes; DataError if there is no such attribute."""
    known = snapshot.attributes
    if unknown := sorted(set(groups or ()) - set(known)):
        raise DataError(f"groups name no attribute {unknown[0]!r}: choose {', '.join(known)}", field="groups")
    return None if groups is None else {name: snapshot.facts[name].to_pylist() for name in groups}


def check_page(path: str | Path) -> None:
    """Checks, before the work of a contest, that a page can be drawn and written.

    Raises:
        DataError: the path is a folder, or its folder cannot be written to.
        MissingExtra: matplotlib is not installed.
    """
    figure()
    path = Path(path)
    if path.is_dir():
        raise DataError(f"cannot write {path}: it is a folder. Name a file in it", field="page")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror}. Check its folder and the rights to it", field="page"
        ) from error


def write_page(
    path: str | Path, entries: Sequence[Entry], split: Split, *, added_at: Dates | None = None
) -> None:
    """Writes one HTML page, whole or not at all; it needs no network and no other file.

    There is a chart for each figure that the entries' curves hold, except `stage`, `epoch` and `seconds`; a
    value that is None or absent is left out.

    Args:
        entries: of a contest on the split.
        added_at: of all items [items]; without it there are no charts by age.

    Raises:
        DataError: there are no entries, or the file cannot be written.
    """
    if not entries:
        raise DataError("a report needs the entry of at least one model: there is none", field="entries")
    curves = _curves(entries)
    looks = looks_of([*(entry.model for entry in entries), *curves])
    pages = Environment(
        loader=PackageLoader("mmrec", "evaluate"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    html = pages.get_template("page.html").render(
        split=split, entries=entries, headings=HEADINGS, dated=added_at is not None, k=K, looks=looks,
        sections=[_section(entries, split, name, added_at, looks) for name in entries[0].results],
        judge=PROTOCOLS[split.protocol].judge, words=words_of, curves=curves,
        training=list(_training(curves, looks)),
    )
    with replacing(path) as file:
        file.write(html.encode())


def _section(
    entries: Sequence[Entry], split: Split, name: str, added_at: Dates | None, looks: Mapping[str, Look]
) -> dict[str, Any]:
    """One setting: what was asked, the table of the contest, and charts."""
    setting, charts = split.test[name], []
    for what, axis, cut in _cuts(split, added_at):
        found = {
            entry.model: cut(entry.results[name], setting, k=K, rng=np.random.Generator(np.random.PCG64(0)))
            for entry in entries  # each with the same resampled users
        }
        if any(len(cells) > 1 for cells in found.values()):  # one bin alone says what the table says
            charts.append(_chart(f"recall@{K} by {what}", name, axis, found, looks))
    judged = {entry.model: entry.groups[name] for entry in entries if name in entry.groups}
    for group in dict.fromkeys(price.group for one in judged.values() for price in one.prices):
        prices = {model: [p for p in one.prices if p.group == group] for model, one in judged.items()}
        if any(len(each) > 1 for each in prices.values()):  # else the group has all slots anyway
            charts.append(price_chart(group, name, prices, looks))
    return {
        "name": name, "question": setting, "rows": rows_of(entries, name), "charts": charts,
        "groups": by_groups.group_tables(judged),
    }


def _cuts(split: Split, added_at: Dates | None) -> Iterator[tuple[str, str, Callable[..., list[Slice]]]]:
    """What recall is shown by, the label of the axis, and the function that slices so."""
    popularity = np.bincount(split.train.indices, minlength=split.train.shape[1])  # [items]
    by_popularity = partial(slices.by_popularity, popularity=popularity)
    yield "item popularity", "training interactions of the item, by decile", by_popularity
    if added_at is not None:
        by_age = partial(slices.by_age, added_at=added_at)
        yield "item age", "days before the newest item, by fifth", by_age
    yield "history length", "items in the user's history", slices.by_history


def _chart(
    title: str, setting: str, axis: str, found: Mapping[str, Sequence[Slice]], looks: Mapping[str, Look]
) -> Chart:
    """Every model's slices; they have the same bins."""
    bins = next(iter(found.values()))
    alt = f"{title} in setting {setting}: {len(found)} models with 95% intervals, {len(bins)} bins of {axis}."
    rows = [[model, *(str(s.recall) for s in cells)] for model, cells in found.items()]
    headings = ["model", *(f"{s.name} (n = {s.n:,})" for s in bins)]

    def draw(axes: Axes) -> None:
        for n, (model, cells) in enumerate(found.items()):
            x = np.arange(len(bins)) + 0.8 * ((n + 0.5) / len(found) - 0.5)  # side by side in each bin
            ends = [(s.recall.mean, s.recall.low, s.recall.high) for s in cells]
            value, low, high = np.array(ends).T  # [bins, 3] -> [3, bins]
            axes.errorbar(
                x, value, yerr=np.maximum(0, [value - low, high - value]), color=looks[model].colour,
                marker=looks[model].marker, markersize=4, linewidth=0.7, elinewidth=0.9, clip_on=False,
            )
        for n in range(0, len(bins), 2):
            axes.axvspan(n - 0.5, n + 0.5, color="#f4f2ec", zorder=0)
        axes.set_xticks(range(len(bins)), [s.name for s in bins], rotation=35 if len(bins) > 6 else 0)
        axes.set(xlabel=axis, ylabel=title.split()[0], xlim=(-0.5, len(bins) - 0.5))
        axes.set_ylim(bottom=0)

    return Chart(title, alt, svg_of(draw, f"{setting} {title}"), headings, rows)


def _curves(entries: Sequence[Entry]) -> Curves:
    """Epochs by model and stage."""
    curves: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        for epoch in entry.curves:
            stage = f", {epoch['stage']}" if "stage" in epoch else ""
            curves.setdefault(entry.model + stage, []).append(epoch)
    return curves


def _training(curves: Curves, looks: Mapping[str, Look]) -> Iterator[Chart]:
    """A chart for each figure of the epochs."""
    measured = dict.fromkeys(name for epochs in curves.values() for epoch in epochs for name in epoch)
    for name in [name for name in measured if name not in NOT_DRAWN]:
        points = {
            model: {int(one["epoch"]): float(one[name]) for one in epochs if one.get(name) is not None}
            for model, epochs in curves.items()
        }
        if points := {model: values for model, values in points.items() if values}:
            yield _curve(name, points, looks)


def _curve(name: str, points: Mapping[str, Mapping[int, float]], looks: Mapping[str, Look]) -> Chart:
    """Every model's values of one figure, by epoch."""
    from matplotlib.ticker import MaxNLocator

    headings, rows = ["training", "epochs", "least", "most", "last"], []
    for model, by_epoch in points.items():
        values = list(by_epoch.values())
        rows.append([model, f"{len(values)}", *(f"{v:.4g}" for v in (min(values), max(values), values[-1]))])

    def draw(axes: Axes) -> None:
        for model, by_epoch in points.items():
            colour, marker, _ = looks[model]
            axes.plot(list(by_epoch), list(by_epoch.values()), color=colour, marker=marker, markersize=3)
        axes.set(xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    alt = f"{name} at each epoch of training, {len(points)} curves."
    return Chart(f"{name} by epoch", alt, svg_of(draw, name), headings, rows)


