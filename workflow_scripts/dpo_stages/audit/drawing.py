"""Which pairs of a source an audit is about: those of the first prompts in an order that seed and prompt alone decide.

So the sources of a study are asked about the same prompts where they have pairs of them, and more pairs are those before and
further ones.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.arguments import positive_int, seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table
from dpo_stages.data.prompts import request_seed
from dpo_stages.data.thoughts import shown, whole

if TYPE_CHECKING:
    import pyarrow as pa

AUDIT = "audit"


def add_drawing_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--pairs` and `--seed`, which `draw_pairs` takes."""
    parser.add_argument("--pairs", type=positive_int, required=True, metavar="N", help="how many are drawn at most")
    parser.add_argument("--seed", type=seed, required=True, help="of the draw; one for all sources of a study")


def draw(prompt_ids: Iterable[str], pairs: int, seed: int) -> list[str]:
    """The prompts that are drawn, in their order; all where there are no more than `pairs`."""
    return sorted(prompt_ids, key=lambda one: (request_seed(seed, one, 0, AUDIT), one))[:pairs]


def draw_pairs(path: Path, pairs: int, seed: int) -> "tuple[pa.Table, int]":
    """Draw pairs of a source.

    Args:
        path: `schemas.PREFERENCES`.
        pairs: how many at most.
        seed: of the draw.

    Returns:
        The pairs in the order of the draw, and the number of those that there are.

    Raises:
        BadInput: the file is no such table, or holds no pair.
    """
    import pyarrow as pa

    from dpo_stages.data.schemas import PREFERENCES

    table = read_table(path, PREFERENCES)
    if not table.num_rows:
        raise BadInput(f"{path} has no pair to audit: the labels drop them all, as ties or for cut responses")
    place = {prompt: number for number, prompt in enumerate(table["prompt_id"].to_pylist())}
    drawn = draw(place, pairs, seed)
    return table.take(pa.array([place[prompt] for prompt in drawn])), table.num_rows


def as_shown(row: Mapping, thoughts: str) -> dict:
    """A pair with its responses as whoever compares them is shown them; see `data/thoughts`."""
    texts = {side: shown(whole(row[side], row["opens_thought"]), thoughts) for side in ("chosen", "rejected")}
    return {"prompt_id": row["prompt_id"], "prompt": row["prompt"], **texts}
