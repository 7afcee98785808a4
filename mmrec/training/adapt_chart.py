"""The curves of an adaptation as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmrec.evaluate.charts import COLOURS, svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mmrec.training.adapt import AdaptReport


def curves_of(report: AdaptReport) -> str:
    """An SVG picture: the losses by epoch, and the effective rank as a share of the frozen encoder's.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    epochs = [one["epoch"] for one in report.curves]

    def draw(axes: Axes) -> None:
        for name, colour, style in (("loss", COLOURS[0], "--"), ("held_out", COLOURS[1], "-")):
            values = [one[name] for one in report.curves]
            axes.plot(epochs, values, style, color=colour, label=name.replace("_", " "))
        other = axes.twinx()
        ranks = [one["rank"] / max(report.frozen["rank"], 1e-9) for one in report.curves]
        other.plot(epochs, ranks, ":", color=COLOURS[2], label="effective rank")
        other.set(ylabel="share of the frozen rank", ylim=(0, None))
        axes.set(xlabel="epoch", ylabel="loss")
        axes.legend(handles=[*axes.get_lines(), *other.get_lines()], frameon=False)

    return str(svg_of(draw, f"adapt {report.id}"))
