"""The responses of several policies to one short instruction (Table 10), chosen by a rule and not by a person.

The paper chose its case by hand "by its relatively short prompt length and generation length". The rule here: among the
instructions to which the most policies gave a response of their own, the one whose text and longest response are
shortest together, in characters; of several, the first of the set. What the judge said has no part in it.
"""

from collections.abc import Mapping, Sequence

from dpo_stages.report.table import Table

RULE = (
    "Of all {instructions} instructions, those to which the most policies gave a response of their own ({distinct} "
    "different ones), and of these the one whose text and longest response are shortest together. Quality plays no part."
)


def choose_instruction(outputs: Mapping[str, Mapping[int, dict]]) -> int:
    """The index of the instruction to be shown.

    Args:
        outputs: for each policy the rows of `model_outputs.json` by index; all policies have the same indices.
    """

    def order(index: int) -> tuple[int, int, int]:
        rows = [rows[index] for rows in outputs.values()]
        texts = [row["output"] for row in rows]
        return -len(set(texts)), len(rows[0]["instruction"]) + max(map(len, texts)), index

    return min(next(iter(outputs.values())), key=order)


def rule_in_words(outputs: Mapping[str, Mapping[int, dict]], index: int) -> str:
    """The rule with its numbers, for the table's caption."""
    distinct = len({rows[index]["output"] for rows in outputs.values()})
    return RULE.format(instructions=len(next(iter(outputs.values()))), distinct=distinct)


def label(model_label: str, history: Sequence[str]) -> str:
    """A policy's name as the paper's Table 10 writes it: Zephyr (SFT), Zephyr (PC_off→on)."""
    return f"{model_label} ({'PC_' + '→'.join(history) if history else 'SFT'})"


def table(rows: Sequence[Mapping[str, str]], index: int, rule: str) -> Table:
    """Who answered and what, and the rule by which the instruction was chosen.

    Args:
        rows: `policy`, `label` and `text` of the instruction, the reference and each policy's response.
        index: of the instruction.
        rule: in words.
    """
    shown = [part for row in rows for part in (("name", row["label"]), ("block", row["text"]))]
    parts = [("title", "Table 10: responses to one instruction"), *shown, ("words", rule)]
    return Table([{"index": index, **row, "rule": rule} for row in rows], parts)
