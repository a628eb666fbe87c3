"""The preference model's verdict on the two arms of an initial policy: how often it prefers the off-policy arm's output.

The boundary score is relative to the preference model that labels, so which arm is better by that model is the nearest that
the score can be held to (Appendix B.2 of the paper). compare_arms.py asks it about the outputs of both arms for the
instructions of the evaluation. A verdict is the percent of instructions on which the off-policy arm's output is preferred,
ties counting half; even is 50. Its bootstrap draws the same instructions for all arms. Needs numpy, scipy and pyarrow alone.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table
from dpo_stages.evaluation.arms import ARMS_SCHEMA
from dpo_stages.evaluation.gains import CONFIDENCE, RESAMPLES, SEED, level_interval
from dpo_stages.evaluation.length_control import resample_counts
from dpo_stages.evaluation.runs import intervals_over_runs, plain_pairs


@dataclass(frozen=True)
class Verdict:
    """What the preference model says of two arms.

    Attributes:
        arms: names of the off-policy and of the on-policy arm.
        percent: of instructions on which it prefers the off-policy arm's output; ties are halves.
        interval: over instructions, at `CONFIDENCE`, see `gains.level_interval`.
        resamples: (b,) the percentage in each resample.
        instructions: their indices, ascending.
    """

    arms: tuple[str, str]
    percent: float
    interval: tuple[float, float]
    resamples: NDArray[np.float64]
    instructions: tuple[int, ...]


def read_verdict(path: str | os.PathLike) -> Verdict:
    """Read what compare_arms.py wrote.

    Raises:
        BadInput: the file is missing, is no such table, or holds no instruction or several pairs of arms.
    """
    table = read_table(path, ARMS_SCHEMA).sort_by("index")
    arms = {*zip(*(table.column(name).to_pylist() for name in ("off_policy", "on_policy")), strict=True)}
    if len(arms) != 1:
        raise BadInput(f"{path} compares {len(arms)} pairs of arms; one file holds one, so compare them again")
    preferred = table.column("off_policy_preferred").to_numpy().astype(float)
    resamples = 100 * resample_counts(len(preferred), RESAMPLES, SEED) @ preferred / len(preferred)
    low, high = level_interval(resamples, preferred, CONFIDENCE)
    instructions = tuple(table.column("index").to_pylist())
    return Verdict(*arms, float(100 * preferred.mean()), (low, high), resamples, instructions)


def verdicts_over_runs(contrasts: Sequence[Sequence[Sequence[Verdict]]]) -> list[tuple[float, float]]:
    """Intervals of mean verdicts over several runs, which hold instructions and runs; see `runs.intervals_over_runs`.

    Args:
        contrasts: for each mean its runs, all of the same number, and for each run the verdicts that are averaged.

    Raises:
        BadInput: two of them are on different instructions.
    """
    verdicts = [one for runs in contrasts for run in runs for one in run]
    for one in verdicts:
        if one.instructions != verdicts[0].instructions:
            raise BadInput(
                f"the arms {' and '.join(verdicts[0].arms)} were compared on other instructions than "
                f"{' and '.join(one.arms)}; compare them again"
            )
    points = np.array([[np.mean([one.percent for one in run]) for run in runs] for runs in contrasts])
    drawn = [[np.mean([one.resamples for one in run], axis=0) for run in runs] for runs in contrasts]
    return plain_pairs(intervals_over_runs(points, np.swapaxes(drawn, 1, 2), CONFIDENCE))
