"""Make the table of what labelling reports: of every pass of the preference model, from the ledgers beside its outputs.

Where people have voted, it shows how often the preference models are right, and where the right labels are known, as in the demo's
world, how often those of the training pairs are; both beside whoever takes the longer response, or the first one.
"""

from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report.table import table_parser


def main() -> None:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--preferences", nargs="+", type=Path, required=True, metavar="FILE", help="of label_preferences.py")
    add("--comparisons", nargs="*", type=Path, default=[], metavar="FILE", help="of compare_candidates.py")
    add("--names", nargs="+", required=True, metavar="NAME", help="whose candidates they are of, one a file")
    add(
        "--accuracies",
        nargs="*",
        type=Path,
        default=[],
        metavar="JSON",
        help="of the labels, one for each of them or none",
    )
    add("--held-out", nargs="*", type=Path, default=[], metavar="JSON", help="of measure_preference_model.py")
    add("--notes", nargs="+", default=[], metavar="TEXT", help="sentences on what nobody knows")
    arguments = parser.parse_args()
    files = [*arguments.preferences, *arguments.comparisons]
    if len(files) != len(arguments.names):
        raise BadInput(f"{len(files)} files but {len(arguments.names)} --names; give one for each")
    if arguments.accuracies and len(arguments.accuracies) != len(arguments.preferences):
        raise BadInput(
            f"{len(arguments.preferences)} --preferences but {len(arguments.accuracies)} --accuracies; give one for each"
        )

    from dpo_stages.core.files import read_json
    from dpo_stages.core.ledgers import ledger
    from dpo_stages.report.baselines import read_held_out
    from dpo_stages.report.tables import labels

    works = ["labels"] * len(arguments.preferences) + ["comparisons"] * len(arguments.comparisons)
    ledgers = [ledger(file) for file in files]
    truths = dict(zip(arguments.names, map(read_json, arguments.accuracies), strict=False))
    rows = [
        labels.row(name, work, counts, truths.get(name) if work == "labels" else None)
        for name, work, counts in zip(arguments.names, works, ledgers, strict=True)
    ]
    measured = [read_held_out(path) for path in arguments.held_out]
    labels.table(rows, truths, measured, arguments.notes).write(arguments.csv)
    finish(arguments.csv, len(files), len(rows), {}, pairs=sum(row["pairs"] for row in rows))


if __name__ == "__main__":
    run(main)
