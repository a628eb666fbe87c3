"""Dialogues in one text, as Anthropic's hh-rlhf has them: `\\n\\nHuman: …\\n\\nAssistant: …`."""

import re

from dpo_stages.data.forms.record import Turn, Unusable, text_of

BROKEN = "broken dialogue"
"""Reason: turns of the two do not alternate, or chosen and rejected go apart before their last turn."""

_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def is_dialogue(value: object) -> bool:
    """Whether a text is a dialogue: it begins with the human, and the assistant has a turn."""
    return isinstance(value, str) and value.lstrip().startswith("Human:") and "\n\nAssistant:" in value


def is_open_dialogue(value: object) -> bool:
    """Whether a text is a dialogue that ends where the assistant is to answer."""
    return is_dialogue(value) and value.rstrip().endswith("\n\nAssistant:")


def turns_of_dialogue(value: str, name: str) -> list[Turn]:
    """The turns of a dialogue, the user's first, without the white space around them, which cannot be told from the form's.

    Raises:
        Unusable: the turns do not alternate.
    """
    parts = _TURN.split(f"\n\n{text_of(value, name).lstrip()}")[1:]
    turns = [
        {"role": _ROLES[speaker], "content": text.strip()}
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]
    if any(turn["role"] != role for turn, role in zip(turns, ("user", "assistant") * len(turns), strict=False)):
        raise Unusable(BROKEN)
    return turns


def prompt_of_dialogue(value: str, name: str) -> list[Turn]:
    """The turns of an open dialogue.

    Raises:
        Unusable: the turns do not alternate.
    """
    return turns_of_dialogue(value, name)[:-1]
