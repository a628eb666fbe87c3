"""Log-probabilities of responses under a policy, with the arithmetic of training and none of its machinery."""

from typing import TYPE_CHECKING

from dpo_stages.core.batches import batches
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import ProgressReport

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    import torch
    from transformers import PreTrainedModel

BATCH_SIZE = 16
"""Sequences at once, at most."""

TOKENS_PER_BATCH = 16 * 1024
"""Padding included; below 1024 tokens a sequence it is the number of sequences that limits a batch."""

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


def response_logps(model: "PreTrainedModel", tokens: "pa.Table", padding: int, dtype: str) -> dict[str, list[float]]:
    """Compute log pi(y|x) of the chosen and rejected responses, summed over their tokens.

    Sequences are batched by length, so that little is padded.

    Args:
        model: of `load_policy`.
        tokens: `prompt_id`, `prompt_ids`, `chosen_ids`, `rejected_ids`, as `tokenize_preferences` makes.
        padding: token id that fills shorter sequences; it is masked.
        dtype: "float32", or "bfloat16" for the mixed precision of training.

    Returns:
        {"chosen": [...], "rejected": [...]}: nats, aligned with `tokens`.

    Raises:
        BadInput: a log-probability is not a finite number.
    """
    import torch

    device = model.device
    prompts = tokens["prompt_ids"].to_pylist()
    sequences = [
        (name, row, prompt, response)
        for name in ("chosen", "rejected")
        for row, (prompt, response) in enumerate(zip(prompts, tokens[f"{name}_ids"].to_pylist(), strict=True))
    ]
    lengths = [len(prompt) + len(response) for _, _, prompt, response in sequences]
    logps = {name: [0.0] * len(prompts) for name in ("chosen", "rejected")}
    report = ProgressReport("log-probabilities", len(sequences))
    mixed = torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == "bfloat16")
    budget = min(TOKENS_PER_BATCH, LOGITS // model.config.get_text_config().vocab_size)
    with torch.inference_mode(), mixed:
        for positions in batches(lengths, budget, BATCH_SIZE):
            batch = [sequences[position] for position in positions]
            sums = _batch_logps(model, [(prompt, response) for _, _, prompt, response in batch], padding)
            for (name, row, _, _), value in zip(batch, sums.tolist(), strict=True):
                logps[name][row] = value
            report.advance(len(batch))
    report.close()
    for name, values in logps.items():
        for row, value in enumerate(values):
            if not abs(value) < float("inf"):
                raise BadInput(
                    f"the log-probability of the {name} response to {tokens['prompt_id'][row]} is {value}: "
                    "the policy's weights are broken, or the dtype is too narrow for it"
                )
    return logps


def _batch_logps(model: "PreTrainedModel", pairs: list[tuple[list[int], list[int]]], padding: int) -> "torch.Tensor":
    """Sum the responses' token log-probabilities of one batch of (prompt ids, response ids), padded on the right."""
    import torch
    from torch.nn.functional import cross_entropy

    longest = max(len(prompt) + len(response) for prompt, response in pairs)
    ids = torch.full((len(pairs), longest), padding)
    mask = torch.zeros((len(pairs), longest), dtype=torch.long)
    for row, (prompt, response) in enumerate(pairs):
        length = len(prompt) + len(response)
        ids[row, :length] = torch.tensor(prompt + response)
        mask[row, :length] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    # The token at position t is predicted at t - 1: logits are needed from the last token of the shortest prompt on.
    first = max(min(len(prompt) for prompt, _ in pairs) - 1, 0)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=longest - first).logits
    sums = torch.zeros(len(pairs), device=ids.device)
    for row, (prompt, response) in enumerate(pairs):
        begin, end = len(prompt) - 1, len(prompt) + len(response) - 1
        targets = ids[row, begin + 1 : end + 1]
        sums[row] = -cross_entropy(logits[row, begin - first : end - first].float(), targets, reduction="sum")
    return sums
