"""Simulated races with known truth, and the library's decisions on thousands of them at once; `race.py` uses it.

Looks after 2.5, 5, 10 and 20 % of an epoch, 95 %, at most 512 prompts a look in the library's blocks. A verdict in one order
of presentation is whether a latent difference lies above 0: the arms' skills, their runs, what a prompt means to an arm (alike
in all runs and looks), the response sampled (half of it alike in all looks) and the judge, with variances 0.3, 0.7 and 0.5
for the last three; a score is the mean of both orders. A run moves a pair's share by 0 to 4 points (standard deviation), half
of that variance alike in all looks. Arms that differ do so by 2, 5 or 10 points after the last look, and in proportion to the
square root of the share of an epoch before; of four arms one is better than the other three, which are equal.
"""

import math
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.special import ndtri, stdtrit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from dpo_boundary.blocks import block_ends
from dpo_boundary.intervals import BETS
from dpo_boundary.race import RUN_DF, RUN_SD

SHARES = np.array([0.025, 0.05, 0.1, 0.2])
GROWTH = np.sqrt(SHARES / SHARES[-1])
CONFIDENCE, PROMPTS = 0.95, 512
OF_PROMPT, OF_SAMPLE, OF_JUDGE = 0.3, 0.7, 0.5  # variances of a latent difference
DIFFERENCE = math.sqrt(OF_PROMPT + OF_SAMPLE + OF_JUDGE)
POINT = 0.01 * DIFFERENCE * math.sqrt(2 * math.pi)  # of a share near a half, in the latent difference
ALIKE = 0.5  # of the variance of a run and of a sample, in all looks
QUADRATURE, LINEAR, NO_RUNS = "quadrature (ours)", "linear", "ignoring runs"


def simulate(
    draw: np.random.Generator, races: int, skills: np.ndarray, runs: int, deviation: float | np.ndarray
) -> np.ndarray:
    """Scores (races, looks, pairs, runs, prompts) in steps of a half.

    Args:
        draw: random numbers.
        races: how many.
        skills: (looks, arms) latent.
        runs: of each arm.
        deviation: of a pair's share over runs, in points; or (arms,) of each arm, such that a pair has the root of their
            mean square.
    """
    looks, arms = skills.shape
    deviations = np.broadcast_to(deviation, arms)[:, None, None]

    def in_part_alike(*rest: int) -> np.ndarray:
        """Standard normal, (races, looks, ...)."""
        once = draw.standard_normal((races, 1, *rest), np.float32)
        anew = draw.standard_normal((races, looks, *rest), np.float32)
        return math.sqrt(ALIKE) * once + math.sqrt(1 - ALIKE) * anew

    latent = math.sqrt(OF_SAMPLE / 2) * in_part_alike(arms, runs, PROMPTS)
    latent += math.sqrt(OF_PROMPT / 2) * draw.standard_normal((races, 1, arms, 1, PROMPTS), np.float32)
    latent += (deviations * POINT / math.sqrt(2)).astype(np.float32) * in_part_alike(arms, runs, 1)
    latent += skills[:, :, None, None].astype(np.float32)
    pairs = list(combinations(range(arms), 2))
    scores = np.empty((races, looks, len(pairs), runs, PROMPTS), np.float32)
    for number, (one, other) in enumerate(pairs):
        apart = latent[:, :, one] - latent[:, :, other]
        orders = [apart + math.sqrt(OF_JUDGE) * draw.standard_normal(apart.shape, np.float32) > 0 for _ in range(2)]
        scores[:, :, number] = (orders[0].astype(np.float32) + orders[1]) / 2
    return scores


def skills_of(arms: int, points: float) -> np.ndarray:
    """Latent skills (looks, arms): the first arm's share against any other is 0.5 + points / 100 after the last look."""
    skills = np.zeros((len(SHARES), arms))
    skills[:, 0] = [DIFFERENCE * ndtri(0.5 + points * growth / 100) for growth in GROWTH]
    return skills


def in_parts(
    draw: np.random.Generator, races: int, skills: np.ndarray, runs: int, deviation: float | np.ndarray
) -> Iterator[np.ndarray]:
    """Scores of so many races, as many of them at a time as fit into memory."""
    size = 1_500_000 // (PROMPTS * runs * math.comb(skills.shape[1], 2))
    for start in range(0, races, size):
        yield simulate(draw, min(size, races - start), skills, runs, deviation)


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
        over looks and pairs; (races,) look after which the race was decided, or the number of looks.
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
        judged[here] += judged_here * among.sum(axis=1)
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
