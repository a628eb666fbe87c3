"""The points of the boundary figure, one an initial policy, from tables of policies and from the paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.report.decisions import Decision
from dpo_stages.report.paper import paper_rows
from dpo_stages.report.policy_rows import Row, arms, decide, interval, read_rows
from dpo_stages.report.records import one_judge

PAPER_METHODS = {"dpo": "DPO", "slic": "SLiC-HF"}


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


def points_of(rows: Sequence[Row]) -> list[Point]:
    """The initial policies of tables that have a boundary score and both arms, each with each method once."""
    return [
        Point(
            decide(off, on),
            interval(off.boundary_low, off.boundary_high),
            off.model,
            off.model_label,
            off.method_label,
            "-".join(off.history[:-1]) or "SFT",
        )
        for off, on in arms(rows)
    ]


def read_points(paths: Sequence[Path]) -> list[Point]:
    """The points of tables (CSV files of make_table.py).

    Raises:
        BadInput: a file is no such table, the tables have different judges, or there is no point at all.
    """
    rows = [row for path in paths for row in read_rows(path)]
    one_judge(map(vars, rows))
    points = points_of(rows)
    if not points:
        raise BadInput(
            f"{', '.join(map(str, paths))}: no initial policy has a boundary score and both an off-policy and an "
            "on-policy arm; make the table with --boundaries and the sources off and on"
        )
    return points


def paper_points(numbers: Sequence[int], methods: Mapping[str, str]) -> list[Point]:
    """The points of the paper's tables of these numbers.

    Args:
        numbers: of the tables.
        methods: labels of methods, so that the paper's points get the same markers.
    """
    labels = {**PAPER_METHODS, **methods}
    rows = [replace(row, method_label=labels[row.method]) for number in numbers for row in paper_rows(number)]
    return points_of(rows)
