"""How wide are intervals over several runs of policies that win next to nothing, beside others that do?

    envs/run workflow benchmarks/runs_near_the_ends.py

Simulated tables of six policies whose plain win rates are 3 to 50 %, of 100 or 400 instructions and two or three runs. Half of the
variance of whether an instruction is won is shared by a policy's runs; a run as a whole moves it by 0 or 0.1 (standard deviation, on
the scale of a probit). Of each policy: the median half-width, its 90th percentile, and in how many tables the interval misses the truth.
"""

import sys
from itertools import product
from pathlib import Path
from statistics import NormalDist

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from dpo_stages.evaluation.runs import intervals_over_runs

LEVELS = (0.03, 0.05, 0.1, 0.3, 0.4, 0.5)
TABLES, RESAMPLES, CONFIDENCE = 100, 1000, 0.95
PROBIT = NormalDist()


def simulate(draw: np.random.Generator, instructions: int, runs: int, of_run: float) -> tuple[np.ndarray, np.ndarray]:
    """Win rates in percent (levels, runs), and their resamples (levels, resamples, runs)."""
    means = np.array([PROBIT.inv_cdf(level) for level in LEVELS])[:, None, None]
    moved = of_run * draw.normal(size=(len(LEVELS), runs, 1))
    shared = draw.normal(size=(len(LEVELS), 1, instructions))
    own = draw.normal(size=(len(LEVELS), runs, instructions))
    wins = 100.0 * (means + moved + np.sqrt(0.5) * (shared + own) > 0)
    weights = draw.multinomial(instructions, np.full(instructions, 1 / instructions), RESAMPLES) / instructions
    return wins.mean(axis=2), np.einsum("bi,gri->gbr", weights, wins, optimize=True)


def main() -> None:
    draw = np.random.default_rng(0)
    print("| instructions | runs | of a run | " + " | ".join(f"{level:.0%}" for level in LEVELS) + " |")
    print("|---" * (3 + len(LEVELS)) + "|")
    for instructions, runs, of_run in product((100, 400), (2, 3), (0.0, 0.1)):
        truth = np.array([100 * PROBIT.cdf(PROBIT.inv_cdf(level) / np.hypot(1, of_run)) for level in LEVELS])
        tables = (simulate(draw, instructions, runs, of_run) for _ in range(TABLES))
        ends = np.array([intervals_over_runs(*table, CONFIDENCE) for table in tables])  # (tables, 2, levels)
        half = (ends[:, 1] - ends[:, 0]) / 2
        missed = ((ends[:, 0] > truth) | (ends[:, 1] < truth)).sum(axis=0)
        median, wide = np.percentile(half, [50, 90], axis=0)
        cells = [f"{m:.1f}, {w:.1f}, {n}" for m, w, n in zip(median, wide, missed, strict=True)]
        print(f"| {instructions} | {runs} | {of_run:g} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
