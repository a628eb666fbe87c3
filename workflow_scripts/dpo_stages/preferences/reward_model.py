"""Reward models of the Hugging Face hub: sequence classification with one score for a prompt and a response.

The logit of a pair is score(response_1) - score(response_2). Each response is read for itself, so both orders are the same
and none flips. A conversation is written with the tokenizer's chat template, or as a pair of texts where it has none. One
that is too long for the model loses its beginning (with a template) or the ends of both texts. The text of a special token
is read as text, as policies read it (`models/control_texts`), so that no response ends its own turn.

As with PairRM, batches are made for speed and a label depends on its pair alone: every distinct conversation is scored
once, and pairs whose scores differ by less than rounding could explain are scored again, one conversation at a time.
"""

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
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CLOSE_CALL = {"float32": 1e-3, "bfloat16": 0.5}
"""Scores that differ by less than this are computed again, alone; rounding stays well below it."""


@dataclass(frozen=True)
class _Conversation:
    """Tokens of a prompt with one response, and what happened to it."""

    ids: Tokens
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
        self.control_texts = ControlTexts(tokenizer)

    def compare(self, pairs: Sequence[Pair]) -> Verdicts:
        """Compare the responses of every pair; the two columns of `orders` are the same."""
        rows = [tuple(self._encode(pair.prompt, text) for text in (pair.response_1, pair.response_2)) for pair in pairs]
        scores = self._score(list(dict.fromkeys(row.ids for both in rows for row in both)))
        logits = np.array([scores[first.ids] - scores[second.ids] for first, second in rows], dtype=np.float32)
        alone: dict[Tokens, float] = {}
        close = [
            row
            for row in np.flatnonzero(np.abs(logits) < self.close_call).tolist()
            if rows[row][0].ids != rows[row][1].ids
        ]
        for row in close:
            for ids in (rows[row][0].ids, rows[row][1].ids):
                if ids not in alone:
                    alone[ids] = float(self._forward([ids])[0])
            logits[row] = alone[rows[row][0].ids] - alone[rows[row][1].ids]
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
            ids = tuple(self._templated(reader, turns, answer))
            return _Conversation(ids[-self.longest :], len(ids) > self.longest, control_text)
        text = instruction_text(turns)
        ids = reader(text, answer).input_ids
        truncated = len(ids) > self.longest
        if truncated:
            ids = reader(text, answer, truncation="longest_first", max_length=self.longest).input_ids
        return _Conversation(tuple(ids), truncated, control_text)

    def _templated(self, reader: "PreTrainedTokenizerBase", turns: Sequence[Turn], answer: str) -> list[int]:
        """Tokens by the chat template; where it refuses the roles as they are, of turns that alternate."""
        from jinja2 import TemplateError

        alternating = [{**turn, "role": turn["role"].lower()} for turn in conversation(turns, answer)]
        try:
            return reader.apply_chat_template([*turns, {"role": "assistant", "content": answer}])
        except TemplateError:
            pass
        try:
            return reader.apply_chat_template(alternating)
        except TemplateError as error:
            raise BadInput(f"the chat template of the reward model {self.name} refuses a prompt: {error}") from error

    def _score(self, conversations: list[Tokens]) -> dict[Tokens, float]:
        """Scores of distinct conversations, in batches of like lengths."""
        scores: dict[Tokens, float] = {}
        report = ProgressReport("responses scored", len(conversations))
        # Without a token for padding, Transformers takes no more than one at a time.
        limit = 1 if self.model.config.pad_token_id is None else None
        for batch in batches(list(map(len, conversations)), TOKENS_PER_BATCH[self.model.device.type], limit):
            found = self._forward([conversations[row] for row in batch])
            scores.update({conversations[row]: float(score) for row, score in zip(batch, found, strict=True)})
            report.advance(len(batch))
        report.close()
        return scores

    def _forward(self, conversations: list[Tokens]) -> np.ndarray:
        import torch

        longest, pad = max(map(len, conversations)), self.model.config.pad_token_id
        ids = [[*row, *([pad] * (longest - len(row)))] for row in conversations]
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in conversations]
        ids, mask = (torch.tensor(rows, device=self.model.device) for rows in (ids, mask))
        with torch.inference_mode():
            return self.model(input_ids=ids, attention_mask=mask).logits[:, 0].float().cpu().numpy()


def load_reward_model(folder: Path, name: str, version: str, device: str, precision: str) -> RewardModel:
    """Load a reward model; no code that came with it is run.

    Raises:
        BadInput: Transformers cannot load it, or it has more than one score.
    """
    with importing_libraries():
        import torch
        from transformers import AutoModelForSequenceClassification
    tokenizer, config = tokenizer_and_config(folder, name)
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, config=config, dtype=getattr(torch, precision), local_files_only=True
        )
    except Exception as error:  # a damaged file, weights of another network
        raise cannot_be_loaded(name, error) from error
    return RewardModel(model.to(device).eval(), tokenizer, name, version, precision)
