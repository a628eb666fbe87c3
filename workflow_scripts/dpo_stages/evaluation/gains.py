"""How much better one policy is than another: differences of win rates with paired bootstrap intervals.

Needs numpy, scipy and pyarrow alone, so that tables are made without alpaca-eval's environment.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpo_boundary.intervals import clustered_interval
from dpo_stages.core import files
from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table
from dpo_stages.evaluation.runs import intervals_over_runs, plain_pairs

RESAMPLES, SEED, CONFIDENCE = 1000, 0, 0.95
"""Of the bootstrap over instructions, the same for whatever is measured on them."""
FEW = 5
"""Instructions won, or lost, below which a bootstrap of a win rate is not left alone."""

# results/evaluations/{policy}/win_rate_resamples.parquet, one row a resample
RESAMPLES_SCHEMA = pa.schema(
    [
        pa.field(
            "lc_win_rate",
            pa.float64(),
            metadata={"meaning": "length-controlled win rate, percent; null where there is no length control"},
        ),
        pa.field("win_rate", pa.float64(), nullable=False, metadata={"meaning": "win rate, percent"}),
    ]
)


# What two win rates have to share so that their difference is paired, and what it is called
PAIRED = {
    "judge": "judges",
    "lc_kind": "kinds of length-controlled win rate",
    "difficulties_fitted_over": "fits of the difficulties",
    "resampled_from": "instructions or references",
    "confidence": "confidences",
}


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


def level_interval(resamples: NDArray[np.float64], values: NDArray[np.float64], confidence: float) -> list[float]:
    """[low, high] of a win rate in percent: the percentile bootstrap, and no less than the clustered interval near 0 and 100.

    Where fewer than `FEW` instructions are won, or lost, resamples hold too little of what is rare, and of 20 won out of 20
    nothing at all.

    Args:
        resamples: (b,) the win rate of each resample, in percent.
        values: (n,) of each instruction, in [0, 1]; where the win rate is no mean over them, that win rate n times.
        confidence: as for `percentile_interval`.
    """
    low, high = percentile_interval(resamples, confidence)
    if min(values.sum(), (1 - values).sum()) >= FEW:
        return [low, high]
    ends = clustered_interval(values, np.ones(len(values)), confidence)
    return [min(low, 100 * ends[0]), max(high, 100 * ends[1])]


@dataclass(frozen=True)
class Evaluation:
    """A `win_rate.json` and the resamples beside it.

    Attributes:
        path: where it was read.
        figures: its content.
        resamples: (b,) percent for each of `lc_win_rate` and `win_rate`.
    """

    path: Path
    figures: dict
    resamples: dict[str, NDArray[np.float64]]


def read_evaluation(path: str | os.PathLike) -> Evaluation:
    """Read a `win_rate.json` and its resamples.

    Raises:
        BadInput: one of the two is missing, or no win rate of compute_win_rate.py.
    """
    figures = files.read_json(path)
    for key in PAIRED:
        if not isinstance(figures, dict) or key not in figures:
            raise BadInput(f"{path} is not a win rate made by compute_win_rate.py: it has no {key}")
    table = read_table(resamples_path(path), RESAMPLES_SCHEMA)
    return Evaluation(Path(path), figures, {name: table.column(name).to_numpy() for name in RESAMPLES_SCHEMA.names})


def paired_gain(
    policy: str | os.PathLike,
    initial: str | os.PathLike,
    read: Callable[[str | os.PathLike], Evaluation] = read_evaluation,
) -> dict:
    """Gain of a policy over its initial policy, in percentage points, from their `win_rate.json` files.

    Resample k of both policies draws the same instructions, so the interval of the difference is that of a paired
    bootstrap: an instruction that is hard for both does not widen it.

    Args:
        policy: the file of the policy.
        initial: the file of the other.
        read: gives the content of a file, for those who ask for many gains and read each file once.

    Returns:
        policy, initial, judge, confidence; lc_gain, win_rate_gain and for each its `_interval` [low, high] (percentile
        bootstrap over instructions: it does not hold that training once more gives another policy), both None where there is no
        length control.

    Raises:
        BadInput: the two stand on different judges, difficulties or instructions.
    """
    after, before = read(policy), read(initial)
    for key, what in PAIRED.items():
        if after.figures[key] != before.figures[key]:
            raise BadInput(f"{policy} and {initial} stand on different {what} and cannot be compared")
    if len(after.resamples["win_rate"]) != len(before.resamples["win_rate"]):
        raise BadInput(f"{policy} and {initial} have different numbers of resamples; compute both win rates again")
    found = {
        "policy": after.figures["policy"],
        "initial": before.figures["policy"],
        "judge": after.figures["judge"],
        "confidence": after.figures["confidence"],
    }
    for figure, name in (("lc_win_rate", "lc_gain"), ("win_rate", "win_rate_gain")):
        if after.figures[figure] is None:  # of both, whose lc_kind is one
            found |= {name: None, f"{name}_interval": None}
            continue
        found[name] = after.figures[figure] - before.figures[figure]
        differences = after.resamples[figure] - before.resamples[figure]
        found[f"{name}_interval"] = percentile_interval(differences, after.figures["confidence"])
    return found


def gains_over_runs(
    contrasts: Sequence[Sequence[Sequence[tuple[str | os.PathLike, str | os.PathLike | None]]]],
    figure: str = "lc_win_rate",
    read: Callable[[str | os.PathLike], Evaluation] = read_evaluation,
) -> list[tuple[float, float]]:
    """Intervals of mean gains over several runs, which hold instructions and runs; see `runs.intervals_over_runs`.

    Args:
        contrasts: for each gain its runs, all of the same number, and for each run the pairs whose gains are averaged: the
            `win_rate.json` of the policy and of the one whose figure is taken off; None takes nothing off. All stand on
            the same instructions.
        figure: `lc_win_rate` or `win_rate`.
        read: as for `paired_gain`.
    """
    evaluations = {
        path: read(path) for runs in contrasts for run in runs for pair in run for path in pair if path is not None
    }

    def gain(values: dict, run: Sequence[tuple]) -> float | NDArray[np.float64]:
        return np.mean([values[policy] - (0 if other is None else values[other]) for policy, other in run], axis=0)

    measured = {path: one.figures[figure] for path, one in evaluations.items()}
    resamples = {path: one.resamples[figure] for path, one in evaluations.items()}
    points = np.array([[gain(measured, run) for run in runs] for runs in contrasts])
    drawn = np.array([np.transpose([gain(resamples, run) for run in runs]) for runs in contrasts])
    [confidence] = {one.figures["confidence"] for one in evaluations.values()}
    return plain_pairs(intervals_over_runs(points, drawn, confidence))
