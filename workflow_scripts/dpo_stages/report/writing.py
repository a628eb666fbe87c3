"""What tables are made of: labels, rows of CSV files, means over seeds. Standard library only, but for their intervals."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_text


def labels(pairs: Iterable[str]) -> dict[str, str]:
    """`NAME=LABEL` arguments as a dictionary; a name without a label is its own."""
    return {name: label or name for name, _, label in (pair.partition("=") for pair in pairs)}


def read_csv(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file with a header.

    Raises:
        BadInput: the file is missing, has no row, or lacks one of the columns `needed`.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    except csv.Error as error:
        raise BadInput(f"{path} is not a CSV file: {error}") from error
    if not rows:
        raise BadInput(f"{path} has no rows")
    missing = [name for name in needed if name not in rows[0]]
    if missing:
        raise BadInput(f"{path} lacks the column {', '.join(missing)}")
    return rows


def mean_over_seeds(values: Sequence[float], decimals: int = 2, sign: str = "") -> str:
    """The mean, and with several values half the width of its 95 % interval by Student's t."""
    text = f"{statistics.fmean(values):{sign}.{decimals}f}"
    return text if len(values) == 1 else f"{text} ± {half_of_interval(values):.{decimals}f}"


def half_of_interval(values: Sequence[float]) -> float:
    """Half the width of the mean's 95 % interval by Student's t; at least two values."""
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))
