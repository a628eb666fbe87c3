"""Several runs of a table's policies: the intervals that hold them. Standard library only.

Each seed is a run of the whole study, each replicate one of a policy's training and evaluation. A row's own intervals hold
which instructions were asked; those made here hold the run as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from dpo_stages.report.arms import Interval
from dpo_stages.report.policy_rows import Row
from dpo_stages.study.policies import OFF, ON, Policy

Contrast = tuple[tuple[str, str | None], ...]
"""For each run a policy, and the one whose LC win rate is taken off, if any."""


def with_runs(rows: Sequence[Row], intervals: Callable[[Sequence[Contrast]], Sequence[Interval]]) -> list[Row]:
    """The rows with the intervals of their means over runs, where there are several.

    Args:
        rows: as `build_rows` gives them.
        intervals: gives those of contrasts, whose variance between runs is taken to be the same. Asked once for LC win
            rates, once for gains, once for differences of arms.
    """
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row.model, row.method, row.history), []).append(row)
    ends: dict[tuple, dict[str, float]] = {key: {} for key in groups}
    # Replicates of several seeds are not independent: such runs get no interval.
    several = {key: group for key, group in groups.items() if len(group) > 1 and not _nested(group)}
    for figure, pair in (("lc", _itself), ("gain", _gained), ("difference", _arms)):
        found = {key: tuple(map(pair, group)) for key, group in several.items()}
        # Two histories that came to the same policies are one set of runs.
        contrasts = [*dict.fromkeys(pairs for pairs in found.values() if None not in pairs)]
        of = dict(zip(contrasts, intervals(contrasts), strict=True)) if contrasts else {}
        for key, pairs in found.items():
            if pairs in of:
                low, high = of[pairs]
                ends[key] |= {f"runs_{figure}_low": low, f"runs_{figure}_high": high}
    keys = [(row.model, row.method, row.history) for row in rows]
    return [replace(row, runs=len(groups[key]), **ends[key]) for row, key in zip(rows, keys, strict=True)]


def _nested(group: Sequence[Row]) -> bool:
    return len({row.seed for row in group}) > 1 and len({row.replicate for row in group}) > 1


def _itself(row: Row) -> tuple[str, None]:
    return row.resolved_policy, None


def _gained(row: Row) -> tuple[str, str] | None:
    return (row.resolved_policy, str(Policy.parse(row.initial_policy).itself)) if row.initial_policy else None


def _arms(row: Row) -> tuple[str, str] | None:
    if row.difference is None:
        return None
    policy = Policy.parse(row.resolved_policy)
    return str(policy.arm(OFF)), str(policy.arm(ON))
