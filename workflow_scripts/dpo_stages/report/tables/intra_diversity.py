"""Intra-diversity of preference candidates while a policy is trained on them: equation 12.

    Div_intra = mean of log pi(y1|x) - log pi(y2|x), y1 chosen and y2 rejected

The equation is a signed mean, which is small where large differences of either sign cancel. The paper argues from how far
the curve fluctuates over training, so that spread is summarised as well. Standard library only.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json_lines
from dpo_stages.report.table import Grid, Table
from dpo_stages.study.policies import Policy

_COLUMNS = {"mean": "logps_difference", "deviation": "logps_difference_std", "absolute": "logps_difference_abs"}


@dataclass(frozen=True)
class Curve:
    """Differences of log-probabilities, chosen minus rejected, while a policy was trained; in nats, one element a step.

    Attributes:
        policy: the policy that came of it; its source names the candidates.
        mean: mean over the step's pairs (equation 12).
        deviation: population standard deviation over the step's pairs.
        absolute: mean of the absolute differences of the step's pairs.
    """

    policy: Policy
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    absolute: tuple[float, ...]


def read_curve(policy: str, path: Path) -> Curve:
    """Read the curve of a policy from the training log that train_policy.py left.

    Raises:
        BadInput: the file has no step, or a step lacks one of the figures.
    """
    steps = read_json_lines(path)
    if not steps:
        raise BadInput(f"{path} has no step; train {policy} again")
    for number, step in enumerate(steps, start=1):
        for name in _COLUMNS.values():
            if not isinstance(step.get(name), (int, float)) or not math.isfinite(step[name]):
                raise BadInput(
                    f"{path}, line {number}: {name} is {step.get(name)!r}; a number is needed, so give the training "
                    "log of a policy that was trained on preferences"
                )
    columns = {name: tuple(step[column] for step in steps) for name, column in _COLUMNS.items()}
    return Curve(Policy.parse(policy), **columns)


def read_curves(logs: Sequence[str]) -> list[Curve]:
    """Curves of `POLICY=FILE` arguments.

    Raises:
        BadInput: an argument is not of this form, a policy stands there twice or was not trained on candidates.
    """
    curves: dict[Policy, Curve] = {}
    for log in logs:
        name, _, file = log.partition("=")
        if not file:
            raise BadInput(f"--logs {log} is not of the form POLICY=FILE")
        curve = read_curve(name, Path(file))
        if not curve.policy.history:
            raise BadInput(
                f"--logs {log}: {name} was not trained on candidates; name policies of preference optimisation"
            )
        if curve.policy in curves:
            raise BadInput(f"--logs has {name} twice; give it once")
        curves[curve.policy] = curve
    return list(curves.values())


@dataclass(frozen=True)
class Summary:
    """A curve in figures, over all its steps; in nats.

    Attributes:
        model: name of the base model, without the seed.
        model_label: its name in tables.
        source: the candidates that were trained on.
        policy: the policy that came of it.
        steps: number of steps.
        mean: mean difference of all pairs (equation 12).
        standard_deviation: of the differences of all pairs around that mean.
        mean_absolute: mean of the absolute differences of all pairs.
        fluctuation: standard deviation of the steps' means over training: how far the curve of Figure 3 goes up and
            down; it depends on the number of pairs a step.
    """

    model: str
    model_label: str
    source: str
    policy: str
    steps: int
    mean: float
    standard_deviation: float
    mean_absolute: float
    fluctuation: float


def summarise(curve: Curve, models: Mapping[str, str]) -> Summary:
    """Summarise a curve. Every step counts the same, which the last one, if it is shorter, hardly disturbs.

    Args:
        curve: of one policy.
        models: names and labels.
    """
    policy = curve.policy
    fluctuation = statistics.pstdev(curve.mean)
    # the law of total variance: within steps and between them
    variance = statistics.fmean(deviation**2 for deviation in curve.deviation) + fluctuation**2
    return Summary(
        model=policy.model,
        model_label=models.get(policy.model, policy.model),
        source=policy.source,
        policy=str(policy),
        steps=len(curve.mean),
        mean=statistics.fmean(curve.mean),
        standard_deviation=math.sqrt(variance),
        mean_absolute=statistics.fmean(curve.absolute),
        fluctuation=fluctuation,
    )


def table(summaries: Sequence[Summary]) -> Table:
    """A table with one line a policy, and what its columns mean."""
    columns = ["Model", "Trained on", "Mean (eq. 12)", "Std. dev.", "Mean absolute", "Fluctuation", "Steps", "Policy"]
    lines = []
    for summary in summaries:
        figures = (summary.mean, summary.standard_deviation, summary.mean_absolute, summary.fluctuation)
        cells = [f"{figures[0]:+.2f}", *(f"{figure:.2f}" for figure in figures[1:])]
        lines.append([summary.model_label, f"PC_{summary.source}", *cells, str(summary.steps), summary.policy])
    caption = (
        "log π(chosen) − log π(rejected) in nats, summed over tokens, under the policy while it is trained on the pairs. "
        "Mean: equation 12, over all pairs of training; it is signed, so that large differences of either sign cancel. "
        "The paper argues from the fluctuation of the curve instead, so both are given: standard deviation and mean "
        "absolute value over all pairs tell how diverse pairs are, whatever the sign; fluctuation is the standard "
        "deviation of the steps' means over training, which is what Figure 3 shows and which falls with the number of "
        "pairs a step."
    )
    parts = [("title", "Intra-diversity"), ("grid", Grid(columns, lines)), ("words", caption)]
    return Table([vars(summary) for summary in summaries], parts)
