"""Sampling of small policies on one core: all prompts in one batch, which shrinks as responses end."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from policies import Policy, Response
from transformers import DynamicCache


@torch.inference_mode()
def sample(
    policy: Policy, prompts: Sequence[tuple[int, ...]], decoding: Mapping[str, float], uniforms: np.ndarray
) -> list[Response]:
    """One response a prompt.

    Args:
        policy: whose responses.
        prompts: token ids of n prompts, see `Policy.prompt`.
        decoding: `temperature`, `top_p` and `top_k`.
        uniforms: (n, most new tokens) in [0, 1): the random numbers. Policies that are given the same ones differ by less
            noise: likelier tokens are drawn by smaller numbers.
    """
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), policy.padding)
    mask = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    draws = torch.from_numpy(uniforms).float()
    written: list[list[int]] = [[] for _ in prompts]
    alive, cache = torch.arange(len(prompts)), DynamicCache()
    positions = mask.cumsum(1).sub(1).clamp(min=0)
    for step in range(uniforms.shape[1]):
        logits = policy.network(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        tokens = _draw(logits, decoding, draws[alive, step])
        for row, token in zip(alive.tolist(), tokens.tolist(), strict=True):
            written[row].append(token)
        going = (tokens != policy.end).nonzero().flatten()
        if not len(going):
            break
        if len(going) < len(alive):
            cache.batch_select_indices(going)
        alive, ids = alive[going], tokens[going, None]
        mask = torch.nn.functional.pad(mask[going], (0, 1), value=1)
        positions = positions[going, -1:] + 1
    return [policy.said(tokens) for tokens in written]


def _draw(logits: torch.Tensor, decoding: Mapping[str, float], uniforms: torch.Tensor) -> torch.Tensor:
    """A token of each row (n, vocabulary) by inversion: the k likeliest, of these the likeliest p of the probability."""
    kept, tokens = logits.topk(min(decoding["top_k"], logits.shape[1]))
    probabilities = (kept / decoding["temperature"]).softmax(1)
    before = probabilities.cumsum(1) - probabilities
    probabilities = probabilities.where(before < decoding["top_p"], 0)
    cumulated = probabilities.cumsum(1)
    places = (cumulated <= uniforms[:, None] * cumulated[:, -1:]).sum(1)
    return tokens.gather(1, places.clamp(max=tokens.shape[1] - 1)[:, None]).flatten()
