"""The figure of the study: does the boundary score of an initial policy say which candidates it will gain more from?

One panel a yardstick, one point an initial policy, method and data set. To the left of 0.5 the assumption predicts that off-policy
candidates gain more, so points should lie above the line where the arms are equal; to the right, below. The two quadrants
where it holds are shaded.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dpo_stages.report.decisions import Decision, has_several_data_sets
from dpo_stages.report.figures.style import COLOURS, INK, MARKERS, MUTED, PAPER_COLOUR, SHADE
from dpo_stages.report.tallies import lc_valid, measured_with, tally
from dpo_stages.report.yardsticks import Yardstick, labelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME_SIZE = 8  # points


def draw(points: Sequence[Decision], paper: Sequence[Decision] = ()) -> "Figure":
    """Draw the figure.

    Args:
        points: what was measured; at least one.
        paper: the paper's own points, drawn hollow.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = measured_with(points)
    colours = _assign([(point.off.model, point.off.model_label) for point in points], COLOURS)
    markers = _assign([(point.off.method_label,) * 2 for point in (*points, *paper)], MARKERS)
    with rc_context({"font.family": "DejaVu Sans", "font.size": 10, "svg.fonttype": "path", "text.color": INK}):
        figure = Figure(figsize=(max(6.4, 3.9 * len(shown)), 5.2), layout="constrained")
        panels = figure.subplots(1, len(shown), sharex=True, squeeze=False)[0]
        for axes, of in zip(panels, shown, strict=True):
            measured, printed = ([one for one in found if one.compared(of) is not None] for found in (points, paper))
            _frame(axes, measured, printed, of, lc_valid(points))
            for point in printed:
                colour = colours.get(point.off.model, PAPER_COLOUR)
                axes.plot(
                    point.boundary_score,
                    point.compared(of),
                    markers[point.off.method_label],
                    markersize=6,
                    markerfacecolor="white",
                    markeredgecolor=colour,
                    markeredgewidth=1.1,
                    zorder=3,
                )
            for point in measured:
                _draw_point(axes, point, of, colours[point.off.model], markers[point.off.method_label])
        _across(panels, [*points, *paper])
        _legend(figure, points, colours, markers, bool(paper))
        for axes, of in zip(panels, shown, strict=True):
            _write_names(axes, [one for one in points if one.compared(of) is not None], of, colours)
    return figure


def _assign(keys: Sequence[tuple[str, str]], values: Sequence[str]) -> dict[str, str]:
    """Give each distinct key a value in order of appearance, going round where there are more keys than values."""
    names = list(dict.fromkeys(key for key, _ in keys))
    return {name: values[number % len(values)] for number, name in enumerate(names)}


def _across(panels: Sequence["Axes"], every: Sequence[Decision]) -> None:
    """The scores, on the axis that all panels share."""
    scores = [0.5, *(point.boundary_score for point in every)]
    scores += [end for point in every for end in point.off.interval("boundary") or ()]
    half = max(abs(score - 0.5) for score in scores) + 0.06
    panels[0].set_xlim(max(0.0, 0.5 - half), min(1.0, 0.5 + half))
    words = "boundary score of the initial policy\n(share of comparisons that its own responses win)"
    if len(panels) % 2:
        panels[len(panels) // 2].set_xlabel(words)
    else:  # no panel is in the middle
        for axes in panels:
            axes.set_xlabel(words, fontsize=8)


def _frame(
    axes: "Axes", points: Sequence[Decision], paper: Sequence[Decision], of: Yardstick, valid: bool | None
) -> None:
    """Heights, shaded quadrants, the boundary and the words of one panel."""
    every = [*points, *paper]
    heights = [of.even, *(point.compared(of) for point in every)]
    heights += [end for point in every for end in point.interval(of) or ()]
    top = 1.3 * max(abs(height - of.even) for height in heights) or 1.0
    axes.set_ylim(of.even - top, of.even + top)
    axes.fill_between([0, 0.5], of.even, of.even + top, color=SHADE, zorder=0, linewidth=0)
    axes.fill_between([0.5, 1], of.even - top, of.even, color=SHADE, zorder=0, linewidth=0)
    axes.axhline(of.even, color=MUTED, linewidth=0.8, zorder=1)
    axes.axvline(0.5, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    words = {"transform": axes.transAxes, "fontsize": 8, "color": MUTED, "linespacing": 1.4}
    axes.text(0.015, 0.98, "preference injection\noff-policy recommended", va="top", **words)
    axes.text(0.985, 0.02, "preference fine-tuning\non-policy recommended", ha="right", va="bottom", **words)
    axes.set_ylabel(
        "off-policy arm's output preferred to the other\n(percent of instructions)"
        if of.gain is None
        else "gain with off-policy − gain with on-policy\ncandidates (percentage points)"
    )
    counted = tally(points, of)
    axes.set_title(
        f"{labelled(of, valid)}\nrecommended arm ahead for {counted.right} of {counted.judged}",
        loc="left",
        fontsize=10,
        pad=8,
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK)


def _draw_point(axes: "Axes", point: Decision, of: Yardstick, colour: str, marker: str) -> None:
    x, y = point.boundary_score, point.compared(of)
    bars = {"ecolor": colour, "elinewidth": 1.1, "capsize": 0, "zorder": 4, "fmt": "none", "alpha": 0.7}
    if point.off.interval("boundary"):
        low, high = point.off.interval("boundary")
        axes.errorbar(x, y, xerr=[[x - low], [high - x]], **bars)
    if point.interval(of):
        low, high = point.interval(of)
        axes.errorbar(x, y, yerr=[[max(0, y - low)], [max(0, high - y)]], **bars)
    axes.plot(x, y, marker, markersize=8, color=colour, markeredgecolor="white", markeredgewidth=0.9, zorder=5)


def _write_names(axes: "Axes", points: Sequence[Decision], of: Yardstick, colours: Mapping[str, str]) -> None:
    """Write each point's name beside it, at the place around it that is least in the way of others and inside the axes."""
    from matplotlib.textpath import TextPath

    axes.figure.draw_without_rendering()  # the layout is known only now
    scale = axes.figure.dpi / 72
    several = has_several_data_sets(points)
    places = axes.transData.transform([(p.boundary_score, p.compared(of)) for p in points]) / scale
    inside = axes.bbox.extents / scale
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    for point, (x, y) in zip(points, places, strict=True):
        name = ("-".join(point.off.history[:-1]) or "SFT") + (f": {point.off_source}" if several else "")
        name += " (undecided)" if point.decided is False else ""
        width, height = TextPath((0, 0), name, size=_NAME_SIZE).get_extents().width, _NAME_SIZE
        boxes = {}
        for dx, dy in ((6, 4), (-6, 4), (6, -4), (-6, -4), (0, 7), (0, -7)):
            left, low = x + dx - (width if dx < 0 else width / 2 if dx == 0 else 0), y + dy - (height if dy < 0 else 0)
            boxes[dx, dy] = (left, low, left + width, low + height)
        (dx, dy), best = min(
            boxes.items(),
            key=lambda item: sum(_overlap(item[1], other) for other in taken) - _overlap(item[1], inside),
        )
        taken.append(best)
        axes.annotate(
            name,
            (point.boundary_score, point.compared(of)),
            xytext=(dx, best[1] - y + 1),
            textcoords="offset points",
            ha="right" if dx < 0 else "left" if dx > 0 else "center",
            fontsize=_NAME_SIZE,
            color=colours[point.off.model],
            zorder=6,
        )


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Area that two boxes (left, low, right, high) share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _legend(
    figure: "Figure", points: Sequence[Decision], colours: Mapping[str, str], markers: Mapping[str, str], paper: bool
) -> None:
    from matplotlib.lines import Line2D

    def handle(label: str, marker: str = "o", **style: object) -> Line2D:
        return Line2D([], [], linestyle="", marker=marker, label=label, **{"markersize": 7, "color": MUTED, **style})

    labels = {point.off.model: point.off.model_label for point in points}
    handles = [handle(label, color=colours[model]) for model, label in labels.items()]
    if len(markers) > 1:
        handles += [handle(label, marker) for label, marker in markers.items()]
    if paper:
        hollow = {"markerfacecolor": "white", "markeredgecolor": PAPER_COLOUR}
        handles.append(handle("the paper's own", markersize=6, **hollow))
    data_sets = ", and the off-policy source" if has_several_data_sets(points) else ""
    handles.append(handle(f"beside a point: what the initial policy was trained on{data_sets}", marker=""))
    columns = 4 if figure.get_figwidth() > 10 else 1
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, handletextpad=0.3)
