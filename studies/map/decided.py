"""How often a race decides with confidence, and how often rightly: the races of the map as the library decides them.

    envs/run workflow studies/map/decided.py --groups studies/map/results/groups

writes decisions.csv and decisions.md beside this. A race has two arms of two orders and looks at 5, 10 and 20 % of an epoch.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

import numpy as np
from cells import Cell, read_cells, write_cells
from pyarrow import parquet

from dpo_boundary.race import decide_race
from dpo_stages.core.files import write_text
from dpo_stages.core.program import finish, run

HERE = Path(__file__).resolve().parent
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Asked:
    """Who decides a race, and the truth that it is held against.

    Attributes:
        column: of race.parquet.
        votes: whether a preference counts as a vote, not as a probability.
        length_controlled: whether responses of one length are compared.
        truth: the yardstick of cells.csv.
    """

    column: str
    votes: bool
    length_controlled: bool
    truth: str


ASKED = {
    "judge": Asked("judge", votes=False, length_controlled=False, truth="judge"),
    "judge, at one length": Asked("judge", votes=False, length_controlled=True, truth="witness"),
    "labeller": Asked("labeller", votes=True, length_controlled=False, truth="judge"),
}


def races(folder: Path) -> Iterator[Cell]:
    """What the library decides in each cell of a group, and after which share of an epoch; 0 where it does not."""
    world, strength, labels = folder.name.split("-")
    table = parquet.read_table(folder / "race.parquet").to_pandas()
    for (off, on), rows in table.groupby(["off", "on"], sort=False):
        cell: Cell = {"world": float(world), "strength": strength, "labels": labels, "off": off, "on": on}
        for who, asked in ASKED.items():
            preferred = rows[asked.column].to_numpy(dtype=float)
            race = decide_race(
                {
                    "prompt_id": rows["prompt"].astype(str),
                    "run": rows["order"],
                    "share": rows["share"],
                    "arm_1": ["off"] * len(rows),
                    "arm_2": ["on"] * len(rows),
                    "arm_1_preferred": (np.sign(preferred) + 1) / 2 if asked.votes else preferred,
                    "length_1": rows["off_length"],
                    "length_2": rows["on_length"],
                },
                shares=sorted(table["share"].unique()),
                confidence=CONFIDENCE,
                length_controlled=asked.length_controlled,
            )
            cell |= {f"{who}, source": race.winner or "undecided", f"{who}, leader": race.leader}
            cell[f"{who}, share"] = race.looks[-1].share if race.winner else 0.0
        yield cell


def table_of(cells: list[Cell], decisions: list[Cell]) -> str:
    """Markdown: for each who decides and each kind of labels, how many races are decided, and how many rightly."""
    lines = [
        "| who | labels | cells | decided | after 5, 10, 20 % | right, of decided and separated | decided, not separated | undecided: leader right, of separated |",
        "|---|---|---|---|---|---|---|---|",
    ]
    truth = {tuple(cell[name] for name in KEYS): cell for cell in cells}
    for who, asked in ASKED.items():
        for labels in (*dict.fromkeys(cell["labels"] for cell in cells), "all"):
            kept = [one for one in decisions if labels in ("all", one["labels"])]
            found = [truth[tuple(one[name] for name in KEYS)] for one in kept]
            apart = [cell[f"{asked.truth}_low"] > 0 or cell[f"{asked.truth}_high"] < 0 for cell in found]
            better = ["off" if cell[asked.truth] > 0 else "on" for cell in found]
            decided = [one[f"{who}, source"] != "undecided" for one in kept]
            at = [sum(one[f"{who}, share"] == share for one in kept) for share in (0.05, 0.1, 0.2)]
            both = [
                (one[f"{who}, source"], best)
                for one, best, d, s in zip(kept, better, decided, apart, strict=True)
                if d and s
            ]
            led = [
                (one[f"{who}, leader"], best)
                for one, best, d, s in zip(kept, better, decided, apart, strict=True)
                if s and not d
            ]
            lines.append(
                f"| {who} | {labels} | {len(kept)} | {sum(decided)} | {', '.join(map(str, at))} | {_of(both)} | "
                f"{sum(d and not s for d, s in zip(decided, apart, strict=True))} | {_of(led)} |"
            )
    return "\n".join(lines) + "\n"


KEYS = ("world", "strength", "labels", "off", "on")


def _of(pairs: list[tuple[str, str]]) -> str:
    return f"{sum(one == other for one, other in pairs)} of {len(pairs)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=Path, required=True, metavar="DIR", help="groups of run.py")
    parser.add_argument("--folder", type=Path, default=HERE, metavar="DIR", help="of cells.csv (default: beside this)")
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.groups.glob("*/race.parquet"))
    decisions = [cell for folder in folders for cell in races(folder)]
    write_cells(
        [{name.replace(", ", "_").replace(" ", "_"): cell[name] for name in cell} for cell in decisions],
        arguments.folder / "decisions.csv",
    )
    write_text(arguments.folder / "decisions.md", table_of(read_cells(arguments.folder / "cells.csv"), decisions))
    finish(arguments.folder / "decisions.md", len(decisions), len(decisions), {})


if __name__ == "__main__":
    run(main)
