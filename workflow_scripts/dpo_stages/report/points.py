"""The points of the boundary figure, one an initial policy, from tables of policies and from the paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_csv
from dpo_stages.report.decisions import OFF, ON, Decision
from dpo_stages.report.paper import paper_decisions
from dpo_stages.report.records import JUDGE_COLUMNS, one_judge
from dpo_stages.study.policies import Policy

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
