"""What a race says: its looks, who is out and by whom, who is left, and how sure that is, as JSON and in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dpo_boundary.intervals import Interval
from dpo_boundary.result import DECIDED, plain

# Runs that differ by more than this times what was expected put arms out too easily (benchmarks/race.py).
HELD_UP_TO = 4 / 3


@dataclass(frozen=True)
class ArmPair:
    """Two arms at one look.

    Attributes:
        arm_1: name of the first arm.
        arm_2: name of the second.
        score: how far responses of the first are preferred, the mean over prompts and runs, in [0, 1].
        interval: of the score, over other prompts and other runs, so narrow as any block of prompts made it.
        better: name of the arm that is decidedly preferred at this look; None if neither is.
        adjusted_score: the score between responses of one length; None if lengths are unknown.
        adjusted_interval: its interval.
    """

    arm_1: str
    arm_2: str
    score: float
    interval: Interval
    better: str | None
    adjusted_score: float | None = None
    adjusted_interval: Interval | None = None

    @property
    def sides_differ(self) -> bool:
        """Whether the score and the adjusted score lie on different sides of 0.5."""
        return self.adjusted_score is not None and (self.score - 0.5) * (self.adjusted_score - 0.5) < 0

    def lead(self, arm: str, length_controlled: bool) -> float:
        """How far one of the two is preferred beyond 0.5, by the score that decides."""
        score = self.adjusted_score if length_controlled else self.score
        return score - 0.5 if arm == self.arm_1 else 0.5 - score


@dataclass(frozen=True)
class RaceLook:
    """The race at one share of an epoch.

    Attributes:
        share: of an epoch that the arms were trained on.
        arms: those that were in the race before this look.
        prompts: prompts that it rests on: the first blocks, in seeded order, after which no pair was open.
        budget: prompts that were given.
        runs: runs of each arm.
        pairs: each pair of the arms.
        confidence: level of the interval of each pair.
        run_sd: standard deviation of a pair's score over runs as it was measured here, in points; None with one run.
        run_half_width: what runs add in quadrature to either side of an interval, in points.
        out: for each arm that is out since this look, the arm that it was beaten by.
        circle: arms left that decided pairs put in a circle with another one left, so that neither is out by the other; arms that
            are out may be part of it.
        ignored: comparisons of arms that were out before.
    """

    share: float
    arms: tuple[str, ...]
    prompts: int
    budget: int
    runs: int
    pairs: tuple[ArmPair, ...]
    confidence: float
    run_sd: float | None
    run_half_width: float
    out: dict[str, str]
    circle: tuple[str, ...]
    ignored: int

    @property
    def left(self) -> tuple[str, ...]:
        """Arms that are still in after this look."""
        return tuple(arm for arm in self.arms if arm not in self.out)

    def leader(self, length_controlled: bool) -> str:
        """Of the arms that are left, the one that is preferred most to the others left; of equal ones, to all of the look."""

        def leads(arm: str, arms: tuple[str, ...]) -> float:
            among = [
                pair for pair in self.pairs if arm in (pair.arm_1, pair.arm_2) and {pair.arm_1, pair.arm_2} <= {*arms}
            ]
            total = sum(pair.lead(arm, length_controlled) for pair in among)
            return round(total, 9)  # equal where rounding alone differs

        return max(self.left, key=lambda arm: (leads(arm, self.left), leads(arm, self.arms)))

    @property
    def open_pairs(self) -> tuple[ArmPair, ...]:
        """Pairs of arms that are still in and of which neither is decidedly preferred: what more prompts could decide."""
        return tuple(pair for pair in self.pairs if pair.better is None and {pair.arm_1, pair.arm_2} <= {*self.left})


@dataclass(frozen=True)
class Out:
    """An arm that is out: after which share of an epoch, and by whom."""

    share: float
    by: str


@dataclass(frozen=True)
class Race:
    """What a race says, and how sure that is.

    Attributes:
        arms: all that started.
        looks: in their order, up to the one that decided.
        shares: of an epoch, the looks that were announced.
        out: for each arm that is out, when and by whom.
        leader: of the arms that are still in, the one that is preferred most to the others at the last look.
        winner: the one arm that is left; None if several are.
        verdict: "decided" if one arm is left, else "undecided".
        reason: why it ended there, in one sentence.
        confidence: with this probability at least no arm is out that was as good as the one that beat it.
        length_controlled: whether adjusted scores decide.
        run_sd: the prior standard deviation of a pair's score over runs, in points.
        run_df: degrees of freedom that it is worth.
        ignored: comparisons that were not used: those of arms that were out, and of looks after the race was decided.
        notes: what else to know, one sentence each.
    """

    arms: tuple[str, ...]
    looks: tuple[RaceLook, ...]
    shares: tuple[float, ...]
    out: dict[str, Out]
    leader: str
    winner: str | None
    verdict: str
    reason: str
    confidence: float
    length_controlled: bool
    run_sd: float
    run_df: float
    ignored: int
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The race as plain JSON values; figures keep six decimals, so that equal results are equal bytes."""
        return plain(vars(self))

    def paragraph(self) -> str:
        """The race in Markdown: the verdict, what it rests on, and a line for each look."""
        if self.verdict == DECIDED:
            first = f"**{self.winner} wins the race of {_listed(self.arms)} (decided, {100 * self.confidence:.4g} %).**"
        else:
            first = (
                f"**The race of {_listed(self.arms)} is undecided ({100 * self.confidence:.4g} %); "
                f"{self.leader} leads, with no certainty.**"
            )
        sentences = [
            first,
            f"{self.reason[0].upper()}{self.reason[1:]}.",
            "Better is what the yardstick prefers, after that share of an epoch; what a longer training makes of it is another "
            "question.",
            *(f"{note}." for note in self.notes),
        ]
        return "\n".join([" ".join(sentences), "", *map(self._line, self.looks)]) + "\n"

    def _line(self, look: RaceLook) -> str:
        """One look as an item of a list."""
        measured = "" if look.run_sd is None else f" ({look.run_sd:.1f} measured between them)"
        pairs = "; ".join(map(self._pair, look.pairs))
        out = "".join(f" {arm} is out, by {by}." for arm, by in look.out.items())
        circle = (
            f" {_listed(look.circle)} are in a circle of arms that beat each other, and stay in." if look.circle else ""
        )
        return (
            f"- After {_percent(look.share)} of an epoch, on {look.prompts:,} of {look.budget:,} prompts and "
            f"{look.runs} run{'' if look.runs == 1 else 's'}: {pairs}.{out or ' Nobody is out.'}{circle}"
            f" The runs alone leave ±{look.run_half_width:.1f} points{measured}."
        )

    def _pair(self, pair: ArmPair) -> str:
        said = f"{pair.arm_1} against {pair.arm_2} {_score(pair.score, pair.interval)}"
        if pair.adjusted_score is not None:
            said += f", at one length {_score(pair.adjusted_score, pair.adjusted_interval)}"
        return said


def reason_of(last: RaceLook, shares: Sequence[float]) -> str:
    """Why a race ended with this look, or has not ended yet."""
    if len(last.left) == 1:
        return f"after {_percent(last.share)} of an epoch {last.left[0]} alone is left"
    later = [share for share in shares if share > last.share]
    still = f"after {_percent(last.share)} of an epoch {_listed(last.left)} are still in, "
    if later:
        return f"{still}and the next look is announced for {_percent(later[0])}"
    if last.open_pairs:
        return f"{still}which was the last look: these prompts and runs do not tell them apart"
    return f"{still}which was the last look: they are in a circle of arms that beat each other"


def notes_on(looks: Sequence[RaceLook], announced: bool, run_sd: float, ignored: int) -> Iterable[str]:
    """What else to know of a race."""
    if not announced:
        yield "No looks were announced, so the confidence is held only if no further one follows"
    if any(look.runs == 1 for look in looks):
        yield (
            f"With one run of each arm nothing was measured of what another run would give: the {run_sd:.4g} points that "
            "were expected beforehand stand for it"
        )
    for look in looks:
        if look.run_sd is not None and look.run_sd > HELD_UP_TO * run_sd:
            yield (
                f"After {_percent(look.share)} of an epoch {look.run_sd:.1f} points were measured between runs, where "
                f"{run_sd:.4g} were expected: if they truly differ as much, errors are more frequent than stated, and more runs "
                "or a higher run_sd are needed"
            )
        for pair in look.pairs:
            if pair.sides_differ:
                yield (
                    f"After {_percent(look.share)} of an epoch length decides between {pair.arm_1} and {pair.arm_2}: "
                    f"the score is {pair.score:.3f}, between responses of one length {pair.adjusted_score:.3f}"
                )
    if ignored:
        yield f"{ignored:,} comparisons of arms that were out, or after the race was decided, were not used"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _score(score: float, interval: Interval) -> str:
    return f"{score:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
