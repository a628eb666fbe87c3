"""Reward models of the Hugging Face hub: sequence classification with one score for a prompt and a response.

The logit of a pair is score(response_1) - score(response_2). Each response is read for itself, so both orders are the same
and none flips. A conversation is written with the tokenizer's chat template, or as a pair of texts where it has none, which
tokenizer and network tell apart as they do in Transformers' own pipeline: by special tokens, and by token types where both
have them. One that is too long for the model loses its beginning (with a template) or the ends of both texts. The text of a special token
is read as text, as policies read it (`models/control_texts`), so that no response ends its own turn.

As with PairRM, batches are made for speed and a label depends on its pair alone: every distinct conversation is scored
once, and pairs whose scores differ by less than rounding could explain are scored again, one conversation at a time.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dpo_stages.core.batches import batches
from dpo_stages.core.errors import BadInput
from dpo_stages.core.libraries import importing_libraries
from dpo_stages.core.program import ProgressReport
from dpo_stages.data.prompts import instruction_text
from dpo_stages.models.control_texts import ControlTexts
from dpo_stages.preferences.pairrm.scoring import TOKENS_PER_BATCH
from dpo_stages.preferences.pairrm.tokens import Tokens, conversation
from dpo_stages.preferences.pairs import Pair, Turn, Verdicts
from dpo_stages.preferences.published import cannot_be_loaded, tokenizer_and_config

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

CLOSE_CALL = {"float32": 1e-3, "bfloat16": 0.5}
"""Scores that differ by less than this are computed again, alone; rounding stays well below it."""


@dataclass(frozen=True)
class Encoding:
    """What the network reads of a prompt with one response: tokens, and of each the text it belongs to, where it has types."""

    ids: Tokens
    types: Tokens = ()


@dataclass(frozen=True)
class _Conversation:
    """A prompt with one response, and what happened to it."""

    read: Encoding
    truncated: bool
    control_text: bool


class RewardModel:
    """A reward model.

    Args:
        model: the network, on its device.
        tokenizer: its tokenizer.
        name: what ledgers and annotations call the model.
        version: what tells two versions of it apart.
        precision: of its weights.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        name: str,
        version: str,
        precision: str = "float32",
    ) -> None:
        self.model, self.tokenizer, self.name, self.version = model, tokenizer, name, version
        self.close_call = CLOSE_CALL[precision]
        self.longest = min(
            tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None) or 1 << 30
        )
        # Networks of one type (RoBERTa) or of none (DeBERTa-v3) take all tokens for the same without being told.
        self.has_types = (
            "token_type_ids" in tokenizer.model_input_names
            and "token_type_ids" in inspect.signature(model.forward).parameters
            and getattr(model.config, "type_vocab_size", 2) > 1
        )
        self.control_texts = ControlTexts(tokenizer)

    def compare(self, pairs: Sequence[Pair]) -> Verdicts:
        """Compare the responses of every pair; the two columns of `orders` are the same."""
        rows = [tuple(self._encode(pair.prompt, text) for text in (pair.response_1, pair.response_2)) for pair in pairs]
        scores = self._score(list(dict.fromkeys(one.read for both in rows for one in both)))
        logits = np.array([scores[first.read] - scores[second.read] for first, second in rows], dtype=np.float32)
        alone: dict[Encoding, float] = {}
        close = [
            row
            for row in np.flatnonzero(np.abs(logits) < self.close_call).tolist()
            if rows[row][0].read != rows[row][1].read
        ]
        for row in close:
            first, second = (one.read for one in rows[row])
            for one in (first, second):
                if one not in alone:
                    alone[one] = float(self._forward([one])[0])
            logits[row] = alone[first] - alone[second]
        counts = {
            "truncated_candidates": sum(first.truncated or second.truncated for first, second in rows),
            "control_texts": sum(first.control_text or second.control_text for first, second in rows),
            "close_calls": len(close),
        }
        return Verdicts(np.column_stack([logits, logits]), counts)

    def _encode(self, prompt: Sequence[Turn], response: str) -> _Conversation:
        broken = self.control_texts.broken
        turns = [{**turn, "content": broken(turn["content"])} for turn in prompt]
        answer = broken(response)
        control_text = answer is not response or any(
            turn["content"] is not own["content"] for turn, own in zip(turns, prompt, strict=True)
        )
        reader = self.control_texts.reader if control_text else self.tokenizer
        if reader.chat_template:
            read = self._read(self._templated(reader, turns, answer))
            last = Encoding(read.ids[-self.longest :], read.types[-self.longest :])
            return _Conversation(last, len(read.ids) > self.longest, control_text)
        text = instruction_text(turns)
        read = self._read(reader(text, answer))
        truncated = len(read.ids) > self.longest
        if truncated:
            read = self._read(reader(text, answer, truncation="longest_first", max_length=self.longest))
        return _Conversation(read, truncated, control_text)

    def _read(self, found: "BatchEncoding") -> Encoding:
        return Encoding(tuple(found["input_ids"]), tuple(found["token_type_ids"]) if self.has_types else ())

    def _templated(self, reader: "PreTrainedTokenizerBase", turns: Sequence[Turn], answer: str) -> "BatchEncoding":
        """What is read by the chat template; where it refuses the roles as they are, of turns that alternate."""
        from jinja2 import TemplateError

        alternating = [{**turn, "role": turn["role"].lower()} for turn in conversation(turns, answer)]
        try:
            return reader.apply_chat_template([*turns, {"role": "assistant", "content": answer}], return_dict=True)
        except TemplateError:
            pass
        try:
            return reader.apply_chat_template(alternating, return_dict=True)
        except TemplateError as error:
            raise BadInput(f"the chat template of the reward model {self.name} refuses a prompt: {error}") from error

    def _score(self, conversations: list[Encoding]) -> dict[Encoding, float]:
        """Scores of distinct conversations, in batches of like lengths."""
        scores: dict[Encoding, float] = {}
        report = ProgressReport("responses scored", len(conversations))
        # Without a token for padding, Transformers takes no more than one at a time.
        limit = 1 if self.model.config.pad_token_id is None else None
        lengths = [len(one.ids) for one in conversations]
        for batch in batches(lengths, TOKENS_PER_BATCH[self.model.device.type], limit):
            found = self._forward([conversations[row] for row in batch])
            scores.update({conversations[row]: float(score) for row, score in zip(batch, found, strict=True)})
            report.advance(len(batch))
        report.close()
        return scores

    def _forward(self, conversations: list[Encoding]) -> np.ndarray:
        import torch

        longest = max(len(one.ids) for one in conversations)

        def padded(rows: list[Sequence[int]], pad: int | None) -> torch.Tensor:
            filled = [[*row, *([pad] * (longest - len(row)))] for row in rows]
            return torch.tensor(filled, device=self.model.device)

        read = {
            "input_ids": padded([one.ids for one in conversations], self.model.config.pad_token_id),
            "attention_mask": padded([[1] * len(one.ids) for one in conversations], 0),
        }
        if self.has_types:
            read["token_type_ids"] = padded([one.types for one in conversations], self.tokenizer.pad_token_type_id)
        with torch.inference_mode():
            return self.model(**read).logits[:, 0].float().cpu().numpy()


def load_reward_model(folder: Path, name: str, version: str, device: str, precision: str) -> RewardModel:
    """Load a reward model; no code that came with it is run.

    Raises:
        BadInput: Transformers cannot load it, or it has more than one score.
    """
    with importing_libraries():
        import torch
        from transformers import AutoModelForSequenceClassification
    torch.backends.cuda.enable_cudnn_sdp(False)  # built anew for every length of a batch, see models/weights.py
    tokenizer, config = tokenizer_and_config(folder, name)
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, config=config, dtype=getattr(torch, precision), local_files_only=True
        )
    except Exception as error:  # a damaged file, weights of another network
        raise cannot_be_loaded(name, error) from error
    return RewardModel(model.to(device).eval(), tokenizer, name, version, precision)
