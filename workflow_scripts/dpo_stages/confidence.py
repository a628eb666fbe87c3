"""Intervals for shares whose votes come in clusters: several comparisons belong to one prompt and are not independent.

Imports numpy, and the special functions of scipy where they are needed (`scipy.stats` would cost a second of start-up).
"""

from collections.abc import Sequence

import numpy as np

Interval = tuple[float, float]


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


def clustered_interval(votes: Sequence[float], comparisons: Sequence[float], confidence: float) -> Interval:
    """Interval for the share of votes, sum(votes) / sum(comparisons), when whole prompts are the independent unit.

    Korn and Graubard's interval of survey statistics: the variance between prompts gives the number of independent
    comparisons that would tell as much, and Clopper and Pearson's interval is taken at that effective number, reduced
    for the degrees of freedom of the variance. It keeps its coverage near 0 and 1 and for few prompts, where the
    normal approximation does not.

    Args:
        votes: for each prompt, how many of its comparisons voted yes; ties are halves.
        comparisons: for each prompt, how many comparisons it has; positive, and not necessarily the same for all.
        confidence: in (0, 1).
    """
    from scipy.special import stdtrit

    votes, comparisons = np.asarray(votes, float), np.asarray(comparisons, float)
    prompts, total = len(votes), comparisons.sum()
    if prompts < 2:
        return 0.0, 1.0
    share = votes.sum() / total
    residuals = votes - share * comparisons
    variance = prompts / (prompts - 1) * np.square(residuals).sum() / total**2
    if variance <= 1e-12:
        effective = float(prompts)  # identical prompts say nothing about the variance: one comparison each is safe
    else:
        tail = (1 - confidence) / 2
        shrinkage = (stdtrit(total - 1, tail) / stdtrit(prompts - 1, tail)) ** 2
        effective = min(share * (1 - share) / variance, total) * shrinkage
    return binomial_interval(share * effective, effective, confidence)
