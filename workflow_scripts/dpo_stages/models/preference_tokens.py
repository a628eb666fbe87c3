"""Preference pairs as token ids: of a sample the tokens that were drawn, of a text those that the chat template makes of it.

Training, the reference log-probabilities and likelihoods all read the tokens made here, so that they cannot disagree about
them. A text does not tell which tokens it was drawn as, and a template may alter it; samples bring their token ids along.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dpo_stages.core.errors import BadInput
from dpo_stages.models.chat_tokens import (
    NO_ROOM,
    Tokenized,
    behind_answer,
    encode,
    end_of_turn,
    is_trimmed,
    render_row,
    vocabulary_of,
)
from dpo_stages.models.control_texts import CONTROL_TEXT, control_texts
from dpo_stages.models.templates import answered

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

NO_TOKEN = "cut response without a token"


@dataclass
class TokenizedPairs(Tokenized):
    """Preference pairs as token ids, and what became of the pairs and responses that were read.

    Attributes:
        as_sampled: number of responses whose tokens are those that were sampled.
        retokenized: how many of them have a text that gives other tokens.
        other_vocabulary: number of responses that were sampled in the tokens of another vocabulary: their text is tokenised.
    """

    as_sampled: int = 0
    retokenized: int = 0
    other_vocabulary: int = 0

    def counts(self) -> dict[str, int]:
        """What a ledger says of them."""
        names = ("truncated", "trimmed", "control_texts", "as_sampled", "retokenized", "other_vocabulary")
        return {name: getattr(self, name) for name in names}


class _Sequence(NamedTuple):
    """Prompt and response as token ids, and what became of the response."""

    ids: list[int]
    trimmed: bool = False
    as_sampled: bool = False
    retokenized: bool = False
    other_vocabulary: bool = False


def tokenize_preferences(tokenizer: "PreTrainedTokenizerBase", table: "pa.Table", max_length: int) -> TokenizedPairs:
    """Tokenise preference pairs, and cut them as the collator of TRL's `DPOTrainer` does.

    A response that was sampled with the tokenizer's vocabulary stands, as it was drawn, behind the prompt that sampling saw.
    Any other is rendered and tokenised as TRL does it, up to the token that ends its turn: what templates render behind that,
    such as ChatML's line break, is never sampled. A response that was cut when it was sampled has no end either, which would
    teach the policy to stop in mid-sentence.

    Args:
        tokenizer: the policy's.
        table: `schemas.PREFERENCES`.
        max_length: longest prompt and response together, in tokens; the end of a longer response is cut.

    Returns:
        A table of `prompt_id`, `prompt_ids`, `chosen_ids` and `rejected_ids`, in the order of `table`. Pairs whose
        prompt alone fills `max_length` are dropped, and those of which no token is left of a response that was cut.

    Raises:
        BadInput: the chat template cannot render a conversation, begins it with two tokens of beginning, or does one of the
            following to a response that comes as text: alters it by more than the white space at its ends, ends it with no
            special token, or hides where one that was cut ends.
    """
    import pyarrow as pa

    vocabulary = vocabulary_of(tokenizer)
    kept: dict[str, list] = {name: [] for name in ("prompt_id", "prompt_ids", "chosen_ids", "rejected_ids")}
    token_lists = pa.list_(pa.int32())
    schema = pa.schema([(name, pa.string() if name == "prompt_id" else token_lists) for name in kept])
    chunks, pairs = [], TokenizedPairs(schema.empty_table(), {NO_ROOM: 0, NO_TOKEN: 0})
    for rows in control_texts(tokenizer).in_chunks(table):
        pairs.control_texts += sum(row[CONTROL_TEXT] for row in rows)
        texts = [render_row(tokenizer, row["prompt"], row, add_generation_prompt=True) for row in rows]
        prompts = encode(tokenizer, texts, rows)
        sides = (_sequences(tokenizer, vocabulary, rows, texts, prompts, name) for name in ("chosen", "rejected"))
        for row, prompt, one, other in zip(rows, prompts, *sides, strict=True):
            pairs.trimmed += one.trimmed or other.trimmed
            pairs.as_sampled += one.as_sampled + other.as_sampled
            pairs.retokenized += one.retokenized + other.retokenized
            pairs.other_vocabulary += one.other_vocabulary + other.other_vocabulary
            chosen, rejected = one.ids, other.ids
            # A text's tokens may merge across the border; the completions start where the sequences part, as in TRL.
            start = min(_common_prefix(prompt, chosen), _common_prefix(prompt, rejected))
            if start == 0:
                raise BadInput(f"the chat template renders nothing in front of the response to {row['prompt_id']}")
            if start >= max_length:
                pairs.dropped[NO_ROOM] += 1
                continue
            if start == min(len(chosen), len(rejected)):
                pairs.dropped[NO_TOKEN] += 1
                continue
            pairs.truncated += max(len(chosen), len(rejected)) > max_length
            kept["prompt_id"].append(row["prompt_id"])
            kept["prompt_ids"].append(prompt[:start])
            kept["chosen_ids"].append(chosen[start:max_length])
            kept["rejected_ids"].append(rejected[start:max_length])
        chunks.append(pa.table(kept, schema=schema))
        kept = {name: [] for name in kept}
    pairs.table = pa.concat_tables([pairs.table, *chunks])
    return pairs


def _sequences(
    tokenizer: "PreTrainedTokenizerBase",
    vocabulary: str,
    rows: list[dict],
    texts: list[str],
    prompts: list[list[int]],
    name: str,
) -> Iterator[_Sequence]:
    """The chosen or the rejected responses behind their prompts, which are given as text and as token ids."""
    sampled = [row[f"{name}_ids"] if row["vocabulary"] == vocabulary else None for row in rows]
    wholes = [  # a sample's is what its text would give
        _as_text(tokenizer, row, text, name) if ids is None else (text + row[name], False)
        for row, text, ids in zip(rows, texts, sampled, strict=True)
    ]
    told = encode(tokenizer, [whole for whole, _ in wholes], rows)
    end = end_of_turn(tokenizer) if None in sampled else None
    for row, prompt, ids, whole, (_, trimmed) in zip(rows, prompts, sampled, told, wholes, strict=True):
        cut = row[f"{name}_truncated"]
        if ids is None:
            whole = whole if cut else _up_to(end, whole, _common_prefix(prompt, whole))
            yield _Sequence(whole, trimmed, other_vocabulary=row[f"{name}_ids"] is not None)
        else:
            said = ids if cut else ids[:-1]
            yield _Sequence(prompt + ids, as_sampled=True, retokenized=whole != prompt + said)


def _as_text(tokenizer: "PreTrainedTokenizerBase", row: dict, text: str, name: str) -> tuple[str, bool]:
    """A response behind its prompt as the template renders it, one that was cut without an end; and whether it is trimmed."""
    whole = render_row(tokenizer, answered(row["prompt"], row[name]), row)
    trimmed = is_trimmed(tokenizer, row, text, whole, row[name])
    return (_without_end(tokenizer, row, whole) if row[f"{name}_truncated"] else whole), trimmed


def _without_end(tokenizer: "PreTrainedTokenizerBase", row: dict, text: str) -> str:
    """A rendered prompt and response without what the template renders behind it, which another response shows."""
    behind = behind_answer(tokenizer, row["prompt"], row)
    if behind is None or not text.endswith(behind):
        raise BadInput(
            f"the chat template hides where the response to {row['prompt_id']} ends, which was cut when it was sampled: label "
            "with `truncated: drop`, or fetch the model with another --chat-template"
        )
    return text.removesuffix(behind)


def _up_to(end: int, ids: list[int], start: int) -> list[int]:
    """Token ids up to the last `end` from `start` on, if there is one."""
    last = next((at for at in range(len(ids) - 1, start - 1, -1) if ids[at] == end), len(ids))
    return ids[: last + 1]


def _common_prefix(ids: list[int], others: list[int]) -> int:
    """Number of leading tokens that two sequences share."""
    if others[: len(ids)] == ids:  # nearly always, and fast
        return len(ids)
    return next(i for i, (a, b) in enumerate(zip([*ids, None], [*others, None], strict=False)) if a != b)
