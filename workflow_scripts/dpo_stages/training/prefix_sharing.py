"""The prompt of a preference pair computed once for both responses.

Instead of two rows, prompt and chosen response, prompt and rejected response, a pair is one:

    prompt   chosen response   last token of the prompt   rejected response

The last token of the prompt, which predicts a response's first, stands there twice; the second one has the position of the first,
and neither it nor what follows sees the chosen response. All that a token of a response sees, and at which positions, is as in
two rows, so that log-probabilities are the same but for rounding. After "Accelerating Direct Preference Optimization with Prefix
Sharing" (Wang and Hegde, 2024), which has a prompt's last token once and takes what it gives twice.
"""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

ARCHITECTURES = ("gpt_neox", "llama", "mistral", "phi", "phi3", "qwen2", "qwen3")
"""Types of models whose attention takes a mask of any shape; held to it by tests/training/test_prefix_sharing.py."""


def why_not_shared(config: "PreTrainedConfig", max_length: int) -> str | None:
    """Why prompts cannot be shared with a model, in words; None if they can.

    Args:
        config: of the model.
        max_length: of a prompt with one response, in tokens.
    """
    if config.model_type not in ARCHITECTURES:
        return f"models of the type {config.model_type} have not been tried with a mask of their own"
    others = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if others:
        return f"some of its layers are of the type {', '.join(sorted(others))}"
    window = getattr(config, "sliding_window", None)
    if window is not None and window < max_length:
        return f"its attention sees {window} tokens, and a row may have {max_length}"
    if (attention := config._attn_implementation) not in (None, "sdpa"):
        return f"its configuration asks for {attention} attention, which reads another kind of mask"
    return None


def shares_prefix(wanted: bool, config: "PreTrainedConfig", max_length: int) -> bool:
    """Whether prompts are to be shared and can be with a model; where they cannot, it says why not.

    Args:
        wanted: whether they are to be.
        config, max_length: see `why_not_shared`.
    """
    refused = why_not_shared(config, max_length) if wanted else None
    if refused:
        print(f"prompts are computed twice, once for each response: {refused}", file=sys.stderr)
    return wanted and not refused


@dataclass(frozen=True)
class SharedPrefix:
    """A batch of pairs as single rows, and the way back.

    Attributes:
        input_ids: shape (pairs, width).
        position_ids: those that the tokens have in two rows, shape (pairs, width).
        attention_mask: True where a token sees another, shape (pairs, 1, width, width).
        shift_labels: the token that each one predicts, -100 for none; shape (pairs, width).
        chosen: for each token of the rows of chosen responses but the last, its place in the single row; shape (pairs, length - 1).
        rejected: the same for rejected responses.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    attention_mask: torch.Tensor
    shift_labels: torch.Tensor
    chosen: torch.Tensor
    rejected: torch.Tensor

    @classmethod
    def of(cls, input_ids: torch.Tensor, attention_mask: torch.Tensor, completion_mask: torch.Tensor) -> "SharedPrefix":
        """Join the rows of pairs.

        Args:
            input_ids: prompts with chosen responses, then the same prompts with rejected ones, padded on the right; shape
                (2 * pairs, length).
            attention_mask: 1 where there is a token.
            completion_mask: 1 where it is one of a response.
        """
        pairs, length = len(input_ids) // 2, input_ids.shape[1]
        lengths = attention_mask.sum(dim=1)
        prompt = (lengths - completion_mask.sum(dim=1))[:pairs, None]
        end, total = lengths[:pairs, None], (lengths[:pairs] + lengths[pairs:])[:, None] - prompt + 1
        place = torch.arange(int(total.max()), device=input_ids.device)[None, :]
        second = place >= end  # the repeated token and the rejected response
        position = torch.where(second, place - end + prompt - 1, place).clamp(max=length - 1)
        chosen, rejected = (rows.gather(1, position) for rows in input_ids.chunk(2))
        ids = torch.where(second, rejected, chosen)
        following = torch.where(place + 1 < total, ids.roll(-1, dims=1), -100)
        predicts = (place >= prompt - 1) & (place != end - 1)
        own = (place >= prompt - 1) & ~second  # what the second part does not see
        sees = (
            (place[:, :, None] >= place[:, None, :])
            & ~(second[:, :, None] & own[:, None, :])
            & (place < total)[:, None, :]
        )
        sees |= torch.eye(
            place.shape[1], dtype=torch.bool, device=ids.device
        )  # padding sees itself, or it would be no number
        there = torch.arange(length - 1, device=ids.device)[None, :].expand(pairs, -1)
        return cls(
            ids,
            position,
            sees[:, None],
            torch.where(predicts, following, -100),
            there.clamp(max=place.shape[1] - 1),
            (there + end - prompt + 1).clamp(max=place.shape[1] - 1),
        )

    def spread(self, values: torch.Tensor, completion_mask: torch.Tensor) -> torch.Tensor:
        """What belongs to the tokens of single rows, as two rows a pair have it.

        Args:
            values: shape (pairs, width), aligned with `shift_labels`.
            completion_mask: of the two rows, shape (2 * pairs, length).

        Returns:
            Shape (2 * pairs, length - 1); zero where no token of a response is predicted.
        """
        both = torch.cat([values.gather(1, self.chosen), values.gather(1, self.rejected)])
        return both.masked_fill(completion_mask[:, 1:] == 0, 0)
