"""A record: its columns, which of them were read, and values that are what they should be."""

import sys
from collections.abc import Iterable, Mapping

Turn = dict[str, str]

ROLES = ("system", "user", "assistant")
EMPTY_PROMPT, EMPTY_RESPONSE = "empty prompt", "empty response"
BEGINS_WITH_ASSISTANT = "begins with assistant"
SYSTEM = ("system", "system_prompt")
OTHER_CONTEXT = ("history", "context", "tools", "functions", "documents", "images")
"""Columns beside the prompt that models may be shown, and that this workflow does not show them."""


class Malformed(ValueError):
    """A record that cannot be read; the message is the end of a sentence that begins with the record's place."""


class Unusable(Exception):
    """A record that is dropped; the message is the reason it is counted under.

    Args:
        reason: the message.
        prompt: of the record, where it has one.
    """

    def __init__(self, reason: str, prompt: list[Turn] | None = None) -> None:
        super().__init__(reason)
        self.prompt = prompt


class Record(dict):
    """A record that remembers which of its columns were read.

    Args:
        record: as the data set has it.
        columns: the data set's names of columns, by the names that are read here.

    Raises:
        Malformed: it lacks a column that is named.
    """

    def __init__(self, record: Mapping, columns: Mapping[str, str]) -> None:
        for name, theirs in columns.items():
            if theirs not in record:
                raise Malformed(f"lacks {theirs}, which `columns` names for {name}; it has {names(record)}")
        renamed = {name: record[theirs] for name, theirs in columns.items()}
        theirs = {name: value for name, value in record.items() if name not in columns.values()}
        super().__init__({**theirs, **renamed})
        self._read: set[str] = set()
        self._hidden = [name for name in renamed if name in theirs and not _nothing(theirs[name])]

    def __getitem__(self, name: str) -> object:
        self._read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: object = None) -> object:
        self._read.add(name)
        return super().get(name, default)

    def column(self, name: str) -> object:
        if name not in self:
            raise Malformed(f"lacks {name}; it has {names(self)}")
        return self[name]

    def first_of(self, some: Iterable[str]) -> str | None:
        """The first of these columns with something in it, else the first that is there at all. Counts as not read."""
        there = [name for name in some if name in self]
        return next(
            (name for name in there if super(Record, self).__getitem__(name) is not None), next(iter(there), None)
        )

    def unread(self) -> list[str]:
        """Columns with something in them that nobody has asked for."""
        return [
            *(name for name, value in self.items() if name not in self._read and not _nothing(value)),
            *self._hidden,
        ]


def _nothing(value: object) -> bool:
    return value is None or value in ("", [], {})


def names(record: Mapping) -> str:
    return ", ".join(map(str, record)) or "nothing"


def text_of(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{name} is {kind_of(value)}; a text is expected")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Malformed(f"{name} holds half a character (an unpaired surrogate) at position {error.start}") from error
    return value


def kind_of(value: object) -> str:
    """What JSON calls a value."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"{value}".lower()
    kinds = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), f"of type {type(value).__name__}")


def number_of(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{name} is {kind_of(value)}; a number is expected")
    if not abs(value) <= sys.float_info.max:  # NaN is not, either
        raise Malformed(f"{name} is {str(value)[:20]}; a finite number is expected")
    return value


def turns_of(value: object, name: str) -> list[Turn]:
    """A conversation, with nothing in its turns but role and content."""
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else kind_of(value)
        raise Malformed(f"{name} is {found}; a list of turns is expected")
    turns = []
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
            raise Malformed(f"{name}, turn {number} is no object with role and content")
        if turn["role"] not in ROLES:
            raise Malformed(
                f"{name}, turn {number} has the role {turn['role']!r}; expected is one of {', '.join(ROLES)}"
            )
        turns.append({"role": turn["role"], "content": text_of(turn["content"], f"{name}, turn {number}, content")})
    return turns


def prompt_of(value: object, name: str = "prompt") -> list[Turn]:
    """A text becomes the user's only turn; a conversation must end with the user's."""
    if isinstance(value, str):
        return [{"role": "user", "content": text_of(value, name)}]
    turns = turns_of(value, name)
    ends_with(turns, "user", name)
    return turns


def ends_with(turns: list[Turn], role: str, name: str) -> None:
    found = turns[-1]["role"] if turns else "nothing"
    if found != role:
        raise Malformed(f"{name} must end with a turn of the {role}; it ends with {found}")


def refuse_empty_prompt(prompt: list[Turn]) -> None:
    if not prompt[-1]["content"].strip():
        raise Unusable(EMPTY_PROMPT, prompt)
    if next(turn["role"] for turn in prompt if turn["role"] != "system") == "assistant":
        raise Unusable(BEGINS_WITH_ASSISTANT, prompt)


def in_context(record: Record, conversation: list[Turn], prompt: str = "prompt") -> list[Turn]:
    """A prompt or conversation with what further columns say belongs to it.

    Args:
        record: whose columns are looked at.
        conversation: the prompt or conversation.
        prompt: the column that it stands in.
    """
    for name in OTHER_CONTEXT:
        if value := record.get(name):
            raise Malformed(
                f"{name} holds {value!r:.40}, which would change the prompt; put it into the prompt, or leave it out"
            )
    if prompt != "input" and (text := record.get("input")):
        if [turn["role"] for turn in conversation if turn["role"] != "system"] != ["user"]:
            raise Malformed("input goes with a prompt of one turn; put it into the conversation, or leave it out")
        last = conversation[-1]
        conversation = [*conversation[:-1], {**last, "content": f"{last['content']}\n\n{text_of(text, 'input')}"}]
    if system := next(filter(None, map(record.get, SYSTEM)), None):
        turn = {"role": "system", "content": text_of(system, "system")}
        if conversation[0]["role"] != "system":
            conversation = [turn, *conversation]
        elif conversation[0] != turn:
            raise Malformed("system differs from the conversation's own system turn; leave one of them out")
    return conversation
