"""What the paper's own rows can tell of the boundary score: how often simpler rules pick the better arm of them.

The paper's Tables 3 to 5 have an off-policy and an on-policy arm for each of 24 initial policies. A rule that knows the initial
policy's own strength alone is held against the score: off-policy below a threshold of its LC win rate, on-policy from there.
That threshold is found on the rows themselves, after the fact, so it is no rule to go by; it shows what the rows cannot tell
apart.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dpo_stages.report.decisions import Decision
from dpo_stages.report.paper import paper_decisions
from dpo_stages.report.yardsticks import LC_WIN_RATE
from dpo_stages.study.policies import OFF, ON, Policy

TABLES = (3, 4, 5)


@dataclass(frozen=True)
class Evidence:
    """How often each rule picked the better arm.

    Attributes:
        rows: initial policies whose arms gained differently.
        score: by the boundary score.
        always_off: always off-policy.
        strength: by the best threshold of the initial policy's LC win rate, found on these rows.
        threshold: that threshold, in percent.
        strength_elsewhere: by the threshold that is best on the rows of the other models.
    """

    rows: int
    score: int
    always_off: int
    strength: int
    threshold: float
    strength_elsewhere: int

    def sentence(self) -> str:
        """The comparison in words."""
        return (
            f"The paper's own Tables 3 to 5 have {self.rows} initial policies with both arms. The boundary score picks the better "
            f"arm of {self.score}, always off-policy that of {self.always_off}, and a rule that never looks at candidates, "
            f"off-policy below an LC win rate of {self.threshold:.1f} % of the initial policy and on-policy from there, that of "
            f"{self.strength}. That threshold was found on these rows, afterwards; found on the other models' rows it is right "
            f"for {self.strength_elsewhere}. So these rows cannot tell whether the score measures more than how strong a policy is."
        )


def paper_evidence() -> Evidence:
    """The comparison on the paper's figures of record."""
    return compare_rules([decision for number in TABLES for decision in paper_decisions(number)])


def compare_rules(decisions: Sequence[Decision]) -> Evidence:
    """The comparison on any decisions; those whose arms gained the same are left out."""
    judged = [decision for decision in decisions if decision.better(LC_WIN_RATE) is not None]
    threshold = best_threshold(judged)
    models = {_model(decision) for decision in judged}
    elsewhere = 0
    for model in models:
        others = [decision for decision in judged if _model(decision) != model]
        elsewhere += right_by_strength([one for one in judged if _model(one) == model], best_threshold(others))
    return Evidence(
        rows=len(judged),
        score=sum(decision.right(LC_WIN_RATE) for decision in judged),
        always_off=sum(decision.better(LC_WIN_RATE) == OFF for decision in judged),
        strength=right_by_strength(judged, threshold),
        threshold=threshold,
        strength_elsewhere=elsewhere,
    )


def best_threshold(decisions: Sequence[Decision]) -> float:
    """The LC win rate that parts the better arms best: of equally good ones the lowest, amid the two rows it parts.

    Without a decision, or where one arm is better throughout, it is beyond all rows: 0 or 100.
    """
    strengths = sorted({strength(decision) for decision in decisions})
    candidates = [0.0, *map(statistics.fmean, zip(strengths, strengths[1:], strict=False)), 100.0]
    return max(candidates, key=lambda threshold: right_by_strength(decisions, threshold))


def right_by_strength(decisions: Sequence[Decision], threshold: float) -> int:
    """How often off-policy below `threshold`, in percent, and on-policy from there is the better arm."""
    return sum(
        decision.better(LC_WIN_RATE) == (OFF if strength(decision) < threshold else ON) for decision in decisions
    )


def strength(decision: Decision) -> float:
    """LC win rate of the initial policy, in percent, to the two decimals that the paper prints."""
    return round(decision.off.lc_win_rate - decision.off.gain, 2)


def _model(decision: Decision) -> str:
    return Policy.parse(decision.initial_policy).model
