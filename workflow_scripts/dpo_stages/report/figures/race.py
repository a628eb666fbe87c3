"""The curve of a race: how far one arm is preferred to another after each share of an epoch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dpo_stages.report.figures.style import COLOURS, INK, MARKERS, MUTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(race: Mapping[str, Any]) -> "Figure":
    """One line a pair of arms; bars hold prompts and orders of the pairs. Filled where one of the two is decidedly better.

    Args:
        race: JSON of decide_race.py.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(dict.fromkeys((pair["arm_1"], pair["arm_2"]) for look in race["looks"] for pair in look["pairs"]))
    which = "adjusted_" if race["length_controlled"] else ""
    with rc_context({"font.family": "DejaVu Sans", "font.size": 10, "svg.fonttype": "path", "text.color": INK}):
        columns = 3 if len(names) <= 3 else 2  # of the legend: names of data sets are long
        lines = -(-len(names) // columns)
        figure = Figure(figsize=(6.4, 4 + 0.2 * lines), layout="constrained")
        axes = figure.subplots()
        axes.axhline(50, color=MUTED, linewidth=1)
        for number, both in enumerate(names):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number // len(COLOURS) % len(MARKERS)]
            points = [
                (100 * look["share"] * (1 + 0.02 * (number - (len(names) - 1) / 2)), pair)
                for look in race["looks"]
                for pair in look["pairs"]
                if (pair["arm_1"], pair["arm_2"]) == both
            ]
            shares, scores = [share for share, _ in points], [100 * pair[f"{which}score"] for _, pair in points]
            drawn = {"marker": marker, "color": colour, "linewidth": 1.2, "zorder": 3}
            axes.plot(shares, scores, markerfacecolor="white", label=f"{both[0]} over {both[1]}", **drawn)
            for share, pair in points:
                low, high = (100 * end for end in pair[f"{which}interval"])
                axes.vlines(share, low, high, color=colour, linewidth=1, zorder=2)
                if pair["better"]:
                    axes.plot(share, 100 * pair[f"{which}score"], **drawn)
        axes.set_xscale("log")
        axes.set_xticks([100 * share for share in race["shares"]], [f"{100 * share:g} %" for share in race["shares"]])
        axes.minorticks_off()
        axes.set_xlim(80 * race["shares"][0], 125 * race["shares"][-1])
        axes.set_xlabel("share of an epoch that the arms have trained for")
        axes.set_ylabel("responses preferred, in %" + (" (lengths made equal)" if which else ""))
        axes.legend(
            frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns
        )  # above: intervals reach everywhere
    return figure
