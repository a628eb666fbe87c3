"""How tables are written: CSV, Markdown, means over seeds, labels. Standard library only, but for intervals of means."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence


def labels(pairs: Iterable[str]) -> dict[str, str]:
    """`NAME=LABEL` arguments as a dictionary; a name without a label is its own."""
    return {name: label or name for name, _, label in (pair.partition("=") for pair in pairs)}


def as_csv(names: Sequence[str], lines: Iterable[Mapping[str, object]]) -> str:
    """CSV with a header; floats keep six decimals, None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for line in lines:
        writer.writerow([round(line[name], 6) if isinstance(line[name], float) else line[name] for name in names])
    return text.getvalue()


def mean_over_seeds(values: Sequence[float], decimals: int = 2, sign: str = "") -> str:
    """The mean, and with several values half the width of its 95 % interval by Student's t."""
    text = f"{statistics.fmean(values):{sign}.{decimals}f}"
    return text if len(values) == 1 else f"{text} ± {half_of_interval(values):.{decimals}f}"


def half_of_interval(values: Sequence[float]) -> float:
    """Half the width of the mean's 95 % interval by Student's t; at least two values."""
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first line is the header, padded so that it reads well as plain text too."""
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(lines[0]))]
    padded = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {padded[0]} |", f"|{rule}|", *(f"| {line} |" for line in padded[1:])])
