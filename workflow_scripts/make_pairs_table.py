"""Make the table of how many pairs each source of candidates gives, from the ledgers beside data, candidates and preferences."""

from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report.table import table_parser


def main() -> None:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add(
        "--data",
        nargs="+",
        type=Path,
        required=True,
        metavar="FILE",
        help="of prepare_dataset.py, for each source the data set whose prompts it has",
    )
    add(
        "--candidates", nargs="+", type=Path, required=True, metavar="FILE", help="the data, or of sample_candidates.py"
    )
    add("--preferences", nargs="+", type=Path, required=True, metavar="FILE", help="of label_preferences.py, for each")
    add("--names", nargs="+", required=True, metavar="NAME", help="whose candidates they are, one a file")
    arguments = parser.parse_args()
    given = {name: len(getattr(arguments, name)) for name in ("data", "candidates", "preferences", "names")}
    if len({*given.values()}) > 1:
        counts = ", ".join(f"{number} --{name}" for name, number in given.items())
        raise BadInput(f"{counts}; give one of each for every source")

    from dpo_stages.core.ledgers import ledger
    from dpo_stages.report.tables import pairs

    rows = [
        pairs.row(name, read := ledger(data), read if candidates == data else ledger(candidates), ledger(preferences))
        for name, data, candidates, preferences in zip(
            arguments.names, arguments.data, arguments.candidates, arguments.preferences, strict=True
        )
    ]
    pairs.table(rows).write(arguments.csv)
    finish(arguments.csv, len(rows), len(rows), {}, pairs=sum(row["pairs"] for row in rows))


if __name__ == "__main__":
    run(main)
