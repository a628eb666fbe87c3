"""Blocks of a sequential measurement: nested, in an order that depends on the seed and the prompts alone."""

import hashlib
import math
from collections.abc import Iterable

# Blocks of a sequential measurement: the first is large enough to decide clear cases, and each further one adds a
# quarter to what was compared, which costs a tenth more prompts than looking after each and starts few sampling jobs.
FIRST_BLOCK, GROWTH = 32, 1.25


def nested_blocks(prompt_ids: Iterable[str], seed: int) -> list[list[str]]:
    """The blocks of a sequential measurement: each prompt once, in seeded order."""
    order = seeded_order(prompt_ids, seed)
    ends = block_ends(len(order))
    return [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def block_ends(prompts: int) -> list[int]:
    """Prompts compared after each block of a sequential measurement with a budget of `prompts`."""
    ends = [min(FIRST_BLOCK, prompts)]
    while ends[-1] < prompts:
        ends.append(min(math.ceil(ends[-1] * GROWTH), prompts))
    return ends


def seeded_order(prompt_ids: Iterable[str], seed: int) -> list[str]:
    """Prompts in an order that depends on the seed and the prompts alone, so that samples of any size are nested."""
    return sorted(prompt_ids, key=lambda prompt_id: hashlib.sha256(f"{seed}/{prompt_id}".encode()).digest())


def positions(prompt_ids: tuple[str, ...], seed: int) -> list[int]:
    """Positions of the prompts in seeded order."""
    place = {prompt_id: position for position, prompt_id in enumerate(prompt_ids)}
    return [place[prompt_id] for prompt_id in seeded_order(prompt_ids, seed)]
