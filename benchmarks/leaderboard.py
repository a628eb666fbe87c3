"""Every model of AlpacaEval 2's leaderboard whose judgements are at hand, ours beside the published figures.

    git clone https://github.com/tatsu-lab/alpaca_eval
    envs/run alpaca-eval benchmarks/leaderboard.py alpaca_eval

Reads results/*/weighted_alpaca_eval_gpt4_turbo/annotations.json of that repository and its leaderboard. Prints Markdown.
About a second a model.
"""

import csv
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from dpo_stages.evaluation.difficulties import read_difficulties  # noqa: E402
from dpo_stages.evaluation.judgements import read_judgements  # noqa: E402
from dpo_stages.evaluation.win_rate import compute_win_rate  # noqa: E402
from dpo_stages.judges.alpaca_eval import PROMPT  # noqa: E402

LEADERBOARD = f"src/alpaca_eval/leaderboards/data_AlpacaEval_2/{PROMPT}_leaderboard.csv"


def main() -> None:
    if len(sys.argv) != 2 or not (repository := Path(sys.argv[1])).is_dir():
        sys.exit(__doc__)
    with open(repository / LEADERBOARD, encoding="utf-8", newline="") as file:
        published = {row[""]: row for row in csv.DictReader(file)}
    difficulties, whole, partial = read_difficulties(), [], []
    for path in sorted(repository.glob(f"results/*/{PROMPT}/annotations.json")):
        if (model := path.parent.parent.name) not in published:
            continue
        ours = compute_win_rate(read_judgements(path), difficulties).figures
        win_rate, lc = (float(published[model][name]) for name in ("win_rate", "length_controlled_winrate"))
        off = abs(ours["win_rate"] - win_rate), abs(ours["lc_win_rate"] - lc)
        if ours["missing_instructions"]:
            partial.append((model, ours["instructions"], *off, abs(ours["lc_by_row_position"] - lc)))
        else:
            whole.append(off)
    print("| | models | win rate, largest difference | LC, median difference | largest |")
    print("|---|---|---|---|---|")
    for name, rows in (("all 805 rows", whole), ("fewer rows", [row[2:4] for row in partial])):
        if rows:
            largest, lc = max(row[0] for row in rows), [row[1] for row in rows]
            print(f"| {name} | {len(rows)} | {largest:.0e} | {statistics.median(lc):.4f} | {max(lc):.2f} |")
    if partial:
        by_position = [row[4] for row in partial]
        print(f"| fewer rows, numbered from 0 | | | {statistics.median(by_position):.4f} | {max(by_position):.2f} |")


if __name__ == "__main__":
    main()
