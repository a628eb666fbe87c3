"""Make the table and the figure of which data sets come before a policy's own samples, and which behind them.

Input are the boundary scores of each policy, one against each data set of the study, and audits where there are any.
"""

import argparse
from pathlib import Path

from dpo_stages.core.arguments import confidence
from dpo_stages.core.program import finish, run
from dpo_stages.report.table import table_parser


def parse_arguments() -> argparse.Namespace:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--boundaries", required=True, nargs="+", type=Path, metavar="JSON", help="of measure_boundary.py")
    add("--audits", nargs="+", type=Path, default=[], metavar="JSON", help="of audit_sources.py")
    add("--confidence", required=True, type=confidence, help="with which all scores of a policy hold together")
    add("--svg", required=True, type=Path, metavar="OUT.svg")
    add("--png", required=True, type=Path, metavar="OUT.png")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import read_json
    from dpo_stages.report.figures.data_sets import draw
    from dpo_stages.report.figures.style import save_both
    from dpo_stages.report.tables import data_sets

    boundaries = [read_json(path) for path in arguments.boundaries]
    audits = {audit["initial_policy"]: audit for audit in map(read_json, arguments.audits)}
    found = data_sets.standings(boundaries)
    save_both(
        draw({policy: data_sets.rows_of(policy, standing, audits) for policy, standing in found.items()}),
        arguments.svg,
        arguments.png,
    )
    data_sets.table(found, audits, arguments.confidence).write(arguments.csv)
    first = " ".join(f"{policy}={standing.leads}" for policy, standing in found.items())
    finish(arguments.csv, len(boundaries), len(boundaries), {}, policies=len(found), first=first)


if __name__ == "__main__":
    run(main)
