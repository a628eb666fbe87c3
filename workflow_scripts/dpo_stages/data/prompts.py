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


def request_seed(seed: int, identifier: str, index: int, policy: str | None = None) -> int:
    """Seed of one sampling request: it depends on the study's seed, the prompt, the response's number and a name alone.

    What else is in the batch, its order and how the work is sharded therefore cannot change a sample.

    Candidates are drawn with the policy's name: every iteration has random numbers of its own, or a policy that training
    has hardly moved would draw its initial policy's responses again. Evaluation outputs are drawn without: common random
    numbers make the difference of two policies less noisy. The name holds no seed (`Policy.plain`), so that a seed
    counts once, and a replication is the same whether its seed is the study's first or rides on the model's name.

    Args:
        seed: of the replication: the study's first, or the one that rides on the model's name.
        identifier: the prompt's `prompt_id`.
        index: the response's number, from 1.
        policy: name of the policy, without a seed; None for random numbers that all policies have in common.

    Returns:
        An integer in [0, 2**31).
    """
    parts = [seed, identifier, index] if policy is None else [seed, identifier, index, policy]
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def seeded_number(seed: int, identifier: object, purpose: str) -> int:
    """A number below 2**64 that looks random, and depends on the seed, the prompt's `prompt_id` and the purpose alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{identifier}/{purpose}".encode()).digest()[:8], "big")


def instruction_text(prompt: Sequence[dict[str, str]]) -> str:
    """The text that the judge sees: the user's turn, or all turns with their roles where there are several."""
    if len(prompt) == 1:
        return prompt[0]["content"]
    return "\n\n".join(f"{turn['role'].capitalize()}: {turn['content']}" for turn in prompt)
