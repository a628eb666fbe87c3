"""Boundary scores by other preference models than the one that labels, as a table shows them. Standard library only."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dpo_boundary.result import DECIDED
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.report import row_figures
from dpo_stages.report.policy_rows import Row
from dpo_stages.report.records import by_policy, find, require_same
from dpo_stages.report.writing import mean_over_runs, with_interval
from dpo_stages.study.policies import Policy

COLUMN = "second_opinions"
CAPTION = "BS by …: the same by another preference model, of the same candidates."
Opinions = Mapping[str, Mapping[str, dict]]
"""Boundary measurements by preference model and policy."""


def read_opinions(paths: Iterable[Path]) -> dict[str, dict[str, dict]]:
    """Read files of measure_boundary.py.

    Raises:
        BadInput: a file is none or does not say whose comparisons it stands on, or two have another confidence.
    """
    records: dict[str, list[tuple[Path, dict]]] = {}
    for path in dict.fromkeys(paths):
        record = read_json(path)
        name = record.get("preference_model") if isinstance(record, dict) else None
        if not isinstance(name, str):
            raise BadInput(
                f"{path} holds no second opinion: it has no 'preference_model'; make it with measure_boundary.py"
            )
        records.setdefault(name, []).append((path, record))
    found = {name: by_policy(of_one, "second opinion") for name, of_one in records.items()}
    for of_one in found.values():
        require_same(of_one, ("confidence",), "second opinions")
    return found


def _of(row: Row, measured: Mapping[str, dict]) -> dict[str, object]:
    record = find(measured, Policy.parse(row.resolved_policy).taught, "second opinion")
    return row_figures.boundary(record)


def columns(row: Row, opinions: Opinions) -> dict[str, object]:
    """A row's columns of the CSV: `boundary_score_by_NAME`, the ends of its interval and whether it is decided."""
    return {
        f"{figure}_by_{name}": _of(row, measured)[figure] if row.initial_policy else None
        for name, measured in opinions.items()
        for figure in ("boundary_score", "boundary_low", "boundary_high", "boundary_verdict")
    }


def in_columns(columns: Sequence[str], texts: Mapping[str, str], of_opinions: Sequence[str]) -> list[str]:
    """One text a column of a table; `COLUMN` is as many as preference models were asked."""
    return [text for column in columns for text in (of_opinions if column == COLUMN else [texts[column]])]


def cell(group: Sequence[Row], name: str, opinions: Opinions) -> str:
    """The score of an initial policy by a preference model with its interval, or the mean over seeds."""
    found = {row.initial_policy: _of(row, opinions[name]) for row in group}  # one for all replicates
    scores = [one["boundary_score"] for one in found.values()]
    if len(scores) > 1:
        return mean_over_runs(scores)
    (one,) = found.values()
    return _with_interval(one)


def _with_interval(one: Mapping[str, float]) -> str:
    return with_interval(one["boundary_score"], one["boundary_low"], one["boundary_high"])


def in_words(policy: str, opinions: Opinions) -> str:
    """The boundary scores of one policy: `reader 0.55 (0.51–0.59), decided`; empty where nobody was asked about it."""
    found = {name: row_figures.boundary(measured[policy]) for name, measured in opinions.items() if policy in measured}
    return "; ".join(f"{name} {_with_interval(one)}, {one['boundary_verdict']}" for name, one in found.items())


def words(rows: Sequence[Row], opinions: Opinions) -> str:
    """For how many initial policies each recommends another source than the preference model that labels."""
    initial = {Policy.parse(row.resolved_policy).taught: row for row in rows if row.initial_policy}.values()
    told = []
    for name, measured in opinions.items():
        found = [(row, _of(row, measured)) for row in initial]
        otherwise = [(row, one) for row, one in found if one["recommended_source"] != row.recommended_source]
        both = sum(row.boundary_verdict == one["boundary_verdict"] == DECIDED for row, one in otherwise)
        told.append(
            f"{name} recommends another source than the preference model that labels for {len(otherwise)} of {len(found)} "
            f"initial policies, and both are decided for {both} of these"
        )
    return f"Second opinions, on the same candidates: {'; '.join(told)}."
