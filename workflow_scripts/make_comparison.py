"""Put the study's tables beside the paper's: ours, the paper's, the difference, and whether stage and better arm agree.

Only the models that both have are compared; a study of other models gets an empty comparison that says so.
"""

from pathlib import Path

from dpo_stages.core.program import finish, run
from dpo_stages.report.paper import PAPER, paper_rows
from dpo_stages.report.policy_rows import read_rows
from dpo_stages.report.table import table_parser


def main() -> None:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--tables", nargs="+", type=Path, required=True, metavar="CSV", help="files of make_table.py")
    arguments = parser.parse_args()

    from dpo_stages.report.tables import paper_comparison

    rows, models, read = [], {}, 0
    for path in arguments.tables:
        ours = read_rows(path)
        models |= {row.model: row.model_label for row in ours}
        read += len(ours)
        if (PAPER / path.name).is_file():
            rows += paper_comparison.compare(path.stem, ours, paper_rows(path.stem.removeprefix("table")))
    paper_comparison.table(rows, list(models.values())).write(arguments.csv)
    stage, arm = (paper_comparison.agreement(rows, what) for what in ("stage_agrees", "better_arm_agrees"))
    finish(arguments.csv, read, len(rows), {}, stage_agrees=stage, better_arm_agrees=arm)


if __name__ == "__main__":
    run(main)
