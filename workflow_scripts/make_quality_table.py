"""Make the table of candidates' quality: LC win rates of one source's candidates against another's chosen responses."""

from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report.paper import PAPER
from dpo_stages.report.records import one_judge
from dpo_stages.report.table import table_parser


def main() -> None:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--pairs", nargs="+", required=True, metavar="SOURCE=SOURCE", help="whose candidates = whose chosen responses")
    add("--win-rates", nargs="+", type=Path, required=True, metavar="FILE", help="win_rate.json of each pair")
    add("--preference-data", required=True, metavar="NAME", help="the study's off-policy data set")
    arguments = parser.parse_args()
    if len(arguments.pairs) != len(arguments.win_rates):
        raise BadInput(f"{len(arguments.pairs)} --pairs but {len(arguments.win_rates)} --win-rates; give one each")

    from dpo_stages.core.files import read_csv, read_json
    from dpo_stages.report.tables import quality

    pairs = [tuple(pair.split("=")) for pair in arguments.pairs]
    records = [read_json(path) for path in arguments.win_rates]
    paper = read_csv(PAPER / "quality.csv", ("candidate_model", "lc_win_rate"))
    rows = quality.table_rows(pairs, records, paper, arguments.preference_data)
    judge = one_judge(rows)
    quality.table(rows, judge).write(arguments.csv)
    finish(arguments.csv, len(records), len(rows), {}, judge=judge)


if __name__ == "__main__":
    run(main)
