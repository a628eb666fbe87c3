"""Intervals of a race: how far one arm is preferred to another, over other prompts and over other runs of the training.

In run r and on prompt i the first arm of a pair is preferred by

    y_ri = share + t_r + a_i + e_ri,

prompts crossed with runs, both random (Searle, Casella and McCulloch, Variance Components, 1992, chapter 4). A betting
sequence over the prompts' means holds share + mean of t, whenever one looks; the few runs say how far the mean of t may lie
from 0. Imports numpy, and the special functions of scipy where they are needed.
"""

import math

import numpy as np

from dpo_boundary.intervals import Interval, betting_sequence

FOLDS = 10  # of the prompts, where lengths are taken out
TUNED_FOR = 128  # prompts at which what a fitted slope adds is narrowest


def run_variance(scores: np.ndarray) -> float:
    """Variance of t by the method of moments, pooled over pairs; it may be negative.

    Args:
        scores: (pairs, runs, prompts) with two runs and two prompts at least.
    """
    _, runs, prompts = scores.shape
    means = scores.mean(axis=2, keepdims=True)
    residuals = scores - means - scores.mean(axis=1, keepdims=True) + scores.mean(axis=(1, 2), keepdims=True)
    both = np.square(residuals).sum(axis=(1, 2)) / ((runs - 1) * (prompts - 1))  # of e
    return float((means[:, :, 0].var(axis=1, ddof=1) - both / prompts).mean())


def run_half_width(
    variance: float | None, *, arms: int, runs: int, confidence: float, run_sd: float, run_df: float
) -> float:
    """Half-width of the interval that holds the mean of t over the runs.

    The variance that was measured has (runs - 1)(arms - 1) degrees of freedom: pairs that share an arm are not
    independent. So few say little, and it is moderated towards a prior, as Smyth (Statistical Applications in Genetics
    and Molecular Biology, 2004) does where replicates are few.

    Args:
        variance: of t, as `run_variance` gives it; None with one run, where the prior stands alone.
        arms: of the look.
        runs: of each pair.
        confidence: of the interval.
        run_sd: standard deviation of t that is expected, as a share.
        run_df: degrees of freedom that the expectation is worth.
    """
    from scipy.special import stdtrit

    measured = 0.0 if variance is None else max(variance, 0.0)
    freedom = (runs - 1) * (arms - 1)
    moderated = (run_df * run_sd**2 + freedom * measured) / (run_df + freedom)
    return float(stdtrit(run_df + freedom, (1 + confidence) / 2) * math.sqrt(moderated / runs))


def over_prompts_and_runs(
    scores: np.ndarray, confidence: float, half_width: float, scale: Interval = (0.0, 1.0)
) -> tuple[float, Interval]:
    """Mean of the prompts' scores, and its interval over other prompts and runs.

    The betting interval and the runs' half-width are combined in quadrature, each side by itself.

    Args:
        scores: (prompts,) means over runs, in the order in which they are bet on.
        confidence: of the interval.
        half_width: of what is not the prompts'.
        scale: lowest and highest value that a score can have.
    """
    lowest, highest = scale
    width = highest - lowest
    (low, high), centre = (
        betting_sequence((scores - lowest) / width, confidence, [len(scores)])[0],
        float(scores.mean()),
    )
    below, above = centre - (lowest + width * low), lowest + width * high - centre
    interval = max(0.0, centre - math.hypot(below, half_width)), min(1.0, centre + math.hypot(above, half_width))
    return min(max(centre, 0.0), 1.0), interval


def without_lengths(scores: np.ndarray, longer: np.ndarray) -> tuple[np.ndarray, Interval, np.ndarray]:
    """Scores as they would be between responses of one length, as far as a line tells.

    From each score b tanh(d / s) is taken, where d is the difference of lengths and s its root mean square; b is fitted by
    least squares on the other prompts (ten folds, nested as prompts come in), within pairs, so that an arm which is better
    as well as longer is not taken for long alone. The scores are not cut to [0, 1]: a win of the shorter
    response would then stay 1 and a loss of the longer one 0, and part of what length does would be left.

    Args:
        scores: (pairs, runs, prompts).
        longer: (pairs, runs, prompts) d.

    Returns:
        (pairs, runs, prompts) adjusted scores, between which values they lie, and for each pair the standard error
        that b's own adds to its mean, which the spread of the scores does not show; prompts are the independent unit.
    """
    size = math.sqrt(np.square(longer).mean())
    length = np.tanh(longer / size) if size else np.zeros_like(longer)
    fold = np.arange(scores.shape[2]) % FOLDS
    slopes = np.zeros(scores.shape[2])
    for number in range(min(FOLDS, scores.shape[2])):
        others = fold != number
        slopes[fold == number] = _slope(scores[:, :, others], length[:, :, others])[0]
    bound = float(np.abs(slopes).max())
    _, error = _slope(scores, length)
    mean = np.abs(length.mean(axis=(1, 2)))
    errors = np.array([error * value if value else 0.0 for value in mean])
    return scores - slopes * length, (-bound, 1 + bound), errors


def anytime_quantile(prompts: int, confidence: float) -> float:
    """Standard errors to either side that hold a normal mean whenever one looks, as a betting sequence does for scores.

    Asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (Annals of Statistics, 2024).
    """
    error = 1 - confidence
    spent = -2 * math.log(error)
    tuned = prompts * (spent + math.log(spent + 1)) / TUNED_FOR
    return math.sqrt(2 * (tuned + 1) / tuned * math.log(math.sqrt(tuned + 1) / error))


def _slope(scores: np.ndarray, length: np.ndarray) -> tuple[float, float]:
    """Slope of scores on lengths within pairs, and its standard error, clustered by prompt; inf where nothing tells it."""
    spread = length - length.mean(axis=(1, 2), keepdims=True)
    total = float(np.square(spread).sum())
    if total <= 1e-12:
        return 0.0, math.inf
    slope = float((spread * scores).sum()) / total
    residuals = scores - scores.mean(axis=(1, 2), keepdims=True) - slope * spread
    return slope, math.sqrt(np.square((spread * residuals).sum(axis=(0, 1))).sum()) / total
