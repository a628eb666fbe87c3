"""Prompts that a policy is measured on and was also trained on.

A share of them can move a boundary score or a win rate by that share at most, so a small one is listed and let pass, and
more stops the run. Two prompts are the same if their words are, whatever case and white space.
"""

import argparse
import sys
from collections.abc import Sized
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table
from dpo_stages.data.shards import Shard

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 3


def add_shared_prompts_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--trained-on` and `--shared-prompts`; `check_shared_prompts` takes their values."""
    parser.add_argument("--trained-on", type=Path, metavar="PARQUET", help="prompts that policies are trained on")
    parser.add_argument(
        "--shared-prompts",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of the prompts that may stand in --trained-on, too; more is an error (default: %(default)g)",
    )


def check_shared_prompts(
    table: "pa.Table", path: Path, shard: Shard, trained_on: Path | None, allowed: float
) -> dict[str, int]:
    """List the prompts of a table that policies are trained on, too.

    Args:
        table: `prompt_id` and `prompt`.
        path: where the table comes from, for messages.
        shard: the part of the table that the job is about; the whole table is checked all the same.
        trained_on: the prompts that policies are trained on; None checks nothing.
        allowed: share of the table's prompts that may stand there, too.

    Returns:
        Their number in the shard, as a count for the ledger; nothing without `trained_on`.

    Raises:
        BadInput: they are more than `allowed`.
    """
    from dpo_stages.data.schemas import PROMPTS

    if not 0 <= allowed <= 1:
        raise BadInput(f"--shared-prompts is {allowed}; it is a share, from 0 to 1")
    if trained_on is None:
        return {}
    trained = {words(prompt) for prompt in read_table(trained_on, PROMPTS)["prompt"].to_pylist()}
    rows = table.select(["prompt_id", "prompt"]).to_pylist()
    shared = [row for row in rows if words(row["prompt"]) in trained]
    for row in shared:
        print(f"also in {trained_on}: {row['prompt_id']} {words(row['prompt'])[:100]}", file=sys.stderr)
    if len(shared) > allowed * len(rows):
        first = ", ".join(row["prompt_id"] for row in shared[:SHOWN]) + " (all are listed above)"
        raise BadInput(too_many(shared, rows, path, trained_on, first, allowed))
    return {"shared_with_training": sum(words(row["prompt"]) in trained for row in shard(rows))}


def too_many(shared: Sized, rows: Sized, path: str | Path, trained_on: str | Path, first: str, allowed: float) -> str:
    """What is said where `shared` of the `rows` of a file are trained on, too, which is more than `allowed`."""
    return (
        f"{len(shared)} of the {len(rows)} prompts of {path} are also in {trained_on}, which policies are trained on, the first of "
        f"them {first}: take them out of one of the two, or raise shared_prompts above {allowed:g}"
    )


def words(prompt: list[dict[str, str]]) -> str:
    """What is asked in a conversation, without case and white space that make no difference."""
    return " ".join(" ".join(turn["content"] for turn in prompt).casefold().split())
