"""Draw the prompts on which the arms of a race are compared.

They are of a split that nothing is trained on, of several data sets as many of each as they have. The order depends on the seed and
the prompts alone, so that more prompts are the same ones and others.
"""

import argparse
from itertools import zip_longest
from pathlib import Path

from dpo_stages.core.arguments import positive_int, seed
from dpo_stages.core.program import finish, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--prompts",
        nargs="+",
        type=Path,
        required=True,
        metavar="PARQUET",
        help="tables with prompt_id and prompt, one a data set",
    )
    add("--number", type=positive_int, required=True, metavar="N", help="of prompts; fewer if there are no more")
    add("--seed", type=seed, required=True, help="of their order")
    add("--output", type=Path, required=True, metavar="PARQUET")
    arguments = parser.parse_args()

    from dpo_boundary.blocks import seeded_order
    from dpo_stages.core.parquet import read_table, write_table
    from dpo_stages.data.schemas import PROMPTS

    rows: dict[str, dict] = {}
    turns = []
    for path in arguments.prompts:
        own = {row["prompt_id"]: row for row in read_table(path, PROMPTS).to_pylist() if row["prompt_id"] not in rows}
        rows |= own
        turns.append(seeded_order(own, arguments.seed))
    order = [prompt_id for turn in zip_longest(*turns) for prompt_id in turn if prompt_id is not None]
    drawn = [rows[prompt_id] for prompt_id in order[: arguments.number]]
    write_table(arguments.output, drawn, PROMPTS)
    finish(arguments.output, len(rows), len(drawn), {"not drawn": len(rows) - len(drawn)})


if __name__ == "__main__":
    run(main)
