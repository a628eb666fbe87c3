"""The paper's own tables of policies, as rows and decisions."""

from pathlib import Path

from dpo_stages.core.files import read_csv
from dpo_stages.report.decisions import OFF, ON, Decision, gain
from dpo_stages.report.policy_rows import named

PAPER = Path(__file__).resolve().parent / "paper_reference"


def paper_table(number: int) -> list[dict[str, str]]:
    """The figures that the paper prints in one of its tables, as they stand there; see paper_reference/README.md."""
    return read_csv(PAPER / f"table{number}.csv", ("table", "row", "model", "method", "iter_1", "iter_2"))


def paper_decisions(number: int) -> list[Decision]:
    """The initial policies of the paper's Table 3, 4 or 5, with gains computed from its LC win rates."""
    from dpo_boundary.result import recommended_source

    rows = paper_table(number)
    policies = {
        named(row["model"], 0, [0], row["method"], tuple(filter(None, (row["iter_1"], row["iter_2"])))): row
        for row in rows
    }
    found = []
    for policy, row in policies.items():
        if row["boundary_score"]:
            initial, score = policy.initial, float(row["boundary_score"])
            before = float(policies[initial]["lc_win_rate"])
            arms = [policies[initial.then(row["method"], source)] for source in (OFF, ON)]
            off_gain, on_gain = (round(gain(float(arm["lc_win_rate"]), before), 2) for arm in arms)
            found.append(Decision(str(initial), row["method"], score, recommended_source(score), off_gain, on_gain))
    return found
