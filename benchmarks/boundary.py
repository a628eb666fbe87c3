"""How sure and how cheap is the boundary measurement? Simulations with known boundary scores.

    envs/run workflow benchmarks/boundary.py

Each prompt has a chance of its own to win a comparison, drawn from a beta distribution with the boundary score as its
mean, and four comparisons that share it; the within-prompt correlation is that of two of these. The initial policies
are the 15 of the paper's Tables 3 and 4, with their scores. Alternatives are named in the tables: the normal interval
that takes comparisons as independent, the normal interval over prompts, and the hedged capital of Waudby-Smith and
Ramdas with predictable plug-in bets (their Theorem 3, bets truncated at half; as in the packages confseq and ville).
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from dpo_boundary.blocks import block_ends, seeded_order
from dpo_boundary.intervals import BETS, betting_sequence, clustered_interval
from dpo_boundary.measurement import measure_boundary
from dpo_stages.report.paper import paper_decisions

COMPARISONS = 4  # m x n
CONFIDENCE = 0.95
BUDGET = 2000
CORRELATIONS = (0.0, 0.3, 0.6, 0.9)
THRESHOLD = np.log(2 / (1 - CONFIDENCE))


def simulate(draw: np.random.Generator, score: float, correlation: float, shape: tuple[int, ...]) -> np.ndarray:
    """Votes of each prompt for the policy, 0 to COMPARISONS."""
    if correlation == 0:
        return draw.binomial(COMPARISONS, score, shape)
    scale = 1 / correlation - 1
    return draw.binomial(COMPARISONS, draw.beta(score * scale, (1 - score) * scale, shape))


def normal_interval(values: np.ndarray) -> tuple[float, float]:
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def coverage(draw: np.random.Generator, prompts: int, repetitions: int) -> dict[str, list[float]]:
    """Lowest and mean coverage over scores and correlations, and mean width, of each interval."""
    found: dict[str, list[tuple[float, float]]] = {}
    counts = np.full(prompts, COMPARISONS)
    for score in (0.2, 0.35, 0.5, 0.65, 0.8):
        for correlation in CORRELATIONS:
            held: dict[str, list[tuple[bool, float]]] = {}
            for votes in simulate(draw, score, correlation, (repetitions, prompts)):
                each = np.repeat([1.0, 0.0], [votes.sum(), counts.sum() - votes.sum()])
                intervals = {
                    "normal, comparisons as independent": normal_interval(each),
                    "normal, over prompts": normal_interval(votes / COMPARISONS),
                    "ours, fixed number of prompts": clustered_interval(votes, counts, CONFIDENCE),
                }
                for name, (low, high) in intervals.items():
                    held.setdefault(name, []).append((low <= score <= high, high - low))
            scores = simulate(draw, score, correlation, (repetitions // 4, prompts)) / COMPARISONS
            ruined = np.maximum(*capital_by_bets(scores, score)).max(axis=1) >= THRESHOLD
            widths = [high - low for ((low, high),) in (sequence_at_end(values) for values in scores[:8])]
            held["ours, confidence sequence, at all times"] = [(1 - ruined.mean(), np.mean(widths))]
            for name, outcomes in held.items():
                found.setdefault(name, []).append(tuple(np.mean(outcomes, axis=0)))
    return {name: [min(c for c, _ in cells), *np.mean(cells, axis=0)] for name, cells in found.items()}


def sequence_at_end(scores: np.ndarray) -> list[tuple[float, float]]:
    return betting_sequence(scores, CONFIDENCE, [len(scores)])


def capital_by_bets(scores: np.ndarray, candidate: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Log-capitals of `betting_sequence` against a candidate, upwards and downwards; shape (repetitions, prompts)."""
    sides = []
    for values, centre in ((scores, candidate), (1 - scores, 1 - candidate)):
        total = np.full(values.shape, -np.inf)
        for bet in BETS:
            total = np.logaddexp(total, np.cumsum(np.log1p(bet * (values / centre - 1)), axis=1))
        sides.append(total - np.log(len(BETS)))
    return sides[0], sides[1]


def capital_by_plug_in(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of the hedged capital with predictable plug-in bets."""
    count = np.arange(1, scores.shape[1] + 1)
    mean = (0.5 + np.cumsum(scores, axis=1)) / (count + 1)
    variance = (0.25 + np.cumsum(np.square(scores - mean), axis=1)) / (count + 1)
    before = np.concatenate([np.full((len(scores), 1), 0.25), variance[:, :-1]], axis=1)
    bets = np.minimum(np.sqrt(2 * THRESHOLD / (before * count * np.log(count + 1))), 1.0)
    up, down = (np.cumsum(np.log1p(side * bets * (scores - 0.5)), axis=1) for side in (1, -1))
    return up, down


def decide(capitals: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Prompts used and the side decided for (1 on-policy, -1 off-policy, 0 undecided), looking after each block."""
    ends = np.array(block_ends(BUDGET))
    up, down = (np.maximum.accumulate(capital, axis=1)[:, ends - 1] >= THRESHOLD for capital in capitals)
    over = up | down
    block = np.where(over.any(axis=1), over.argmax(axis=1), len(ends) - 1)
    row = np.arange(len(over))
    return ends[block], np.where(up[row, block], 1, np.where(down[row, block], -1, 0))


def stopping(draw: np.random.Generator, repetitions: int) -> None:
    scores = [decision.boundary_score for number in (3, 4) for decision in paper_decisions(number)]
    names = [decision.initial_policy for number in (3, 4) for decision in paper_decisions(number)]
    methods = {"plug-in bets": capital_by_plug_in, "ours": capital_by_bets}
    prompts = {name: np.zeros((len(scores), len(CORRELATIONS))) for name in methods}
    wrong = {name: np.zeros((len(scores), len(CORRELATIONS))) for name in methods}
    undecided = {name: np.zeros((len(scores), len(CORRELATIONS))) for name in methods}
    for row, score in enumerate(scores):
        for column, correlation in enumerate(CORRELATIONS):
            values = simulate(draw, score, correlation, (repetitions, BUDGET)) / COMPARISONS
            for name, capital in methods.items():
                used, side = decide(capital(values))
                prompts[name][row, column] = used.mean()
                wrong[name][row, column] = (side == (1 if score < 0.5 else -1)).mean()
                undecided[name][row, column] = (side == 0).mean()
    print(f"\n| mean prompts of {BUDGET:,} until decided | score |", " | ".join(f"ρ = {c}" for c in CORRELATIONS), "|")
    print("|---" * (2 + len(CORRELATIONS)) + "|")
    for row, (name, score) in enumerate(zip(names, scores, strict=True)):
        print(f"| {name} | {score} |", " | ".join(f"{cell:.0f}" for cell in prompts["ours"][row]), "|")
    for name in methods:
        for what, cells, form in (
            ("mean of the 15", prompts[name].mean(axis=0), "{:.0f}"),
            ("wrong", wrong[name].mean(axis=0), "{:.2%}"),
            ("undecided at the budget", undecided[name].mean(axis=0), "{:.1%}"),
        ):
            print(f"| {name}: {what} | |", " | ".join(form.format(cell) for cell in cells), "|")


def check_against_the_measurement(draw: np.random.Generator) -> None:
    """The vectorised simulation stops where `measure_boundary` does."""
    ids = [f"p{number}" for number in range(BUDGET)]
    order = seeded_order(ids, 0)
    for score in (0.4, 0.47, 0.62):
        votes = simulate(draw, score, 0.3, (1, BUDGET))
        used, side = decide(capital_by_bets(votes / COMPARISONS))
        wins = [[1] * count + [0] * (COMPARISONS - count) for count in votes[0]]
        table = {"prompt_id": np.repeat(order, COMPARISONS), "on_policy_preferred": np.concatenate(wins)}
        measured = measure_boundary(table, sequential=True)
        assert measured.prompts == used[0] and (measured.verdict == "decided") == (side[0] != 0)


def main() -> None:
    draw = np.random.default_rng(0)
    check_against_the_measurement(draw)
    print("| interval, nominal 95 % | prompts | lowest coverage of 20 cells | mean coverage | mean width |")
    print("|---|---|---|---|---|")
    for prompts, repetitions in ((32, 2000), (200, 2000), (2000, 2000)):
        for name, (lowest, mean, width) in coverage(draw, prompts, repetitions).items():
            print(f"| {name} | {prompts:,} | {lowest:.1%} | {mean:.1%} | {width:.3f} |", flush=True)
    stopping(draw, 200)
    votes = simulate(draw, 0.6, 0.3, (BUDGET,))
    started = time.perf_counter()
    betting_sequence(votes / COMPARISONS, CONFIDENCE, block_ends(BUDGET))
    print(
        f"\nConfidence sequence after each of {len(block_ends(BUDGET))} blocks of {BUDGET:,} prompts: "
        f"{time.perf_counter() - started:.2f} s"
    )


if __name__ == "__main__":
    main()
