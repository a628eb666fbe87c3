"""The source that a policy trains on next, after its boundary score or its race: one rule for both. Standard library only."""

from dpo_stages.study.policies import RECOMMENDED

BY_HAND, BY_SCORE, BY_RACE = "hand", "boundary score", "race"
RULE_OF_UNDECIDED = {BY_SCORE: "the rule for undecided scores", BY_RACE: "the rule for undecided races"}


def choose(leads: str, decided: bool, by: str, undecided: str, by_hand: str | None) -> tuple[str, str]:
    """The source that is trained on next, and what decided that.

    Args:
        leads: the source that the measurement recommends, or that leads the race.
        decided: whether the measurement or the race is decided.
        by: what was measured, BY_SCORE or BY_RACE.
        undecided: what is taken where it is not; RECOMMENDED for the source that leads nevertheless.
        by_hand: the source that the study takes whatever was measured, if any.

    Returns:
        The source, and BY_HAND, `by`, or the rule for what is undecided.
    """
    if by_hand is not None:
        return by_hand, BY_HAND
    if decided or undecided == RECOMMENDED:
        return leads, by
    return undecided, RULE_OF_UNDECIDED[by]
