"""Pairs of responses with somebody's vote: what a ranker is trained on, and what preference models are measured on."""

import os
from collections.abc import Container
from dataclasses import dataclass

from dpo_stages.data.votes import read_votes
from dpo_stages.preferences.pairs import Pair


@dataclass(frozen=True)
class LabelledPair:
    """A pair and which of its responses, 1 or 2, is preferred; `data.votes.TIE` where neither is."""

    pair: Pair
    preferred: int


def read_labelled_pairs(path: str | os.PathLike, votes: Container[int] = (1, 2)) -> list[LabelledPair]:
    """The pairs of a file of votes; see `data.votes.read_votes`."""
    return [
        LabelledPair(
            Pair([{"role": "user", "content": row["prompt"]}], row["response_1"], row["response_2"]), row["preferred"]
        )
        for row in read_votes(path, votes)
    ]
