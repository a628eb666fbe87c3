"""The figures of a table's row, from the records that they stand on. Standard library only."""

from collections.abc import Callable, Mapping

from dpo_stages.report.arms import delta, gain
from dpo_stages.report.records import find, judge_columns, number
from dpo_stages.report.yardsticks import LC_WIN_RATE, WIN_RATE, Yardstick
from dpo_stages.study.policies import Policy

NO_LENGTH_CONTROL = "none"  # of lc_kind in win_rate.json


def costs(record: dict) -> dict:
    """What a history needs, from its trace."""
    return {name: number(record, name) for name in ("samples_drawn", "labels_made")}


def gains(policy: Policy, win_rates: Mapping[str, dict], paired: Callable[[str, str], Mapping] | None) -> dict:
    """What a policy gained over its initial policy, on both win rates."""
    before = policy.initial.itself
    return {
        **_subtracted(LC_WIN_RATE.gain, LC_WIN_RATE, policy, before, win_rates, paired),
        **_subtracted(WIN_RATE.gain, WIN_RATE, policy, before, win_rates, paired),
    }


def comparison(
    off: Policy, on: Policy, win_rates: Mapping[str, dict], paired: Callable | None, verdict: Callable | None
) -> dict:
    """Which of two arms is better, on every yardstick."""
    gained = [gains(arm, win_rates, None) for arm in (off, on)]
    leads = LC_WIN_RATE if gained[0][LC_WIN_RATE.gain] is not None else WIN_RATE
    percent, (low, high) = verdict(str(off), str(on)) if verdict else (None, (None, None))
    return {
        "delta": delta(*(one[leads.gain] for one in gained)),
        **_subtracted(LC_WIN_RATE.compared, LC_WIN_RATE, off, on, win_rates, paired),
        **_subtracted(WIN_RATE.compared, WIN_RATE, off, on, win_rates, paired),
        "verdict": percent,
        "verdict_low": low,
        "verdict_high": high,
    }


def _subtracted(
    name: str, of: Yardstick, one: Policy, other: Policy, win_rates: Mapping[str, dict], paired: Callable | None
) -> dict:
    """One policy's win rate less another's, as the figure `name` with its interval; None without length control."""
    first, second = (_level(find(win_rates, policy, "win rate"), of) for policy in (one, other))
    if first is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    low, high = paired(str(one), str(other))[f"{of.name}_gain_interval"] if paired else (None, None)
    return {name: gain(first, second), f"{name}_low": low, f"{name}_high": high}


def _level(record: dict, of: Yardstick) -> float | None:
    """A policy's own figure; None of a length-controlled one where there is no length control."""
    controlled = record.get("lc_kind") != NO_LENGTH_CONTROL
    return number(record, of.level) if controlled or of is not LC_WIN_RATE else None


def evaluation(record: dict) -> dict:
    """Win rates and their judge, from a win_rate.json."""
    judge = record.get("judge")
    lc_interval, interval = (record.get(key) or (None, None) for key in ("lc_interval", "win_rate_interval"))
    return {
        "lc_win_rate": _level(record, LC_WIN_RATE),
        "lc_low": lc_interval[0],
        "lc_high": lc_interval[1],
        "win_rate": number(record, "win_rate"),
        "win_rate_low": interval[0],
        "win_rate_high": interval[1],
        "average_length": number(record, "average_length"),
        **judge_columns(judge),
        "lc_kind": str(record.get("lc_kind")),
        "instructions": number(record, "instructions"),
        "truncated": record.get("truncated"),
    }


def boundary(record: dict) -> dict:
    """The boundary score of the initial policy, from its measurement."""
    low, high = record["interval"]
    return {
        "boundary_score": number(record, "boundary_score"),
        "boundary_low": low,
        "boundary_high": high,
        "boundary_verdict": record.get("verdict"),
        "stage": record["stage"],
        "recommended_source": record["recommended_source"],
    }
