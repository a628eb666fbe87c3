"""Does a race that controls for length hold its word, and what does it find? Two simulated arms, one of which is the longer.

    OMP_NUM_THREADS=1 envs/run workflow benchmarks/race_lengths.py

One look, 95 %, 256 prompts, two runs that differ by 2 points. Verdicts prefer the longer response by up to 20 points, and the
first arm by 10, none or -10 more. The last column has scores cut to [0, 1] after length was taken out of each.
"""

import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from dpo_boundary.race import RUN_DF, RUN_SD
from dpo_boundary.race_columns import LookArrays
from dpo_boundary.race_intervals import without_lengths
from dpo_boundary.race_look import Rules, look_at

RACES, PROMPTS, RUNS = 200, 256, 2
EFFECT, OF_RUN = 0.2, 0.02  # of length and, as a standard deviation, of a run


def race(draw: np.random.Generator, mean: float, better: float) -> list[float]:
    """One race: who wins by scores and by those at one length, and the mean scores."""
    longer = draw.normal(mean, 1, (1, RUNS, PROMPTS))
    length = np.tanh(longer / math.sqrt(np.square(longer).mean()))
    chances = 0.5 + better + EFFECT * length + OF_RUN * draw.standard_normal((1, RUNS, 1))
    scores = (draw.random((2, 1, RUNS, PROMPTS)) < chances).mean(axis=0)  # of both orders of presentation
    found = []
    for controlled in (False, True):
        rules = Rules([1.0], 2, 0.95, RUN_SD, RUN_DF, controlled)
        arrays = LookArrays((("a", "b"),), ("1", "2"), scores, longer, 0)
        (pair,) = look_at(arrays, 1.0, ("a", "b"), rules).pairs
        found += [pair.better == "a", pair.better == "b"]
    adjusted, _, _ = without_lengths(scores, longer)
    return [*found, scores.mean(), adjusted.mean(), np.clip(adjusted, 0, 1).mean()]


def main() -> None:
    draw = np.random.default_rng(0)
    print("| longer by, sd | better by, points | score | wins | loses | at one length | wins | loses | cut to [0, 1] |")
    print("|---" * 9 + "|")
    for mean in (0.0, 0.5, 1.0, 2.0):
        for better in (-0.1, 0.0, 0.1):
            cells = np.mean([race(draw, mean, better) for _ in range(RACES)], axis=0)
            won, lost, own, other, score, adjusted, cut = cells
            shown = [
                f"{score:.3f}",
                f"{won:.1%}",
                f"{lost:.1%}",
                f"{adjusted:.3f}",
                f"{own:.1%}",
                f"{other:.1%}",
                f"{cut:.3f}",
            ]
            print(f"| {mean:g} | {100 * better:g} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
