"""Summarise the intra-diversity of candidates (equation 12) over the training of policies, one line a policy.

The mean difference of log-probabilities between chosen and rejected responses is signed; the paper argues from how much
it fluctuates. Both are given, with the standard deviation and the mean absolute value over all pairs.
"""

import argparse
from pathlib import Path

from dpo_stages.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--models", required=True, nargs="+", metavar="NAME=LABEL", help="names of models in the table")
    add("--logs", required=True, nargs="+", metavar="POLICY=FILE", help="training_log.jsonl of each policy")
    add("--csv", required=True, type=Path, metavar="OUT.csv")
    add("--markdown", required=True, type=Path, metavar="OUT.md")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages import intra_diversity, tables
    from dpo_stages.files import write_text

    models = tables.labels(arguments.models)
    curves = intra_diversity.read_curves(arguments.logs)
    summaries = [intra_diversity.summarise(curve, models) for curve in curves]
    write_text(arguments.markdown, intra_diversity.summaries_as_markdown(summaries))
    write_text(arguments.csv, intra_diversity.summaries_as_csv(summaries))
    steps = sum(summary.steps for summary in summaries)
    finish(arguments.csv, rows_in=len(curves), rows_out=len(summaries), dropped={}, steps=steps)


if __name__ == "__main__":
    run(main)
