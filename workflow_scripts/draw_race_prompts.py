"""Draw the prompts on which the arms of a race are compared.

They are of a split that nothing is trained on. The order depends on the seed and the prompts alone, so that more prompts are the
same ones and others.
"""

import argparse
from pathlib import Path

from dpo_stages.core.arguments import positive_int, seed
from dpo_stages.core.program import finish, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--prompts", type=Path, required=True, metavar="PARQUET", help="table with prompt_id and prompt")
    add("--number", type=positive_int, required=True, metavar="N", help="of prompts; fewer if there are no more")
    add("--seed", type=seed, required=True, help="of their order")
    add("--output", type=Path, required=True, metavar="PARQUET")
    arguments = parser.parse_args()

    from dpo_boundary.blocks import seeded_order
    from dpo_stages.core.parquet import read_table, write_table
    from dpo_stages.data.schemas import PROMPTS

    rows = {row["prompt_id"]: row for row in read_table(arguments.prompts, PROMPTS).to_pylist()}
    drawn = [rows[prompt_id] for prompt_id in seeded_order(rows, arguments.seed)[: arguments.number]]
    write_table(arguments.output, drawn, PROMPTS)
    finish(arguments.output, len(rows), len(drawn), {"not drawn": len(rows) - len(drawn)})


if __name__ == "__main__":
    run(main)
