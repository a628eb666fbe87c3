"""Two trivial judges to hold every other against, on the same pairs: whoever takes the longer response, and whoever takes the first.

Whether a judge that is right less often than length alone is so beyond noise, McNemar's exact test says (Psychometrika, 1947): of
the pairs on which the two differ, is the judge ahead on fewer than half? Needs numpy alone, which all environments have.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from dpo_stages.audit.statistics import share

BEYOND, WITHIN = "beyond noise", "within noise"


@dataclass(frozen=True)
class Judged:
    """A pair whose better response is known, by a vote or the truth, and what a judge said of it.

    Attributes:
        right: 1 if the judge prefers the better response, 0 if it prefers the other one, 0.5 if neither.
        better_length: of the better response as it was shown, in characters.
        worse_length: of the other one.
        better_first: whether the better one is the first response of the pair.
    """

    right: float
    better_length: int
    worse_length: int
    better_first: bool

    @property
    def longer(self) -> float:
        """What whoever takes the longer response gets: 1, 0, or 0.5 where both have one length."""
        return (1 + (self.better_length > self.worse_length) - (self.better_length < self.worse_length)) / 2


def baselines(pairs: Sequence[Judged], confidence: float) -> dict | None:
    """What two trivial judges get of pairs that a judge was measured on.

    Args:
        pairs: independent ones.
        confidence: of the intervals and of the test.

    Returns:
        `longer` and `first`, estimates of how often each is right, Wilson's; `ahead` and `behind`, the pairs on which the judge is
        better and worse than the longer response; `below_longer`: None if the judge is not right less often, else whether
        `BEYOND` or `WITHIN` noise. None without pairs.
    """
    if not pairs:
        return None
    longer = sum(pair.longer for pair in pairs)
    ahead, behind = sum(p.right > p.longer for p in pairs), sum(p.right < p.longer for p in pairs)
    below = None
    if sum(pair.right for pair in pairs) < longer:
        below = BEYOND if mcnemar(ahead, behind) < 1 - confidence else WITHIN
    return {
        "longer": asdict(share(longer, len(pairs), confidence)),
        "first": asdict(share(sum(pair.better_first for pair in pairs), len(pairs), confidence)),
        "ahead": ahead,
        "behind": behind,
        "below_longer": below,
    }


def mcnemar(ahead: int, behind: int) -> float:
    """The two-sided p-value of McNemar's exact test: the chance of a coin to fall so unevenly, or more so."""
    trials = ahead + behind
    ways = falls = 1  # to fall on one side k times, and at most k times
    for k in range(min(ahead, behind)):
        ways = ways * (trials - k) // (k + 1)
        falls += ways
    return min(1.0, 2 * falls / 2**trials)


def found_beside(pairs: Sequence[Judged], confidence: float) -> dict:
    """How often a judge is right, beside the trivial ones.

    Args:
        pairs: as for `baselines`, at least one.
        confidence: likewise.

    Returns:
        `accuracy`, an estimate with Wilson's interval, and `baselines`.
    """
    accuracy = share(sum(pair.right for pair in pairs), len(pairs), confidence)
    return {"accuracy": asdict(accuracy), "baselines": baselines(pairs, confidence)}
