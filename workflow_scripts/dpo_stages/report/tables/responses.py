"""The responses of several policies to one short instruction (Table 10), chosen by a rule and not by a person.

The paper chose its case by hand "by its relatively short prompt length and generation length". The rule here: among the
instructions to which the most policies gave a response of their own, the one whose text and longest response are
shortest together, in characters; of several, the first of the set. What the judge said has no part in it.
"""

from collections.abc import Mapping, Sequence

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


def as_markdown(rows: Sequence[Mapping[str, str]], rule: str) -> str:
    """The table: who answered in bold, what was answered in a block that no Markdown in it can leave."""
    parts = ["# Table 10: responses to one instruction"]
    for row in rows:
        fence = "`" * max(3, _longest_run(row["text"]) + 1)
        parts.append(f"**{row['label']}**\n\n{fence}text\n{row['text']}\n{fence}")
    return "\n\n".join([*parts, rule]) + "\n"


def _longest_run(text: str) -> int:
    """Length of the longest run of backquotes."""
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
