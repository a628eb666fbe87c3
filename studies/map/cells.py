"""The table of cells: the truth of each, and every figure that a predictor goes by; from the groups that run.py made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pyarrow import parquet

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_csv, read_json, write_text
from dpo_stages.evaluation.gains import CONFIDENCE, RESAMPLES, SEED
from dpo_stages.evaluation.runs import intervals_over_runs

YARDSTICKS = ("judge", "witness")
PANEL = ("margin", "ties", "chosen_logp", "rejected_logp", "likeness", "longer_by", "cut")
"""Measures of a source; a cell has the off-policy source's less the on-policy source's."""
AGAINST = ("chosen_judge", "chosen_labeller", "rejected_judge")
"""How often the off-policy response is preferred; even is one half."""
TEXTS = ("strength", "labels", "off", "on")

Cell = dict[str, float | str]


def read_group(folder: Path) -> list[Cell]:
    """Cells of one group.

    Returns:
        For each yardstick `{yardstick}` (off-policy arm's win rate less the on-policy arm's, points, mean over runs), its
        `_low` and `_high`, and `{yardstick}_off` and `_on`, win rates of the arms in percent; `own`, the initial policy's
        by the judge; `boundary_score`; `audited_…` and `agreements_…` of both sources; the panel; `race_{who}_{share}`, the
        share of test prompts on which the off-policy arm's response is preferred early in training.
    """
    measures = read_json(folder / "measures.json")
    pairs = [tuple(name.split("/")) for name in measures["cells"]]
    truth = {who: _truth(folder, pairs, who) for who in YARDSTICKS}
    leads = _leads(folder)
    cells = []
    for number, (off, on) in enumerate(pairs):
        sources, between = [measures["sources"][name] for name in (off, on)], measures["cells"][f"{off}/{on}"]
        cell: Cell = {name: measures[name] for name in ("world", "strength", "labels")} | {"off": off, "on": on}
        for who, columns in truth.items():
            cell |= {f"{who}{name}": float(values[number]) for name, values in columns.items()}
        cell |= {"own": measures["own_win_rate"]["judge"], "boundary_score": between["boundary_score"]}
        for side, source in zip(("off", "on"), sources, strict=True):
            cell |= {f"{name}_{side}": source[name] for name in ("audited", "agreements")}
        cell |= {name: sources[0][name] - sources[1][name] for name in PANEL} | {
            name: between[name] for name in AGAINST
        }
        cells.append(cell | leads[off, on])
    return cells


def _truth(folder: Path, pairs: Sequence[tuple[str, str]], who: str) -> dict[str, np.ndarray]:
    """Differences of arms in points with their intervals, and the win rates of both arms in percent, by cell."""
    table = parquet.read_table(folder / "evaluations.parquet")
    arm, run, value = (table[name].to_numpy(zero_copy_only=False) for name in ("arm", "run", who))
    runs = np.unique(run)
    wins = {
        name: 100 * np.stack([value[(arm == name) & (run == one)] for one in runs]).astype(float) for name in set(arm)
    }
    differences = np.stack([wins[off] - wins[on] for off, on in pairs])  # (cells, runs, instructions)
    instructions = differences.shape[2]
    draw = np.random.default_rng(SEED)
    weights = draw.multinomial(instructions, np.full(instructions, 1 / instructions), RESAMPLES) / instructions
    resamples = np.einsum("bi,gri->gbr", weights, differences, optimize=True)
    low, high = intervals_over_runs(differences.mean(axis=2), resamples, CONFIDENCE)
    rates = {
        f"_{side}": np.array([wins[pair[place]].mean() for pair in pairs]) for place, side in enumerate(("off", "on"))
    }
    return {"": differences.mean(axis=(1, 2)), "_low": low, "_high": high, **rates}


def _leads(folder: Path) -> dict[tuple[str, str], dict[str, float]]:
    """By cell and share of an epoch: how often the off-policy arm is preferred, over orders and prompts."""
    table = parquet.read_table(folder / "race.parquet")
    off, on, share = (table[name].to_numpy(zero_copy_only=False) for name in ("off", "on", "share"))
    preferred = {"labeller": (np.sign(table["labeller"].to_numpy()) + 1) / 2, "judge": table["judge"].to_numpy()}
    return {
        cell: {
            f"race_{who}_{part:g}": float(values[(off == cell[0]) & (on == cell[1]) & (share == part)].mean())
            for who, values in preferred.items()
            for part in np.unique(share)
        }
        for cell in set(zip(off, on, strict=True))
    }


def read_groups(folder: Path) -> list[Cell]:
    """Cells of all groups in a folder, in the order of world, strength and labels.

    Raises:
        BadInput: there is none.
    """
    groups = sorted(path.parent for path in folder.glob("*/measures.json"))
    if not groups:
        raise BadInput(f"{folder} has no group; make some with run.py")
    return [cell for group in groups for cell in read_group(group)]


def write_cells(cells: Sequence[Mapping], path: Path) -> None:
    """Write the table of cells as CSV, numbers with six digits."""
    names = list(cells[0])
    lines = [names, *([_text(cell[name]) for name in names] for cell in cells)]
    write_text(path, "".join(f"{','.join(line)}\n" for line in lines))


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def read_cells(path: Path) -> list[Cell]:
    """Read what `write_cells` wrote.

    Raises:
        BadInput: it is missing or no such table.
    """
    rows = read_csv(path, ("world", *TEXTS, *YARDSTICKS, "own", "boundary_score", *PANEL, *AGAINST))
    try:
        return [{name: text if name in TEXTS else float(text) for name, text in row.items()} for row in rows]
    except ValueError as error:
        raise BadInput(f"{path} has a value that is no number ({error}); write it again with --groups") from error
