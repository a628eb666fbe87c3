"""The source that a policy trains on next, after its boundary scores or its race: one rule for both. Standard library only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpo_stages.study.policies import OFF, ON, RECOMMENDED, Policy, data_of, is_mixed, of_data

BY_HAND, BY_SCORE, BY_RACE = "hand", "boundary score", "race"
RULE_OF_UNDECIDED = {BY_SCORE: "the rule for undecided scores", BY_RACE: "the rule for undecided races"}
DECIDED, UNDECIDED = "decided", "undecided"


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


def rule_among(undecided: str, sources: Iterable[str]) -> str:
    """What is taken where it is undecided: a mixture is of own samples and the first of these sources that is a data set's."""
    if not is_mixed(undecided) or data_of(undecided)[1]:
        return undecided
    data = (name for base, name in map(data_of, sources) if base == OFF)
    return of_data(undecided, next(data, None))


@dataclass(frozen=True)
class Standing:
    """How the data sets of a study stand to a policy's own samples, by its boundary score against each of them.

    Attributes:
        ahead: boundary measurements (JSON) against data sets that come before own samples, the lowest score first.
        open: those that are undecided, in the same order.
        behind: those against data sets that come behind own samples, in the same order.
    """

    ahead: Sequence[Mapping[str, Any]]
    open: Sequence[Mapping[str, Any]]
    behind: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, measured: Sequence[Mapping[str, Any]]) -> "Standing":
        """That of the boundary measurements of one policy, at least one."""
        ordered = sorted(measured, key=lambda one: one["boundary_score"])
        decided = [one for one in ordered if one["verdict"] == DECIDED]
        return cls(
            [one for one in decided if one["recommended_source"] == OFF],
            [one for one in ordered if one["verdict"] != DECIDED],
            [one for one in decided if one["recommended_source"] == ON],
        )

    @property
    def decided(self) -> bool:
        """Whether own samples are known to come behind a data set, or before all of them."""
        return bool(self.ahead) or not self.open

    @property
    def leads(self) -> str:
        """The source that the scores recommend: of the data sets that come before own samples the one with the lowest score."""
        first = next(iter([*self.ahead, *self.open]), None)
        return ON if first is None or first["recommended_source"] == ON else off_policy(first)

    def rule(self, undecided: str) -> str:
        """What is taken where it is undecided: a mixture is of own samples and the undecided data set with the lowest score."""
        return rule_among(undecided, map(off_policy, self.open))

    def sentence(self) -> str:
        """Which come first, and what is not known."""
        groups = (listed(self.ahead), "own samples", listed(self.behind))
        known = [group for group, there in zip(groups, (self.ahead, True, self.behind), strict=True) if there]
        said = [f"{', then '.join(known)}"] if len(known) > 1 else []
        if self.open:
            said.append(f"not told apart from own samples: {listed(self.open)}")
        together = [listed(group) for group in (self.ahead, self.open, self.behind) if len(group) > 1]
        if together:
            said.append(
                f"the order within {'; within '.join(together)} is that of the scores alone, since data sets were not compared with each other"
            )
        return f"{'; '.join(said)}."


def off_policy(measured: Mapping[str, Any]) -> str:
    """The source of the data set that a boundary measurement is about."""
    return of_data(OFF, Policy.parse(measured["policy"]).asked)


def listed(measured: Sequence[Mapping[str, Any]]) -> str:
    """Their data sets, `a, b and c`."""
    *others, last = (one["preference_data"] for one in measured) if measured else [""]
    return f"{', '.join(others)} and {last}" if others else last
