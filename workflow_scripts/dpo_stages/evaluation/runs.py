"""Intervals that hold the run: differences of win rates over several runs of the same training.

A gain, or the difference of two arms, is another with other instructions, and another when the same training and sampling
are done once more. A bootstrap over instructions holds the first alone. Here contrast g in run r is

    d_gr = δ_g + t_gr + mean over instructions i of (a_gi + e_gir)

with the runs' own part t of variance τ², the instructions' part a, which all runs share, and e, in which sampling and an
instruction's answer to a run are mixed: instructions crossed with runs, both random (Searle, Casella and McCulloch,
Variance Components, 1992, chapter 4). The resamples, which draw the same instructions for all policies of all runs, tell the
parts of a and e apart; τ² is what the variance between runs has beyond that of e. Trainings of one table are alike, so τ² is
pooled over its contrasts; Student's t has the degrees of freedom of Satterthwaite (Biometrics Bulletin, 1946), and at least
those of the pooled variance: a contrast near 0 or 100 % varies less than the others, and its own variance would say next to none.
`benchmarks/runs.py` shows how often the intervals hold the truth.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def intervals_over_runs(points: Floats, resamples: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Intervals of contrasts, each the mean over its runs.

    Args:
        points: (g, r) contrast g as it was measured in run r, at least two runs.
        resamples: (g, b, r) the same in b resamples of the instructions, alike for all contrasts and runs.
        confidence: nominal coverage, such as 0.95.

    Returns:
        (g,) lower and upper ends, in the unit of `points`.
    """
    from scipy.special import stdtrit

    contrasts, runs = points.shape
    between = points.var(axis=1, ddof=1).mean()  # τ² and e
    own = resamples - resamples.mean(axis=1, keepdims=True)
    within = own.var(axis=2, ddof=1).mean()  # e
    instructions = resamples.mean(axis=2).var(axis=1, ddof=1)  # a, and e of the mean over runs
    variance = instructions + max(between - within, 0) / runs
    # Never fewer than those of the pooled variance, which a contrast's own may fall below where it has hardly any
    freedom = contrasts * (runs - 1) * np.maximum(1, variance / max(between / runs, 1e-12)) ** 2
    half = stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(variance)
    centre = points.mean(axis=1)
    return centre - half, centre + half


def plain_pairs(ends: tuple[Floats, Floats]) -> list[tuple[float, float]]:
    """(low, high) of each contrast as numbers of Python, for tables that ask whether something `is False`."""
    return [(low, high) for low, high in np.transpose(ends).tolist()]
