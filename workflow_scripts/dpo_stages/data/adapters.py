"""Rows of every supported data set in the form of `dpo_stages.data.schemas`: one adapter a data set, behind `adapt`.

An adapter is a pure function of one record. What cannot be read (a missing column, a number for a text, a score that is
no number) stops the program with the record's number. What can be read and cannot be used is dropped and counted:

    empty prompt          the last turn of the prompt has no text but white space
    empty response        a response (of a pair, of a conversation, of the reference) has no text but white space
    unfinished            a conversation does not end with a turn of the user and one of the assistant
    begins with assistant a conversation begins with a turn of the assistant, which no chat template renders
    identical responses   there is no second response that differs from the first
    duplicate prompt      the same prompt was kept already: the first usable record of a prompt stays, or on request the last

Texts are kept as they are, white space included. Rows keep the order of the records.

Columns of local data that are part of a prompt join it: `system` becomes its first turn, `input` follows the instruction or
the user's text after an empty line. Others that would change it (`history`, `tools`, …) stop the program where they hold
anything. Columns that nothing reads are named in the summary.

Records with several scored responses are binarised as UltraFeedback was: the best score is chosen, a random other one
is rejected. Empty responses do not take part. Of several best scores the first in the record is chosen; the rejected
response is drawn, from the seed and the prompt alone, among all whose text differs from the chosen one's. A pair of
equal scores has no original preference.
"""

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dpo_stages.core.errors import BadInput
from dpo_stages.data.prompts import prompt_id

Turn = dict[str, str]
Row = dict[str, object]

KINDS = ("preferences", "chat", "instructions")
ROLES = ("system", "user", "assistant")
EMPTY_PROMPT, EMPTY_RESPONSE = "empty prompt", "empty response"
UNFINISHED, IDENTICAL, DUPLICATE = "unfinished", "identical responses", "duplicate prompt"
BEGINS_WITH_ASSISTANT = "begins with assistant"
BEYOND_LIMIT = "beyond the limit"
SYSTEM = ("system", "system_prompt")
OTHER_CONTEXT = ("history", "context", "tools", "functions", "documents", "images")
"""Columns of local data beside the prompt that models may be shown, and that this workflow does not show them."""


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


@dataclass
class Adapted:
    """Rows of one data set, and what became of the records.

    Attributes:
        rows: of the kind's schema, in the order of the records, each prompt once.
        records: number of records read.
        prompts: number of different prompts in them, of dropped records too.
        dropped: number of records dropped, by reason.
        unused: columns with something in them that nothing has read.
    """

    rows: list[Row]
    records: int = 0
    prompts: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)


def adapt(
    records: Iterable[dict], adapter: str, kind: str, seed: int, origin: str, duplicates: str = "first"
) -> Adapted:
    """Bring the records of a data set into the form of `dpo_stages.data.schemas`.

    Args:
        records: as the data set has them.
        adapter: name of the data set's adapter, the first half of a key of `ADAPTERS`.
        kind: preferences (`OFF_POLICY_CANDIDATES`), chat (`CHAT`) or instructions (`INSTRUCTIONS`).
        seed: seed of the rejected responses of records with scores.
        origin: where the records come from, for messages.
        duplicates: which usable record of a prompt stays, "first" or "last"; its row stands where the first one was.

    Raises:
        BadInput: the adapter has no such kind, a record cannot be read, or no record can be used.
    """
    check_adapter(adapter, kind)
    to_row = ADAPTERS[adapter, kind]
    reasons = (EMPTY_PROMPT, EMPTY_RESPONSE, UNFINISHED, BEGINS_WITH_ASSISTANT, IDENTICAL, DUPLICATE)
    adapted = Adapted([], dropped=dict.fromkeys(reasons, 0))
    prompts: set[object] = set()  # of records that are dropped
    places: dict[object, int] = {}  # of rows by prompt
    unused: dict[str, None] = {}  # in the order in which they appear
    for position, record in enumerate(records):
        adapted.records += 1
        record = _Record(record)
        try:
            row = to_row(record, position, seed)
        except Unusable as reason:
            adapted.dropped[str(reason)] += 1
            if reason.prompt:
                prompts.add(prompt_id(reason.prompt))
        except Malformed as error:
            raise BadInput(f"{origin}, record {position + 1}: {error}") from error
        else:
            place = places.setdefault(row["prompt_id"], len(adapted.rows))
            if place < len(adapted.rows):
                adapted.dropped[DUPLICATE] += 1
                if duplicates == "first":
                    continue
            adapted.rows[place : place + 1] = [row]
            unused |= dict.fromkeys(record.unread())
    adapted.unused, adapted.prompts = list(unused), len(prompts | places.keys())
    if not adapted.rows:
        counts = ", ".join(f"{count} {reason}" for reason, count in adapted.dropped.items() if count)
        raise BadInput(f"{origin} has no record that can be used ({counts or 'it has none at all'})")
    return adapted


def check_adapter(adapter: str, kind: str) -> None:
    """Make sure that there is such an adapter for such a kind of rows.

    Raises:
        BadInput: there is none; the message says what the adapter reads.
    """
    kinds = [known for name, known in ADAPTERS if name == adapter]
    if not kinds:
        raise BadInput(f"there is no adapter {adapter}; choose one of {', '.join(adapter_names())}")
    if kind not in kinds:
        raise BadInput(
            f"the adapter {adapter} reads {' and '.join(kinds)}, not {kind}; choose another --kind or --adapter"
        )


def adapter_names() -> list[str]:
    return list(dict.fromkeys(name for name, _ in ADAPTERS))


def keep_subset(adapted: Adapted, limit: int | None, seed: int) -> Adapted:
    """Keep at most `limit` rows: a random subset, in which that of every smaller limit is contained.

    Which rows stay depends on the seed and their prompts alone, not on their order. The rest counts as dropped.
    """
    if limit is None:
        return adapted
    ranked = sorted(adapted.rows, key=lambda row: _digest(seed, row["prompt_id"], "subset"))
    kept = {row["prompt_id"] for row in ranked[:limit]}
    rows = [row for row in adapted.rows if row["prompt_id"] in kept]
    dropped = {**adapted.dropped, BEYOND_LIMIT: len(adapted.rows) - len(rows)}
    return Adapted(rows, adapted.records, adapted.prompts, dropped, adapted.unused)


class _Record(dict):
    """A record that remembers which of its columns were read."""

    def __init__(self, record: dict) -> None:
        super().__init__(record)
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> object:
        self._read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: object = None) -> object:
        self._read.add(name)
        return super().get(name, default)

    def unread(self) -> list[str]:
        """Columns with something in them that nobody has asked for."""
        return [name for name, value in self.items() if name not in self._read and value not in (None, "", [], {})]


def _digest(seed: int, identifier: object, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{identifier}/{purpose}".encode()).digest()[:8], "big")


# Adapters: (record, position in the data set, seed) -> row


def local_preferences(record: dict, position: int, seed: int) -> Row:
    """`prompt` with `chosen` and `rejected`, or `prompt` with `responses`: a list of `{"text", "score"}`.

    A prompt is a text or a conversation that ends with the user's turn. Chosen and rejected are texts or conversations
    that end with the assistant's turn; those may begin with the prompt, and if both do, `prompt` may be missing.
    """
    if record.get("responses") is not None:  # files of several forms in one have empty columns
        prompt = _in_context(record, _prompt(_column(record, "prompt")))
        return _best_and_random_other(prompt, _scored_responses(record["responses"]), seed)
    if "chosen" not in record or "rejected" not in record:
        raise Malformed(f"has neither chosen and rejected nor responses; it has {_names(record)}")
    prompt, chosen = _context_and_response(record, "chosen")
    other_prompt, rejected = _context_and_response(record, "rejected")
    if prompt != other_prompt:
        raise Malformed("chosen and rejected do not answer the same prompt")
    return _pair(_in_context(record, prompt), chosen, rejected, 1)


def local_chat(record: dict, position: int, seed: int) -> Row:
    """`messages`, a conversation; or `prompt` and `response`."""
    if record.get("messages") is not None:
        messages = _turns(record["messages"], "messages")
        return _conversation(_in_context(record, messages))
    if "prompt" not in record or "response" not in record:
        raise Malformed(f"has neither messages nor prompt and response; it has {_names(record)}")
    response = {"role": "assistant", "content": _text(record["response"], "response")}
    return _conversation([*_in_context(record, _prompt(record["prompt"])), response])


def local_instructions(record: dict, position: int, seed: int) -> Row:
    """`instruction`, perhaps with `input`, `output` (the reference's), and perhaps `subset`."""
    subset = "" if record.get("subset") is None else _text(record["subset"], "subset")
    return _instruction(record, position, subset)


def ultrafeedback_binarized(record: dict, position: int, seed: int) -> Row:
    """HuggingFaceH4/ultrafeedback_binarized: `chosen` and `rejected` are conversations that begin with the prompt."""
    chosen, rejected = (_turns(_column(record, name), name) for name in ("chosen", "rejected"))
    scores = [record.get(name) for name in ("score_chosen", "score_rejected")]
    tied = None not in scores and scores[0] == scores[1]
    _ends_with(chosen, "assistant", "chosen")
    _ends_with(chosen[:-1], "user", "chosen before its last turn")
    _ends_with(rejected, "assistant", "rejected")
    if chosen[:-1] != rejected[:-1]:
        raise Malformed("chosen and rejected do not answer the same prompt")
    return _pair(chosen[:-1], chosen[-1]["content"], rejected[-1]["content"], None if tied else 1)


def ultrachat_200k(record: dict, position: int, seed: int) -> Row:
    """HuggingFaceH4/ultrachat_200k: `messages`."""
    return _conversation(_turns(_column(record, "messages"), "messages"))


def alpaca_eval(record: dict, position: int, seed: int) -> Row:
    """tatsu-lab/alpaca_eval: `instruction`, `output` of the baseline, `dataset`; the index is the record's position."""
    return _instruction(record, position, _text(_column(record, "dataset"), "dataset"))


ADAPTERS: dict[tuple[str, str], Callable[[dict, int, int], Row]] = {
    ("local", "preferences"): local_preferences,
    ("local", "chat"): local_chat,
    ("local", "instructions"): local_instructions,
    ("ultrafeedback_binarized", "preferences"): ultrafeedback_binarized,
    ("ultrachat_200k", "chat"): ultrachat_200k,
    ("alpaca_eval", "instructions"): alpaca_eval,
}


# Rows


def _pair(prompt: list[Turn], chosen: str, rejected: str, preference: int | None) -> Row:
    _refuse_empty_prompt(prompt)
    if not chosen.strip() or not rejected.strip():
        raise Unusable(EMPTY_RESPONSE, prompt)
    if chosen == rejected:
        raise Unusable(IDENTICAL, prompt)
    return {
        "prompt_id": prompt_id(prompt),
        "prompt": prompt,
        "response_1": chosen,
        "response_2": rejected,
        "original_preference": preference,
    }


def _best_and_random_other(prompt: list[Turn], responses: list[tuple[str, float]], seed: int) -> Row:
    _refuse_empty_prompt(prompt)
    written = [(text, score) for text, score in responses if text.strip()]
    chosen, best = max(written, key=lambda response: response[1], default=("", 0))  # the first of several
    others = [(text, score) for text, score in written if text != chosen]
    if not others:
        raise Unusable(EMPTY_RESPONSE if len(written) < len(responses) else IDENTICAL, prompt)
    rejected, score = others[_digest(seed, prompt_id(prompt), "rejected") % len(others)]
    return _pair(prompt, chosen, rejected, None if score == best else 1)


def _conversation(messages: list[Turn]) -> Row:
    if [turn["role"] for turn in messages[-2:]] != ["user", "assistant"]:
        raise Unusable(UNFINISHED)
    prompt = messages[:-1]
    _refuse_empty_prompt(prompt)
    if any(turn["role"] == "assistant" and not turn["content"].strip() for turn in messages):
        raise Unusable(EMPTY_RESPONSE, prompt)
    return {"prompt_id": prompt_id(prompt), "messages": messages}


def _instruction(record: dict, position: int, subset: str) -> Row:
    reference = _text(_column(record, "output"), "output")
    prompt = _in_context(record, _prompt(_text(_column(record, "instruction"), "instruction")))
    if len(prompt) > 1:
        raise Malformed("has a system turn, which a judge is not shown; put it into instruction, or leave it out")
    instruction = prompt[-1]["content"]
    _refuse_empty_prompt(prompt)
    if not reference.strip():
        raise Unusable(EMPTY_RESPONSE, prompt)
    return {
        "prompt_id": prompt_id(prompt),
        "prompt": prompt,
        "index": position,
        "instruction": instruction,
        "reference": reference,
        "subset": subset,
    }


def _refuse_empty_prompt(prompt: list[Turn]) -> None:
    if not prompt[-1]["content"].strip():
        raise Unusable(EMPTY_PROMPT, prompt)
    if next(turn["role"] for turn in prompt if turn["role"] != "system") == "assistant":
        raise Unusable(BEGINS_WITH_ASSISTANT, prompt)


def _in_context(record: dict, conversation: list[Turn]) -> list[Turn]:
    """A prompt or conversation with what further columns say belongs to it."""
    for name in OTHER_CONTEXT:
        if value := record.get(name):
            raise Malformed(
                f"{name} holds {value!r:.40}, which would change the prompt; put it into the prompt, or leave it out"
            )
    if text := record.get("input"):
        if [turn["role"] for turn in conversation if turn["role"] != "system"] != ["user"]:
            raise Malformed("input goes with a prompt of one turn; put it into the conversation, or leave it out")
        last = conversation[-1]
        conversation = [*conversation[:-1], {**last, "content": f"{last['content']}\n\n{_text(text, 'input')}"}]
    if system := next(filter(None, map(record.get, SYSTEM)), None):
        turn = {"role": "system", "content": _text(system, "system")}
        if conversation[0]["role"] != "system":
            conversation = [turn, *conversation]
        elif conversation[0] != turn:
            raise Malformed("system differs from the conversation's own system turn; leave one of them out")
    return conversation


# Values


def _column(record: dict, name: str) -> object:
    if name not in record:
        raise Malformed(f"lacks {name}; it has {_names(record)}")
    return record[name]


def _names(record: dict) -> str:
    return ", ".join(map(str, record)) or "nothing"


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{name} is {_kind(value)}; a text is expected")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Malformed(f"{name} holds half a character (an unpaired surrogate) at position {error.start}") from error
    return value


def _kind(value: object) -> str:
    """What JSON calls a value."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"{value}".lower()
    names = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), f"of type {type(value).__name__}")


def _turns(value: object, name: str) -> list[Turn]:
    """A conversation, with nothing in its turns but role and content."""
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else _kind(value)
        raise Malformed(f"{name} is {found}; a list of turns is expected")
    turns = []
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
            raise Malformed(f"{name}, turn {number} is no object with role and content")
        if turn["role"] not in ROLES:
            raise Malformed(
                f"{name}, turn {number} has the role {turn['role']!r}; expected is one of {', '.join(ROLES)}"
            )
        turns.append({"role": turn["role"], "content": _text(turn["content"], f"{name}, turn {number}, content")})
    return turns


def _prompt(value: object) -> list[Turn]:
    """A text becomes the user's only turn; a conversation must end with the user's."""
    if isinstance(value, str):
        return [{"role": "user", "content": _text(value, "prompt")}]
    turns = _turns(value, "prompt")
    _ends_with(turns, "user", "prompt")
    return turns


def _ends_with(turns: list[Turn], role: str, name: str) -> None:
    found = turns[-1]["role"] if turns else "nothing"
    if found != role:
        raise Malformed(f"{name} must end with a turn of the {role}; it ends with {found}")


def _context_and_response(record: dict, name: str) -> tuple[list[Turn], str]:
    """What a response of a pair answers, and its text."""
    value = record[name]
    if isinstance(value, str):
        return _prompt(_column(record, "prompt")), _text(value, name)
    turns = _turns(value, name)
    _ends_with(turns, "assistant", name)
    before, response = turns[:-1], turns[-1]["content"]
    if record.get("prompt") is None:
        _ends_with(before, "user", f"{name} before its last turn, in a record without prompt,")
        return before, response
    prompt = _prompt(record["prompt"])
    if before not in ([], prompt):
        raise Malformed(f"{name} does not begin with prompt")
    return prompt, response


def _scored_responses(value: object) -> list[tuple[str, float]]:
    if not isinstance(value, list):
        raise Malformed(f"responses is {_kind(value)}; a list of objects with text and score is expected")
    responses = []
    for number, response in enumerate(value, start=1):
        if not isinstance(response, dict) or "text" not in response or "score" not in response:
            raise Malformed(f"responses, number {number} is no object with text and score")
        text = _text(response["text"], f"responses, number {number}, text")
        responses.append((text, _score(response["score"], f"responses, number {number}, score")))
    return responses


def _score(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{name} is {_kind(value)}; a number is expected")
    if isinstance(value, float) and not math.isfinite(value):
        raise Malformed(f"{name} is {value}; a finite number is expected")
    return value
