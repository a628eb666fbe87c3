"""Votes of people in a yardstick's place: a blind sheet of a source's drawn pairs, and the sheet read back when it is filled.

Which of the two responses stands first is drawn of seed and prompt, so that nothing tells the chosen one.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from dpo_stages.audit.source import TIE
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_csv
from dpo_stages.data.prompts import instruction_text, request_seed

COLUMNS = ("prompt_id", "prompt", "response_a", "response_b", "better")
A, B, EQUAL = "a", "b", "tie"


def chosen_is_a(prompt_id: str, seed: int) -> bool:
    """Whether the chosen response is the one called a."""
    return request_seed(seed, prompt_id, 0, "sheet") % 2 == 0


def sheet(rows: Sequence[dict], seed: int) -> str:
    """The sheet as CSV, in the order of the pairs, nothing filled in.

    Args:
        rows: pairs as `ask_yardstick` would ask them: prompt_id, prompt, and what is shown of chosen and rejected.
        seed: of the draw.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        sides = (row["chosen"], row["rejected"])
        shown = sides if chosen_is_a(row["prompt_id"], seed) else sides[::-1]
        writer.writerow([row["prompt_id"], instruction_text(row["prompt"]), *shown, ""])
    return text.getvalue()


def read_votes(path: Path, rows: Sequence[dict]) -> tuple[list[dict], int]:
    """Read a filled sheet.

    Args:
        path: the sheet; its rows may stand in any order, and some of them may be missing.
        rows: the pairs that it is about, as for `sheet`.

    Returns:
        Rows of `columns.ANSWERS`, without logits and order flips, in the order of the pairs; and the number of rows in which
        nothing is filled in.

    Raises:
        BadInput: a column is missing; a prompt is unknown or there twice; the responses are others; a vote is none of a, b and
            tie; or there is no vote at all.
    """
    pairs = {row["prompt_id"]: row for row in rows}
    votes, seen, empty = {}, set(), 0
    for number, line in enumerate(read_csv(path, COLUMNS), start=1):
        where = f"{path}, pair {number}"
        prompt, better = line["prompt_id"].strip(), line["better"].strip().lower()
        if prompt not in pairs:
            raise BadInput(
                f"{where}: the prompt_id {prompt!r} is of no pair that was drawn; fill in the sheet of this source, and have "
                "the column read as text"
            )
        if prompt in seen:
            raise BadInput(f"{where}: the prompt_id {prompt!r} has a row already; keep one of them")
        seen.add(prompt)
        if not better:
            empty += 1
            continue
        if better not in (A, B, EQUAL):
            raise BadInput(f"{where}: better is {line['better']!r}; write {A}, {B} or {EQUAL}")
        shown = [_words(line[name]) for name in ("response_a", "response_b")]
        sides = [_words(pairs[prompt][name]) for name in ("chosen", "rejected")]
        if sorted(shown) != sorted(sides):
            raise BadInput(
                f"{where}: the responses to {prompt!r} are other ones; they were sampled anew, or the sheet is of another "
                "source: fill in the present sheet of this one"
            )
        votes[prompt] = TIE if better == EQUAL else float((better == A) == (shown == sides))
    if not votes:
        raise BadInput(f"{path} has no vote; write {A}, {B} or {EQUAL} into its column better")
    answers = [
        {
            "prompt_id": row["prompt_id"],
            "preferred": votes[row["prompt_id"]],
            "logit": None,
            "order_flip": None,
            "first_length": len(row["chosen"]),
            "second_length": len(row["rejected"]),
        }
        for row in rows
        if row["prompt_id"] in votes
    ]
    return answers, empty


def _words(text: str) -> str:
    """A response whatever line ends and spaces a spreadsheet left of it."""
    return " ".join(text.split())
