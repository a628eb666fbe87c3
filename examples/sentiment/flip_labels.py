"""Exchange chosen and rejected in a share of labelled pairs: label noise of a known amount.

    envs/run workflow examples/sentiment/flip_labels.py --preferences PARQUET --reference-logps PARQUET --percent 25 --seed 1 \\
        --output PARQUET --output-logps PARQUET

The share is exact up to rounding. --seed draws an order of the prompts, of which the first are flipped: the pairs that are wrong
at 10 percent are wrong at 25 percent as well, and the same prompts are in both sources. The logit stays what the preference model said. The
reference log-probabilities belong to texts and are exchanged with them.
"""

import argparse
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

from dpo_stages.core.arguments import seed
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.schemas import PREFERENCES, REFERENCE_LOGPS


def exchanged(row: dict) -> dict:
    """A row whose columns of the chosen and of the rejected response have changed places."""
    other = {"chosen": "rejected", "rejected": "chosen"}
    flipped = {}
    for name, value in row.items():
        words = [other.get(word, word) for word in name.split("_")]
        flipped["_".join(words)] = value
    if "chosen_first" in row:
        agrees = row["original_agrees"]
        flipped |= {"chosen_first": not row["chosen_first"], "original_agrees": None if agrees is None else not agrees}
        del flipped["rejected_first"]
    return flipped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--preferences", type=Path, required=True, help="of label_preferences.py")
    add("--reference-logps", type=Path, required=True, help="of compute_reference_logps.py, of the same pairs")
    add("--percent", type=int, required=True, help="of the pairs that are flipped")
    add("--seed", type=seed, required=True, help="of which")
    add("--output", type=Path, required=True, help="preferences")
    add("--output-logps", type=Path, required=True, help="reference log-probabilities")
    arguments = parser.parse_args()
    pairs = read_table(arguments.preferences, PREFERENCES).to_pylist()
    names = sorted(row["prompt_id"] for row in pairs)
    # The order hangs on each prompt alone, so that a prompt only one source has a pair for moves no other.
    names.sort(key=lambda name: random.Random(f"{arguments.seed}/{name}").random())
    flipped = set(names[: round(arguments.percent / 100 * len(names))])
    references = read_table(arguments.reference_logps, REFERENCE_LOGPS).to_pylist()
    for path, rows, schema in (
        (arguments.output_logps, references, REFERENCE_LOGPS),
        (arguments.output, pairs, PREFERENCES),
    ):
        write_table(path, [exchanged(row) if row["prompt_id"] in flipped else row for row in rows], schema)
    finish(arguments.output, len(pairs), len(pairs), {}, flipped=len(flipped))


if __name__ == "__main__":
    run(main)
