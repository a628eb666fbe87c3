"""How trainings went, as the report draws it: small multiples from training logs, a line of panels a training.

Log-probabilities are shown as the change since the initial policy, which the log has as rewards / beta: those of a step's own pairs
differ by their lengths far more than a training moves them. Standard library only.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json_lines
from dpo_stages.study.policies import Policy

MOST_POINTS = 80
"""Of a line; a longer training is drawn as means over equal parts of its steps."""

PANELS = {
    "loss": ("Loss", ("loss",)),
    "logps": ("Log-probability, nats", ("chosen", "rejected")),
    "margin": ("Margin, nats", ("margin",)),
    "accuracy": ("Accuracy", ("accuracy",)),
}
"""Titles of the panels, and the lines of each."""

LEVELS = {"logps": 0.0, "margin": 0.0, "accuracy": 0.5}
"""What a panel marks: where the initial policy stands, and for accuracy a coin."""


@dataclass(frozen=True)
class Training:
    """A training, step by step.

    Attributes:
        policy: what came of it.
        lines: loss; and of preference optimisation how far the mean log-probability of the step's `chosen` and `rejected`
            responses has changed since the initial policy, the change of the `margin` between them (nats), and `accuracy`, the share
            of pairs whose margin has grown. One element a step.
    """

    policy: Policy
    lines: Mapping[str, tuple[float, ...]]

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return len(self.lines["loss"])

    def ends(self, line: str) -> tuple[float, float]:
        """Means over the first and over the last tenth of the steps, at least one step each."""
        values, tenth = self.lines[line], max(1, round(self.steps / 10))
        return statistics.fmean(values[:tenth]), statistics.fmean(values[-tenth:])

    def change(self, line: str) -> float:
        """From the first tenth of the steps to the last."""
        first, last = self.ends(line)
        return last - first

    @property
    def displaced(self) -> bool:
        """Whether the chosen responses became less likely while the margin grew, from the first tenth of the steps to the last."""
        return "chosen" in self.lines and self.change("chosen") < 0 < self.change("margin")


def read_training(policy: str, path: Path, betas: Mapping[str, float]) -> Training:
    """Read a training from the log that it left.

    Args:
        policy: its name.
        path: training_log.jsonl.
        betas: by method, what rewards are multiples of.

    Raises:
        BadInput: the log has no step, or a step lacks a figure.
    """
    found = Policy.parse(policy)
    scale = {"loss": ("loss", 1.0)}
    if found.history:
        if found.method not in betas:
            raise BadInput(f"--betas lacks {found.method}, the method of {policy}; give METHOD=BETA for it too")
        beta = betas[found.method]
        scale |= {line: (f"rewards_{line}", beta) for line in ("chosen", "rejected", "margin")}
        scale["accuracy"] = ("accuracy", 1.0)
    steps = read_json_lines(path)
    if not steps:
        raise BadInput(f"{path} has no step; train {policy} again")
    for (number, step), (name, _) in itertools.product(enumerate(steps, start=1), scale.values()):
        if not isinstance(step.get(name), int | float) or not math.isfinite(step[name]):
            raise BadInput(
                f"{path}, line {number}: {name} is {step.get(name)!r} where a number is needed; train {policy} again"
            )
    return Training(found, {line: tuple(step[name] / unit for step in steps) for line, (name, unit) in scale.items()})


def displacement(trainings: Sequence[Training]) -> str:
    """Where chosen responses became less likely while the margin grew, which is called likelihood displacement, in words.

    Means over the last tenth of the steps are compared with those over the first. Empty where it was nowhere so.
    """
    displaced = sorted((one for one in trainings if one.displaced), key=lambda one: one.change("chosen"))
    if not displaced:
        return ""
    most, of = displaced[0], sum("chosen" in one.lines for one in trainings)
    where = "Here" if of == 1 else f"In {len(displaced)} of {of} trainings"
    which = "" if of == 1 else f", the most in {most.policy}"
    return (
        f"{where} the chosen responses became less likely while the margin grew (likelihood displacement){which}: by "
        f"{-most.change('chosen'):.2g} nats over {most.steps} steps, the rejected ones by {-most.change('rejected'):.2g}."
    )


def groups(trainings: Sequence[Training]) -> list[dict]:
    """What the page shows: all SFT in one group, then trainings of a model and method together, on common scales.

    Args:
        trainings: in the order in which a group shows them.
    """
    found: dict[str, list[Training]] = {}
    for one in sorted(trainings, key=lambda one: bool(one.policy.history)):
        found.setdefault(f"{one.policy.model}, {one.policy.method}" if one.policy.history else "SFT", []).append(one)
    return [_group(title, members) for title, members in found.items()]


def _group(title: str, members: Sequence[Training]) -> dict:
    panels = [name for name, (_, lines) in PANELS.items() if lines[0] in members[0].lines]
    scales = {name: _scale(name, members) for name in panels}
    return {
        "title": title,
        "panels": [{"title": PANELS[name][0], "scale": "{:.3g} to {:.3g}".format(*scales[name])} for name in panels],
        "trainings": [
            {
                "policy": str(one.policy),
                "steps": one.steps,
                "displaced": one.displaced,
                "panels": [_panel(name, one, scales[name]) for name in panels],
            }
            for one in members
        ],
    }


def _scale(name: str, members: Sequence[Training]) -> tuple[float, float]:
    """The ends of a panel's axis, with what it marks."""
    if name == "accuracy":
        return 0.0, 1.0
    drawn = [value for one in members for line in PANELS[name][1] for value in thinned(one.lines[line])]
    drawn += [LEVELS[name]] if name in LEVELS else []
    return min(drawn), max(drawn)


def _panel(name: str, training: Training, scale: tuple[float, float]) -> dict:
    """Lines of a panel in percent of its width and height, and the means at both ends in words."""
    low, high = scale
    height = high - low or 1

    def place(value: float) -> float:
        return round(100 - 100 * (value - low) / height, 1)

    lines = {}
    for line in PANELS[name][1]:
        values = thinned(training.lines[line])
        across = 100 / max(1, len(values) - 1)
        lines[line] = " ".join(f"{across * number:.4g},{place(value):g}" for number, value in enumerate(values))
    ends = {line: "{:.3g} → {:.3g}".format(*(round(end, 2) + 0.0 for end in training.ends(line))) for line in lines}
    level = LEVELS.get(name)
    return {"lines": lines, "ends": ends, "level": None if level is None else place(level)}


def thinned(values: Sequence[float]) -> list[float]:
    """At most `MOST_POINTS` values: means over parts of equal length, of which the last may be shorter."""
    part = math.ceil(len(values) / MOST_POINTS)
    return [statistics.fmean(values[begin : begin + part]) for begin in range(0, len(values), part)]
