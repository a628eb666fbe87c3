"""Statistics of an audit: intervals of shares and of their differences, and how far two texts are apart. Needs numpy, and scipy for means."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """An estimate, the ends of its interval, and the number of pairs that it is made of."""

    estimate: float
    low: float
    high: float
    pairs: int


def share(successes: float, trials: int, confidence: float) -> Estimate | None:
    """A share in [0, 1] with Wilson's score interval (Journal of the American Statistical Association, 1927); None of nothing.

    Args:
        successes: at most `trials`; a tie counts half.
        trials: independent ones.
        confidence: in (0, 1).
    """
    if not trials:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    found = successes / trials
    centre = (found + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(found * (1 - found) / trials + z**2 / (4 * trials**2))
    return Estimate(found, max(0.0, float(centre - half)), min(1.0, float(centre + half)), trials)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """First less second of two independent shares, with Newcombe's interval (Statistics in Medicine, 1998, method 10).

    Args:
        first, second: as `share` gives them, at one confidence.
    """
    found = first.estimate - second.estimate
    below = np.hypot(first.estimate - first.low, second.high - second.estimate)
    above = np.hypot(first.high - first.estimate, second.estimate - second.low)
    return Estimate(found, float(found - below), float(found + above), first.pairs + second.pairs)


def mean(values: Sequence[float], confidence: float) -> Estimate | None:
    """A mean with Student's t interval, such as that of paired differences; None of fewer than two values.

    Args:
        values: one a prompt.
        confidence: in (0, 1).
    """
    from scipy.special import stdtrit

    if len(values) < 2:
        return None
    numbers = np.asarray(values, dtype=float)
    half = stdtrit(len(numbers) - 1, (1 + confidence) / 2) * numbers.std(ddof=1) / np.sqrt(len(numbers))
    centre = float(numbers.mean())
    return Estimate(centre, centre - float(half), centre + float(half), len(numbers))


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Levenshtein's distance: the fewest insertions, deletions and replacements of words that turn one text into the other."""
    codes = {word: code for code, word in enumerate(dict.fromkeys((*first, *second)))}
    columns = np.array([codes[word] for word in second], dtype=int)
    places = np.arange(len(columns) + 1)
    row = places.copy()
    for word in first:
        # Deleted or replaced; then inserted, which may follow on each other
        changed = np.concatenate(([row[0] + 1], np.minimum(row[1:] + 1, row[:-1] + (columns != codes[word]))))
        row = np.minimum.accumulate(changed - places) + places
    return int(row[-1])
