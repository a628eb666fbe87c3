"""Conversations as token ids, through the policy's own chat template and nothing else.

Sampling reads the prompts made here, and so do training, log-probabilities and likelihoods (`preference_tokens`), and with the
same means supervised fine-tuning reads whole conversations (`conversation_tokens`).
"""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import first_line, read_json
from dpo_stages.models.architectures import of_text
from dpo_stages.models.control_texts import control_texts, control_tokens
from dpo_stages.models.templates import ANSWER, answered, loses_white_space, render
from dpo_stages.models.weights import CONFIG

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

NO_ROOM = "prompt leaves no room for a response"


@dataclass
class Tokenized:
    """Rows as token ids, and what became of the rows that were read.

    Attributes:
        table: `prompt_id`, and the lists of token ids that the function that made it describes.
        dropped: number of rows left out, by reason.
        truncated: number of kept rows whose end was cut at the longest length.
        trimmed: number of rows read with a response that loses white space at its ends to the chat template.
        control_texts: number of rows read with the text of a control token, which is read as text.
    """

    table: "pa.Table"
    dropped: dict[str, int] = field(default_factory=dict)
    truncated: int = 0
    trimmed: int = 0
    control_texts: int = 0


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a checkpoint folder; it must have a chat template.

    A tokenizer without a padding token, or whose padding token the model has no row for, pads with its end of sequence or
    the first token there is: padding is masked everywhere, but looked up.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        raise BadInput(f"{folder} has no tokenizer that can be loaded: {first_line(error)}") from error
    if not tokenizer.chat_template:
        raise BadInput(f"the tokenizer in {folder} has no chat template; fetch the model with --chat-template FILE")
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    rows = of_text(config).get("vocab_size") or math.inf
    usable = (
        token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if token is not None and token < rows
    )
    tokenizer.pad_token_id = next(usable)
    return tokenizer


def vocabulary_of(tokenizer: "PreTrainedTokenizerBase") -> str:
    """A short hash of the words that token ids stand for; policies that descend from one model have the same."""
    words = json.dumps(tokenizer.get_vocab(), sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The token that ends the assistant's turn in the chat template: where a policy is to stop.

    Raises:
        BadInput: the template cannot render a question and its answer, or no special token follows the answer.
    """
    behind = behind_answer(tokenizer, [{"role": "user", "content": "Is it?"}], {"prompt_id": "of a test"})
    if behind is None:
        raise BadInput("the chat template leaves out what the assistant says; give another --chat-template")
    after = tokenizer(behind, add_special_tokens=False)["input_ids"]
    end = next((token for token in after if token in control_tokens(tokenizer)), None)
    if end is None:
        raise BadInput(
            "the chat template ends the assistant's turn with no special token, where nothing could stop; give another --chat-template"
        )
    return end


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
    for rows in control_texts(tokenizer).in_chunks(table.select(["prompt_id", "prompt"])):
        texts = [render_row(tokenizer, row["prompt"], row, add_generation_prompt=True) for row in rows]
        tokens += encode(tokenizer, texts, rows)
    return tokens


def render_row(tokenizer: "PreTrainedTokenizerBase", messages: list[dict], row: dict, **options: bool) -> str:
    """A conversation of a row as the chat template renders it; what it refuses is a `BadInput` with the row's `prompt_id`."""
    try:
        return render(tokenizer, messages, **options)
    except BadInput as error:
        raise BadInput(f"the chat template cannot render the conversation {row['prompt_id']}: {error}") from error


def behind_answer(tokenizer: "PreTrainedTokenizerBase", prompt: list[dict], row: dict) -> str | None:
    """What the template renders behind an answer to a prompt; None if it leaves the answer out."""
    _, found, behind = render_row(tokenizer, answered(prompt, ANSWER), row).rpartition(ANSWER)
    return behind if found else None


def is_trimmed(tokenizer: "PreTrainedTokenizerBase", row: dict, before: str, whole: str, response: str) -> bool:
    """As `templates.loses_white_space`; what is altered otherwise is a `BadInput` with the model and the row's `prompt_id`."""
    try:
        return loses_white_space(before, whole, response)
    except BadInput as error:
        raise BadInput(
            f"the chat template of {tokenizer.name_or_path} alters a response to {row['prompt_id']}: {error}; take the row "
            "out, or fetch the model with another --chat-template"
        ) from error


def encode(tokenizer: "PreTrainedTokenizerBase", texts: list[str], rows: list[dict]) -> list[list[int]]:
    """Tokenise rendered conversations of `rows`; the template alone adds special tokens, and not two of beginning."""
    encoded = control_texts(tokenizer).encode(texts, rows, return_attention_mask=False)["input_ids"]
    for ids, row in zip(encoded, rows, strict=True):
        refuse_doubled_beginning(tokenizer, ids, row)
    return encoded


def refuse_doubled_beginning(tokenizer: "PreTrainedTokenizerBase", ids: list[int], row: dict) -> None:
    """Stop with a `BadInput` where the token ids of a row begin with two tokens of beginning."""
    beginning = tokenizer.bos_token_id
    if beginning is not None and ids[:2] == [beginning, beginning]:
        raise BadInput(
            f"the prompt {row['prompt_id']} begins with {tokenizer.bos_token} twice: take it out of the chat template"
        )
