"""What stands in tables: labels, and means over runs. Standard library only, but for their intervals."""

import math
import statistics
from collections.abc import Iterable, Sequence


def labels(pairs: Iterable[str]) -> dict[str, str]:
    """`NAME=LABEL` arguments as a dictionary; a name without a label is its own."""
    return {name: label or name for name, _, label in (pair.partition("=") for pair in pairs)}


def with_interval(value: float, low: float, high: float) -> str:
    """`0.55 (0.51–0.59)`."""
    return f"{value:.2f} ({low:.2f}–{high:.2f})"


def mean_over_runs(values: Sequence[float], decimals: int = 2) -> str:
    """The mean, and with several values half the width of its 95 % interval by Student's t."""
    text = f"{statistics.fmean(values):.{decimals}f}"
    return text if len(values) == 1 else f"{text} ± {_half_of_interval(values):.{decimals}f}"


def _half_of_interval(values: Sequence[float]) -> float:
    """Half the width of the mean's 95 % interval by Student's t; at least two values."""
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))
