"""The data sets of a study against the own samples of each policy: scores with their intervals, the lowest on top."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dpo_stages.report.figures.style import COLOURS, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> "Figure":
    """One panel a policy, one line a data set; filled where it is decided whether it comes before own samples.

    Args:
        found: rows of the table by policy, see `tables.data_sets.rows_of`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    heights = [0.5 + 0.4 * len(rows) for rows in found.values()]
    with rc_context({"font.family": "DejaVu Sans", "font.size": 10, "svg.fonttype": "path", "text.color": INK}):
        figure = Figure(figsize=(6.4, 0.9 + sum(heights)), layout="constrained")
        panels = figure.subplots(len(found), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (policy, rows) in zip(panels, found.items(), strict=True):
            axes.axvline(0.5, color=MUTED, linewidth=1, zorder=1)
            for place, line in enumerate(rows):
                colour = COLOURS[place % len(COLOURS)]
                decided = not line["low"] <= 0.5 <= line["high"]
                axes.hlines(place, line["low"], line["high"], color=colour, linewidth=1.2, zorder=2)
                axes.plot(
                    line["boundary_score"],
                    place,
                    "o",
                    color=colour,
                    markerfacecolor=colour if decided else "white",
                    zorder=3,
                )
            axes.set_yticks(range(len(rows)), [line["data_set"] for line in rows])
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_xlim(0, 1)
            axes.set_title(policy, loc="left", fontsize=10)
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.tick_params(colors=MUTED, labelcolor=INK)
        panels[-1].set_xlabel(
            "own samples preferred to the data set's responses\n← the data set first    own samples first →"
        )
    return figure
