"""Conversations as token ids, through the policy's own chat template and nothing else.

Training and the reference log-probabilities both read the tokens made here, so that they cannot disagree about them.
Of a preference pair, the completion is whatever follows the prompt's tokens, the end of the turn included, unless the
response was cut when it was sampled: an end that was never sampled would teach the policy to stop in mid-sentence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import first_line
from dpo_stages.core.program import ProgressReport
from dpo_stages.models.templates import ANSWER, answered, loses_white_space, render

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

ROWS_AT_ONCE = 1000
NO_ROOM = "prompt leaves no room for a response"
NO_TOKEN = "cut response without a token"


@dataclass
class Tokenized:
    """Rows as token ids, and what became of the rows that were read.

    Attributes:
        table: `prompt_id`, and the lists of token ids that the function that made it describes.
        dropped: number of rows left out, by reason.
        truncated: number of kept rows whose end was cut at the longest length.
        trimmed: number of rows read with a response that loses white space at its ends to the chat template.
    """

    table: "pa.Table"
    dropped: dict[str, int] = field(default_factory=dict)
    truncated: int = 0
    trimmed: int = 0


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a checkpoint folder; it must have a chat template.

    A tokenizer without a padding token pads with its end of sequence: padding is masked everywhere.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        raise BadInput(f"{folder} has no tokenizer that can be loaded: {first_line(error)}") from error
    if not tokenizer.chat_template:
        raise BadInput(f"the tokenizer in {folder} has no chat template; fetch the model with --chat-template FILE")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The token that ends the assistant's turn in the chat template: where a policy is to stop.

    Raises:
        BadInput: the template cannot render a question and its answer, or no special token follows the answer.
    """
    behind = _behind_answer(tokenizer, [{"role": "user", "content": "Is it?"}], {"prompt_id": "of a test"})
    if behind is None:
        raise BadInput("the chat template leaves out what the assistant says; give another --chat-template")
    after = tokenizer(behind, add_special_tokens=False)["input_ids"]
    special = {*tokenizer.all_special_ids, *(i for i, t in tokenizer.added_tokens_decoder.items() if t.special)}
    end = next((token for token in after if token in special), None)
    if end is None:
        raise BadInput(
            "the chat template ends the assistant's turn with no special token, where nothing could stop; give another --chat-template"
        )
    return end


def tokenize_preferences(tokenizer: "PreTrainedTokenizerBase", table: "pa.Table", max_length: int) -> Tokenized:
    """Tokenise preference pairs as TRL's `DPOTrainer` does, and cut them as its collator does.

    Args:
        tokenizer: the policy's.
        table: `schemas.PREFERENCES`.
        max_length: longest prompt and response together, in tokens; the end of a longer response is cut.

    Returns:
        A table of `prompt_id`, `prompt_ids`, `chosen_ids` and `rejected_ids`, in the order of `table`. Pairs whose
        prompt alone fills `max_length` are dropped, and those of which no token is left of a response that was cut.

    Raises:
        BadInput: the chat template cannot render a conversation, begins it with two tokens of beginning, alters a response
            by more than the white space at its ends, or hides where a response that was cut ends.
    """
    import pyarrow as pa

    kept: dict[str, list] = {name: [] for name in ("prompt_id", "prompt_ids", "chosen_ids", "rejected_ids")}
    chunks, dropped, truncated, trimmed = [], {NO_ROOM: 0, NO_TOKEN: 0}, 0, 0
    token_lists = pa.list_(pa.int32())
    schema = pa.schema([(name, pa.string() if name == "prompt_id" else token_lists) for name in kept])
    for rows in _in_chunks(table, "tokenising"):
        texts = [_render(tokenizer, row["prompt"], row, add_generation_prompt=True) for row in rows]
        whole = {
            name: [_render(tokenizer, answered(row["prompt"], row[name]), row) for row in rows]
            for name in ("chosen", "rejected")
        }
        for row, *rendered in zip(rows, texts, *whole.values(), strict=True):
            trimmed += _is_trimmed(tokenizer, row, *rendered)
        alone = _encode(tokenizer, texts, rows)
        with_chosen, with_rejected = (
            _encode(tokenizer, [_without_end(tokenizer, *one, name) for one in zip(rows, rendered, strict=True)], rows)
            for name, rendered in whole.items()
        )
        for row, prompt, chosen, rejected in zip(rows, alone, with_chosen, with_rejected, strict=True):
            # Tokens may merge across the border; the completion starts where the sequences part, as in TRL.
            start = min(_common_prefix(prompt, chosen), _common_prefix(prompt, rejected))
            if start == 0:
                raise BadInput(f"the chat template renders nothing in front of the response to {row['prompt_id']}")
            if start >= max_length:
                dropped[NO_ROOM] += 1
                continue
            if start == min(len(chosen), len(rejected)):
                dropped[NO_TOKEN] += 1
                continue
            truncated += max(len(chosen), len(rejected)) > max_length
            kept["prompt_id"].append(row["prompt_id"])
            kept["prompt_ids"].append(prompt[:start])
            kept["chosen_ids"].append(chosen[start:max_length])
            kept["rejected_ids"].append(rejected[start:max_length])
        chunks.append(pa.table(kept, schema=schema))
        kept = {name: [] for name in kept}
    tokens = pa.concat_tables(chunks) if chunks else schema.empty_table()
    return Tokenized(tokens, dropped, truncated, trimmed)


def tokenize_prompts(tokenizer: "PreTrainedTokenizerBase", table: "pa.Table") -> list[list[int]]:
    """Tokenise prompts up to where the assistant's turn begins: what sampling goes on from.

    They are the tokens that training sees in front of a response.

    Args:
        tokenizer: the policy's.
        table: a table with `prompt_id` and `prompt`.

    Returns:
        The token ids of each prompt, in the order of `table`.

    Raises:
        BadInput: the chat template cannot render a prompt, or begins it with two tokens of beginning.
    """
    tokens = []
    for rows in _in_chunks(table.select(["prompt_id", "prompt"]), "tokenising"):
        texts = [_render(tokenizer, row["prompt"], row, add_generation_prompt=True) for row in rows]
        tokens += _encode(tokenizer, texts, rows)
    return tokens


def _in_chunks(table: "pa.Table", what: str) -> Iterator[list[dict]]:
    report = ProgressReport(what, table.num_rows)
    for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE):
        yield batch.to_pylist()
        report.advance(batch.num_rows)
    report.close()


def _render(tokenizer: "PreTrainedTokenizerBase", messages: list[dict], row: dict, **options: bool) -> str:
    try:
        return render(tokenizer, messages, **options)
    except BadInput as error:
        raise BadInput(f"the chat template cannot render the conversation {row['prompt_id']}: {error}") from error


def _behind_answer(tokenizer: "PreTrainedTokenizerBase", prompt: list[dict], row: dict) -> str | None:
    """What the template renders behind an answer to a prompt; None if it leaves the answer out."""
    _, found, behind = _render(tokenizer, answered(prompt, ANSWER), row).rpartition(ANSWER)
    return behind if found else None


def _is_trimmed(tokenizer: "PreTrainedTokenizerBase", row: dict, prompt: str, chosen: str, rejected: str) -> bool:
    """Whether a response of a rendered pair loses white space at its ends; no other change of it is allowed."""
    first = _checked(tokenizer, row, prompt, chosen, row["chosen"])
    return _checked(tokenizer, row, prompt, rejected, row["rejected"]) or first


def _checked(tokenizer: "PreTrainedTokenizerBase", row: dict, before: str, whole: str, response: str) -> bool:
    try:
        return loses_white_space(before, whole, response)
    except BadInput as error:
        raise BadInput(
            f"the chat template of {tokenizer.name_or_path} alters a response to {row['prompt_id']}: {error}; take the row "
            "out, or fetch the model with another --chat-template"
        ) from error


def _encode(tokenizer: "PreTrainedTokenizerBase", texts: list[str], rows: list[dict]) -> list[list[int]]:
    """Tokenise rendered conversations; the template alone adds special tokens."""
    encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"] if texts else []
    for ids, row in zip(encoded, rows, strict=True):
        _refuse_doubled_beginning(tokenizer, ids, row)
    return encoded


def _without_end(tokenizer: "PreTrainedTokenizerBase", row: dict, text: str, name: str) -> str:
    """A rendered prompt and response; one that was cut without what the template renders behind it, as another shows."""
    if not row[f"{name}_truncated"]:
        return text
    behind = _behind_answer(tokenizer, row["prompt"], row)
    if behind is None or not text.endswith(behind):
        raise BadInput(
            f"the chat template hides where the response to {row['prompt_id']} ends, which was cut when it was sampled: label "
            "with `truncated: drop`, or fetch the model with another --chat-template"
        )
    return text.removesuffix(behind)


def _refuse_doubled_beginning(tokenizer: "PreTrainedTokenizerBase", ids: list[int], row: dict) -> None:
    beginning = tokenizer.bos_token_id
    if beginning is not None and ids[:2] == [beginning, beginning]:
        raise BadInput(
            f"the prompt {row['prompt_id']} begins with {tokenizer.bos_token} twice: take it out of the chat template "
            "or of the prompt's text"
        )


def _common_prefix(ids: list[int], others: list[int]) -> int:
    """Number of leading tokens that two sequences share."""
    if others[: len(ids)] == ids:  # nearly always, and fast
        return len(ids)
    return next(i for i, (a, b) in enumerate(zip([*ids, None], [*others, None], strict=False)) if a != b)
