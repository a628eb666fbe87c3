"""Conversations as the rows of token ids that supervised fine-tuning learns.

They are rendered and tokenised as prompts and preference pairs are, see `chat_tokens`. As it is, a conversation is a row, and
what is learnt of it is what its assistant turns would be as completions. Three switches make of that the recipe of the
alignment handbook (https://github.com/huggingface/alignment-handbook, scripts/run_sft.py of its first releases):

    empty_system_turn   conversations without a system turn begin with an empty one
    loss_on_prompts     every token is learnt, what the user says too
    packing             conversations in random order, an end of sequence behind each, are one text that is cut into rows of
                        the longest length; nothing masks one conversation of a row from the next
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.models.chat_tokens import Tokenized, is_trimmed, refuse_doubled_beginning, render_row
from dpo_stages.models.control_texts import CONTROL_TEXT, control_texts
from dpo_stages.models.templates import Turns, answered, render

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

SWITCHES = ("empty_system_turn", "loss_on_prompts", "packing")
NOT_LEARNT = -100
NOTHING_TO_LEARN = "no assistant turn before the cut"
EMPTY_SYSTEM_TURN = {"role": "system", "content": ""}


@dataclass
class Conversations(Tokenized):
    """Conversations as token ids; see `Tokenized`.

    Attributes:
        system_turns: number of conversations that were read and got an empty system turn.
    """

    system_turns: int = 0


def tokenize_conversations(
    tokenizer: "PreTrainedTokenizerBase",
    table: "pa.Table",
    max_length: int,
    empty_system_turn: bool = False,
    loss_on_prompts: bool = False,
    packing: bool = False,
) -> Conversations:
    """Tokenise conversations for supervised fine-tuning.

    Args:
        tokenizer: the policy's; its template must render a conversation's beginning the same way whatever follows.
        table: `schemas.CHAT`.
        max_length: longest conversation in tokens; the end of a longer one is cut.
        empty_system_turn: put one in front of conversations without a system turn, if the template renders it.
        loss_on_prompts: learn every token, not the assistant's turns alone.
        packing: cut nothing, and end each conversation with an end of sequence, for `pack`.

    Returns:
        A table of `prompt_id`, `input_ids` and `labels`, where labels are the ids of the tokens that are learnt (of the
        assistant's turns with the end of each), and -100 elsewhere. Conversations without any before the cut are dropped.

    Raises:
        BadInput: the chat template cannot render a conversation, refuses a system turn, doubles the beginning, looks ahead, or
            alters a turn of the assistant by more than the white space at its ends; or there is no end of sequence.
    """
    import pyarrow as pa

    adds = empty_system_turn and _renders_empty_system_turn(tokenizer)
    end = tokenizer.eos_token_id
    if packing and end is None:
        raise BadInput(
            f"{tokenizer.name_or_path} has no end of sequence to put between packed conversations; set packing: false"
        )
    token_lists = pa.list_(pa.int32())
    schema = pa.schema([("prompt_id", pa.string()), ("input_ids", token_lists), ("labels", token_lists)])
    chunks, nothing, truncated, trimmed, control, system_turns = [], 0, 0, 0, 0, 0
    for rows in control_texts(tokenizer).in_chunks(table):
        control += sum(row[CONTROL_TEXT] for row in rows)
        for row in rows:
            if adds and row["messages"][0]["role"] != "system":
                row["messages"] = [EMPTY_SYSTEM_TURN, *row["messages"]]
                system_turns += 1
        texts = [render_row(tokenizer, row["messages"], row) for row in rows]
        encoded = control_texts(tokenizer).encode(texts, rows, return_offsets_mapping=True)
        kept: dict[str, list] = {name: [] for name in schema.names}
        for row, text, ids, offsets in zip(rows, texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            refuse_doubled_beginning(tokenizer, ids, row)
            spans = _assistant_spans(tokenizer, row, text)
            trimmed += any(loses for *_, loses in spans)
            labels = list(ids) if loss_on_prompts else _labels(ids, offsets, spans)
            if packing:
                ids, labels = [*ids, end], [*labels, end if loss_on_prompts else NOT_LEARNT]
            longest = len(ids) if packing else max_length
            labels = labels[:longest]
            if all(label == NOT_LEARNT for label in labels):
                nothing += 1
                continue
            truncated += len(ids) > longest
            kept["prompt_id"].append(row["prompt_id"])
            kept["input_ids"].append(ids[:longest])
            kept["labels"].append(labels)
        chunks.append(pa.table(kept, schema=schema))
    tokens = pa.concat_tables(chunks) if chunks else schema.empty_table()
    return Conversations(tokens, {NOTHING_TO_LEARN: nothing}, truncated, trimmed, control, system_turns)


def pack(table: "pa.Table", length: int, seed: int) -> tuple["pa.Table", dict[str, int]]:
    """Put conversations one behind the other, and cut what that gives into rows of equal length.

    Args:
        table: lists of equal length in `input_ids` and `labels`, as `tokenize_conversations` makes them.
        length: tokens of a row.
        seed: of the order of the conversations, so that neighbours in the data are not neighbours in a row.

    Returns:
        A table of `input_ids` and `labels`, and counts: `packed_rows`, `rows_without_answer`, which are left out because
        nothing in them is learnt, and `tokens_left_over` at the end, which fill no row.

    Raises:
        BadInput: all tokens together fill no row in which anything is learnt.
    """
    import numpy as np
    import pyarrow as pa

    order = np.random.default_rng(seed).permutation(table.num_rows)
    rows = {}
    for name in ("input_ids", "labels"):
        lists = table[name].chunks
        tokens = np.concatenate([part.flatten().to_numpy() for part in lists])
        ends = np.cumsum(np.concatenate([part.value_lengths().to_numpy() for part in lists], dtype=np.int64))
        conversations = np.split(tokens, ends[:-1])
        joined = np.concatenate([conversations[number] for number in order])
        rows[name] = joined[: len(joined) // length * length].reshape(-1, length)
    left_over = len(joined) - rows["labels"].size
    learnt = (rows["labels"] != NOT_LEARNT).any(axis=1)
    if not learnt.any():
        raise BadInput(
            f"the conversations have {len(joined)} tokens, which fill no row of {length} in which anything is learnt; set packing: "
            "false, or a smaller max_length"
        )
    lists = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(part[learnt].ravel()), length) for name, part in rows.items()
    }
    counts = {
        "packed_rows": int(learnt.sum()),
        "rows_without_answer": int((~learnt).sum()),
        "tokens_left_over": left_over,
    }
    return pa.table(lists), counts


def count_tokens(rows: "pa.Table") -> dict[str, int]:
    """The number of `tokens` in rows, and of those that are learnt, as `learnt_tokens`."""
    import pyarrow.compute as pc

    parts = [part.flatten() for part in rows["labels"].chunks]
    learnt = (pc.sum(pc.not_equal(part, NOT_LEARNT)).as_py() or 0 for part in parts)
    return {"tokens": sum(map(len, parts)), "learnt_tokens": sum(learnt)}


def _renders_empty_system_turn(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether an empty system turn changes how the template renders a conversation.

    Raises:
        BadInput: the template refuses system turns.
    """
    conversation: Turns = answered([{"role": "user", "content": "Is it?"}], "It is.")
    plain = render(tokenizer, conversation)
    try:
        return render(tokenizer, [EMPTY_SYSTEM_TURN, *conversation]) != plain
    except BadInput as refusal:
        raise BadInput(
            f"the chat template of {tokenizer.name_or_path} refuses an empty system turn ({refusal}); set empty_system_turn: "
            "false, or fetch the model with another --chat-template"
        ) from refusal


def _labels(ids: list[int], offsets: list[tuple[int, int]], spans: list[tuple[int, int, bool]]) -> list[int]:
    """The ids of the assistant's tokens, and -100 elsewhere."""
    labels, begins = [NOT_LEARNT] * len(ids), [begin for begin, _ in offsets]
    for first, end, _ in spans:
        said = slice(bisect_left(begins, first), bisect_left(begins, end))
        labels[said] = ids[said]
    return labels


def _assistant_spans(tokenizer: "PreTrainedTokenizerBase", row: dict, text: str) -> list[tuple[int, int, bool]]:
    """Where the assistant's turns stand in a rendered conversation: first character, one past the last, is it trimmed."""
    messages, spans = row["messages"], []
    for number, turn in enumerate(messages):
        if turn["role"] != "assistant":
            continue
        before = render_row(tokenizer, messages[:number], row, add_generation_prompt=True)
        after = render_row(tokenizer, messages[: number + 1], row)
        if not (text.startswith(before) and text.startswith(after)):
            raise BadInput(
                f"the chat template renders turn {number + 1} of {row['prompt_id']} differently when more turns "
                "follow, so the assistant's tokens cannot be told apart; fetch the model with a --chat-template that "
                "does not look ahead"
            )
        spans.append((len(before), len(after), is_trimmed(tokenizer, row, before, after, turn["content"])))
    return spans
