"""Show the intra-diversity of candidates (equation 12) over the training of policies: a table, and Figure 3.

The mean difference of log-probabilities between chosen and rejected responses is signed; the paper argues from how much
it fluctuates. The table gives both, with the standard deviation and the mean absolute value over all pairs, one line a
policy. The figure has a column of panels for each model and shows the study's first seed: above the mean over each step's
pairs, below their standard deviation.
"""

import argparse
from pathlib import Path

from dpo_stages.core.program import finish, run
from dpo_stages.report.table import table_parser
from dpo_stages.report.writing import labels


def parse_arguments() -> argparse.Namespace:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--models", required=True, nargs="+", metavar="NAME=LABEL", help="names of models in table and figure")
    add("--logs", required=True, nargs="+", metavar="POLICY=FILE", help="training_log.jsonl of each policy")
    add("--svg", required=True, type=Path, metavar="OUT.svg")
    add("--png", required=True, type=Path, metavar="OUT.png")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.report.figures.intra_diversity import draw
    from dpo_stages.report.figures.style import save_both
    from dpo_stages.report.tables import intra_diversity

    models = labels(arguments.models)
    curves = intra_diversity.read_curves(arguments.logs)
    figure = draw([curve for curve in curves if curve.policy.seed is None], models)
    summaries = [intra_diversity.summarise(curve, models) for curve in curves]
    save_both(figure, arguments.svg, arguments.png)
    intra_diversity.table(summaries).write(arguments.csv)
    steps = sum(summary.steps for summary in summaries)
    finish(arguments.csv, rows_in=len(curves), rows_out=len(summaries), dropped={}, steps=steps)


if __name__ == "__main__":
    run(main)
