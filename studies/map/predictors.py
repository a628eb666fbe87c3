"""Predictors of the better source, what each picks, and how well that does.

A pick is 1 for off-policy data, 0 for on-policy data, and 0.5 for half of either. A difference is the off-policy arm's win rate
less the on-policy arm's, in points.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from cells import AGAINST, PANEL, Cell
from numpy.typing import NDArray

from dpo_stages.evaluation.gains import CONFIDENCE, percentile_interval

Floats = NDArray[np.float64]
RESAMPLES, SEED = 2000, 0

NAMES = {
    "chosen_judge": "chosen against chosen, by the judge",
    "chosen_labeller": "chosen against chosen, by the labeller",
    "rejected_judge": "rejected against rejected, by the judge",
    "agreement": "agreement of the labels with the judge",
    "margin": "margin",
    "ties": "ties",
    "chosen_logp": "log-probability a token of chosen",
    "rejected_logp": "log-probability a token of rejected",
    "likeness": "likeness of chosen and rejected",
    "longer_by": "chosen longer than rejected",
    "cut": "share cut",
}
ASK_THE_JUDGE = re.compile(r"audit|judge|threshold")


def column(cells: Sequence[Cell], name: str) -> Floats:
    """Values of one column of the cells."""
    return np.array([cell[name] for cell in cells], dtype=float)


def towards(figure: Floats, even: float = 0.0) -> Floats:
    """Picks off-policy data where a figure is above what is even, on-policy data below."""
    return (np.sign(figure - even) + 1) / 2


def regrets(picks: Floats, differences: Floats) -> Floats:
    """The better arm's win rate less the picked arm's, points."""
    return np.maximum(differences, 0) - picks * differences


def all_picks(cells: Sequence[Cell], differences: Floats) -> dict[str, Floats]:
    """What every predictor picks for every cell.

    Args:
        cells: the table of cells.
        differences: by the yardstick that thresholds and signs are fitted by, each on all worlds but the cell's own.
    """
    boundary = 1 - towards(column(cells, "boundary_score"), 0.5)
    boundary[column(cells, "boundary_score") == 0.5] = 0  # on-policy data at one half, as the workflow has it
    worlds = column(cells, "world")
    agreement = {side: column(cells, f"agreements_{side}") / column(cells, f"audited_{side}") for side in ("off", "on")}
    figures = {name: column(cells, name) - 0.5 for name in AGAINST}
    figures["agreement"] = agreement["off"] - agreement["on"]
    figures |= {name: column(cells, name) for name in PANEL}
    picks = {
        "always off": np.ones(len(cells)),
        "always on": np.zeros(len(cells)),
        "strength threshold": _by_threshold(column(cells, "own"), differences, worlds),
        "boundary score": boundary,
        "boundary score with audit": _audited(cells, boundary),
    }
    picks |= {NAMES[name]: _by_sign(figure, differences, worlds) for name, figure in figures.items()}
    for name in cells[0]:
        if race := re.fullmatch(r"race_(\w+)_([\d.]+)", name):
            picks[f"race, {float(race[2]):.0%} of an epoch, by the {race[1]}"] = towards(column(cells, name), 0.5)
    return picks


def _fitted(options: Sequence[Floats], differences: Floats, worlds: Floats) -> Floats:
    """Of several rules' picks, in each world those of the rule with the least regret in all other worlds."""
    losses = np.stack([regrets(picks, differences) for picks in options])
    found = np.empty(len(differences))
    for world in np.unique(worlds):
        best = int(losses[:, worlds != world].sum(axis=1).argmin())
        found[worlds == world] = options[best][worlds == world]
    return found


def _by_threshold(figure: Floats, differences: Floats, worlds: Floats) -> Floats:
    values = np.unique(figure)
    thresholds = [-np.inf, *(values[:-1] + values[1:]) / 2, np.inf]
    return _fitted([(figure < threshold).astype(float) for threshold in thresholds], differences, worlds)


def _by_sign(figure: Floats, differences: Floats, worlds: Floats) -> Floats:
    return _fitted([towards(figure), towards(-figure)], differences, worlds)


def _audited(cells: Sequence[Cell], boundary: Floats) -> Floats:
    low = {
        side: wilson_low(column(cells, f"agreements_{side}"), column(cells, f"audited_{side}"))
        for side in ("off", "on")
    }
    trusted = (low["off"] > 0.5) & (low["on"] > 0.5)
    return np.where(trusted, boundary, towards(low["off"] - low["on"]))


def wilson_low(successes: Floats, trials: Floats) -> Floats:
    """Lower end of Wilson's 95 % interval of a share (Journal of the American Statistical Association, 1927)."""
    z, share = 1.959964, successes / trials
    centre = share + z**2 / (2 * trials)
    return (centre - z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))) / (1 + z**2 / trials)


@dataclass(frozen=True)
class Score:
    """How well picks do, with 95 % intervals over clusters.

    Attributes:
        regret: points, mean over cells.
        signed: picked arm less the other one, points, mean over cells.
        right: share of separated cells in which the picked arm is the better one; None where none is separated.
        separated: number of separated cells.
        of_boundary: regret as a share of the boundary score's; None where that is 0.
    """

    regret: tuple[float, float, float]
    signed: tuple[float, float, float]
    right: tuple[float, float, float] | None
    separated: int
    of_boundary: tuple[float, float, float] | None


def score(cells: Sequence[Cell], yardstick: str, keep: Callable[[Cell], bool] = lambda cell: True) -> dict[str, Score]:
    """Score every predictor on some cells; thresholds and signs are fitted on all cells of the other worlds.

    Args:
        cells: the table of cells, of two worlds or more.
        yardstick: `judge` or `witness`.
        keep: which cells count.
    """
    differences, low, high = (column(cells, f"{yardstick}{end}") for end in ("", "_low", "_high"))
    picks = all_picks(cells, differences)
    kept = np.array([keep(cell) for cell in cells])
    separated = ((low > 0) | (high < 0)) & kept
    names = np.array([f"{cell['world']:g} {cell['strength']}" for cell in cells])
    clusters = np.unique(names[kept])
    members = (names[None, :] == clusters[:, None]) & kept
    draws = np.random.default_rng(SEED).multinomial(len(clusters), np.full(len(clusters), 1 / len(clusters)), RESAMPLES)
    weights = np.vstack([np.ones(len(clusters)), draws])  # the first is the sample itself

    def mean(values: Floats, counted: NDArray[np.bool_]) -> Floats:
        """(1 + resamples,) means over the counted cells; NaN where a resample has none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (weights @ (members & counted) @ values) / (weights @ (members & counted).sum(axis=1))

    base = mean(regrets(picks["boundary score"], differences), kept)
    found = {}
    for name, pick in picks.items():
        regret = mean(regrets(pick, differences), kept)
        right = mean(np.where(differences > 0, pick, 1 - pick), separated) if separated.any() else None
        found[name] = Score(
            _with_interval(regret),
            _with_interval(mean((2 * pick - 1) * differences, kept)),
            None if right is None else _with_interval(right),
            int(separated.sum()),
            None if base[0] == 0 else _with_interval(regret / np.where(base > 0, base, np.nan)),
        )
    return found


def _with_interval(values: Floats) -> tuple[float, float, float]:
    """The first value, and the interval of the others that are numbers."""
    low, high = percentile_interval(values[1:][~np.isnan(values[1:])], CONFIDENCE)
    return float(values[0]), low, high
