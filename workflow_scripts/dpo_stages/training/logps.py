"""Log-probabilities of responses under a policy, with the arithmetic of training and none of its machinery."""

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpo_stages.core.arguments import positive_int
from dpo_stages.core.batches import batches
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import ProgressReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa
    import torch
    from transformers import PreTrainedModel

    SumOf = Callable[[int, int, int], torch.Tensor]

SIDES = ("chosen", "rejected")

BATCH_SIZE = 16
"""Responses at once, at most."""

TOKENS_PER_BATCH = 16 * 1024
"""Padding included; below 1024 tokens a response it is the number of responses that limits a batch."""

LOGITS = 2**30
"""Logits at once, at most: 4 GiB in float32. Over Qwen's vocabulary of 151,936 a batch has 2.5 times as many: there TRL's head of
training takes their log-probabilities in tiles."""


def add_scoring_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--max-length`, `--dtype` and `--prefix-sharing`: how log-probabilities are computed, which is as in training."""
    add = parser.add_argument
    add("--max-length", type=positive_int, required=True, metavar="TOKENS", help="prompt and response; as in training")
    add("--dtype", required=True, choices=("float32", "bfloat16"), help="as in training; bfloat16 is mixed precision")
    add("--prefix-sharing", action="store_true", help="compute the prompt of a pair once for both responses")


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

    def predicting(self) -> "Iterator[tuple[int, int]]":
        """Positions, the end exclusive, that predict the tokens of each response."""
        begin = len(self.prompt) - 1
        for ids in self.responses:
            yield begin, begin + len(ids)
            begin += len(ids) + 1


def response_logps(
    model: "PreTrainedModel", tokens: "pa.Table", padding: int, dtype: str, prefix_sharing: bool = False
) -> dict[str, list[float]]:
    """Compute log pi(y|x) of the chosen and rejected responses, summed over their tokens.

    Rows are batched by length, so that little is padded.

    Args:
        model: of `load_policy`.
        tokens: `prompt_id`, `prompt_ids`, `chosen_ids`, `rejected_ids`, as `tokenize_preferences` makes.
        padding: token id that fills shorter rows; it is masked.
        dtype: "float32", or "bfloat16" for the mixed precision of training.
        prefix_sharing: compute the prompt of a pair once for both responses, unless the two together are more tokens than a batch
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

    tiled = TOKENS_PER_BATCH * model.config.get_text_config().vocab_size > LOGITS
    if tiled:
        from trl.trainer import add_fused_lm_head

        add_fused_lm_head(model)
    shared = [row_of(pair, *SIDES) for pair in range(len(prompts) if prefix_sharing else 0)]
    shared = [row for row in shared if row.length <= TOKENS_PER_BATCH]
    apart = sorted({*range(len(prompts))} - {row.pair for row in shared})
    alone = [row_of(pair, side) for side in SIDES for pair in apart]
    logps = {side: [0.0] * len(prompts) for side in SIDES}
    report = ProgressReport("log-probabilities", len(SIDES) * len(prompts))
    mixed = torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=dtype == "bfloat16")
    with torch.inference_mode(), mixed:
        for rows, limit in ((shared, BATCH_SIZE // len(SIDES)), (alone, BATCH_SIZE)):
            for positions in batches([row.length for row in rows], TOKENS_PER_BATCH, limit):
                batch = [rows[position] for position in positions]
                sums = _batch_logps(model, batch, padding, tiled)
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


def _batch_logps(model: "PreTrainedModel", batch: list[_Row], padding: int, tiled: bool) -> "torch.Tensor":
    """Sum the token log-probabilities of the responses of one batch: nats, shape (rows, responses of each).

    Args:
        model: with TRL's head where `tiled`.
        batch: rows with one response each, or with two each.
        padding: token id.
        tiled: compute the logits in tiles, instead of all at once.
    """
    import torch

    given = _inputs(batch, padding, model.device)
    sum_of = (_in_tiles if tiled else _at_once)(model, given, batch)
    sums = torch.zeros((len(batch), len(batch[0].responses)), device=model.device)
    for row, values in enumerate(sums):
        for number, (begin, end) in enumerate(batch[row].predicting()):
            values[number] = sum_of(row, begin, end)
    return sums


def _at_once(model: "PreTrainedModel", given: dict[str, "torch.Tensor"], batch: list[_Row]) -> "SumOf":
    from torch.nn.functional import cross_entropy

    ids = given["input_ids"]
    # Logits are needed from the last token of the shortest prompt on.
    first = max(min(len(row.prompt) for row in batch) - 1, 0)
    logits = model(**given, use_cache=False, logits_to_keep=ids.shape[1] - first).logits

    def sum_of(row: int, begin: int, end: int) -> "torch.Tensor":
        targets = ids[row, begin + 1 : end + 1]
        return -cross_entropy(logits[row, begin - first : end - first].float(), targets, reduction="sum")

    return sum_of


def _in_tiles(model: "PreTrainedModel", given: dict[str, "torch.Tensor"], batch: list[_Row]) -> "SumOf":
    import torch

    ids = given["input_ids"]
    following = torch.full_like(ids, -100)
    for row, of in enumerate(batch):
        for begin, end in of.predicting():
            following[row, begin:end] = ids[row, begin + 1 : end + 1]
    logps = model(**given, shift_labels=following, fused_lm_head=True).log_probs
    return lambda row, begin, end: logps[row, begin:end].sum()


def _inputs(batch: list[_Row], padding: int, device: "torch.device") -> dict[str, "torch.Tensor"]:
    """What a model is given of a batch, padded on the right."""
    import torch

    from dpo_stages.training.prefix_sharing import SharedPrefix

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
    joined = SharedPrefix.of(ids, mask, responses.to(device))
    return {name: getattr(joined, name) for name in ("input_ids", "attention_mask", "position_ids")}
