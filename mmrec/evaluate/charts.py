"""Charts of the HTML report: how models look, and pictures as SVG elements with their figures.

No name of a model or a setting goes into a chart: names stand in the page, where they are escaped, may be
long, and are in any script. A chart holds only numbers and the names of bins.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from markupsafe import Markup

from mmrec.errors import MissingExtra
from mmrec.evaluate.frontier import Price
from mmrec.evaluate.groups import PRICE_HEADINGS, price_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = 4.2, 3.1  # inches of a chart: narrow, so that its words are readable on a phone
# Colours that are told apart on white with any colour vision, after Okabe & Ito. Each model has a marker too,
# as matplotlib calls it and as a legend can show it. Their numbers share no factor: 72 models look different.
COLOURS = "#0072b2", "#d55e00", "#00805c", "#b5478c", "#1a1a1a", "#b07a00", "#3f9fd1", "#6b4fb3", "#7a5c3a"
MARKERS = ("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("*", "★"), ("P", "✚"), ("X", "✖")


class Look(NamedTuple):
    """How a model is drawn: its colour, matplotlib's name of its marker, and a character of that shape."""

    colour: str
    marker: str
    sign: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture, a description of it for screen readers, and its figures as a table."""

    title: str
    alt: str
    svg: Markup
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def looks_of(models: Sequence[str]) -> dict[str, Look]:
    """The look of each model, by name."""
    return {
        model: Look(COLOURS[n % len(COLOURS)], *MARKERS[n % len(MARKERS)])
        for n, model in enumerate(dict.fromkeys(models))
    }


def price_chart(
    group: str, setting: str, found: Mapping[str, Sequence[Price]], looks: Mapping[str, Look]
) -> Chart:
    """What more of the slots for a group cost each model; the first point is its lists as they are."""
    alt = (
        f"ndcg by the share of the slots that {group} items get in setting {setting}: {len(found)} models,"
        " with 95% intervals."
    )
    rows = [[model, *price_cells(one)[1:]] for model, prices in found.items() for one in prices]

    def draw(axes: Axes) -> None:
        for model, prices in found.items():
            x = [one.exposure.mean for one in prices]
            value, low, high = np.array([(p.ndcg.mean, p.ndcg.low, p.ndcg.high) for p in prices]).T
            line = axes.errorbar(
                x, value, yerr=np.maximum(0, [value - low, high - value]), color=looks[model].colour,
                marker=looks[model].marker, markersize=4, linewidth=0.9, elinewidth=0.9, clip_on=False,
            )
            axes.plot(x[0], value[0], "o", markersize=10, markerfacecolor="none", color=line[0].get_color())
        axes.set(xlabel=f"share of the slots of {group} items (ring: as ranked)", ylabel="ndcg")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)

    title = f"ndcg@20 by the exposure of {group} items"
    return Chart(title, alt, svg_of(draw, f"{setting} {title}"), ["model", *PRICE_HEADINGS[1:]], rows)


def svg_of(draw: Callable[[Axes], None], salt: str) -> Markup:
    """What is drawn on axes, as an SVG element whose ids are unique in a page."""
    from matplotlib import rc_context

    prefix = f"c{hashlib.sha256(salt.encode()).hexdigest()[:8]}-"
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix, "font.size": 9.5}):
        drawn = figure()
        axes = drawn.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dedbd2", linewidth=0.6)
        draw(axes)
        file = io.StringIO()
        drawn.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]  # an element of HTML has no XML declaration
    return Markup(re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", svg))


def figure() -> Figure:
    """An empty figure of matplotlib, without pyplot and its global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra(
            f"the HTML report needs a package that is not installed ({error.name}):"
            " pip install 'mmrec[evaluate]'"
        ) from None
    return Figure(figsize=SIZE, layout="constrained")
