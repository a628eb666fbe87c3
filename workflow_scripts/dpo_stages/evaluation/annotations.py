"""Annotations: a judge's preference between a policy's response and the reference's, one row an instruction.

`annotations.json` is a list of rows in alpaca-eval's own format, ordered by `index`, whatever judge gave them:

    index         position of the instruction in its set (AlpacaEval's difficulties belong to this number)
    prompt_id     identifier of the prompt, see prompts.prompt_id
    instruction   what was asked
    output_1      the reference's response, as the judge was shown it
    output_2      the policy's response, likewise: its length is the one that win rates are controlled for
    generator_1   "reference"
    generator_2   the policy's name
    annotator     the judge's prompt, which is also alpaca-eval's name of the annotator
    preference    float in [1, 2]: 1 + the probability that the policy's response is the better one; null where the judge
                  refused the row and the configuration lets it (judges: NAME: refused)
    truncated     whether the policy's response was cut at the limit of its length; left out where that is not known
    judge         {"model", "version", "prompt", "endpoint"}: who judged, the same in every row of a file

`judge.endpoint` is one of ENDPOINTS. Nothing here imports more than the standard library and, for the instruction set,
pyarrow, so that a preference model in its own environment writes the same file.
"""

import json
import math
import os
from collections import Counter
from collections.abc import Sequence

from dpo_stages.core import files
from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table
from dpo_stages.data.thoughts import count_thoughts, shown
from dpo_stages.judges.record import name_rows

REFERENCE = "reference"


def read_output_pairs(outputs: str | os.PathLike, instructions: str | os.PathLike) -> list[dict]:
    """Put a policy's outputs beside the references of the instruction set.

    Args:
        outputs: `model_outputs.json`, a list of rows with index, prompt_id, instruction, output and generator.
        instructions: the instruction set, see schemas.INSTRUCTIONS.

    Returns:
        One row an instruction, by index, with every column of an annotation but annotator, preference and judge.

    Raises:
        BadInput: an instruction without an output, an output without an instruction, one twice, or another text.
    """
    from dpo_stages.data.schemas import INSTRUCTIONS

    references = read_table(instructions, INSTRUCTIONS).select(["prompt_id", "index", "instruction", "reference"])
    by_index = unique_by_index(references.to_pylist(), instructions)
    produced = unique_by_index(
        read_rows(outputs, ("index", "prompt_id", "instruction", "output", "generator")), outputs
    )
    if missing := sorted(by_index.keys() - produced.keys()):
        raise BadInput(
            f"{outputs} has no output for {name_rows(missing)} of {instructions}; generate the outputs again"
        )
    if unknown := sorted(produced.keys() - by_index.keys()):
        raise BadInput(f"{outputs} has outputs for {name_rows(unknown)}, which {instructions} does not have")
    generators = {row["generator"] for row in produced.values()}
    if len(generators) != 1:
        raise BadInput(f"{outputs} holds outputs of {len(generators)} generators; one file holds those of one policy")
    changed = [
        index
        for index, row in produced.items()
        if (row["prompt_id"], row["instruction"]) != (by_index[index]["prompt_id"], by_index[index]["instruction"])
    ]
    if changed:
        raise BadInput(
            f"{outputs} and {instructions} differ in the text of {name_rows(sorted(changed))}; "
            "generate the outputs again from this instruction set"
        )
    return [
        {
            "index": index,
            "prompt_id": reference["prompt_id"],
            "instruction": reference["instruction"],
            "output_1": reference["reference"],
            "output_2": produced[index]["output"],
            "generator_1": REFERENCE,
            "generator_2": produced[index]["generator"],
            **{key: value for key, value in produced[index].items() if key == "truncated"},
        }
        for index, reference in sorted(by_index.items())
    ]


def read_prompts(instructions: str | os.PathLike) -> dict[int, list[dict[str, str]]]:
    """The prompt of each instruction of a set by its index, see schemas.PROMPT."""
    from dpo_stages.data.schemas import INSTRUCTIONS

    rows = read_table(instructions, INSTRUCTIONS).select(["index", "prompt"]).to_pylist()
    return {row["index"]: row["prompt"] for row in rows}


def show_pairs(pairs: Sequence[dict], thoughts: str) -> tuple[list[dict], dict[str, int]]:
    """What a judge is shown of pairs from `read_output_pairs`, and counts of their thoughts for a ledger; see `data/thoughts`."""
    outputs = ("output_1", "output_2")
    shown_pairs = [{**pair, **{name: shown(pair[name], thoughts) for name in outputs}} for pair in pairs]
    return shown_pairs, count_thoughts((pair[name] for pair in pairs for name in outputs), thoughts)


def write_annotations(
    path: str | os.PathLike, pairs: Sequence[dict], preferences: Sequence[float | None], judge: dict[str, str]
) -> None:
    """Write the preference of each of `pairs` (from `read_output_pairs`), None where there is none, as `annotations.json`.

    Raises:
        ValueError: a preference is outside [1, 2]: a judge's program checks its judge's answers itself.
    """
    rows = []
    for pair, preference in zip(pairs, preferences, strict=True):
        if preference is not None and not 1 <= preference <= 2:
            raise ValueError(f"preference {preference} of row {pair['index']} is outside [1, 2]")
        number = None if preference is None else float(preference)
        rows.append({**pair, "annotator": judge["prompt"], "preference": number, "judge": judge})
    files.write_json(path, rows)


def read_annotations(path: str | os.PathLike) -> list[dict]:
    """Read `annotations.json`, ordered by index.

    Raises:
        BadInput: a row lacks a column or has a preference that is neither null nor in [1, 2], an index is there twice, or the rows
            come from more than one policy or judge.
    """
    rows = read_rows(path, ("index", "instruction", "output_1", "output_2", "generator_2", "preference", "judge"))
    ordered = [row for _, row in sorted(unique_by_index(rows, path).items())]
    check_preferences([row["index"] for row in ordered], [row["preference"] for row in ordered], path)
    for key, what in (("generator_2", "policies"), ("judge", "judges")):
        if len({json.dumps(row[key], sort_keys=True) for row in ordered}) != 1:
            raise BadInput(f"{path} holds annotations of several {what} (column {key}); one file holds those of one")
    return ordered


def check_preferences(indices: Sequence[int], preferences: Sequence[object], path: str | os.PathLike) -> None:
    """Make sure that every preference is in [1, 2], or None where the judge gave none."""
    wrong = [
        index
        for index, value in zip(indices, preferences, strict=True)
        if value is not None
        and (not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value) or not 1 <= value <= 2)
    ]
    if wrong:
        raise BadInput(f"{path}: no preference in [1, 2] in {name_rows(wrong)}; judge again")


def unique_by_index(rows: Sequence[dict], path: str | os.PathLike) -> dict[int, dict]:
    """Rows by their index, which must be a whole number from 0 and there once."""
    if wrong := [row["index"] for row in rows if type(row["index"]) is not int or row["index"] < 0]:
        raise BadInput(f"{path}: index {wrong[0]!r} is not a whole number from 0")
    twice = sorted(index for index, count in Counter(row["index"] for row in rows).items() if count > 1)
    if twice:
        raise BadInput(f"{path} has {name_rows(twice)} more than once; every instruction may be there once")
    return {row["index"]: row for row in rows}


def read_rows(path: str | os.PathLike, columns: Sequence[str]) -> list[dict]:
    """Read a list of rows with at least these columns.

    Raises:
        BadInput: it is something else, or a row lacks a column or has another thing than text in it.
    """
    rows = files.read_json(path)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"{path} should hold a list of rows, one an instruction")
    for number, row in enumerate(rows, start=1):
        if missing := [column for column in columns if column not in row]:
            raise BadInput(f"{path}, row {number}: lacks {', '.join(missing)}")
        if wrong := [column for column in columns if column in _TEXT and not isinstance(row[column], str)]:
            raise BadInput(f"{path}, row {number}: {wrong[0]} should be text, found {row[wrong[0]]!r:.40}")
    return rows


_TEXT = {"prompt_id", "instruction", "output", "output_1", "output_2", "generator", "generator_2"}
