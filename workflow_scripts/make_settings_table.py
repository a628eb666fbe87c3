"""Write Table 6 (training) or Table 7 (sampling) of the paper from the configuration that is in force.

The CSV holds a parameter a line, this study's values and the paper's; Markdown has the paper's layout.
"""

import argparse
import json

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report.table import table_parser


def parse_arguments() -> argparse.Namespace:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--table", type=int, choices=(6, 7), required=True)
    add(
        "--settings",
        required=True,
        metavar="JSON",
        help="sections of the configuration: sft, methods, max_length and gpus for Table 6, sampling for Table 7",
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.report.tables import settings as made

    try:
        settings = json.loads(arguments.settings)
    except ValueError as error:
        raise BadInput(f"--settings is not valid JSON ({error}); give the sections of the configuration") from error
    if arguments.table == 6:
        columns = made.training_table(**settings)
        labels = {"sft": "SFT", **{name: method["label"] for name, method in settings["methods"].items()}}
    else:
        columns, labels = made.sampling_table(settings["sampling"]), {"value": "Value"}
    rows = made.rows_of(arguments.table, columns)
    made.table(arguments.table, rows, labels).write(arguments.csv)
    finish(arguments.csv, len(rows), len(rows), {})


if __name__ == "__main__":
    run(main)
