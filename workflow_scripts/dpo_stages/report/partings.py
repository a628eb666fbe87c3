"""Where the yardsticks part, and what that may mean. Standard library only."""

from collections.abc import Sequence

from dpo_stages.report.decisions import Decision, cases, pooled
from dpo_stages.report.yardsticks import LC_WIN_RATE, PREFERENCE_MODEL, WIN_RATE, Yardstick

OVER_OPTIMISED = (
    "the preference model and the judge, by the win rate that leads, tell the arms apart and disagree: training found what the "
    "preference model does not see (over-optimisation of the preference model)"
)
LENGTH = (
    "win rate and length-controlled win rate disagree: an effect of length, or a length control that is not valid here"
)
NOISE = "they disagree where runs do not tell the arms apart on both sides: noise may do"


def parting(one: Decision) -> list[str]:
    """Why the yardsticks part for one initial policy, all its runs in one: of the three reasons those that hold."""
    told = {of for of in one.yardsticks if one.separated(of)}
    reasons = []
    if _disagree(one, PREFERENCE_MODEL, one.leading) and told >= {PREFERENCE_MODEL, one.leading}:
        reasons.append(OVER_OPTIMISED)
    if _disagree(one, WIN_RATE, LC_WIN_RATE) and told & {WIN_RATE, LC_WIN_RATE}:
        reasons.append(LENGTH)
    part = _disagree(one, PREFERENCE_MODEL, WIN_RATE) or _disagree(one, WIN_RATE, LC_WIN_RATE)
    return reasons or ([NOISE] if part else [])


def _disagree(one: Decision, first: Yardstick, second: Yardstick) -> bool:
    better = one.better(first), one.better(second)
    return None not in better and better[0] != better[1]


def sentence(found: Sequence[Decision]) -> str:
    """How often the yardsticks part, and what that may mean; empty where there is one yardstick alone."""
    wholes = [one for one in pooled(found) if len(one.yardsticks) > 1]
    if not wholes:
        return ""
    reasons = [reason for one in wholes for reason in parting(one)]
    if not reasons:
        return "The yardsticks nowhere name different arms."
    counted = {reason: reasons.count(reason) for reason in (OVER_OPTIMISED, LENGTH, NOISE)}
    said = [f"for {count} {reason}" for reason, count in counted.items() if count]
    return f"Where the yardsticks part, of {len(wholes)} {cases(wholes)}: {'; '.join(said)}."
