"""The paper's own tables of policies, as rows and decisions."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dpo_stages.core.files import read_csv
from dpo_stages.report.arms import gain
from dpo_stages.report.decisions import Decision, decisions
from dpo_stages.report.policy_rows import Row, named

PAPER = Path(__file__).resolve().parent / "paper_reference"
METHODS = {"dpo": "DPO", "slic": "SLiC-HF"}


def paper_table(number: int | str) -> list[dict[str, str]]:
    """The figures that the paper prints in one of its tables, as they stand there; see paper_reference/README.md."""
    return read_csv(PAPER / f"table{number}.csv", ("table", "row", "model", "method", "iter_1", "iter_2"))


def paper_rows(number: int | str) -> list[Row]:
    """The policies of the paper's Tables 1 to 5, with gains computed from its win rates; labels are empty."""
    from dpo_boundary.result import recommended_source

    printed = {}
    for row in paper_table(number):
        history = tuple(filter(None, (row["iter_1"], row["iter_2"])))
        printed[named(row["model"], 0, [0], row["method"], history)] = row
    lc_win_rates = {policy: float(row["lc_win_rate"]) for policy, row in printed.items()}
    win_rates = {policy: float(row["win_rate"]) for policy, row in printed.items()}
    # they stand on the first row that was trained from an initial policy
    scores = {
        policy.initial: float(row["boundary_score"]) for policy, row in printed.items() if row.get("boundary_score")
    }
    rows = []
    for policy, row in printed.items():
        initial = policy.initial if policy.history else None
        length, score = row.get("average_length"), scores.get(initial)
        rows.append(
            Row(
                model=policy.model,
                model_label="",
                method=row["method"],
                method_label="",
                seed=0,
                history=policy.history,
                policy=str(policy),
                resolved_policy=str(policy),
                initial_policy=str(initial) if initial else None,
                lc_win_rate=lc_win_rates[policy],
                gain=round(gain(lc_win_rates[policy], lc_win_rates[initial]), 2) if initial else None,
                win_rate=win_rates[policy],
                win_rate_gain=round(gain(win_rates[policy], win_rates[initial]), 2) if initial else None,
                average_length=float(length) if length else None,
                boundary_score=score,
                recommended_source=None if score is None else recommended_source(score),
            )
        )
    return rows


def paper_decisions(number: int, methods: Mapping[str, str] | None = None) -> list[Decision]:
    """The initial policies of the paper's Table 3, 4 or 5; `methods` may have other labels than the paper's."""
    labels = METHODS | (methods or {})
    return decisions(replace(row, method_label=labels[row.method]) for row in paper_rows(number))
