"""Log-probabilities of responses under a policy, with the arithmetic of training and none of its machinery."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpo_stages.core.batches import batches
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import ProgressReport

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    import torch
    from transformers import PreTrainedModel

SIDES = ("chosen", "rejected")

BATCH_SIZE = 16
"""Responses at once, at most."""

TOKENS_PER_BATCH = 16 * 1024
"""Padding included; below 1024 tokens a response it is the number of responses that limits a batch."""

LOGITS = 2**30
"""Logits of a batch, at most: 4 GiB in float32. Over a large vocabulary they would take more than the model: 16,384 tokens, 10 GB with
Qwen's 151,936 words."""


def load_policy(folder: "Path", max_length: int, dtype: str) -> "PreTrainedModel":
    """Load a policy to compute log-probabilities with, on its device; in mixed precision it takes half the memory.

    Args:
        folder: of the policy.
        max_length: tokens that it has to read at a time.
        dtype: of `response_logps`.
    """
    import torch

    from dpo_stages.models.merging import whole_policy
    from dpo_stages.models.weights import load_model

    with whole_policy(folder) as whole:
        model = load_model(whole, max_length, narrow=dtype == "bfloat16").eval()
    return model.to(torch.accelerator.current_accelerator(check_available=True) or "cpu")


@dataclass(frozen=True)
class _Row:
    """A prompt with one of its responses, or with both; the prompt's last token stands before each.

    Attributes:
        pair: place of the pair.
        sides: whose responses it has.
        prompt: token ids.
        responses: token ids of each.
    """

    pair: int
    sides: tuple[str, ...]
    prompt: list[int]
    responses: list[list[int]]

    @property
    def length(self) -> int:
        """In tokens."""
        return len(self.prompt) - 1 + sum(1 + len(ids) for ids in self.responses)


def response_logps(
    model: "PreTrainedModel", tokens: "pa.Table", padding: int, dtype: str, share_prompts: bool = False
) -> dict[str, list[float]]:
    """Compute log pi(y|x) of the chosen and rejected responses, summed over their tokens.

    Rows are batched by length, so that little is padded.

    Args:
        model: of `load_policy`.
        tokens: `prompt_id`, `prompt_ids`, `chosen_ids`, `rejected_ids`, as `tokenize_preferences` makes.
        padding: token id that fills shorter rows; it is masked.
        dtype: "float32", or "bfloat16" for the mixed precision of training.
        share_prompts: compute the prompt of a pair once for both responses, unless the two together are more tokens than a batch
            may have; only for a model that `why_not_shared` has nothing against.

    Returns:
        {"chosen": [...], "rejected": [...]}: nats, aligned with `tokens`.

    Raises:
        BadInput: a log-probability is not a finite number.
    """
    import torch

    prompts, responses = tokens["prompt_ids"].to_pylist(), {side: tokens[f"{side}_ids"].to_pylist() for side in SIDES}

    def row_of(pair: int, *sides: str) -> _Row:
        return _Row(pair, sides, prompts[pair], [responses[side][pair] for side in sides])

    budget = min(TOKENS_PER_BATCH, LOGITS // model.config.get_text_config().vocab_size)
    shared = [row_of(pair, *SIDES) for pair in range(len(prompts) if share_prompts else 0)]
    shared = [row for row in shared if row.length <= budget]
    apart = sorted({*range(len(prompts))} - {row.pair for row in shared})
    alone = [row_of(pair, side) for side in SIDES for pair in apart]
    logps = {side: [0.0] * len(prompts) for side in SIDES}
    report = ProgressReport("log-probabilities", len(SIDES) * len(prompts))
    mixed = torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=dtype == "bfloat16")
    with torch.inference_mode(), mixed:
        for rows, limit in ((shared, BATCH_SIZE // len(SIDES)), (alone, BATCH_SIZE)):
            for positions in batches([row.length for row in rows], budget, limit):
                batch = [rows[position] for position in positions]
                sums = _batch_logps(model, batch, padding)
                for row, values in zip(batch, sums.tolist(), strict=True):
                    for side, value in zip(row.sides, values, strict=True):
                        logps[side][row.pair] = value
                report.advance(sums.numel())
    report.close()
    for side, values in logps.items():
        for pair, value in enumerate(values):
            if not abs(value) < float("inf"):
                raise BadInput(
                    f"the log-probability of the {side} response to {tokens['prompt_id'][pair]} is {value}: "
                    "the policy's weights are broken, or the dtype is too narrow for it"
                )
    return logps


def _batch_logps(model: "PreTrainedModel", batch: list[_Row], padding: int) -> "torch.Tensor":
    """Sum the token log-probabilities of the responses of one batch: nats, shape (rows, responses of each)."""
    import torch
    from torch.nn.functional import cross_entropy

    given = _inputs(batch, padding, model.device)
    ids = given["input_ids"]
    # The token at position t is predicted at t - 1: logits are needed from the last token of the shortest prompt on.
    first = max(min(len(row.prompt) for row in batch) - 1, 0)
    logits = model(**given, use_cache=False, logits_to_keep=ids.shape[1] - first).logits
    sums = torch.zeros((len(batch), len(batch[0].responses)), device=ids.device)
    for row, values in enumerate(sums):
        begin = len(batch[row].prompt) - 1
        for number, response in enumerate(batch[row].responses):
            end = begin + len(response)
            targets = ids[row, begin + 1 : end + 1]
            values[number] = -cross_entropy(logits[row, begin - first : end - first].float(), targets, reduction="sum")
            begin = end + 1
    return sums


def _inputs(batch: list[_Row], padding: int, device: "torch.device") -> dict[str, "torch.Tensor"]:
    """What a model is given of a batch, padded on the right."""
    import torch

    from dpo_stages.training.shared_prompt import SharedPrompts

    each = len(batch[0].responses)
    texts = [(len(row.prompt), row.prompt + row.responses[number]) for number in range(each) for row in batch]
    longest = max(len(text) for _, text in texts)
    ids = torch.full((len(texts), longest), padding)
    mask, responses = torch.zeros((2, len(texts), longest), dtype=torch.long)
    for row, (prompt, text) in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
        responses[row, prompt : len(text)] = 1
    ids, mask = ids.to(device), mask.to(device)
    if each == 1:
        return {"input_ids": ids, "attention_mask": mask}
    joined = SharedPrompts.of(ids, mask, responses.to(device))
    return {name: getattr(joined, name) for name in ("input_ids", "attention_mask", "position_ids")}
