"""The figure of the study: does the boundary score of an initial policy say which candidates it will gain more from?

One point an initial policy and method. To the left of 0.5 the assumption predicts that off-policy candidates gain more,
so points should lie above zero; to the right, below. The two quadrants where it holds are shaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.arms import OFF, ON, Decision, tally
from dpo_stages.policies import Policy
from dpo_stages.program import BadInput
from dpo_stages.tables import JUDGE_COLUMNS, one_judge, paper_decisions, read_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which stay apart for colour-blind readers, those with the most contrast on white first
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P")
PAPER_COLOUR, SHADE, INK, MUTED = "#8a8a8a", "#e8f1e4", "#222222", "#666666"
PAPER_METHODS = {"dpo": "DPO", "slic": "SLiC-HF"}
_NAME_SIZE = 8  # points


@dataclass(frozen=True)
class Point:
    """One initial policy with both arms.

    Attributes:
        decision: its boundary score and gains.
        interval: of the boundary score; None if it is unknown.
        model: name of the model, which decides about the colour.
        model_label: the model's name in the legend.
        method_label: the method's name in the legend, which decides about the marker.
        name: how the initial policy came about, in a word or two: written beside the point.
    """

    decision: Decision
    interval: tuple[float, float] | None
    model: str
    model_label: str
    method_label: str
    name: str


_NEEDED = (
    *("policy", "initial_policy", "model", "model_label", "method", "method_label"),
    *(*JUDGE_COLUMNS, "gain", "gain_low", "gain_high"),
    *("boundary_score", "boundary_low", "boundary_high", "recommended_source", "difference_low", "difference_high"),
)


def read_points(paths: Sequence[Path]) -> list[Point]:
    """The initial policies of tables (CSV files of make_table.py) that have a boundary score and both arms.

    An initial policy and method that stands in several tables is one point.

    Raises:
        BadInput: a file is no such table, the tables have different judges, or there is no point at all.
    """
    rows = [row for path in paths for row in read_csv(path, _NEEDED)]
    one_judge(rows)
    arms: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for row in rows:
        if row["boundary_score"] and row["gain"]:
            arms.setdefault((row["initial_policy"], row["method"]), {})[Policy.parse(row["policy"]).source] = row
    points = [_point(arm[OFF], arm[ON]) for arm in arms.values() if OFF in arm and ON in arm]
    if not points:
        raise BadInput(
            f"{', '.join(map(str, paths))}: no initial policy has a boundary score and both an off-policy and an "
            "on-policy arm; make the table with --boundaries and the sources off and on"
        )
    return points


def _point(off: dict[str, str], on: dict[str, str]) -> Point:
    initial, score = off["initial_policy"], float(off["boundary_score"])
    gains = float(off["gain"]), float(on["gain"])
    intervals = _interval(off, "difference"), _interval(off, "gain"), _interval(on, "gain")
    decision = Decision(initial, off["method"], score, off["recommended_source"], *gains, *intervals)
    return Point(
        decision, _interval(off, "boundary"), off["model"], off["model_label"], off["method_label"], _name(initial)
    )


def _interval(row: dict[str, str], what: str) -> tuple[float, float] | None:
    low, high = row[f"{what}_low"], row[f"{what}_high"]
    return (float(low), float(high)) if low and high else None


def _name(initial_policy: str) -> str:
    """How the policy came about: SFT, or the candidate sources it was trained on."""
    return "-".join(Policy.parse(initial_policy).history) or "SFT"


def paper_points(numbers: Sequence[int], methods: Mapping[str, str]) -> list[Point]:
    """The points of the paper's tables of these numbers.

    Args:
        numbers: of the tables.
        methods: labels of methods, so that the paper's points get the same markers.
    """
    return [
        Point(
            decision,
            interval=None,
            model=Policy.parse(decision.initial_policy).model,
            model_label="",
            method_label={**PAPER_METHODS, **methods}[decision.method],
            name=_name(decision.initial_policy),
        )
        for number in numbers
        for decision in paper_decisions(number)
    ]


def draw(points: Sequence[Point], paper: Sequence[Point] = ()) -> "Figure":
    """Draw the figure.

    Args:
        points: what was measured; at least one.
        paper: the paper's own points, drawn hollow.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    colours = _assign([(point.model, point.model_label) for point in points], COLOURS)
    markers = _assign([(point.method_label,) * 2 for point in (*points, *paper)], MARKERS)
    with rc_context({"font.family": "DejaVu Sans", "font.size": 10, "svg.fonttype": "path", "text.color": INK}):
        figure = Figure(figsize=(8.6, 5.4), layout="constrained")
        axes = figure.subplots()
        _frame(axes, points, paper)
        for point in paper:
            colour = colours.get(point.model, PAPER_COLOUR)
            axes.plot(
                point.decision.boundary_score,
                point.decision.difference,
                markers[point.method_label],
                markersize=6,
                markerfacecolor="white",
                markeredgecolor=colour,
                markeredgewidth=1.1,
                zorder=3,
            )
        for point in points:
            _draw_point(axes, point, colours[point.model], markers[point.method_label])
        _legend(figure, points, colours, markers, bool(paper))
        _write_names(axes, points, colours)
    return figure


def _assign(keys: Sequence[tuple[str, str]], values: Sequence[str]) -> dict[str, str]:
    """Give each distinct key a value in order of appearance, going round where there are more keys than values."""
    names = list(dict.fromkeys(key for key, _ in keys))
    return {name: values[number % len(values)] for number, name in enumerate(names)}


def _frame(axes, points: Sequence[Point], paper: Sequence[Point]) -> None:
    """Limits, shaded quadrants, the boundary and the words."""
    every = [*points, *paper]
    scores = [0.5, *(point.decision.boundary_score for point in every)]
    scores += [end for point in every for end in point.interval or ()]
    heights = [0.0, *(point.decision.difference for point in every)]
    heights += [end for point in every for end in point.decision.difference_interval or ()]
    half = max(abs(score - 0.5) for score in scores) + 0.06
    left, right = max(0.0, 0.5 - half), min(1.0, 0.5 + half)
    top = 1.3 * max(abs(height) for height in heights) or 1.0
    axes.set_xlim(left, right)
    axes.set_ylim(-top, top)
    axes.fill_between([left, 0.5], 0, top, color=SHADE, zorder=0, linewidth=0)
    axes.fill_between([0.5, right], -top, 0, color=SHADE, zorder=0, linewidth=0)
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.axvline(0.5, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    words = {"transform": axes.transAxes, "fontsize": 9, "color": MUTED, "linespacing": 1.4}
    axes.text(0.015, 0.98, "preference injection\npredicted: off-policy gains more", va="top", **words)
    axes.text(0.985, 0.02, "preference fine-tuning\npredicted: on-policy gains more", ha="right", va="bottom", **words)
    axes.set_xlabel("boundary score of the initial policy\n(share of comparisons that its own responses win)")
    axes.set_ylabel("gain with off-policy − gain with on-policy candidates\n(LC win rate, percentage points)")
    counted = tally([point.decision for point in points])
    axes.set_title(
        f"Better arm picked for {counted.right} of {counted.judged} initial policies", loc="left", fontsize=11, pad=8
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK)


def _draw_point(axes, point: Point, colour: str, marker: str) -> None:
    x, y = point.decision.boundary_score, point.decision.difference
    bars = {"ecolor": colour, "elinewidth": 1.1, "capsize": 0, "zorder": 4, "fmt": "none", "alpha": 0.7}
    if point.interval:
        low, high = point.interval
        axes.errorbar(x, y, xerr=[[x - low], [high - x]], **bars)
    if point.decision.difference_interval:
        low, high = point.decision.difference_interval
        axes.errorbar(x, y, yerr=[[max(0, y - low)], [max(0, high - y)]], **bars)
    axes.plot(x, y, marker, markersize=8, color=colour, markeredgecolor="white", markeredgewidth=0.9, zorder=5)


def _write_names(axes, points: Sequence[Point], colours: Mapping[str, str]) -> None:
    """Write each point's name beside it, at the place around it that is least in the way of others."""
    axes.figure.draw_without_rendering()  # the layout is known only now
    scale = axes.figure.dpi / 72
    places = axes.transData.transform([(p.decision.boundary_score, p.decision.difference) for p in points]) / scale
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    for point, (x, y) in zip(points, places, strict=True):
        width, height = 0.62 * _NAME_SIZE * len(point.name), _NAME_SIZE
        boxes = [
            (x + dx - (width if dx < 0 else width / 2 if dx == 0 else 0), y + dy - (height if dy < 0 else 0))
            for dx, dy in ((6, 4), (-6, 4), (6, -4), (-6, -4), (0, 7), (0, -7))
        ]
        corners = [(left, low, left + width, low + height) for left, low in boxes]
        best = min(corners, key=lambda box: sum(_overlap(box, other) for other in taken))
        taken.append(best)
        axes.annotate(
            point.name,
            (point.decision.boundary_score, point.decision.difference),
            xytext=(best[0] - x, best[1] - y + 1),
            textcoords="offset points",
            fontsize=_NAME_SIZE,
            color=colours[point.model],
            zorder=6,
        )


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Area that two boxes (left, low, right, high) share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _legend(
    figure: "Figure", points: Sequence[Point], colours: Mapping[str, str], markers: Mapping[str, str], paper: bool
) -> None:
    from matplotlib.lines import Line2D

    def handle(label: str, marker: str = "o", **style: object) -> Line2D:
        return Line2D([], [], linestyle="", marker=marker, label=label, **{"markersize": 7, "color": MUTED, **style})

    labels = {point.model: point.model_label for point in points}
    handles = [handle(label, color=colours[model]) for model, label in labels.items()]
    if len(markers) > 1:
        handles += [handle(label, marker) for label, marker in markers.items()]
    if paper:
        hollow = {"markerfacecolor": "white", "markeredgecolor": PAPER_COLOUR}
        handles.append(handle("the paper's own", markersize=6, **hollow))
    handles.append(handle("beside a point: what the\ninitial policy was trained on", marker=""))
    figure.legend(handles=handles, loc="outside right upper", frameon=False, handletextpad=0.3, labelspacing=0.7)


def save(figure: "Figure", path: Path, kind: str) -> None:
    """Write the figure as `svg` or `png`, the same bytes for the same points."""
    from matplotlib import rc_context

    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "boundary"}):
        figure.savefig(path, format=kind, dpi=160, metadata=metadata, facecolor="white")
