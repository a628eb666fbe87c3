"""Put the study's tables beside the paper's: ours, the paper's, the difference, and whether stage and better arm agree.

Only the models that both have are compared; a study of other models gets an empty comparison that says so.
"""

import argparse
from pathlib import Path

from dpo_stages.program import finish, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--tables", nargs="+", type=Path, required=True, metavar="CSV", help="files of make_table.py")
    add("--csv", type=Path, required=True, metavar="OUT.csv")
    add("--markdown", type=Path, required=True, metavar="OUT.md")
    arguments = parser.parse_args()

    from dpo_stages import paper_comparison, tables
    from dpo_stages.files import write_text

    rows, models, read = [], {}, 0
    for path in arguments.tables:
        needed = ("policy", "model", "model_label", "method", "method_label")
        ours = tables.read_csv(path, (*needed, *tables.JUDGE_COLUMNS, *paper_comparison.FIGURES))
        models |= {row["model"]: row["model_label"] for row in ours}
        read += len(ours)
        reference = tables.PAPER / path.name
        if reference.is_file():
            rows += paper_comparison.compare(path.stem, ours, tables.read_csv(reference, ("model", "method", "iter_1")))
    write_text(arguments.markdown, paper_comparison.as_markdown(rows, list(models.values())))
    write_text(arguments.csv, tables.as_csv(paper_comparison.COLUMNS, rows))
    stage, arm = (paper_comparison.tally(rows, what) for what in ("stage_agrees", "better_arm_agrees"))
    finish(arguments.csv, read, len(rows), {}, stage_agrees=stage, better_arm_agrees=arm)


if __name__ == "__main__":
    run(main)
