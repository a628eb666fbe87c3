"""Labelled pairs that a ranker is trained on, and conversations that it is pre-trained on."""

import os
from dataclasses import dataclass

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json_lines
from dpo_stages.preferences.pairs import Pair


@dataclass(frozen=True)
class LabelledPair:
    """A pair and which of its responses, 1 or 2, is preferred."""

    pair: Pair
    preferred: int


def read_labelled_pairs(path: str | os.PathLike) -> list[LabelledPair]:
    """Read JSON Lines with prompt, response_1, response_2 and preferred.

    Raises:
        BadInput: a line lacks a key or holds something else in it; the sentence names the pair.
    """
    pairs = []
    for number, row in enumerate(read_json_lines(path), start=1):
        for name in ("prompt", "response_1", "response_2"):
            if not isinstance(row.get(name), str):
                raise BadInput(f"{path}, pair {number}: {name} should be text, found {row.get(name)!r:.40}")
        if row.get("preferred") not in (1, 2) or isinstance(row["preferred"], bool):
            raise BadInput(f"{path}, pair {number}: preferred should be 1 or 2, found {row.get('preferred')!r:.40}")
        prompt = [{"role": "user", "content": row["prompt"]}]
        pairs.append(LabelledPair(Pair(prompt, row["response_1"], row["response_2"]), row["preferred"]))
    if not pairs:
        raise BadInput(f"{path} has no pairs")
    return pairs


def read_conversations(path: str | os.PathLike) -> list[tuple[str, str]]:
    """Read JSON Lines with messages: the first user's turn and the answer to it of each conversation.

    Raises:
        BadInput: a line has no such two turns; the sentence names the conversation.
    """
    conversations = []
    for number, row in enumerate(read_json_lines(path), start=1):
        match row.get("messages"):
            case [{"role": "user", "content": str(prompt)}, {"role": "assistant", "content": str(response)}, *_]:
                conversations.append((prompt, response))
            case _:
                raise BadInput(
                    f"{path}, conversation {number}: messages should begin with a user's and an assistant's turn"
                )
    return conversations
