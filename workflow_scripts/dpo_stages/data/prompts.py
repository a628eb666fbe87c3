"""Identifiers of prompts, the seeds of requests that follow from them, and prompts as one text."""

import hashlib
import json
from collections.abc import Sequence


def prompt_id(messages: list[dict[str, str]]) -> str:
    """Identify a prompt by its messages: 16 hexadecimal digits that are the same in every table and on every machine.

    Only role and content count, so the same prompt read from two files has one identifier.
    """
    turns = [[turn["role"], turn["content"]] for turn in messages]
    return hashlib.sha256(json.dumps(turns, ensure_ascii=True).encode()).hexdigest()[:16]


def request_seed(seed: int, identifier: str, index: int) -> int:
    """Seed of one sampling request: it depends on the study's seed, the prompt and the candidate's number alone.

    What else is in the batch, its order and how the work is sharded therefore cannot change a sample.

    Args:
        seed: the study's seed.
        identifier: the prompt's `prompt_id`.
        index: the candidate's number, from 1.

    Returns:
        An integer in [0, 2**31).
    """
    digest = hashlib.sha256(f"{seed}/{identifier}/{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def instruction_text(prompt: Sequence[dict[str, str]]) -> str:
    """The text that the judge sees: the user's turn, or all turns with their roles where there are several."""
    if len(prompt) == 1:
        return prompt[0]["content"]
    return "\n\n".join(f"{turn['role'].capitalize()}: {turn['content']}" for turn in prompt)
