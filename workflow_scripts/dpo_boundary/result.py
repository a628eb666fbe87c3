"""What a measurement of the boundary says: its numbers, its stage and its recommendation, as JSON and in words."""

from dataclasses import dataclass, is_dataclass
from typing import Any

from dpo_boundary.intervals import Interval

INJECTION, FINE_TUNING = "preference injection", "preference fine-tuning"
OFF, ON = "off", "on"
DECIDED, UNDECIDED = "decided", "undecided"
CLUSTERED, BETTING = "Korn and Graubard, clustered by prompt", "confidence sequence by betting on prompts"


@dataclass(frozen=True)
class Block:
    """State of a sequential measurement after one block: prompts compared so far, their score and its interval."""

    prompts: int
    boundary_score: float
    interval: Interval


@dataclass(frozen=True)
class BoundaryMeasurement:
    """What Algorithm 1 says about one policy, and how sure that is.

    Attributes:
        policy: name of the policy.
        boundary_score: V_on / (V_on + V_off), in [0, 1].
        interval: of the boundary score, at `confidence`; prompts are the independent unit.
        confidence: level of the interval.
        prompts: prompts that the score rests on.
        comparisons: comparisons that it rests on.
        votes_on: V_on; a tie is half a vote.
        votes_off: V_off.
        stage: "preference injection" or "preference fine-tuning".
        recommended_source: "off" or "on".
        verdict: "decided" if the interval leaves 0.5 out, else "undecided".
        reason: why it ended there, in words.
        order_flip_rate: share of comparisons whose winner depends on the order of presentation; None if unknown.
        longer_preferred: share of comparisons, ties and equal lengths aside, that the longer response wins; None if
            lengths are unknown.
        on_policy_longer: share of comparisons, equal lengths aside, whose on-policy response is the longer one.
        on_policy_truncated: share of comparisons whose on-policy response was cut at the limit of its length; None if
            unknown.
        warnings: what may make the score misleading, one sentence each.
        interval_method: how the interval was made.
        budget: prompts that could have been compared; more than `prompts` where the measurement stopped early.
        blocks: of a sequential measurement, the prompts, score and interval after each block; else empty.
        preference_model: what compared; None if not given.
        preference_data: what it compared with; None if not given.
    """

    policy: str
    boundary_score: float
    interval: Interval
    confidence: float
    prompts: int
    comparisons: int
    votes_on: float
    votes_off: float
    stage: str
    recommended_source: str
    verdict: str
    reason: str
    order_flip_rate: float | None
    longer_preferred: float | None
    on_policy_longer: float | None
    on_policy_truncated: float | None
    warnings: tuple[str, ...]
    interval_method: str
    budget: int
    blocks: tuple["Block", ...] = ()
    preference_model: str | None = None
    preference_data: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The measurement as plain JSON values; figures keep six decimals, so that equal results are equal bytes."""
        return plain(vars(self))

    def paragraph(self) -> str:
        """The measurement in one paragraph of Markdown."""
        low, high = self.interval
        model = f"the preference model {self.preference_model}" if self.preference_model else "the preference model"
        data = (
            f"the off-policy candidates of {self.preference_data}"
            if self.preference_data
            else ("the off-policy candidates")
        )
        sources = {OFF: "off-policy", ON: "on-policy"}
        side = "at" if self.boundary_score == 0.5 else "below" if self.boundary_score < 0.5 else "above"
        sentences = [
            f"**{self.policy}: {side} 0.5 ({self.verdict}), {self.stage}. Recommended next, relative to {model}: "
            f"{sources[self.recommended_source]} candidates{'' if self.verdict == DECIDED else ', with no certainty'}.**",
            f"Its own responses win {self.votes_on:,.10g} of {self.comparisons:,} comparisons on {self.prompts:,} "
            f"prompts: the boundary score is {self.boundary_score:.3f} ({100 * self.confidence:.4g} % interval "
            f"{low:.3f} to {high:.3f}), and the boundary is 0.5.",
            f"{self.reason[0].upper()}{self.reason[1:]}.",
            f"This holds relative to {model} and to {data}; with others the stage may differ, and what another judge prefers "
            "is another question.",
        ]
        if self.order_flip_rate is not None:
            sentences.append(f"The order of presentation decided {self.order_flip_rate:.1%} of the comparisons.")
        if self.longer_preferred is not None:
            sentences.append(f"The longer response won {self.longer_preferred:.1%} of those between unequal lengths.")
        if self.on_policy_truncated is not None:
            sentences.append(f"Cut at the limit of their length: {self.on_policy_truncated:.1%} of its own responses.")
        sentences += [f"Warning: {warning}." for warning in self.warnings]
        return " ".join(sentences) + "\n"


def plain(value: Any) -> Any:
    """A value as JSON has it; numbers keep six decimals, so that equal results are equal bytes."""
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def verdict_of(interval: Interval) -> str:
    """Whether an interval of a share is decided, because it leaves out 0.5."""
    return UNDECIDED if interval[0] <= 0.5 <= interval[1] else DECIDED


def stage_of(boundary_score: float) -> str:
    """The stage of Algorithm 1: preference injection if V_off > V_on, else preference fine-tuning."""
    return INJECTION if boundary_score < 0.5 else FINE_TUNING


def recommended_source(boundary_score: float) -> str:
    """The candidate source of Algorithm 1: `off` in preference injection, `on` in preference fine-tuning."""
    return OFF if stage_of(boundary_score) == INJECTION else ON
