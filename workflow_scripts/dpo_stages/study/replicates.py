"""Replicates: a policy's last training and its evaluation done again, from the same initial policy on the same pairs.

They tell what an arm gains from the noise of its training, at the price of that training. A further seed repeats the whole
study. Standard library only.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace

from dpo_stages.study.policies import Policy


def with_replicates(policies: Iterable[Policy], replicates: int) -> list[Policy]:
    """First runs, behind them the second runs of all that are trained, and so on.

    Args:
        policies: in their first run. SFT policies have no other.
        replicates: number of runs.
    """
    first = list(policies)
    trained = [policy for policy in first if policy.history]
    return [*first, *(replace(policy, replicate=run) for run in range(2, replicates + 1) for policy in trained)]


def is_of_replicate(file: str) -> bool:
    """Whether a file of the results belongs to a replicate after the first."""
    return re.search(r"~[0-9]+(?:[./]|$)", file) is not None


def seed_of_run(seed: int, replicate: int | None) -> int:
    """The seed of a training and its evaluation.

    The first run's is that of the study. A replicate's is hashed from both numbers into [2^31, 2^32): no small seed that a
    study may have, and that of no other pair but by a chance of one in two thousand million.
    """
    if replicate is None:
        return seed
    digest = hashlib.sha256(f"{seed}~{replicate}".encode()).digest()
    return 2**31 + int.from_bytes(digest[:4], "big") % 2**31
