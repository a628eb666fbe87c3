"""Whether length control is valid for an instruction set: are the length-gamed references as good as the reference?

The length-controlled win rate takes the verbose and the concise version of the reference to be as good as the reference, so that
whatever the judge prefers in them is their length. Where they differ in content as well, a policy that is as long as one of them
is moved by what that content is worth. Here a witness that is not the judge, a preference model, compares them with the reference.

Equivalence is shown, not assumed: two one-sided t tests at 5 % each over the instructions, which is a 90 % interval that lies
within the margin (Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics, 1987). Both versions have to pass, so that no
correction for two tests is needed. A witness sees what it sees: of a difference that it is blind to it says nothing, so its ties
are counted beside what it says.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json

Floats = NDArray[np.float64]

VERSIONS = ("verbose", "concise")
CONFIDENCE = 0.9
MOST_FLIPS = 0.5
"""A witness that prefers another response in the other order for more of the pairs than this tells them by their place."""
EQUAL, DIFFERS, NOT_SHOWN, CANNOT_TELL, NOT_TESTED = "equal", "differs", "not shown", "cannot tell", "not tested"


@dataclass(frozen=True)
class Share:
    """How often a version is preferred to the reference, in percent, and the interval over instructions at `CONFIDENCE`."""

    estimate: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> "Share":
        """The mean of (n,) values in [0, 1], n at least 2, with Student's t interval, wider where values hardly vary.

        What none of n instructions showed may still be so of 1 - tail^(1/n) of them, and move the mean by 50 points for each: of
        three ties nothing follows.
        """
        from scipy.special import stdtrit

        centre, size = 100 * values.mean(), len(values)
        half = 100 * stdtrit(size - 1, (1 + CONFIDENCE) / 2) * values.std(ddof=1) / np.sqrt(size)
        half = max(half, 50 * (1 - ((1 - CONFIDENCE) / 2) ** (1 / size)))
        return cls(float(centre), float(max(0, centre - half)), float(min(100, centre + half)))

    def within(self, margin: float) -> bool:
        """Whether the whole interval is at most `margin` points from 50."""
        return 50 - margin <= self.low and self.high <= 50 + margin

    def differs(self, margin: float) -> bool:
        """Whether the interval leaves out 50 and the estimate is more than `margin` points from it."""
        return not self.low <= 50 <= self.high and abs(self.estimate - 50) > margin

    def words(self) -> str:
        """`51.2 % (49.0 to 53.4)`."""
        return f"{self.estimate:.1f} % ({self.low:.1f} to {self.high:.1f})"


@dataclass(frozen=True)
class Version:
    """A length-gamed version of the reference.

    Attributes:
        instructions: compared with the reference by the judge.
        average_length: in characters; reference_length: of the reference.
        judge: the judge's raw win rate of the version: the effect that length control takes out.
        witness: mean probability of the witness that the version is better; None where there is no witness.
        witness_votes: the same where each instruction is a vote, a tie one half: a witness that is never sure of itself has
            a mean near 50 whatever it prefers.
        ties: instructions without a preference of the witness.
        order_flips: share in which the witness prefers another response when it reads them in the other order.
        verdict: `equal`, `differs`, `not shown`, `cannot tell` or `not tested`.
    """

    instructions: int
    average_length: float
    reference_length: float
    judge: Share
    witness: Share | None
    witness_votes: Share | None
    ties: int | None
    order_flips: float | None
    verdict: str


def compare_version(
    judge: Floats,
    lengths: Floats,
    reference_lengths: Floats,
    witness: Floats | None,
    order_flips: float | None,
    margin: float,
) -> Version:
    """What judge and witness say of one version; all arrays are (n,), one element an instruction, n at least 2.

    Args:
        judge: probability in [0, 1] that the version is better, by the judge; NaN where it gave none.
        lengths, reference_lengths: of version and reference, in characters.
        witness: the same probability by the witness, 0.5 for a tie; None where there is no witness.
        order_flips: see `Version`.
        margin: points from 50 up to which a version counts as equal.
    """
    shares: tuple[Share | None, Share | None] = (None, None)
    verdict, ties = NOT_TESTED, None
    if witness is not None:
        shares = Share.of(witness), Share.of((1 + np.sign(witness - 0.5)) / 2)
        ties = int((witness == 0.5).sum())
        verdict = _verdict(*shares, order_flips, margin)
    return Version(
        instructions=len(judge),
        average_length=float(lengths.mean()),
        reference_length=float(reference_lengths.mean()),
        judge=Share.of(judge[~np.isnan(judge)]),
        witness=shares[0],
        witness_votes=shares[1],
        ties=ties,
        order_flips=order_flips,
        verdict=verdict,
    )


def _verdict(mean: Share, votes: Share, flips: float, margin: float) -> str:
    if mean.differs(margin) or votes.differs(margin):
        return DIFFERS
    if flips > MOST_FLIPS:
        return CANNOT_TELL
    return EQUAL if mean.within(margin) else NOT_SHOWN


@dataclass(frozen=True)
class LengthValidity:
    """Whether length control is valid for an instruction set.

    Attributes:
        verbose, concise: the two versions of its reference.
        margin: points from 50 up to which a version counts as equal.
        judge: the judge in words.
        witness: name of the preference model that is asked, or would be if it were not the judge itself.
    """

    verbose: Version
    concise: Version
    margin: float
    judge: str
    witness: str

    @property
    def valid(self) -> bool | None:
        """True if both versions are shown to be equal to the reference; None if nobody but the judge was asked."""
        verdicts = [version.verdict for version in (self.verbose, self.concise)]
        return None if NOT_TESTED in verdicts else verdicts == [EQUAL, EQUAL]

    def sentence(self) -> str:
        """The result in words, with what to do about it."""
        return f"{self._finding()} {self._effect()}"

    def record(self) -> dict:
        """The content of `length_control.json`."""
        versions = {name: asdict(getattr(self, name)) for name in VERSIONS}
        about = {"margin": self.margin, "confidence": CONFIDENCE, "judge": self.judge, "witness": self.witness}
        return {"valid": self.valid, "sentence": self.sentence(), **about, **versions}

    def _finding(self) -> str:
        if self.valid is None:
            return (
                f"Whether length control is valid here is not tested: {self.witness} is itself the judge. Name another of "
                "preference_models as evaluation.length_witness."
            )
        found = [(name, getattr(self, name)) for name in VERSIONS]
        wins = " and ".join(f"the {name} one wins {version.witness.words()}" for name, version in found)
        said = f"against the reference {wins} by {self.witness}, which is not the judge"
        if self.valid:
            ties = " and ".join(f"{version.ties} of the {name} ones" for name, version in found)
            return (
                f"Length control is valid here: {said}, both shown to be within {self.margin:g} points of 50. It finds no "
                f"difference at all in {ties} ({self.verbose.instructions} instructions)."
            )
        reasons = [self._reason(name, version) for name, version in found if version.verdict != EQUAL]
        shown = "is not" if DIFFERS in (self.verbose.verdict, self.concise.verdict) else "is not shown to be"
        return f"Length control {shown} valid here: {said}. {' '.join(reasons)} Go by the raw win rates."

    def _reason(self, name: str, version: Version) -> str:
        if version.verdict == DIFFERS:
            votes = "" if version.witness.differs(self.margin) else f" (vote by vote {version.witness_votes.words()})"
            return (
                f"The {name} one differs in quality, by more than {self.margin:g} points{votes}, and length control would take "
                "that for length; references of equal quality are needed."
            )
        if version.verdict == CANNOT_TELL:
            return (
                f"Of the {name} one it cannot tell: {version.order_flips:.0%} of its preferences hang on the order; name "
                "another evaluation.length_witness."
            )
        return f"That the {name} one is equal is not shown with {version.instructions} instructions; more would tell."

    def _effect(self) -> str:
        def effect(name: str) -> str:
            version: Version = getattr(self, name)
            times = version.average_length / version.reference_length
            return f"the {name} one, {times:.1f} times as long, wins {version.judge.words()}"

        return f"By the judge {' and '.join(map(effect, VERSIONS))}; that is what length control takes out."


def arrays(rows: Sequence[dict]) -> tuple[Floats, Floats, Floats]:
    """Probabilities that the version is better, and lengths of version and reference, of rows of `annotations.json`."""
    preference = np.array([row["preference"] for row in rows], dtype=float) - 1  # None becomes NaN
    lengths = np.array([[len(row["output_2"]), len(row["output_1"])] for row in rows], dtype=float)
    return preference, lengths[:, 0], lengths[:, 1]


def read_length_control(path: Path | None) -> tuple[bool | None, list[str]]:
    """Whether length control is valid for the instructions, None if nobody tested, and the sentence that says so.

    Raises:
        BadInput: the file says neither.
    """
    if path is None:
        return None, []
    found = read_json(path)
    if not isinstance(found, dict) or found.get("valid", "") not in (True, False, None) or "sentence" not in found:
        raise BadInput(f"{path} does not say whether length control is valid; it needs valid and sentence")
    return found["valid"], [found["sentence"]]
