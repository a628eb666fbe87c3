"""Make the table of RQ1: diversity, quality and gains of each source of candidates, from Table 2 and what it stands on."""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report.paper import paper_rows
from dpo_stages.report.policy_rows import read_rows
from dpo_stages.report.records import JUDGE_COLUMNS, one_judge
from dpo_stages.report.table import table_parser


def parse_arguments() -> argparse.Namespace:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--policies", type=Path, required=True, metavar="CSV", help="Table 2, of make_table.py")
    add("--quality", type=Path, required=True, metavar="CSV", help="of make_quality_table.py")
    add(
        "--logs",
        nargs="+",
        required=True,
        metavar="POLICY=FILE",
        help="training_log.jsonl of the policies that come of SFT",
    )
    add("--origins", nargs="*", default=[], metavar="POLICY=SOURCE", help="whose candidates alone one was trained on")
    add("--preference-data", required=True, metavar="NAME", help="the study's off-policy data set")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if wrong := [pair for pair in arguments.origins if "=" not in pair]:
        raise BadInput(f"--origins {wrong[0]} is not of the form POLICY=SOURCE")

    from dpo_stages.core.files import read_csv
    from dpo_stages.report.tables import rq1
    from dpo_stages.report.tables.intra_diversity import read_curves

    policies = read_rows(arguments.policies)
    quality = read_csv(arguments.quality, ("candidates", "against", *rq1.QUALITY, *JUDGE_COLUMNS))
    judge = one_judge([*({name: row[name] or None for name in JUDGE_COLUMNS} for row in quality), *map(vars, policies)])
    curves, origins = read_curves(arguments.logs), dict(pair.split("=") for pair in arguments.origins)
    rows = rq1.table_rows(policies, curves, quality, origins, arguments.preference_data, paper_rows(2))
    if not rows:
        raise BadInput(
            f"{arguments.policies} has no policy that was trained from an SFT policy; make the table with histories"
        )
    rq1.table(rows, judge).write(arguments.csv)
    without = {name: sum(row[name] is None for row in rows) for name in ("diversity", "quality_win_rate", "off_gain")}
    finish(arguments.csv, len(policies), len(rows), {}, **{f"without_{name}": count for name, count in without.items()})


if __name__ == "__main__":
    run(main)
