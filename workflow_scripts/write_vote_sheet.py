"""Write a blind sheet of a source's drawn pairs, for people to vote on in a yardstick's place.

Each row has a prompt and two responses, a and b, in an order that tells nothing of which was chosen. Whoever fills it in writes
a, b or tie into the column better; rows that are left empty do not count, and the first rows are as good a sample as any.
"""

import argparse
from pathlib import Path

from dpo_stages.audit.drawing import add_drawing_flags, as_shown, draw_pairs
from dpo_stages.audit.votes import sheet
from dpo_stages.core.files import write_text
from dpo_stages.core.program import finish, run
from dpo_stages.data.thoughts import add_thoughts_flag


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preferences", type=Path, required=True, metavar="PARQUET", help="of label_preferences.py")
    add_drawing_flags(parser)
    add_thoughts_flag(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="CSV")
    arguments = parser.parse_args()
    table, there = draw_pairs(arguments.preferences, arguments.pairs, arguments.seed)
    rows = [as_shown(row, arguments.thoughts) for row in table.to_pylist()]
    write_text(arguments.output, sheet(rows, arguments.seed))
    finish(arguments.output, there, len(rows), {"not drawn": there - len(rows)})


if __name__ == "__main__":
    run(main)
