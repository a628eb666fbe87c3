"""The two arms of an initial policy: what each gained, Δ, and whether the boundary score picked the better one.

An arm is one iteration from an initial policy with one candidate source. Its gain is the length-controlled win rate of
the trained policy minus that of the initial policy, in percentage points. Standard library only.
"""

import math
from dataclasses import dataclass

OFF, ON = "off", "on"
NOISE = "n.s."  # marks a gain that its interval does not separate from zero

Interval = tuple[float, float]


def gain(lc_win_rate: float, initial_lc_win_rate: float) -> float:
    """Gain of a policy over the policy that it was trained from, in percentage points."""
    return lc_win_rate - initial_lc_win_rate


def delta(off_gain: float, on_gain: float) -> float | None:
    """Δ: the gain of the off-policy arm as a multiple of the gain of the on-policy arm.

    ============== ============= =================================================================
    off-policy arm on-policy arm Δ
    ============== ============= =================================================================
    gains          gains         off_gain / on_gain
    does not gain  gains         off_gain / on_gain, which is zero or negative
    gains          does not gain +∞
    does not gain  does not gain none, shown as –: there are no gains to compare
    ============== ============= =================================================================

    The paper has no case of the second kind; the ratio there is at most 0, hence below 1, and so says what it says
    everywhere: above 1 the off-policy arm gained more, below 1 the on-policy arm did.
    """
    if on_gain > 0:
        return off_gain / on_gain
    return math.inf if off_gain > 0 else None


def format_delta(value: float | None) -> str:
    """Δ as the paper prints it: two decimals, +∞, –, and <0.01 for what is positive but less than that."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "+∞"
    return "<0.01" if 0 < value < 0.01 else f"{value:z.2f}"


def separated(interval: Interval | None) -> bool | None:
    """Whether the interval of a gain or difference leaves out zero; None if it was not measured."""
    return None if interval is None else interval[0] > 0 or interval[1] < 0


@dataclass(frozen=True)
class Decision:
    """What the boundary score recommended for one initial policy, and which arm then gained more.

    Attributes:
        initial_policy: name of the initial policy.
        method: preference optimisation method of both arms.
        boundary_score: of the initial policy.
        recommended: `off` or `on`, by the boundary score.
        off_gain: gain of the off-policy arm, in percentage points.
        on_gain: gain of the on-policy arm.
        difference_interval: of off_gain - on_gain; None if it was not measured.
        off_gain_interval: of off_gain; None if it was not measured.
        on_gain_interval: of on_gain; None if it was not measured.
    """

    initial_policy: str
    method: str
    boundary_score: float
    recommended: str
    off_gain: float
    on_gain: float
    difference_interval: Interval | None = None
    off_gain_interval: Interval | None = None
    on_gain_interval: Interval | None = None

    @property
    def difference(self) -> float:
        """Gain of the off-policy arm minus gain of the on-policy arm, in percentage points."""
        return self.off_gain - self.on_gain

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
        """Whether the interval of the difference leaves out zero; None if it was not measured."""
        return separated(self.difference_interval)


@dataclass(frozen=True)
class Tally:
    """How often the boundary score picked the better arm.

    Attributes:
        right: decisions whose recommended arm gained more.
        judged: decisions whose arms gained differently.
        equal: decisions whose arms gained the same, which count for neither side.
        separated: decisions among those judged whose arms' difference has an interval without zero; None where none was
            measured.
        separated_right: those of them whose recommended arm gained more.
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
            words += f", and for {self.separated_right} of the {self.separated} whose arms differ by more than noise"
        return words + (f"; for {self.equal} more, both arms gained the same." if self.equal else ".")


def tally(decisions: list[Decision], confidence: float = 0.95) -> Tally:
    """Count how often the boundary score picked the better arm, with an exact binomial interval.

    The interval takes decisions as independent. Those of one model share its ancestors, and a difference between two
    arms may lie within its noise, so the interval is the least that one should doubt the share, not the most.
    """
    from dpo_boundary.intervals import binomial_interval

    judged = [decision for decision in decisions if decision.right is not None]
    right = sum(decision.right for decision in judged)
    separated = [decision for decision in judged if decision.separated]
    return Tally(
        right=right,
        judged=len(judged),
        equal=len(decisions) - len(judged),
        separated=None if all(decision.separated is None for decision in judged) else len(separated),
        separated_right=sum(decision.right for decision in separated),
        interval=binomial_interval(right, len(judged), confidence) if judged else (0.0, 1.0),
        confidence=confidence,
    )
