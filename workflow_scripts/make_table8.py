"""Make Table 8: how often a policy gives its own sample a higher probability than an off-policy response.

Four comparisons a prompt, the mean over prompts. Beside it stands what that does to Algorithm 1, which takes the answer
to be "always": the preference consistency by the policy's log-probabilities, and the boundary score. The Markdown has
Table 8 in the paper's layout first; the CSV has everything, one line a policy.
"""

import argparse
from pathlib import Path

from dpo_stages.core.program import finish, run
from dpo_stages.report.records import by_policy
from dpo_stages.report.table import table_parser
from dpo_stages.report.writing import labels


def parse_arguments() -> argparse.Namespace:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--models", required=True, nargs="+", metavar="NAME=LABEL", help="names of models in the table")
    add("--consistencies", required=True, nargs="+", type=Path, metavar="FILE", help="of measure_consistency.py")
    add("--decide-by", required=True, choices=("boundary", "race"), help="what `auto` follows, for the caption")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import read_json
    from dpo_stages.report.tables import consistency

    records = by_policy(((path, read_json(path)) for path in arguments.consistencies), "preference consistency")
    rows = consistency.build_rows(labels(arguments.models), records)
    consistency.table(rows, arguments.decide_by).write(arguments.csv)
    likelier = [row.on_policy_likelier for row in rows]
    finish(
        arguments.csv,
        rows_in=len(records),
        rows_out=len(rows),
        dropped={},
        on_policy_likelier=f"{min(likelier):.2f} to {max(likelier):.2f} %",
    )


if __name__ == "__main__":
    run(main)
