"""How often is a race wrong, and how early is it decided? Simulated races with known truth.

    OMP_NUM_THREADS=1 envs/run workflow benchmarks/race.py

`simulated_races.py` has the races. Alternatives: linear widening (half-widths of prompts and runs are added), intervals over
prompts that ignore runs, and one test with all prompts of the last look (normal over prompts, alone or with the library's
half-width of runs in quadrature).
"""

import math
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from simulated_races import (
    ALIKE,
    LINEAR,
    NO_RUNS,
    PROMPTS,
    QUADRATURE,
    SHARES,
    fixed_test,
    in_parts,
    level_at,
    race_all,
    runs_half_width,
    simulate,
    skills_of,
)

from dpo_boundary.blocks import seeded_order
from dpo_boundary.race import decide_race

DEVIATIONS = (0.0, 1.0, 2.0, 4.0)


def rate(value: float) -> str:
    return f"{100 * value:.1f} %"


def check_against_the_library(draw: np.random.Generator) -> None:
    """The vectorised races put out whom `decide_race` does, and after as many prompts."""
    ids = seeded_order([f"p{number}" for number in range(PROMPTS)], 0)
    for arms, runs, points in ((2, 2, 15.0), (4, 3, 15.0), (4, 2, 25.0)):
        scores = simulate(draw, 8, skills_of(arms, points), runs, 2.0)
        out_at, judged, _ = race_all(scores, QUADRATURE)
        pairs = list(combinations(range(arms), 2))
        look, pair, run, prompt = (axis.ravel() for axis in np.indices(scores.shape[1:]))
        for race in range(len(scores)):
            found = decide_race(
                {
                    "prompt_id": np.array(ids)[prompt],
                    "arm_1": np.array([one for one, _ in pairs])[pair],
                    "arm_2": np.array([other for _, other in pairs])[pair],
                    "run": run,
                    "share": SHARES[look],
                    "arm_1_preferred": scores[race].ravel(),
                },
                shares=SHARES,
            )
            assert sum(look.prompts * len(look.pairs) for look in found.looks) == judged[race]
            shares = [found.out[str(arm)].share if str(arm) in found.out else None for arm in range(arms)]
            assert shares == [None if at == len(SHARES) else SHARES[at] for at in out_at[race]]


def priors(draw: np.random.Generator, races: int) -> None:
    """Of several priors the highest rate of wrong decisions, over 0 to 4 points between runs, and the power."""
    print(
        "| expected, points | worth | wrong, 2 runs | 3 runs | of endless prompts, 2 runs | 3 runs | right, 2 runs | 3 runs |"
    )
    print("|---" * 8 + "|")
    candidates = [(sd, df) for sd in (2.0, 3.0, 4.0) for df in (1.0, 2.0, 4.0, 8.0)]
    wrong, right = np.zeros((2, 2, len(candidates)))
    for column, runs in enumerate((2, 3)):
        for deviation in DEVIATIONS:
            counts = np.zeros(len(candidates))
            for scores in in_parts(draw, races, skills_of(2, 0), runs, deviation):
                counts += [somebody_out(race_all(scores, QUADRATURE, prior)) for prior in candidates]
            wrong[column] = np.maximum(wrong[column], counts / races)
        for scores in in_parts(draw, races, skills_of(2, 10.0), runs, 1.0):
            right[column] += [won_by_first(race_all(scores, QUADRATURE, prior)) / races for prior in candidates]
    for number, prior in enumerate(candidates):
        endless = [
            max(
                wrong_with_endless_prompts(draw, 50_000, arms, runs, deviation, prior)
                for arms in (2, 4)
                for deviation in DEVIATIONS
            )
            for runs in (2, 3)
        ]
        cells = map(rate, [*wrong[:, number], *endless, *right[:, number]])
        print(f"| {prior[0]:g} | {prior[1]:g} | " + " | ".join(cells) + " |", flush=True)


def wrong_with_endless_prompts(
    draw: np.random.Generator, races: int, arms: int, runs: int, deviation: float, prior: tuple[float, float]
) -> float:
    """Rate of wrong decisions about equal arms where prompts are so many that runs alone matter."""
    once, anew = (draw.standard_normal((races, looks, arms, runs)) for looks in (1, len(SHARES)))
    of_arms = 0.01 * deviation / math.sqrt(2) * (math.sqrt(ALIKE) * once + math.sqrt(1 - ALIKE) * anew)
    one, other = np.array(list(combinations(range(arms), 2))).T
    apart = of_arms[:, :, one] - of_arms[:, :, other]  # (races, looks, pairs, runs)
    wrong = np.zeros(races, bool)
    for look in range(len(SHARES)):
        variance = apart[:, look].var(axis=2, ddof=1).mean(axis=1)
        half = runs_half_width(variance, np.array(arms), runs, level_at(look, arms), prior)
        wrong |= (np.abs(apart[:, look].mean(axis=2)) > half[:, None]).any(axis=1)
    return wrong.mean()


def somebody_out(raced: tuple[np.ndarray, np.ndarray, np.ndarray]) -> int:
    return (raced[0] < len(SHARES)).any(axis=1).sum()


def won_by_first(raced: tuple[np.ndarray, np.ndarray, np.ndarray]) -> int:
    return (raced[0][:, 1:] < len(SHARES)).all(axis=1).sum()


def equal_arms(draw: np.random.Generator, races: int) -> None:
    methods = (QUADRATURE, LINEAR, NO_RUNS)
    print(
        "| arms | runs | of a run, points | "
        + " | ".join(methods)
        + " | one test with runs | one test, prompts alone |"
    )
    print("|---" * 8 + "|")
    cells = [(arms, runs, f"{points:g}", points) for arms in (2, 4) for runs in (2, 3) for points in DEVIATIONS]
    unstable = np.array([4 * math.sqrt(2), 0, 0, 0])
    cells += [(4, runs, "4 of one arm, 0 of the others", unstable) for runs in (2, 3)]
    cells += [(2, runs, "8", 8.0) for runs in (2, 3)]
    for arms, runs, name, deviation in cells:
        counts = np.zeros(5)
        for scores in in_parts(draw, races, skills_of(arms, 0), runs, deviation):
            counts += [
                *(somebody_out(race_all(scores, method)) for method in methods),
                *((fixed_test(scores, with_runs) != 0).any(axis=1).sum() for with_runs in (True, False)),
            ]
        print(f"| {arms} | {runs} | {name} | " + " | ".join(map(rate, counts / races)) + " |", flush=True)


def unequal_arms(draw: np.random.Generator, races: int) -> None:
    print(
        "| arms | differ by | runs | of a run, points | decided for the better one | the better one out | prompts judged, of all pairs "
        "| share of an epoch | one test with runs | linear |"
    )
    print("|---" * 10 + "|")
    for arms in (2, 4):
        for points in (2.0, 5.0, 10.0):
            for runs, deviation in ((2, 0.0), (2, 2.0), (3, 0.0), (3, 2.0), (3, 4.0)):
                found = np.zeros(6)
                for scores in in_parts(draw, races, skills_of(arms, points), runs, deviation):
                    out_at, judged, decided_at = race_all(scores, QUADRATURE)
                    found += [
                        won_by_first((out_at, judged, decided_at)),
                        (out_at[:, 0] < len(SHARES)).sum(),
                        judged.sum(),
                        SHARES[np.minimum(decided_at, len(SHARES) - 1)].sum(),
                        (fixed_test(scores, True)[:, : arms - 1] > 0).all(axis=1).sum(),
                        won_by_first(race_all(scores, LINEAR)),
                    ]
                right, out, prompts, share, fixed, linear = found / races
                cells = [rate(right), rate(out), f"{prompts:,.0f}", rate(share), rate(fixed), rate(linear)]
                print(f"| {arms} | {points:g} | {runs} | {deviation:g} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    started = time.perf_counter()
    draw = np.random.default_rng(0)
    check_against_the_library(draw)
    priors(draw, 2000)
    equal_arms(draw, 2000)
    unequal_arms(draw, 500)
    print(f"\n{time.perf_counter() - started:.0f} seconds")


if __name__ == "__main__":
    main()
