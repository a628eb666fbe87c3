"""Several runs of a table's policies: the intervals that hold them. Standard library only.

Each seed is a run of the whole study, each replicate one of a policy's last training and its evaluation. Where a table has
several seeds, a run is a seed, whose replicates are averaged; with one seed it is a replicate. A row's own intervals hold
which instructions were asked; those made here hold the run as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dpo_stages.report.arms import Interval
from dpo_stages.report.policy_rows import Row
from dpo_stages.study import arms
from dpo_stages.study.policies import Policy

Pair = tuple[str, str | None]
"""A policy and the one that it is held against, if any."""

Held = Mapping[Policy, arms.Pair]
"""The two arms that are held against each other where a policy stands."""

Contrast = tuple[tuple[Pair, ...], ...]
"""For each run the pairs that are averaged."""


def with_runs(rows: Sequence[Row], intervals: Callable[[str, Sequence[Contrast]], Sequence[Interval]]) -> list[Row]:
    """The rows with the intervals of their means over runs, where there are several.

    Args:
        rows: as `build_rows` gives them.
        intervals: gives those of a figure's contrasts, `lc_win_rate`, `win_rate` or `verdict`, whose variance between runs
            is taken to be the same. Asked once for levels, once for gains, once for differences of arms. All contrasts
            have the same number of runs: what has fewer than the rest, as an SFT policy beside replicates, has none.
    """
    several = len({row.seed for row in rows}) > 1
    held = arms.held({Policy.parse(row.policy): Policy.parse(row.resolved_policy) for row in rows})
    groups: dict[tuple, dict[int, list[Row]]] = {}
    for row in rows:
        run = row.seed if several else row.replicate
        groups.setdefault((row.model, row.method, row.history), {}).setdefault(run, []).append(row)
    most = max(map(len, groups.values()), default=1)
    ends: dict[tuple, dict[str, float]] = {key: {} for key in groups}
    for name, (figure, pair) in _MEANS.items():
        if all(getattr(row, figure) is None for row in rows):  # such as LC win rates without length control
            continue
        found = {
            key: tuple(tuple(pair(row, held) for row in run) for run in runs.values())
            for key, runs in groups.items()
            if len(runs) == most > 1
        }
        # Two histories that came to the same policies are one set of runs.
        contrasts = [*dict.fromkeys(runs for runs in found.values() if all(None not in run for run in runs))]
        of = dict(zip(contrasts, intervals(figure, contrasts), strict=True)) if contrasts else {}
        for key, runs in found.items():
            if runs in of:
                low, high = of[runs]
                ends[key] |= {f"runs_{name}_low": low, f"runs_{name}_high": high}
    keys = [(row.model, row.method, row.history) for row in rows]
    return [replace(row, runs=len(groups[key]), **ends[key]) for row, key in zip(rows, keys, strict=True)]


def _itself(row: Row, held: Held) -> Pair:
    return row.resolved_policy, None


def _gained(row: Row, held: Held) -> Pair | None:
    return (row.resolved_policy, str(Policy.parse(row.initial_policy).itself)) if row.initial_policy else None


def _arms(row: Row, held: Held) -> Pair | None:
    if row.win_rate_difference is None:
        return None
    off, on = held[Policy.parse(row.resolved_policy)]
    return str(off), str(on)


def _compared(row: Row, held: Held) -> Pair | None:
    return None if row.verdict is None else _arms(row, held)


# What has a mean over runs, by its name in a row: the figure, and what it is taken of
_MEANS = {
    "lc": ("lc_win_rate", _itself),
    "gain": ("lc_win_rate", _gained),
    "difference": ("lc_win_rate", _arms),
    "win_rate": ("win_rate", _itself),
    "win_rate_gain": ("win_rate", _gained),
    "win_rate_difference": ("win_rate", _arms),
    "verdict": ("verdict", _compared),
}
