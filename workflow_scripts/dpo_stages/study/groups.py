"""Studies in which a prompt may have more candidates than the two of which a pair is labelled. Standard library only."""

import math
from collections.abc import Mapping
from typing import Any

TWO, BEST_WORST = "two", "best-worst"
"""Rules of pairs, see `preferences/pairing`."""


def is_grouped(config: Mapping[str, Any]) -> bool:
    """Whether pairs are chosen of all candidates of a prompt, after these have been scored."""
    return config["sampling"]["candidates"] > 2 or config["pairs"] != TWO


def pairs_of(candidates: int) -> int:
    """How many pairs so many candidates of a prompt make, each with each."""
    return math.comb(candidates, 2)


def of_data_sets(config: Mapping[str, Any], kind: str) -> str:
    """The flag of all responses of a prompt, where pairs are chosen of them."""
    return "--responses all" if is_grouped(config) and kind == "preferences" else ""
