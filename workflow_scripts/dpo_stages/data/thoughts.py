"""Thoughts in front of answers, as Qwen3 and DeepSeek-R1 write them: `<think>…</think>`. Standard library only.

A policy is sampled and trained with its thoughts. Whether a preference model and a judge are shown them, or the answer alone, is a
setting: `thoughts: hide | show`.
"""

import argparse
from collections.abc import Iterable, Mapping

BEGINNING, END = "<think>", "</think>"
HIDE, SHOW = "hide", "show"


def opens_thought(prompt: str) -> bool:
    """Whether a rendered prompt ends with the beginning of a thought, so that a response goes on inside it."""
    return prompt.rstrip().endswith(BEGINNING)


def whole(response: str, opened: bool | None) -> str:
    """A response with the beginning of its thought where the prompt has `opened` it; None: nobody knows."""
    return f"{BEGINNING}\n{response}" if opened else response


def whole_responses(row: Mapping) -> tuple[str, str]:
    """Both responses of a row of `schemas.CANDIDATES`, whole."""
    return whole(row["response_1"], row["opens_thought"]), whole(row["response_2"], row["opens_thought"])


def answer(response: str) -> str:
    """What follows the thought of a whole response, the very response if it has none.

    The thought ends with the last end of one, and the white space behind that. One that was begun at the beginning and never
    ended was cut: there is no answer. A beginning further inside is a part of the answer, such as one about these tags.
    """
    _, ended, behind = response.rpartition(END)
    if ended:
        return behind.lstrip()
    return "" if response.lstrip().startswith(BEGINNING) else response


def shown(response: str, thoughts: str) -> str:
    """What a preference model or a judge gets of a whole response.

    Args:
        response: the response.
        thoughts: `HIDE` or `SHOW`.
    """
    return answer(response) if thoughts == HIDE else response


def count_thoughts(responses: Iterable[str], thoughts: str) -> dict[str, int]:
    """For a ledger: whole responses with a thought, and those of them of which an empty answer is shown."""
    thinking = [response for response in responses if answer(response) is not response]
    return {"thoughts": len(thinking), "empty_answers": sum(not shown(response, thoughts) for response in thinking)}


def add_thoughts_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag --thoughts."""
    parser.add_argument(
        "--thoughts",
        choices=[HIDE, SHOW],
        default=HIDE,
        help="whether what a response thinks first, <think>…</think>, is shown to what compares it (default: %(default)s)",
    )
