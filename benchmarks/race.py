"""How often is a race wrong, and how early is it decided? Simulated races with known truth.

    OMP_NUM_THREADS=1 envs/run workflow benchmarks/race.py

Looks after 2.5, 5, 10 and 20 % of an epoch, 95 %, at most 512 prompts a look in the library's blocks. A verdict in one order
of presentation is whether a latent difference lies above 0: the arms' skills, their runs, what a prompt means to an arm (alike
in all runs and looks), the response sampled (half of it alike in all looks) and the judge, with variances 0.3, 0.7 and 0.5
for the last three; a score is the mean of both orders. A run moves a pair's share by 0 to 4 points (standard deviation), half
of that variance alike in all looks. Arms that differ do so by 2, 5 or 10 points after the last look, and in proportion to the
square root of the share of an epoch before; of four arms one is better than the other three, which are equal.

Alternatives: linear widening (half-widths of prompts and runs are added), intervals over prompts that ignore runs, and one
test with all prompts of the last look (normal over prompts, and with the library's half-width of runs in quadrature).
"""

import math
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.special import ndtri, stdtrit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from dpo_boundary.blocks import block_ends, seeded_order
from dpo_boundary.intervals import BETS
from dpo_boundary.race import RUN_DF, RUN_SD, decide_race

SHARES = np.array([0.025, 0.05, 0.1, 0.2])
GROWTH = np.sqrt(SHARES / SHARES[-1])
CONFIDENCE, PROMPTS = 0.95, 512
OF_PROMPT, OF_SAMPLE, OF_JUDGE = 0.3, 0.7, 0.5  # variances of a latent difference
DIFFERENCE = math.sqrt(OF_PROMPT + OF_SAMPLE + OF_JUDGE)
POINT = 0.01 * DIFFERENCE * math.sqrt(2 * math.pi)  # of a share near a half, in the latent difference
ALIKE = 0.5  # of the variance of a run and of a sample, in all looks
DEVIATIONS = (0.0, 1.0, 2.0, 4.0)
QUADRATURE, LINEAR, NO_RUNS = "quadrature (ours)", "linear", "ignoring runs"


def simulate(
    draw: np.random.Generator, races: int, skills: np.ndarray, runs: int, deviation: float, prompts: int = PROMPTS
) -> np.ndarray:
    """Scores (races, looks, pairs, runs, prompts) in steps of a half; `skills` (looks, arms) are latent."""
    looks, arms = skills.shape

    def in_part_alike(*rest: int) -> np.ndarray:
        """Standard normal, (races, looks, ...)."""
        once = draw.standard_normal((races, 1, *rest), np.float32)
        anew = draw.standard_normal((races, looks, *rest), np.float32)
        return math.sqrt(ALIKE) * once + math.sqrt(1 - ALIKE) * anew

    latent = math.sqrt(OF_SAMPLE / 2) * in_part_alike(arms, runs, prompts)
    latent += math.sqrt(OF_PROMPT / 2) * draw.standard_normal((races, 1, arms, 1, prompts), np.float32)
    latent += (deviation * POINT / math.sqrt(2)) * in_part_alike(arms, runs, 1)
    latent += skills[:, :, None, None].astype(np.float32)
    pairs = list(combinations(range(arms), 2))
    scores = np.empty((races, looks, len(pairs), runs, prompts), np.float32)
    for number, (one, other) in enumerate(pairs):
        apart = latent[:, :, one] - latent[:, :, other]
        orders = [
            apart + math.sqrt(OF_JUDGE) * draw.standard_normal(apart.shape, np.float32) > 0 for _ in range(2)
        ]
        scores[:, :, number] = (orders[0].astype(np.float32) + orders[1]) / 2
    return scores


def skills_of(arms: int, points: float) -> np.ndarray:
    """Latent skills (looks, arms): the first arm's share against any other is 0.5 + points / 100 after the last look."""
    skills = np.zeros((len(SHARES), arms))
    skills[:, 0] = [DIFFERENCE * ndtri(0.5 + points * growth / 100) for growth in GROWTH]
    return skills


def variances(scores: np.ndarray) -> np.ndarray:
    """`race_intervals.run_variance` for each pair by itself: (..., pairs) of scores (..., pairs, runs, prompts)."""
    runs, prompts = scores.shape[-2:]
    means = scores.mean(axis=-1, keepdims=True)
    both = scores - means - scores.mean(axis=-2, keepdims=True) + scores.mean(axis=(-2, -1), keepdims=True)
    both = np.square(both).sum(axis=(-2, -1)) / ((runs - 1) * (prompts - 1))
    return means[..., 0].var(axis=-1, ddof=1) - both / prompts


def runs_half_width(
    variance: np.ndarray, arms: np.ndarray, runs: int, level: float, prior: tuple[float, float]
) -> np.ndarray:
    """`race_intervals.run_half_width` for many; prior in points and degrees of freedom."""
    freedom = (runs - 1) * (arms - 1)
    total = prior[1] + freedom
    moderated = (prior[1] * (prior[0] / 100) ** 2 + freedom * np.maximum(variance, 0)) / total
    return stdtrit(total, (1 + level) / 2) * np.sqrt(moderated / runs)


def level_at(look: int, arms: int) -> float:
    return 1 - (1 - CONFIDENCE) * SHARES[look] / SHARES.sum() / math.comb(arms, 2)


class Counts:
    """For prompts in order, how often each value of a score has come so far: all that a constant bet needs."""

    def __init__(self, scores: np.ndarray, runs: int) -> None:
        self.values = np.arange(2 * runs + 1) / (2 * runs)
        which = np.rint(scores * 2 * runs).astype(int)  # (..., prompts) means over runs
        self.so_far = np.cumsum(which[..., None] == np.arange(2 * runs + 1), axis=-2, dtype=np.int16)

    def excluded(self, where: tuple[np.ndarray, ...], candidate: np.ndarray, up: np.ndarray, end: int, level: float):
        """Whether bets that the mean lies above (below, unless `up`) the candidates were ever won by `end` prompts."""
        values = np.where(up[:, None], self.values, 1 - self.values)
        centre = np.where(up, candidate, 1 - candidate)[:, None]
        steps = np.log1p(BETS * (values / centre - 1)[:, :, None])  # (selected, values, bets)
        sums = self.so_far[where][:, :end].astype(float) @ steps
        with np.errstate(over="ignore"):
            capital = np.exp(sums).mean(axis=2).max(axis=1)
        return capital >= 2 / (1 - level)


def race_all(
    scores: np.ndarray, method: str, prior: tuple[float, float] = (RUN_SD, RUN_DF)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run races as the library does.

    Returns:
        (races, arms) the look after which an arm is out, or the number of looks; (races,) prompts that were judged, summed
        over looks; (races,) look after which the race was decided, or the number of looks.
    """
    races, looks, pair_count, runs, prompts = scores.shape
    arms = round((1 + math.sqrt(1 + 8 * pair_count)) / 2)
    pairs = np.array(list(combinations(range(arms), 2)))
    out_at = np.full((races, arms), looks)
    judged, decided_at = np.zeros(races, int), np.full(races, looks)
    for look in range(looks):
        level = level_at(look, arms)
        here = np.flatnonzero(decided_at == looks)
        now = scores[here, look]
        mean = now.mean(axis=2)
        counts = Counts(mean, runs)
        started = out_at[here] >= look  # arms that are in before this look
        among = started[:, pairs].all(axis=2)  # (here, pairs)
        better = np.zeros(among.shape, int)
        running, left, judged_here = np.ones(len(here), bool), started.copy(), np.zeros(len(here), int)
        for end in block_ends(prompts):
            score = mean[:, :, :end].mean(axis=2)
            half = np.zeros(len(here))
            if method != NO_RUNS:
                pooled = np.where(among, variances(now[..., :end]), 0).sum(axis=1) / among.sum(axis=1)
                half = runs_half_width(pooled, started.sum(axis=1), runs, level, prior)
            beyond = np.abs(score - 0.5)
            with np.errstate(invalid="ignore"):
                need = beyond - half[:, None] if method == LINEAR else np.sqrt(beyond**2 - half[:, None] ** 2)
            where = np.nonzero((need > 0) & among & (better == 0) & running[:, None])
            up = score[where] > 0.5
            candidate = np.where(up, score[where] - need[where], score[where] + need[where])
            won = counts.excluded(where, candidate, up, end, level)
            better[where] = np.where(won, np.where(up, 1, -1), 0)
            judged_here[running] = end
            for race in np.flatnonzero(running & (better != 0).any(axis=1)):
                left[race] = started[race] & ~outs(better[race], pairs, arms)
            open_pairs = left[:, pairs].all(axis=2) & (better == 0)
            running &= open_pairs.any(axis=1)
        judged[here] += judged_here
        out_at[here] = np.where(started & ~left, look, out_at[here])
        decided_at[here[left.sum(axis=1) == 1]] = look
    return out_at, judged, decided_at


def outs(better: np.ndarray, pairs: np.ndarray, arms: int) -> np.ndarray:
    """Arms that are beaten by one that they do not beat in turn, itself or by way of others."""
    beats = np.zeros((arms, arms), bool)
    for (one, other), side in zip(pairs, better, strict=True):
        beats[one, other], beats[other, one] = side > 0, side < 0
    above = beats.copy()
    for by_way_of in range(arms):
        above |= above[:, [by_way_of]] & above[[by_way_of]]
    return (beats & ~above.T).any(axis=0)


def in_parts(
    draw: np.random.Generator, races: int, skills: np.ndarray, runs: int, deviation: float, prompts: int = PROMPTS
):
    """Simulated scores of so many races, as much of them at a time as fits into memory."""
    size = max(1, 1_500_000 // (prompts * runs * math.comb(skills.shape[1], 2)))
    for start in range(0, races, size):
        yield simulate(draw, min(size, races - start), skills, runs, deviation, prompts)


def fixed_test(scores: np.ndarray, with_runs: bool, prior: tuple[float, float] = (RUN_SD, RUN_DF)) -> np.ndarray:
    """Verdict of each pair (races, pairs), 1, -1 or 0, by one test at the last look with all prompts."""
    last = scores[:, -1]
    _, pair_count, runs, prompts = last.shape
    arms = round((1 + math.sqrt(1 + 8 * pair_count)) / 2)
    level = 1 - (1 - CONFIDENCE) / pair_count
    mean = last.mean(axis=2)
    half = ndtri((1 + level) / 2) * mean.std(axis=2, ddof=1) / math.sqrt(prompts)
    if with_runs:
        half = np.hypot(half, runs_half_width(variances(last).mean(axis=1), arms, runs, level, prior)[:, None])
    score = mean.mean(axis=2)
    return np.where(np.abs(score - 0.5) > half, np.sign(score - 0.5), 0)


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
            assert sum(look.prompts for look in found.looks) == judged[race]
            shares = [found.out[str(arm)].share if str(arm) in found.out else None for arm in range(arms)]
            assert shares == [None if at == len(SHARES) else SHARES[at] for at in out_at[race]]


def priors(draw: np.random.Generator, races: int) -> None:
    """Highest rate of wrong decisions and the power of several priors, two arms."""
    candidates = [(sd, df) for sd in (2.0, 3.0, 4.0) for df in (1.0, 2.0, 4.0, 8.0)]
    many = 100_000
    print("| expected, points | worth | wrong, 2 runs | 3 runs | wrong, endless prompts, 2 runs | 3 runs | right at 10 points, 2 runs | 3 runs |")
    print("|---|---|---|---|---|---|---|---|")
    found = {prior: [] for prior in candidates}
    for runs in (2, 3):
        wrong = dict.fromkeys(candidates, 0.0)
        for deviation in DEVIATIONS:
            counts = dict.fromkeys(candidates, 0)
            for scores in in_parts(draw, races, skills_of(2, 0), runs, deviation):
                for prior in candidates:
                    counts[prior] += (race_all(scores, QUADRATURE, prior)[0] < len(SHARES)).any(axis=1).sum()
            wrong = {prior: max(wrong[prior], counts[prior] / races) for prior in candidates}
        for prior in candidates:
            found[prior].append(rate(wrong[prior]))
    for runs in (2, 3):
        for prior in candidates:
            found[prior].append(rate(max(endless(draw, many, runs, deviation, prior) for deviation in DEVIATIONS)))
    for runs in (2, 3):
        counts = dict.fromkeys(candidates, 0)
        for scores in in_parts(draw, races, skills_of(2, 10.0), runs, 1.0):
            for prior in candidates:
                counts[prior] += (race_all(scores, QUADRATURE, prior)[0][:, 1] < len(SHARES)).sum()
        for prior in candidates:
            found[prior].append(rate(counts[prior] / races))
    for (sd, df), cells in found.items():
        print(f"| {sd:g} | {df:g} | " + " | ".join(cells) + " |", flush=True)


def endless(draw: np.random.Generator, races: int, runs: int, deviation: float, prior: tuple[float, float]) -> float:
    """Rate of wrong decisions of two equal arms where prompts are so many that runs alone matter."""
    once, anew = draw.standard_normal((races, 1, runs)), draw.standard_normal((races, len(SHARES), runs))
    shares = 0.01 * deviation * (math.sqrt(ALIKE) * once + math.sqrt(1 - ALIKE) * anew)
    wrong = np.zeros(races, bool)
    for look in range(len(SHARES)):
        half = runs_half_width(shares[:, look].var(axis=1, ddof=1), np.array(2), runs, level_at(look, 2), prior)
        wrong |= np.abs(shares[:, look].mean(axis=1)) > half
    return wrong.mean()


def equal_arms(draw: np.random.Generator, races: int) -> None:
    methods = (QUADRATURE, LINEAR, NO_RUNS)
    print("| arms | runs | of a run, points | " + " | ".join(methods) + " | one test with runs | one test, prompts alone |")
    print("|---" * 8 + "|")
    for arms in (2, 4):
        for runs in (2, 3):
            for deviation in DEVIATIONS:
                counts = np.zeros(5)
                for scores in in_parts(draw, races, skills_of(arms, 0), runs, deviation):
                    for number, method in enumerate(methods):
                        counts[number] += (race_all(scores, method)[0] < len(SHARES)).any(axis=1).sum()
                    for number, with_runs in enumerate((True, False), start=3):
                        counts[number] += (fixed_test(scores, with_runs) != 0).any(axis=1).sum()
                print(f"| {arms} | {runs} | {deviation:g} | " + " | ".join(map(rate, counts / races)) + " |", flush=True)


def unequal_arms(draw: np.random.Generator, races: int) -> None:
    print("| arms | differ by | runs | of a run, points | decided for the better | for another | an equal or better one out "
          "| prompts judged | share of an epoch | one test with runs: for the better | linear: for the better |")
    print("|---" * 11 + "|")
    for arms in (2, 4):
        for points in (2.0, 5.0, 10.0):
            for runs, deviation in ((2, 0.0), (2, 2.0), (3, 0.0), (3, 2.0), (3, 4.0)):
                right = other = wrong = fixed = linear = 0
                prompts, shares = 0.0, 0.0
                for scores in in_parts(draw, races, skills_of(arms, points), runs, deviation):
                    out_at, judged, decided_at = race_all(scores, QUADRATURE)
                    better = (out_at[:, 1:] < len(SHARES)).all(axis=1)
                    right += better.sum()
                    other += ((decided_at < len(SHARES)) & ~better).sum()
                    wrong += (out_at[:, 0] < len(SHARES)).sum()
                    prompts += judged.sum()
                    shares += SHARES[np.minimum(decided_at, len(SHARES) - 1)].sum()
                    linear += (race_all(scores, LINEAR)[0][:, 1:] < len(SHARES)).all(axis=1).sum()
                    fixed += (fixed_test(scores, True)[:, : arms - 1] > 0).all(axis=1).sum()
                cells = [rate(right / races), rate(other / races), rate(wrong / races), f"{prompts / races:,.0f}"]
                cells += [rate(shares / races), rate(fixed / races), rate(linear / races)]
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
