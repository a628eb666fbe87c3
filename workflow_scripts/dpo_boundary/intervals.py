"""Intervals for shares whose votes come in clusters: several comparisons belong to one prompt and are not independent.

Two kinds. `clustered_interval` is for a number of prompts that was fixed beforehand. `betting_sequence` gives intervals
that hold at every number of prompts at once, so that one may look after each block and stop when one likes.

Imports numpy, and the special functions of scipy where they are needed (`scipy.stats` would cost a second of start-up).
"""

from collections.abc import Sequence

import numpy as np

Interval = tuple[float, float]

# Bets of the confidence sequence, as shares of the largest bet that cannot lose everything. Small ones separate shares
# that are close to each other, large ones stop early where they are far apart; in between, from one to the next, little
# is lost. Those below 0.05 would pay only beyond some 10,000 prompts.
BETS = np.geomspace(0.05, 0.95, 10)


def binomial_interval(successes: float, trials: float, confidence: float) -> Interval:
    """Clopper and Pearson's exact interval for a binomial share; its coverage is at least `confidence`.

    Args:
        successes: number of successes. A fraction is allowed, for effective numbers of trials.
        trials: number of trials, at least `successes`.
        confidence: in (0, 1).
    """
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    failures = trials - successes
    low = betaincinv(successes, failures + 1, tail) if successes > 0 else 0.0
    high = betaincinv(successes + 1, failures, 1 - tail) if failures > 0 else 1.0
    return float(low), float(high)


def effective_prompts(comparisons: Sequence[float]) -> float:
    """Kish's number of prompts with as many comparisons each that would tell as much as these with unequal numbers.

    Args:
        comparisons: for each prompt, how many comparisons it has; positive.
    """
    comparisons = np.asarray(comparisons, float)
    effective = float(comparisons.sum() ** 2 / np.square(comparisons).sum())
    return round(effective, 6)  # the prompts themselves where all are equal


def clustered_interval(votes: Sequence[float], comparisons: Sequence[float], confidence: float) -> Interval:
    """Interval for the share of votes, sum(votes) / sum(comparisons), when whole prompts are the independent unit.

    Korn and Graubard's interval of survey statistics: the variance between prompts gives the number of independent
    comparisons that would tell as much, and Clopper and Pearson's interval is taken at that effective number, reduced
    for the degrees of freedom of the variance. It keeps its coverage near 0 and 1 and for few prompts, where the
    normal approximation does not. Where prompts have unequal numbers of comparisons, few of them may carry most of the
    share, so degrees of freedom are those of `effective_prompts`; fewer than two tell nothing. Near 0 and 1 that is not
    always enough: of 100 prompts whose votes are nearly one a prompt, one in twenty with 200 comparisons and the others with
    one, an interval of 95 % held a share of 0.9 in 70 % of the cases (in 56 % with degrees of freedom of all prompts).

    Args:
        votes: for each prompt, how many of its comparisons voted yes; ties are halves.
        comparisons: for each prompt, how many comparisons it has; positive, and not necessarily the same for all.
        confidence: in (0, 1).
    """
    from scipy.special import stdtrit

    votes, comparisons = np.asarray(votes, float), np.asarray(comparisons, float)
    prompts, total = effective_prompts(comparisons), comparisons.sum()
    if prompts < 2:
        return 0.0, 1.0
    share = votes.sum() / total
    residuals = votes - share * comparisons
    variance = prompts / (prompts - 1) * np.square(residuals).sum() / total**2
    if variance <= 1e-12:
        effective = prompts  # identical prompts say nothing about the variance: one comparison each is safe
    else:
        tail = (1 - confidence) / 2
        shrinkage = (stdtrit(total - 1, tail) / stdtrit(prompts - 1, tail)) ** 2
        effective = min(share * (1 - share) / variance, total) * shrinkage
    return binomial_interval(share * effective, effective, confidence)


def betting_sequence(scores: Sequence[float], confidence: float, at: Sequence[int]) -> list[Interval]:
    """Anytime-valid intervals for the mean of bounded scores, by betting on them in the order given.

    Waudby-Smith and Ramdas (2024): against each candidate value of the mean a bettor stakes part of his capital, prompt
    by prompt, on the next score lying above it, another on its lying below. Were the candidate true, neither could
    expect to gain, and by Ville's inequality his capital would reach 2 / (1 - confidence) at any time with probability
    (1 - confidence) / 2 at most; so candidates against which one did are left out. The bettors here split their capital
    evenly over BETS, each a constant share of the largest bet, as in a universal portfolio.

    Args:
        scores: for each prompt a score in [0, 1], such as the share of its comparisons that the policy wins. Prompts
            are independent draws; what makes up a prompt's score may depend on each other in any way.
        confidence: in (0, 1). All intervals together hold the mean with this probability at least, whatever rule stops.
        at: numbers of prompts, each at least 1, at which the interval is asked for.

    Returns:
        For each of `at`, the intersection of the intervals at every number of prompts so far. In the improbable case
        that it leaves out the mean observed so far, the interval at this number of prompts alone, which never does.
    """
    scores = np.asarray(scores, float)
    threshold = float(np.log(2 / (1 - confidence)))
    above, below = _Bettor(scores), _Bettor(1 - scores)
    intervals = []
    for prompts in at:
        low, high = above.bound(prompts, threshold, True), 1 - below.bound(prompts, threshold, True)
        if not low <= scores[:prompts].mean() <= high:
            low, high = above.bound(prompts, threshold, False), 1 - below.bound(prompts, threshold, False)
        intervals.append((low, high))
    return intervals


class _Bettor:
    """Bets that the mean of scores lies above a candidate value."""

    def __init__(self, scores: np.ndarray) -> None:
        self._values, self._value = np.unique(scores, return_inverse=True)  # few values: logarithms are taken once each

    def log_capital(self, candidate: float, prompts: int) -> np.ndarray:
        """Logarithm of the capital after each of the first `prompts` prompts, starting from 1; falls with `candidate`.

        A bet stakes c / candidate times (score - candidate) on each prompt for a c of BETS, and so loses c at most.
        """
        steps = np.log1p(BETS * (self._values / candidate - 1)[:, None])
        return np.logaddexp.reduce(np.cumsum(steps[self._value[:prompts]], axis=0), axis=1) - np.log(len(BETS))

    def bound(self, prompts: int, threshold: float, ever: bool) -> float:
        """Largest candidate against which the capital reaches the threshold, at any time so far or now; else 0."""
        low, high = 0.0, 1.0
        for _ in range(24):
            middle = (low + high) / 2
            capital = self.log_capital(middle, prompts)
            if (capital.max() if ever else capital[-1]) >= threshold:
                low = middle
            else:
                high = middle
        return low
