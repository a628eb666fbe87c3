"""Conversations as the rows of token ids that supervised fine-tuning learns.

They are rendered and tokenised as prompts and preference pairs are, see `chat_tokens`: what is learnt of a conversation
is what its assistant turns would be as completions.
"""

from bisect import bisect_left
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.models.chat_tokens import Tokenized, _checked, _in_chunks, _refuse_doubled_beginning, _render

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

NOTHING_TO_LEARN = "no assistant turn before the cut"


def tokenize_conversations(tokenizer: "PreTrainedTokenizerBase", table: "pa.Table", max_length: int) -> Tokenized:
    """Tokenise conversations for supervised fine-tuning on the assistant's turns alone.

    Args:
        tokenizer: the policy's; its template must render a conversation's beginning the same way whatever follows.
        table: `schemas.CHAT`.
        max_length: longest conversation in tokens; the end of a longer one is cut.

    Returns:
        A table of `prompt_id`, `input_ids` and `labels`, where labels are the ids of the assistant's tokens, the end
        of each turn included, and -100 elsewhere. Conversations without any such token before the cut are dropped.

    Raises:
        BadInput: the chat template cannot render a conversation, doubles the beginning, looks ahead, or alters a turn of
            the assistant by more than the white space at its ends.
    """
    import pyarrow as pa

    token_lists = pa.list_(pa.int32())
    schema = pa.schema([("prompt_id", pa.string()), ("input_ids", token_lists), ("labels", token_lists)])
    chunks, nothing, truncated, trimmed = [], 0, 0, 0
    for rows in _in_chunks(table, "tokenising"):
        texts = [_render(tokenizer, row["messages"], row) for row in rows]
        encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        kept: dict[str, list] = {name: [] for name in schema.names}
        for row, text, ids, offsets in zip(rows, texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            _refuse_doubled_beginning(tokenizer, ids, row)
            labels = [-100] * len(ids)
            begins = [begin for begin, _ in offsets]
            spans = _assistant_spans(tokenizer, row, text)
            for first, end, _ in spans:
                said = slice(bisect_left(begins, first), bisect_left(begins, end))
                labels[said] = ids[said]
            trimmed += any(loses for *_, loses in spans)
            labels = labels[:max_length]
            if all(label == -100 for label in labels):
                nothing += 1
                continue
            truncated += len(ids) > max_length
            kept["prompt_id"].append(row["prompt_id"])
            kept["input_ids"].append(ids[:max_length])
            kept["labels"].append(labels)
        chunks.append(pa.table(kept, schema=schema))
    tokens = pa.concat_tables(chunks) if chunks else schema.empty_table()
    return Tokenized(tokens, {NOTHING_TO_LEARN: nothing}, truncated, trimmed)


def _assistant_spans(tokenizer: "PreTrainedTokenizerBase", row: dict, text: str) -> list[tuple[int, int, bool]]:
    """Where the assistant's turns stand in a rendered conversation: first character, one past the last, is it trimmed."""
    messages, spans = row["messages"], []
    for number, turn in enumerate(messages):
        if turn["role"] != "assistant":
            continue
        before = _render(tokenizer, messages[:number], row, add_generation_prompt=True)
        after = _render(tokenizer, messages[: number + 1], row)
        if not (text.startswith(before) and text.startswith(after)):
            raise BadInput(
                f"the chat template renders turn {number + 1} of {row['prompt_id']} differently when more turns "
                "follow, so the assistant's tokens cannot be told apart; fetch the model with a --chat-template that "
                "does not look ahead"
            )
        spans.append((len(before), len(after), _checked(tokenizer, row, before, after, turn["content"])))
    return spans
