"""One look of a race: the pairs' scores and intervals after each block of prompts, and which arms are out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dpo_boundary.blocks import block_ends
from dpo_boundary.errors import BadInput
from dpo_boundary.intervals import Interval
from dpo_boundary.race_columns import LookArrays
from dpo_boundary.race_intervals import (
    anytime_quantile,
    over_prompts_and_runs,
    run_half_width,
    run_variance,
    without_lengths,
)
from dpo_boundary.race_result import ArmPair, RaceLook


@dataclass(frozen=True)
class Rules:
    """How a race is decided.

    Attributes:
        shares: of an epoch, the looks that were announced.
        starting_arms: how many arms began.
        confidence: see `decide_race`, also for the others.

    Raises:
        BadInput: a setting is out of its range.
    """

    shares: Sequence[float]
    starting_arms: int
    confidence: float
    run_sd: float
    run_df: float
    length_controlled: bool

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise BadInput(f"the confidence is {self.confidence}; it must lie between 0 and 1, as 0.95 does")
        if not 0 <= self.run_sd < math.inf:
            raise BadInput(f"run_sd is {self.run_sd}; it must be a number of points, at least 0")
        if not 0 < self.run_df < math.inf:
            raise BadInput(f"run_df is {self.run_df}; it must be a number above 0")

    def confidence_at(self, share: float) -> float:
        """Confidence of the interval of one pair at one look."""
        if share not in self.shares:
            raise BadInput(
                f"there are comparisons after {share:g} of an epoch, but announced were {', '.join(map(str, self.shares))}; "
                "announce every look before the first one, or leave this one out"
            )
        return 1 - (1 - self.confidence) * share / sum(self.shares) / math.comb(self.starting_arms, 2)


@dataclass(frozen=True)
class _State:
    """The pairs of a look after some prompts, by one kind of score; `variance` and `half_width` are those of runs."""

    scores: list[float]
    intervals: list[Interval]
    variance: float | None
    half_width: float


def look_at(arrays: LookArrays, share: float, arms: tuple[str, ...], rules: Rules) -> RaceLook:
    """The look after the first block of prompts that leaves no pair open, or after all.

    Args:
        arrays: its comparisons.
        share: of an epoch.
        arms: those still in.
        rules: of the race.

    Raises:
        BadInput: the look was not announced, or lengths that should decide are unknown.
    """
    if rules.length_controlled and arrays.longer is None:
        raise BadInput("a race that controls for length needs the columns length_1 and length_2; add them")
    confidence = rules.confidence_at(share)
    _, runs, prompts = arrays.scores.shape
    raw = adjusted = None
    for end in block_ends(prompts):
        scores = arrays.scores[:, :, :end]
        raw = _state(raw, scores, confidence, len(arms), rules)
        if arrays.longer is not None:
            without, scale, errors = without_lengths(scores, arrays.longer[:, :, :end])
            adjusted = _state(adjusted, without, confidence, len(arms), rules, scale, errors)
        deciding = adjusted if rules.length_controlled else raw
        pairs = tuple(_pair(arrays, number, raw, adjusted, deciding) for number in range(len(arrays.pairs)))
        out, circle = _outcome(arms, pairs, rules.length_controlled)
        look = RaceLook(
            share=share,
            arms=arms,
            prompts=end,
            budget=prompts,
            runs=runs,
            pairs=pairs,
            confidence=confidence,
            run_sd=None if deciding.variance is None else 100 * math.sqrt(max(deciding.variance, 0.0)),
            run_half_width=100 * deciding.half_width,
            out=out,
            circle=circle,
            ignored=arrays.ignored,
        )
        if not look.open_pairs:
            break
    return look


def _state(
    before: _State | None,
    scores: np.ndarray,
    confidence: float,
    arms: int,
    rules: Rules,
    scale: Interval = (0.0, 1.0),
    errors: np.ndarray | None = None,
) -> _State:
    """The pairs after some prompts, given the state some prompts before.

    Args:
        before: intervals are intersected with its, as far as they then hold the score.
        scores: (pairs, runs, prompts).
        confidence: of each interval.
        arms: of the look.
        rules: of the race.
        scale: lowest and highest value that a score can have.
        errors: (pairs,) standard errors of the scores beyond prompts and runs; none by default.
    """
    _, runs, prompts = scores.shape
    variance = run_variance(scores) if runs > 1 else None
    half_width = run_half_width(
        variance, arms=arms, runs=runs, confidence=confidence, run_sd=rules.run_sd / 100, run_df=rules.run_df
    )
    more = np.zeros(len(scores)) if errors is None else anytime_quantile(prompts, confidence) * errors
    each = [
        over_prompts_and_runs(pair.mean(axis=0), confidence, math.hypot(half_width, beyond), scale)
        for pair, beyond in zip(scores, more, strict=True)
    ]
    if before is not None:
        each = [
            (score, _narrowed(score, interval, earlier))
            for (score, interval), earlier in zip(each, before.intervals, strict=True)
        ]
    return _State([score for score, _ in each], [interval for _, interval in each], variance, half_width)


def _narrowed(score: float, now: Interval, before: Interval) -> Interval:
    low, high = max(now[0], before[0]), min(now[1], before[1])
    return (low, high) if low <= score <= high else now


def _pair(arrays: LookArrays, number: int, raw: _State, adjusted: _State | None, deciding: _State) -> ArmPair:
    arm_1, arm_2 = arrays.pairs[number]
    low, high = deciding.intervals[number]
    return ArmPair(
        arm_1,
        arm_2,
        score=raw.scores[number],
        interval=raw.intervals[number],
        better=arm_1 if low > 0.5 else arm_2 if high < 0.5 else None,
        adjusted_score=None if adjusted is None else adjusted.scores[number],
        adjusted_interval=None if adjusted is None else adjusted.intervals[number],
    )


def _outcome(
    arms: Sequence[str], pairs: Sequence[ArmPair], length_controlled: bool
) -> tuple[dict[str, str], tuple[str, ...]]:
    """For each arm that is out the arm that beat it by most, and the arms left that are in a circle with another one left.

    An arm is out where another one beats it, unless it beats that one in turn, itself or by way of others.
    """
    leads = {}
    for pair in pairs:
        if pair.better:
            loser = pair.arm_2 if pair.better == pair.arm_1 else pair.arm_1
            leads[pair.better, loser] = pair.lead(pair.better, length_controlled)
    above = set(leads)
    for by_way_of in arms:
        above |= {(one, other) for one in arms for other in arms if {(one, by_way_of), (by_way_of, other)} <= above}
    out = {}
    for arm in arms:
        beaten_by = [other for other in arms if (other, arm) in leads and (arm, other) not in above]
        if beaten_by:
            out[arm] = max(beaten_by, key=lambda other, arm=arm: leads[other, arm])
    left = [arm for arm in arms if arm not in out]
    return out, tuple(
        arm for arm in left if any(arm != other and {(arm, other), (other, arm)} <= above for other in left)
    )
