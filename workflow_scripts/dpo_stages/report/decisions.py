"""Whether the boundary score picked the better arm of each initial policy, and how often it did. Standard library only."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dpo_boundary.result import recommended_source
from dpo_stages.core.errors import BadInput
from dpo_stages.report.arms import separated
from dpo_stages.report.policy_rows import Row, read_rows
from dpo_stages.report.records import one_judge
from dpo_stages.report.table import Table
from dpo_stages.study.policies import OFF, ON


@dataclass(frozen=True)
class Decision:
    """What the boundary score recommended for one initial policy, and which arm then gained more.

    Attributes:
        off: the off-policy arm; like the other, it has what is known of the initial policy.
        on: the on-policy arm.
    """

    off: Row
    on: Row

    @property
    def initial_policy(self) -> str:
        """Name of the initial policy."""
        return self.off.initial_policy

    @property
    def boundary_score(self) -> float:
        """Boundary score of the initial policy."""
        return self.off.boundary_score

    @property
    def recommended(self) -> str:
        """`off` or `on`, by the boundary score."""
        return self.off.recommended_source

    @property
    def difference(self) -> float:
        """Gain of the off-policy arm minus gain of the on-policy arm, in percentage points."""
        return self.off.gain - self.on.gain

    @property
    def better(self) -> str | None:
        """The arm that gained more, or None if both gained the same."""
        if self.difference == 0:
            return None
        return OFF if self.difference > 0 else ON

    @property
    def right(self) -> bool | None:
        """Whether the recommended arm gained more; None if both gained the same."""
        return None if self.better is None else self.better == self.recommended

    @property
    def separated(self) -> bool | None:
        """Whether the interval of the difference over all runs leaves out zero; None with one run."""
        return separated(self.off.interval("runs_difference"))


def decisions(rows: Iterable[Row]) -> list[Decision]:
    """One for each initial policy, method and replicate with a boundary score, an off-policy and an on-policy arm."""
    arms: dict[tuple[str, str, int], dict[str, Row]] = {}
    for row in rows:
        if row.initial_policy is not None and row.boundary_score is not None:
            arms.setdefault((row.initial_policy, row.method, row.replicate), {})[row.history[-1]] = row
    return [Decision(arm[OFF], arm[ON]) for arm in arms.values() if OFF in arm and ON in arm]


def read_decisions(paths: Sequence[Path]) -> list[Decision]:
    """The decisions of tables (CSV files of make_table.py); one that stands in several tables counts once.

    Raises:
        BadInput: a file is no such table, the tables have different judges, or there is no decision at all.
    """
    rows = [row for path in paths for row in read_rows(path)]
    one_judge(map(vars, rows))
    found = decisions(rows)
    if not found:
        raise BadInput(
            f"{', '.join(map(str, paths))}: no initial policy has a boundary score and both an off-policy and an "
            "on-policy arm; make the table with --boundaries and the sources off and on"
        )
    return found


def decisions_table(found: Sequence[Decision], judge: str) -> Table:
    """One line an initial policy and method: recommended and better arm, both gains, their difference, the judge."""
    columns = ["initial_policy", "method", "boundary_score", "recommended", "off_gain", "on_gain"]
    columns += ["difference", "separated", "better", "right", "judge"]
    lines = [
        [one.initial_policy, one.off.method, one.boundary_score, one.recommended, one.off.gain, one.on.gain]
        + [one.difference, one.separated, one.better, one.right, judge]
        for one in found
    ]
    return Table([dict(zip(columns, line, strict=True)) for line in lines], columns=columns)


@dataclass(frozen=True)
class Tally:
    """How often the boundary score picked the better arm.

    Attributes:
        right: decisions whose recommended arm gained more.
        judged: decisions whose arms gained differently.
        equal: decisions whose arms gained the same, which count for neither side.
        separated: initial policies, each with all its runs, whose arms' difference over runs has an interval without zero;
            None with one run, which cannot tell.
        separated_right: those of them whose mean boundary score recommends the arm that gained more on average.
        interval: Clopper and Pearson's interval of right / judged at `confidence`.
        confidence: level of the interval.
    """

    right: int
    judged: int
    equal: int
    separated: int | None
    separated_right: int
    interval: tuple[float, float]
    confidence: float

    def sentence(self) -> str:
        """The tally in words."""
        if not self.judged:
            return "No initial policy has an off-policy and an on-policy arm whose gains differ."
        low, high = self.interval
        words = (
            f"The boundary score picked the better arm for {self.right} of {self.judged} initial policies "
            f"({self.right / self.judged:.0%}, {100 * self.confidence:.4g} % interval {low:.0%} to {high:.0%})"
        )
        if self.separated is not None:
            words += f", and for {self.separated_right} of the {self.separated} whose arms several runs tell apart"
        words += f"; for {self.equal} more, both arms gained the same." if self.equal else "."
        one_run = " With one run an arm, none of these differences is told from the noise of training."
        return words + (one_run if self.separated is None else "")


def tally(decisions: list[Decision], confidence: float = 0.95) -> Tally:
    """Count how often the boundary score picked the better arm, with an exact binomial interval.

    The interval takes decisions as independent. Those of one model share its ancestors, and a difference between two
    arms may lie within its noise, so the interval is the least that one should doubt the share, not the most.
    """
    from dpo_boundary.intervals import binomial_interval

    judged = [decision for decision in decisions if decision.right is not None]
    right = sum(decision.right for decision in judged)
    told_apart: dict[tuple, list[Decision]] = {}
    for decision in judged:
        if decision.separated:
            row = decision.off
            told_apart.setdefault((row.model, row.method, row.history), []).append(decision)
    return Tally(
        right=right,
        judged=len(judged),
        equal=len(decisions) - len(judged),
        separated=None if all(decision.separated is None for decision in judged) else len(told_apart),
        separated_right=sum(map(_right_on_average, told_apart.values())),
        interval=binomial_interval(right, len(judged), confidence) if judged else (0.0, 1.0),
        confidence=confidence,
    )


def _right_on_average(runs: Sequence[Decision]) -> bool:
    difference = statistics.fmean(runs[0].off.interval("runs_difference"))
    score = statistics.fmean(run.boundary_score for run in runs)
    return recommended_source(score) == (OFF if difference > 0 else ON)
