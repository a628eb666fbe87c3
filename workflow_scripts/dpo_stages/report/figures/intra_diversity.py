"""Figure 3: the difference of log-probabilities between chosen and rejected responses over training.

One column of panels a model, one curve a candidate source. The upper row shows equation 12, the mean over the pairs of a
step; the lower one their standard deviation, because a signed mean hides differences that cancel.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dpo_stages.report.figures.style import COLOURS, INK, MUTED
from dpo_stages.report.tables.intra_diversity import Curve
from dpo_stages.study.policies import OFF, ON, data_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Beyond so many steps curves are too dense to be told apart: they become thin, with a running mean over them.
CROWDED, WINDOWS = 60, 20

_DASHES = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))


def draw(curves: Sequence[Curve], models: Mapping[str, str]) -> "Figure":
    """Draw the figure. A model shows the sources that it has.

    Args:
        curves: at least one; models stand from left to right in the order of their first curve.
        models: names and labels.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    names = list(dict.fromkeys(curve.policy.model for curve in curves))
    sources = sorted(
        dict.fromkeys(curve.policy.source for curve in curves), key=lambda source: (source != OFF, source == ON)
    )
    styles = _styles(sources)
    longest = max(len(curve.mean) for curve in curves)
    window = longest // WINDOWS if longest > CROWDED else 1
    with rc_context({"font.family": "DejaVu Sans", "font.size": 10, "svg.fonttype": "path", "text.color": INK}):
        width = 1.6 + 3.0 * len(names)  # inches
        figure = Figure(figsize=(width, 5.2), layout="constrained")
        panels = figure.subplots(2, len(names), sharex="col", sharey="row", squeeze=False)
        for column, name in enumerate(names):
            for curve in (curve for curve in curves if curve.policy.model == name):
                for axes, values in zip(panels[:, column], (curve.mean, curve.deviation), strict=True):
                    _plot(axes, values, window, styles[curve.policy.source])
            panels[0][column].set_title(models.get(name, name), loc="left", fontsize=10)
            panels[0][column].axhline(0, color=MUTED, linewidth=0.8, zorder=1)
            panels[1][column].set_xlabel("training step")
        for axes in panels.flat:
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(MUTED)
            axes.tick_params(colors=MUTED, labelcolor=INK)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.margins(x=0.02)
        panels[1][0].set_ylim(bottom=0)  # the row's axis is shared: only now does it know all curves
        panels[0][0].set_ylabel("mean over the step's pairs\n(nats, equation 12)")
        panels[1][0].set_ylabel("standard deviation\n(nats)")
        words = f"; bold: running mean of {window} steps" if window > 1 else ""
        figure.suptitle(f"log π(chosen) − log π(rejected) in training{words}", x=0.01, ha="left", fontsize=11)
        handles = [Line2D([], [], label=_label(source), **styles[source]) for source in sources]
        figure.legend(
            handles=handles, loc="outside lower left", ncols=min(len(names), 4), frameon=False, handlelength=2.4
        )
    return figure


def _plot(axes, values: Sequence[float], window: int, style: Mapping[str, object]) -> None:
    """Plot a curve over steps 1, 2, …; with a window of several steps, faintly and under its running mean."""
    import numpy as np

    steps = np.arange(1, len(values) + 1)
    if window > 1:
        axes.plot(steps, values, color=style["color"], linewidth=0.5, alpha=0.35, zorder=2)
    width = min(window, len(values))
    smooth, centres = (np.convolve(row, np.full(width, 1 / width), "valid") for row in (values, steps))
    axes.plot(centres, smooth, marker="." if len(smooth) == 1 else "", **style)


def _styles(sources: Sequence[str]) -> dict[str, dict]:
    """Colour and dashes of each source: off-policy and on-policy ones have their own, others the remaining."""
    others = [source for source in sources if source not in (OFF, ON)]
    order = {source: number for number, source in enumerate((OFF, ON, *others))}
    return {
        source: {
            "color": COLOURS[order[source] % len(COLOURS)],
            "linestyle": _DASHES[order[source] % len(_DASHES)],
            "linewidth": 1.4,
            "zorder": 3,
        }
        for source in sources
    }


def _label(source: str) -> str:
    base, data = data_of(source)
    meaning = {OFF: "off-policy", ON: "its own samples"}.get(base, f"of {data}" if data else "another model's samples")
    return f"PC_{source} ({meaning})"
