"""Pairs of responses with somebody's vote: what a ranker is trained on, and what preference models are measured on."""

import os
from collections.abc import Container
from dataclasses import dataclass

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json_lines
from dpo_stages.preferences.pairs import Pair

TIE = 0


@dataclass(frozen=True)
class LabelledPair:
    """A pair and which of its responses, 1 or 2, is preferred; `TIE` where neither is."""

    pair: Pair
    preferred: int


def read_labelled_pairs(path: str | os.PathLike, votes: Container[int] = (1, 2)) -> list[LabelledPair]:
    """Read JSON Lines with prompt, response_1, response_2 and preferred.

    Args:
        path: the file.
        votes: what `preferred` may be.

    Raises:
        BadInput: a line lacks a key or holds something else in it; the sentence names the pair.
    """
    allowed = "1 or 2" if TIE not in votes else f"1, 2, or {TIE} for a tie"
    pairs = []
    for number, row in enumerate(read_json_lines(path), start=1):
        for name in ("prompt", "response_1", "response_2"):
            if not isinstance(row.get(name), str):
                raise BadInput(f"{path}, pair {number}: {name} should be text, found {row.get(name)!r:.40}")
        if row.get("preferred") not in votes or isinstance(row["preferred"], bool):
            raise BadInput(f"{path}, pair {number}: preferred should be {allowed}, found {row.get('preferred')!r:.40}")
        prompt = [{"role": "user", "content": row["prompt"]}]
        pairs.append(LabelledPair(Pair(prompt, row["response_1"], row["response_2"]), row["preferred"]))
    if not pairs:
        raise BadInput(f"{path} has no pairs")
    return pairs
