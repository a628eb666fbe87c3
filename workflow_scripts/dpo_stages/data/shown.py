"""What was understood of a data set, for people to look at: turn by turn, and what became of the records."""

from collections.abc import Iterator, Sequence
from itertools import islice

from dpo_stages.data.adapters import JOINED, Adapted, Understood, row_of
from dpo_stages.data.forms.preferences import RANKS
from dpo_stages.data.forms.record import Turn, Unusable
from dpo_stages.data.forms.responses import Responses, Row

LONGEST = 500
"""Characters of a text that are shown."""


def shown(understood: Sequence[Understood], number: int, seed: int) -> Iterator[str]:
    """Lines on the first records, but for those that joined an earlier one.

    Args:
        understood: the records.
        number: how many are shown.
        seed: of the rejected responses.
    """
    numbered = ((place, one.found) for place, one in enumerate(understood, start=1) if str(one.found) != JOINED)
    for place, found in islice(numbered, number):
        if isinstance(found, Unusable):
            yield f"\nRecord {place}: not used ({found})"
            continue
        yield f"\nRecord {place}{f': {found.form}' if isinstance(found, Responses) and found.form else ''}"
        try:
            row = row_of(found, seed)
        except Unusable as reason:
            yield f"  not used: {reason}"
            row = {}
        if isinstance(found, Responses):
            yield from _turns(found.prompt)
            yield from _responses(found, row)
        else:
            yield from _turns(row.get("messages") or row["prompt"])
            if "reference" in row:
                yield from _text("reference", row["reference"])


def counted(adapted: Adapted) -> Iterator[str]:
    """Lines on all records: their forms, how many become rows, and what nothing reads."""
    yield ""
    for form, rows in adapted.forms.items():
        yield f"{rows} rows of: {form}"
    dropped = ", ".join(f"{number} {reason}" for reason, number in adapted.dropped.items() if number)
    yield f"{adapted.records} records, {len(adapted.rows)} rows, dropped: {dropped or 'none'}"
    if adapted.rows and (pairs := [row["original_preference"] for row in adapted.rows if "original_preference" in row]):
        own = sum(label is not None for label in pairs)
        who = "" if own else ", so that the preference model has to label them (`labels: model`)"
        yield f"{own} of {len(pairs)} pairs have a label of their own{who}"
    if adapted.unused:
        yield f"columns that nothing reads: {', '.join(adapted.unused)}"


def _responses(found: Responses, row: Row) -> Iterator[str]:
    """The responses with their scores; of those that become the pair, which one is which."""
    labelled = row.get("original_preference") is not None
    names = {
        row.get("response_1"): "chosen" if labelled else "first",
        row.get("response_2"): "rejected" if labelled else "second",
    }
    for text, score in found.responses:
        name = names.pop(text, "response")  # a text that stands there twice is named once
        if found.scored_by is not None:
            name += f", {found.scored_by} {-score if found.scored_by in RANKS else score:g}"
        yield from _text(name, text)


def _turns(turns: Sequence[Turn]) -> Iterator[str]:
    for turn in turns:
        yield from _text(turn["role"], turn["content"])


def _text(name: str, text: str) -> Iterator[str]:
    """A text behind its name, further lines of it below its beginning."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
    first, *others = cut.split("\n")
    yield f"  {name}: {first}".rstrip()
    yield from (f"      {line}".rstrip() for line in others)
