"""Which predictor tells beforehand which source trains the better policy: tables and a figure of the map.

    envs/run workflow studies/map/analyse.py --groups studies/map/results/groups

writes cells.csv, of which predictors.md and map.svg are made; without --groups they are made of the cells.csv that is there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

from cells import YARDSTICKS, Cell, read_cells, read_groups, write_cells
from figure import draw
from predictors import ASK_THE_JUDGE, Score, column, score

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import replacing, write_text
from dpo_stages.core.program import finish, run
from dpo_stages.report.figures.style import save

HERE = Path(__file__).resolve().parent


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=Path, metavar="DIR", help="groups of run.py; cells.csv is made of them anew")
    parser.add_argument(
        "--folder",
        type=Path,
        default=HERE,
        metavar="DIR",
        help="of cells.csv and what is made of it (default: beside this)",
    )
    return parser.parse_args()


def tables(cells: Sequence[Cell]) -> str:
    """Markdown: for each yardstick how many cells are separated, all predictors on all labels, and label by label."""
    parts = []
    labels = list(dict.fromkeys(cell["labels"] for cell in cells))
    for who in YARDSTICKS:
        scores = {None: score(cells, who)}
        scores |= {name: score(cells, who, lambda cell, name=name: cell["labels"] == name) for name in labels}
        parts += [_separated(cells, who, labels), _overall(scores[None]), _by_label(scores, labels)]
    return "\n".join(parts)


def _separated(cells: Sequence[Cell], who: str, labels: Sequence[str]) -> str:
    lines = [
        f"## By the {who}\n",
        "| labels | cells | separated | off-policy arm better in | mean difference, off − on |",
        "|---|---|---|---|---|",
    ]
    for name in (*labels, "all"):
        kept = [cell for cell in cells if name in ("all", cell["labels"])]
        apart = [cell for cell in kept if cell[f"{who}_low"] > 0 or cell[f"{who}_high"] < 0]
        off = sum(cell[who] > 0 for cell in apart)
        mean = column(kept, who).mean()
        lines.append(f"| {name} | {len(kept)} | {len(apart)} | {off} of {len(apart)} | {_signed(mean)} |")
    return "\n".join(lines) + "\n"


def _overall(scores: dict[str, Score]) -> str:
    lines = [
        "| predictor | asks the judge | regret, points | share of the boundary score's | picked − other, points | right of separated, % |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in scores.items():
        asks = "yes" if ASK_THE_JUDGE.search(name) else ""
        of_boundary = "–" if one.of_boundary is None else _interval(one.of_boundary, "{:.2f}")
        right = "–" if one.right is None else _percent(one.right)
        regret, signed = _interval(one.regret, "{:.2f}"), _interval(one.signed, "{:+.2f}").replace("-", "−")
        lines.append(f"| {name} | {asks} | {regret} | {of_boundary} | {signed} | {right} |")
    return "\n".join(lines) + "\n"


def _by_label(scores: dict[str | None, dict[str, Score]], labels: Sequence[str]) -> str:
    lines = [
        f"| regret, points; right of separated, % | {' | '.join(labels)} |",
        f"|---|{'---|' * len(labels)}",
    ]
    for name in scores[None]:
        found = [scores[label][name] for label in labels]
        words = [f"{_interval(one.regret, '{:.2f}')}; {_percent(one.right) if one.right else '–'}" for one in found]
        lines.append(f"| {name} | {' | '.join(words)} |")
    return "\n".join(lines) + "\n"


def _interval(values: Sequence[float], form: str) -> str:
    value, low, high = map(form.format, values)
    return f"{value} ({low} to {high})"


def _percent(values: Sequence[float]) -> str:
    return _interval([100 * value for value in values], "{:.0f}")


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def main() -> None:
    arguments = parse_arguments()
    path = arguments.folder / "cells.csv"
    if arguments.groups:
        write_cells(read_groups(arguments.groups), path)
    cells = read_cells(path)
    if len({cell["world"] for cell in cells}) < 2:
        raise BadInput(f"{path} has one world; thresholds and signs are fitted on others, so that two are needed")
    write_text(arguments.folder / "predictors.md", tables(cells))
    with replacing(arguments.folder / "map.svg") as temporary:
        save(draw(cells, YARDSTICKS[0]), temporary, "svg")
    finish(arguments.folder / "predictors.md", len(cells), len(cells), {})


if __name__ == "__main__":
    run(main)
