"""What became of the ladder: boundary scores, audits and what training gained, set by set.

    envs/run workflow examples/ladder/read_ladder.py results

Reads what is there, and has a dash for what is not yet. Scores are the share of own responses that are preferred: by the
preference model that labels, by the one that judges, and by whoever prefers the longer one. Δ is the win rate after training
on the set less that after training on own samples, in points, mean of the runs, with the interval over runs and instructions
that tables have. Outputs are longer by so many characters, mean of instructions and runs; at equal length is what a line through
the differences of single instructions, over the difference of their outputs' lengths, has where these are the same.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import spearmanr

from dpo_boundary import measure_boundary
from dpo_stages.core.files import read_csv

MODEL, JUDGE = "smollm2-135m", "gpt4-b"
SETS = ("weak", "old", "mid", "strong", "best")  # by GPT-4 Turbo's scores
RUNS = ("", "~2")
RESAMPLES = 4000


def share_longer(comparisons: Path) -> float:
    table = pq.read_table(comparisons)
    own, other = (table.column(f"{side}_length").to_numpy() for side in ("on", "off"))
    return float(np.mean((own > other) + (own == other) / 2))


def agreement(audit: Path) -> float:
    return json.loads(audit.read_text(encoding="utf-8"))["sources"]["off"]["labels"]["agreement"]["estimate"]


def score(comparisons: Path) -> float:
    return measure_boundary(comparisons).boundary_score


def source_of(name: str) -> str:
    return "off" if name == SETS[0] else f"off.{name}"


def win_rates(results: Path, source: str) -> np.ndarray:
    """Of the runs that there are."""
    paths = [results / "evaluations" / MODEL / "dpo" / f"{source}{run}" / "win_rate.json" for run in RUNS]
    return np.array([json.loads(path.read_text(encoding="utf-8"))["win_rate"] for path in paths if path.exists()])


def gains(results: Path) -> dict[str, tuple[float, float, float]]:
    """Δ and its interval, by source, as the study's table has them."""
    path, what = results / "tables/gains_decisions.csv", "win_rate_difference"
    rows = read_csv(path, ["off_source", what]) if path.exists() else []
    return {
        row["off_source"]: tuple(float(row[f"{what}{end}"] or "nan") for end in ("", "_low", "_high")) for row in rows
    }


def outputs(results: Path, source: str) -> np.ndarray:
    """(2, instructions, runs): how much each output is preferred, in percent, and its length in characters."""
    runs = []
    for run in RUNS:
        path = results / "evaluations" / MODEL / "dpo" / f"{source}{run}" / "annotations.json"
        if path.exists():
            rows = sorted(json.loads(path.read_text(encoding="utf-8")), key=lambda row: row["index"])
            runs.append([(100 * (row["preference"] - 1), len(row["output_2"])) for row in rows])
    return np.array(runs).T


def at_equal_length(results: Path, source: str) -> tuple[float, float, float, float]:
    """Characters by which outputs are longer than those of the arm on own samples; Δ at equal length, with its interval.

    The interval holds instructions alone, of which each has its runs in one.
    """
    arm, own = outputs(results, source), outputs(results, "on")
    if arm.size == 0 or arm.shape != own.shape:
        return (np.nan,) * 4
    points, longer = arm - own

    def intercept(rows: np.ndarray) -> float:
        return np.polyfit(longer[rows].ravel(), points[rows].ravel(), 1)[1]

    count = len(points)
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    low, high = np.percentile([intercept(rows) for rows in drawn], [2.5, 97.5])
    return float(longer.mean()), intercept(np.arange(count)), low, high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the study's folder results")
    results = parser.parse_args().results

    def measured(measure: Callable[[Path], float], pattern: str) -> list[float]:
        paths = [results / pattern.format(f"{MODEL}/sft{'' if name == SETS[0] else f'+{name}'}") for name in SETS]
        return [measure(path) if path.exists() else np.nan for path in paths]

    columns = {
        "score": measured(score, "comparisons/{}/test.parquet"),
        "by the judge": measured(score, f"second_opinions/{JUDGE}/{{}}/test.parquet"),
        "by length": measured(share_longer, "comparisons/{}/test.parquet"),
        "labels right": measured(agreement, "audits/{}.json"),
    }
    found = gains(results)
    heads = [*columns, "Δ", "95 %", "runs", "outputs longer by", "Δ at equal length"]
    print(f"| set | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    longer = []
    for number, name in enumerate(SETS):
        cells = [f"{column[number]:.2f}" for column in columns.values()]
        delta, low, high = found.get(source_of(name), (np.nan,) * 3)
        arm, own = (win_rates(results, source) for source in (source_of(name), "on"))
        runs = arm - own if len(arm) == len(own) else ()
        cells += [f"{delta:+.1f}", f"{low:+.1f} to {high:+.1f}", ", ".join(f"{one:+.1f}" for one in runs) or "-"]
        characters, alike, low, high = at_equal_length(results, source_of(name))
        longer.append(characters)
        cells += [f"{characters:+.0f}", "-" if np.isnan(alike) else f"{alike:+.1f} ({low:+.1f} to {high:+.1f})"]
        print(f"| {name} | {' | '.join(cells).replace('+nan to +nan', '-').replace('+nan', '-').replace('nan', '-')} |")
    columns["characters"] = longer
    columns["strength by GPT-4"] = [float(rank) for rank in range(len(SETS))]
    deltas = [found.get(source_of(name), (np.nan,))[0] for name in SETS]
    for name, column in columns.items():
        for other, values in (("score", columns["score"]), ("Δ", deltas)):
            if other != name and not np.isnan([*column, *values]).any():
                print(f"Spearman's correlation of {other} with {name}: {spearmanr(column, values).statistic:+.2f}")


if __name__ == "__main__":
    main()
