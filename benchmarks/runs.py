"""How often do intervals of gains hold the truth when training once more gives another gain?

    envs/run workflow benchmarks/runs.py

Simulated tables of 18 arms, each with a true gain, 320 instructions and two to five runs. An instruction moves all runs of an
arm by 15 points (standard deviation; it has its own for each arm), and each run apart by 20, which together make the standard
errors of the demo, about 1.4 points; a run as a whole moves the gain by 0 to 4. Two arms of one initial policy share half of
the variance of their runs, as gains over it do. The last lines are tables of which every other arm is much less stable than
its neighbour. Alternatives: the percentile bootstrap over instructions of one run, and Student's t over the runs of each arm.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from dpo_stages.evaluation.gains import percentile_interval
from dpo_stages.evaluation.runs import intervals_over_runs

ARMS, INSTRUCTIONS, RESAMPLES, TABLES = 18, 320, 400, 200
OF_INSTRUCTIONS, OF_BOTH = 15.0, 20.0  # points, standard deviations
CONFIDENCE = 0.95


def simulate(draw: np.random.Generator, runs: int, deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gains (arms, runs) whose truth is 0, and their resamples (arms, resamples, runs); `deviations` (arms,) of a run."""
    instructions = draw.normal(0, OF_INSTRUCTIONS, (ARMS, 1, INSTRUCTIONS))
    both = draw.normal(0, OF_BOTH, (ARMS, runs, INSTRUCTIONS))
    shared = np.repeat(draw.normal(0, 1, (ARMS // 2, runs)), 2, axis=0)
    run = deviations[:, None] * (draw.normal(0, 1, (ARMS, runs)) + shared) / np.sqrt(2)
    gains = instructions + both + run[:, :, None]
    weights = draw.multinomial(INSTRUCTIONS, np.full(INSTRUCTIONS, 1 / INSTRUCTIONS), RESAMPLES) / INSTRUCTIONS
    return gains.mean(axis=2), np.einsum("bi,gri->gbr", weights, gains, optimize=True)


def coverage(draw: np.random.Generator, runs: int, deviations: Sequence[float]) -> dict[str, np.ndarray]:
    """For each kind of interval, whether it holds the truth (tables, arms) and how wide it is."""
    found: dict[str, list] = {"one run, bootstrap": [], "t over runs": [], "ours": []}
    for _ in range(TABLES):
        points, resamples = simulate(draw, runs, np.asarray(deviations))
        low, high = np.transpose([percentile_interval(one, CONFIDENCE) for one in resamples[:, :, 0]])
        found["one run, bootstrap"].append((low, high))
        half = stdtrit(runs - 1, (1 + CONFIDENCE) / 2) * points.std(axis=1, ddof=1) / np.sqrt(runs)
        found["t over runs"].append((points.mean(axis=1) - half, points.mean(axis=1) + half))
        found["ours"].append(intervals_over_runs(points, resamples, CONFIDENCE))
    ends = {name: np.array(intervals) for name, intervals in found.items()}  # (tables, 2, arms)
    return {name: np.stack([(a[:, 0] <= 0) & (a[:, 1] >= 0), a[:, 1] - a[:, 0]]) for name, a in ends.items()}


def main() -> None:
    draw = np.random.default_rng(0)
    print(
        "| runs | of a run, points | "
        + " | ".join(f"{n}: holds, width" for n in coverage(draw, 2, [0.0] * ARMS))
        + " |"
    )
    print("|---|---|---|---|---|")
    for runs in (2, 3, 5):
        for deviation in (0.0, 1.0, 2.0, 4.0):
            found = coverage(draw, runs, [deviation] * ARMS)
            cells = [f"{100 * held.mean():.1f} %, {width.mean():.1f}" for held, width in found.values()]
            print(f"| {runs} | {deviation:g} | " + " | ".join(cells) + " |", flush=True)
    for runs in (2, 3, 5):
        found = coverage(draw, runs, [1.0, 1.0, 4.0, 4.0] * (ARMS // 4) + [1.0, 4.0])
        stable = np.array([True, True, False, False] * (ARMS // 4) + [True, False])
        for name, which in (("1, beside arms of 4", stable), ("4, beside arms of 1", ~stable)):
            cells = [f"{100 * h[:, which].mean():.1f} %, {w[:, which].mean():.1f}" for h, w in found.values()]
            print(f"| {runs} | {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
