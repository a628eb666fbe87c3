"""What policies can do beside pleasing a judge, as tables and the report show it. Standard library only.

A policy has lost on a task if its accuracy is below that of its SFT policy by more than two standard errors of the difference. Both
answered the same questions, so that the errors of independent samples, which are taken here, are rather too wide.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_csv, read_json
from dpo_stages.report.policy_rows import Row, read_rows
from dpo_stages.report.records import by_policy, find, require_same
from dpo_stages.report.yardsticks import leading
from dpo_stages.study.policies import Policy

LOST, PREFIX = "capabilities_lost", "capability_"
MARK = "↓"


@dataclass(frozen=True)
class Accuracy:
    """Percent of a task's questions that a policy gets right, its standard error (None where nobody knows), and their number."""

    percent: float
    error: float | None
    questions: int

    def change(self, base: "Accuracy") -> tuple[float, float]:
        """Points more than another policy's, and the standard error of that; infinite where one of both is unknown."""
        known = None not in (self.error, base.error)
        return self.percent - base.percent, math.hypot(self.error, base.error) if known else math.inf


Measured = Mapping[str, Mapping[str, Accuracy]]
"""Accuracies by policy and task."""


def read_capabilities(paths: Sequence[Path]) -> dict[str, dict[str, Accuracy]]:
    """Read files of measure_capabilities.py.

    Raises:
        BadInput: a file is none, or two were measured with other tasks or settings.
    """
    records = by_policy(((path, read_json(path)) for path in dict.fromkeys(paths)), "capabilities")
    for record in records.values():
        if not isinstance(record.get("tasks"), dict):
            raise BadInput(f"{record['file']} holds no capabilities: it has no 'tasks'; make it again")
    settings = ("limit", "fewshot", "batch_size", "dtype", "lm_eval", "asked")
    asked = {
        policy: {
            **record,
            "asked": {name: (one["version"], one["metric"], one["n"]) for name, one in record["tasks"].items()},
        }
        for policy, record in records.items()
    }
    require_same(asked, settings, "capabilities")
    return {
        policy: {
            name: Accuracy(100 * one["accuracy"], _percent(one["standard_error"]), one["n"])
            for name, one in record["tasks"].items()
        }
        for policy, record in records.items()
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def tasks(measured: Measured) -> list[str]:
    """The tasks, in their order."""
    return list(next(iter(measured.values()), ()))


def changes(row: Row, measured: Measured) -> dict[str, tuple[float, float]]:
    """Points that a policy has more than its SFT policy, with their standard error, by task; nothing of an SFT policy."""
    policy = Policy.parse(row.resolved_policy)
    if not policy.history:
        return {}
    base = find(measured, replace(policy, method=None, history=(), replicate=None), "capabilities")
    return {task: one.change(base[task]) for task, one in _of(row, measured).items()}


def _of(row: Row, measured: Measured) -> Mapping[str, Accuracy]:
    return find(measured, Policy.parse(row.resolved_policy), "capabilities")


def lost(change: tuple[float, float]) -> bool:
    """Whether a policy has lost on a task."""
    points, error = change
    return points < -2 * error


def columns(row: Row, measured: Measured) -> dict[str, object]:
    """A row's columns of the CSV: accuracy and standard error of each task, in percent, and the tasks on which it has lost."""
    found = _of(row, measured)
    return {
        **{f"{PREFIX}{task}": one.percent for task, one in found.items()},
        **{f"{PREFIX}{task}_error": one.error for task, one in found.items()},
        LOST: " ".join(task for task, change in changes(row, measured).items() if lost(change)),
    }


def cell(group: Sequence[Row], task: str, measured: Measured) -> str:
    """Mean accuracy over the runs of a history, marked where they have lost; their questions are the same, and so is the error."""
    percent = statistics.fmean(_of(row, measured)[task].percent for row in group)
    found = [changes(row, measured).get(task) for row in group]
    mark = None not in found and lost(tuple(map(statistics.fmean, zip(*found, strict=True))))
    return f"{percent:.1f}{f' {MARK}' * mark}"


def caption(measured: Measured) -> str:
    """What the columns of tasks mean."""
    of_tasks = {task: [one[task] for one in measured.values()] for task in tasks(measured)}
    told = [
        f"{task}: percent right of {found[0].questions} questions"
        + (
            f" (standard error up to {max(errors):.1f})"
            if (errors := [one.error for one in found if one.error])
            else ""
        )
        for task, found in of_tasks.items()
    ]
    return f"{'; '.join(told)}; {MARK}: below the SFT policy by more than two standard errors of the difference."


def words(groups: Sequence[Sequence[Row]], measured: Measured) -> str:
    """Which policies gain by the judge and lose on a task, over the runs of each; empty where none does.

    Args:
        groups: rows of the runs of each model, method and history.
        measured: accuracies.
    """
    told = []
    for group in groups:
        gained = [getattr(row, leading(row.lc_valid).gain) for row in group]
        if None in gained or statistics.fmean(gained) <= 0:
            continue
        found = [changes(row, measured) for row in group]
        for task in tasks(measured):
            points, error = map(statistics.fmean, zip(*(one[task] for one in found), strict=True))
            if lost((points, error)):
                told.append(
                    f"{group[0].model_label} {'→'.join(f'PC_{source}' for source in group[0].history)} gains "
                    f"{statistics.fmean(gained):.1f} and loses {-points:.1f} on {task} (standard error {error:.1f})"
                )
    return f"Warning: what the judge likes better may be able to do less. {'; '.join(told)}." if told else ""


def count(policy_tables: Sequence[Path]) -> str:
    """How many policies gain by the judge and lose on a task, from tables (CSV files of make_table.py); empty where none does."""
    losing: dict[str, str] = {}
    for path in policy_tables:
        lines = read_csv(path, [])
        if LOST not in lines[0]:
            continue
        for row, line in zip(read_rows(path), lines, strict=True):
            gained = getattr(row, leading(row.lc_valid).gain)
            if line[LOST] and gained is not None and gained > 0:
                losing[row.resolved_policy] = line[LOST]
    told = ", ".join(f"{policy} ({names.replace(' ', ', ')})" for policy, names in losing.items())
    return (
        f"Warning: {len(losing)} polic{'ies gain' if len(losing) > 1 else 'y gains'} by the judge's win rate and can do less than the "
        f"SFT policy, beyond two standard errors: {told}."
        if losing
        else ""
    )
