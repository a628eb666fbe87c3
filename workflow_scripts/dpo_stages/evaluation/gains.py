"""How much better one policy is than another: differences of win rates with paired bootstrap intervals.

Needs numpy and pyarrow alone, so that tables are made without alpaca-eval's environment.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpo_stages.core import files
from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table
from dpo_stages.evaluation.runs import intervals_over_runs

# results/evaluations/{policy}/win_rate_resamples.parquet, one row a resample
RESAMPLES_SCHEMA = pa.schema(
    [
        pa.field(
            "lc_win_rate", pa.float64(), nullable=False, metadata={"meaning": "length-controlled win rate, percent"}
        ),
        pa.field("win_rate", pa.float64(), nullable=False, metadata={"meaning": "win rate, percent"}),
    ]
)


def resamples_path(win_rate: str | os.PathLike) -> Path:
    """Where the resamples of a `win_rate.json` are: beside it."""
    return Path(win_rate).with_name(f"{Path(win_rate).stem}_resamples.parquet")


def percentile_interval(resamples: NDArray[np.float64], confidence: float) -> list[float]:
    """[low, high] of the percentile bootstrap, in the unit of `resamples`.

    Args:
        resamples: (b,) the figure of each resample.
        confidence: share of the resamples within the interval, such as 0.95.
    """
    tail = 100 * (1 - confidence) / 2
    return np.percentile(resamples, [tail, 100 - tail]).tolist()


def paired_gain(policy: str | os.PathLike, initial: str | os.PathLike) -> dict:
    """Gain of a policy over its initial policy, in percentage points, from their `win_rate.json` files.

    Resample k of both policies draws the same instructions, so the interval of the difference is that of a paired
    bootstrap: an instruction that is hard for both does not widen it.

    Returns:
        policy, initial, judge, confidence; lc_gain, win_rate_gain and for each its `_interval` [low, high] (percentile
        bootstrap over instructions: it does not hold that training once more gives another policy).

    Raises:
        BadInput: the two stand on different judges, difficulties or instructions.
    """
    after, before = files.read_json(policy), files.read_json(initial)
    for key, what in (
        ("judge", "judges"),
        ("lc_kind", "kinds of length-controlled win rate"),
        ("difficulties_fitted_over", "fits of the difficulties"),
        ("resampled_from", "instructions or references"),
        ("confidence", "confidences"),
    ):
        for path, figures in ((policy, after), (initial, before)):
            if not isinstance(figures, dict) or key not in figures:
                raise BadInput(f"{path} is not a win rate made by compute_win_rate.py: it has no {key}")
        if after[key] != before[key]:
            raise BadInput(f"{policy} and {initial} stand on different {what} and cannot be compared")
    tables = [read_table(resamples_path(path), RESAMPLES_SCHEMA) for path in (policy, initial)]
    if tables[0].num_rows != tables[1].num_rows:
        raise BadInput(f"{policy} and {initial} have different numbers of resamples; compute both win rates again")
    found = {
        "policy": after["policy"],
        "initial": before["policy"],
        "judge": after["judge"],
        "confidence": after["confidence"],
    }
    for figure, name in (("lc_win_rate", "lc_gain"), ("win_rate", "win_rate_gain")):
        differences = np.subtract(*(table.column(figure).to_numpy() for table in tables))
        found[name] = after[figure] - before[figure]
        found[f"{name}_interval"] = percentile_interval(differences, after["confidence"])
    return found


def gains_over_runs(
    contrasts: Sequence[Sequence[tuple[str | os.PathLike, str | os.PathLike | None]]],
) -> list[tuple[float, float]]:
    """Intervals of mean gains over several runs, which hold instructions and runs; see `runs.intervals_over_runs`.

    Args:
        contrasts: for each gain its runs, all of the same number: the `win_rate.json` of the policy and of the one whose
            length-controlled win rate is taken off; None takes nothing off. All stand on the same instructions.
    """
    paths = {path for runs in contrasts for pair in runs for path in pair if path is not None}
    figures = {path: files.read_json(path) for path in paths}
    resamples = {
        path: read_table(resamples_path(path), RESAMPLES_SCHEMA).column("lc_win_rate").to_numpy() for path in paths
    }

    def gain(values: dict, pair: tuple) -> float | NDArray[np.float64]:
        policy, other = pair
        return values[policy] - (0 if other is None else values[other])

    measured = {path: content["lc_win_rate"] for path, content in figures.items()}
    points = np.array([[gain(measured, pair) for pair in runs] for runs in contrasts])
    drawn = np.array([np.transpose([gain(resamples, pair) for pair in runs]) for runs in contrasts])
    [confidence] = {content["confidence"] for content in figures.values()}
    return list(zip(*intervals_over_runs(points, drawn, confidence), strict=True))
