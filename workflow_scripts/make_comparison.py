"""Put the study's tables beside the paper's: ours, the paper's, the difference, and whether stage and better arm agree.

Only the models that both have are compared; a study of other models gets an empty comparison that says so.
"""

from pathlib import Path

from dpo_stages.core.program import finish, run
from dpo_stages.report.paper import PAPER
from dpo_stages.report.records import JUDGE_COLUMNS
from dpo_stages.report.table import table_parser
from dpo_stages.report.writing import read_csv


def main() -> None:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--tables", nargs="+", type=Path, required=True, metavar="CSV", help="files of make_table.py")
    arguments = parser.parse_args()

    from dpo_stages.report.tables import paper_comparison

    rows, models, read = [], {}, 0
    for path in arguments.tables:
        needed = ("policy", "model", "model_label", "method", "method_label")
        ours = read_csv(path, (*needed, *JUDGE_COLUMNS, *paper_comparison.FIGURES))
        models |= {row["model"]: row["model_label"] for row in ours}
        read += len(ours)
        reference = PAPER / path.name
        if reference.is_file():
            rows += paper_comparison.compare(path.stem, ours, read_csv(reference, ("model", "method", "iter_1")))
    paper_comparison.table(rows, list(models.values())).write(arguments.csv)
    stage, arm = (paper_comparison.tally(rows, what) for what in ("stage_agrees", "better_arm_agrees"))
    finish(arguments.csv, read, len(rows), {}, stage_agrees=stage, better_arm_agrees=arm)


if __name__ == "__main__":
    run(main)
