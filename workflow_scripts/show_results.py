"""Print finished tables and say where everything else is."""

import argparse
from pathlib import Path

from dpo_stages.core.files import read_text
from dpo_stages.core.program import run

PLACES = {
    "results/report.html": "everything on one page",
    "results/tables/": "tables as CSV and Markdown",
    "results/figures/": "boundary score against which arm is better, on each yardstick",
    "results/boundary/": "boundary score, interval and recommended source of each initial policy, decided or undecided",
    "results/second_opinions/": "the same by another preference model or judge",
    "results/races/": "which source wins the beginnings of trainings, decided or undecided",
    "results/audits/": "whether the labels of each source are right, by a yardstick",
    "results/arms/": "which arm's outputs the preference model prefers",
    "results/evaluations/": "outputs, judgements and win rates of each policy",
    "results/policies/": "checkpoints and training logs",
    "results/logs/": "one log a job",
    "results/benchmarks/": "time and memory of each job",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", type=Path, metavar="TABLE.md", help="the tables to print")
    arguments = parser.parse_args()
    for table in arguments.tables:
        print(read_text(table))
    for place, content in PLACES.items():
        if Path(place).exists():
            print(f"{place:26}{content}")


if __name__ == "__main__":
    run(main)
