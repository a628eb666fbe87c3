"""Take the reference outputs of an instruction set as if a policy had written them, so that a judge can compare them.

For the verbose and concise versions of a set's reference, which length-controlled win rates are calibrated with.
"""

import argparse
from pathlib import Path

from dpo_stages.core.files import write_json
from dpo_stages.core.parquet import read_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.schemas import INSTRUCTIONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--instructions", type=Path, required=True, metavar="PARQUET", help="the set with these references"
    )
    parser.add_argument("--generator", required=True, metavar="NAME", help="name of the reference's version")
    parser.add_argument("--output", type=Path, required=True, metavar="JSON", help="model_outputs.json")
    arguments = parser.parse_args()
    rows = read_table(arguments.instructions, INSTRUCTIONS).to_pylist()
    outputs = [
        {
            "index": row["index"],
            "prompt_id": row["prompt_id"],
            "dataset": row["subset"],
            "instruction": row["instruction"],
            "output": row["reference"],
            "generator": arguments.generator,
        }
        for row in rows
    ]
    write_json(arguments.output, outputs)
    finish(arguments.output, len(rows), len(outputs), {})


if __name__ == "__main__":
    run(main)
