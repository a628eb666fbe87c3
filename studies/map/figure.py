"""The figure of the map: boundary score against which arm is better, one panel a labeller and a point a cell."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cells import Cell

from dpo_stages.report.figures.style import INK, MUTED, SHADE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(cells: Sequence[Cell], yardstick: str) -> "Figure":
    """Draw the figure.

    Args:
        cells: the table of cells.
        yardstick: `judge` or `witness`.
    """
    from matplotlib import rc_context
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    labels = list(dict.fromkeys(cell["labels"] for cell in cells))
    shades = ScalarMappable(Normalize(0.4, 1.0), "viridis_r")
    largest = 1.08 * max(abs(cell[yardstick]) for cell in cells)
    with rc_context({"font.family": "DejaVu Sans", "font.size": 10, "svg.fonttype": "path", "text.color": INK}):
        figure = Figure(figsize=(max(4.2, 3.0 * len(labels) + 1.0), 4.4), layout="constrained")
        panels = figure.subplots(1, len(labels), sharex=True, sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, labels, strict=True):
            axes.fill_between([0, 0.5], 0, largest, color=SHADE, linewidth=0)
            axes.fill_between([0.5, 1], -largest, 0, color=SHADE, linewidth=0)
            axes.axhline(0, color=MUTED, linewidth=0.8)
            for cell in (cell for cell in cells if cell["labels"] == name):
                colour = shades.to_rgba(cell["agreements_on"] / cell["audited_on"])
                separated = cell[f"{yardstick}_low"] > 0 or cell[f"{yardstick}_high"] < 0
                axes.plot(
                    cell["boundary_score"],
                    cell[yardstick],
                    "o",
                    markersize=4.5,
                    markerfacecolor=colour if separated else "white",
                    markeredgecolor=colour,
                    markeredgewidth=1.0,
                    zorder=3,
                )
            axes.set_title(f"labels: {name}", loc="left", fontsize=10)
            axes.set_xlim(0, 1)
            axes.set_ylim(-largest, largest)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(MUTED)
            axes.tick_params(colors=MUTED, labelcolor=INK)
        panels[0].set_ylabel(f"off-policy arm − on-policy arm\n(points of win rate, by the {yardstick})")
        figure.supxlabel("boundary score of the initial policy, by the labeller", fontsize=10)
        figure.colorbar(shades, ax=panels[-1], label="own pairs: labels agree with the judge", fraction=0.08)
        handles = [
            Line2D([], [], marker="o", linestyle="", markersize=5, color=MUTED, label="the runs tell the arms apart"),
            Line2D(
                [],
                [],
                marker="o",
                linestyle="",
                markersize=5,
                color=MUTED,
                markerfacecolor="white",
                label="they do not",
            ),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False)
    return figure
