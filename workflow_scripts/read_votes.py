"""Read a sheet of write_vote_sheet.py that people have filled in: which response of each pair they take for the better one.

The sheet is held against the pairs as they are now: a prompt that was not drawn, other responses and other votes than a, b
and tie are refused. Pairs without a vote are counted and left out.
"""

import argparse
from pathlib import Path

from dpo_stages.audit.columns import ANSWERS
from dpo_stages.audit.drawing import add_drawing_flags, as_shown, draw_pairs
from dpo_stages.audit.votes import read_votes
from dpo_stages.core.parquet import write_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.thoughts import add_thoughts_flag


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--votes", type=Path, required=True, metavar="CSV", help="the filled sheet")
    add("--preferences", type=Path, required=True, metavar="PARQUET", help="of label_preferences.py, as for the sheet")
    add_drawing_flags(parser)
    add_thoughts_flag(parser)
    add("--output", type=Path, required=True, metavar="PARQUET")
    arguments = parser.parse_args()
    table, _ = draw_pairs(arguments.preferences, arguments.pairs, arguments.seed)
    rows = [as_shown(row, arguments.thoughts) for row in table.to_pylist()]
    answers, empty = read_votes(arguments.votes, rows)
    write_table(arguments.output, answers, ANSWERS)
    dropped = {"empty rows": empty, "not on the sheet": len(rows) - len(answers) - empty}
    finish(arguments.output, len(rows), len(answers), dropped, votes=arguments.votes.name)


if __name__ == "__main__":
    run(main)
