"""Conversations and instructions, and the data sets of the hub that have an adapter of their own."""

from dpo_stages.data.forms.record import (
    EMPTY_RESPONSE,
    Malformed,
    Record,
    Turn,
    Unusable,
    ends_with,
    in_context,
    names,
    prompt_of,
    refuse_empty_prompt,
    text_of,
    turns_of,
)
from dpo_stages.data.forms.responses import Responses, Row
from dpo_stages.data.prompts import prompt_id

UNFINISHED = "unfinished"


def chat(record: Record, position: int) -> Row:
    """`messages`, a conversation; or `prompt` and `response`."""
    if record.get("messages") is not None:
        messages = turns_of(record["messages"], "messages")
        return _conversation(in_context(record, messages))
    if "prompt" not in record or "response" not in record:
        raise Malformed(f"has neither messages nor prompt and response; it has {names(record)}")
    response = {"role": "assistant", "content": text_of(record["response"], "response")}
    return _conversation([*in_context(record, prompt_of(record["prompt"])), response])


def instructions(record: Record, position: int) -> Row:
    """`instruction`, perhaps with `input`, `output` (the reference's), and perhaps `subset`."""
    subset = "" if record.get("subset") is None else text_of(record["subset"], "subset")
    return _instruction(record, position, subset)


def ultrafeedback_binarized(record: Record, position: int) -> Responses:
    """HuggingFaceH4/ultrafeedback_binarized: `chosen` and `rejected` are conversations that begin with the prompt."""
    chosen, rejected = (turns_of(record.column(name), name) for name in ("chosen", "rejected"))
    scores = [record.get(name) for name in ("score_chosen", "score_rejected")]
    tied = None not in scores and scores[0] == scores[1]
    ends_with(chosen, "assistant", "chosen")
    ends_with(chosen[:-1], "user", "chosen before its last turn")
    ends_with(rejected, "assistant", "rejected")
    if chosen[:-1] != rejected[:-1]:
        raise Malformed("chosen and rejected do not answer the same prompt")
    return Responses(chosen[:-1], [(chosen[-1]["content"], 1), (rejected[-1]["content"], 1 if tied else 0)])


def ultrachat_200k(record: Record, position: int) -> Row:
    """HuggingFaceH4/ultrachat_200k: `messages`."""
    return _conversation(turns_of(record.column("messages"), "messages"))


def alpaca_eval(record: Record, position: int) -> Row:
    """tatsu-lab/alpaca_eval: `instruction`, `output` of the baseline, `dataset`; the index is the record's position."""
    return _instruction(record, position, text_of(record.column("dataset"), "dataset"))


def _conversation(messages: list[Turn]) -> Row:
    if [turn["role"] for turn in messages[-2:]] != ["user", "assistant"]:
        raise Unusable(UNFINISHED)
    prompt = messages[:-1]
    refuse_empty_prompt(prompt)
    if any(turn["role"] == "assistant" and not turn["content"].strip() for turn in messages):
        raise Unusable(EMPTY_RESPONSE, prompt)
    return {"prompt_id": prompt_id(prompt), "messages": messages}


def _instruction(record: Record, position: int, subset: str) -> Row:
    reference = text_of(record.column("output"), "output")
    prompt = in_context(record, prompt_of(text_of(record.column("instruction"), "instruction")))
    if len(prompt) > 1:
        raise Malformed("has a system turn, which a judge is not shown; put it into instruction, or leave it out")
    instruction = prompt[-1]["content"]
    refuse_empty_prompt(prompt)
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
