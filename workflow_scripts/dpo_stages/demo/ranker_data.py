"""Conversations that a ranker is pre-trained on."""

import os

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json_lines


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
