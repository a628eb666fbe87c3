"""Compare the cost of measuring an SFT policy's boundary with an epoch of training: Appendix B.1.

The seconds are those of Snakemake's benchmark files: sampling from the policy on the measurement's split plus comparing
under the preference model, against training on the off-policy pairs. Files stand in the order of --models; a stage
that ran in several jobs has several for each model, and their seconds are added.
"""

import argparse
from pathlib import Path

from dpo_stages.core.arguments import count, positive_float
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report.table import table_parser
from dpo_stages.report.writing import labels

JOBS = {"sampling": "sample_candidates", "comparing": "compare_candidates", "training": "train_policy"}


def parse_arguments() -> argparse.Namespace:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--models", required=True, nargs="+", metavar="NAME=LABEL", help="names of models in the table")
    add("--candidates", required=True, nargs="+", type=Path, metavar="PARQUET", help="what was sampled and compared")
    add("--preferences", required=True, type=Path, metavar="PARQUET", help="pairs that all of them were trained on")
    for job, what in JOBS.items():
        add(f"--{job}", required=True, nargs="+", type=Path, metavar="JSONL", help=f"benchmarks of {what}")
    add(
        "--gpus",
        required=True,
        nargs=3,
        type=count,
        metavar="N",
        help="of sampling, comparing and training; 0 on a CPU",
    )
    add("--epochs", required=True, type=positive_float, help="epochs of training")
    add("--split", required=True, help="split of the preference data that measures boundaries, for the words")
    add("--method", required=True, metavar="LABEL", help="what trained, for the words")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.schemas import PREFERENCES, PROMPTS
    from dpo_stages.report.tables import boundary_cost

    models = labels(arguments.models)
    if len(arguments.candidates) != len(models):
        raise BadInput(
            f"--candidates has {len(arguments.candidates)} files for {len(models)} models; give one for each"
        )
    seconds = {job: boundary_cost.seconds_of_models(getattr(arguments, job), len(models), f"--{job}") for job in JOBS}
    pairs = read_table(arguments.preferences, PREFERENCES).num_rows
    gpus = boundary_cost.Gpus(*arguments.gpus)
    costs = [
        boundary_cost.Cost(
            model, label, read_table(candidates, PROMPTS).num_rows, pairs, *of_model, arguments.epochs, gpus
        )
        for (model, label), candidates, *of_model in zip(
            models.items(), arguments.candidates, *seconds.values(), strict=True
        )
    ]
    boundary_cost.table(costs, arguments.split, arguments.method).write(arguments.csv)
    ratios = [cost.ratio for cost in costs]
    finish(
        arguments.csv,
        rows_in=len(models),
        rows_out=len(costs),
        dropped={},
        share_of_an_epoch=f"{min(ratios):.1%} to {max(ratios):.1%}",
    )


if __name__ == "__main__":
    run(main)
