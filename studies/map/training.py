"""DPO of small policies on one core: the loss and the optimiser of train_policy.py without its machinery."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from policies import Policy, Response
from torch.nn.functional import cross_entropy, logsigmoid
from torch.nn.utils.rnn import pad_sequence

from dpo_stages.core.batches import batches

TOKENS_AT_ONCE = 2048  # of a pass forward and backward; larger ones leave a core's caches
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Labelled:
    """A labelled pair: position of its prompt, the prompt's tokens, and how decided the labeller is, in its own unit."""

    position: int
    prompt: tuple[int, ...]
    chosen: Response
    rejected: Response
    margin: float

    @property
    def longest(self) -> int:
        """Tokens of the prompt and the longer response."""
        return len(self.prompt) + max(len(self.chosen.ids), len(self.rejected.ids))


def response_logps(policy: Policy, pairs: Sequence[Labelled]) -> torch.Tensor:
    """log pi(y|x) of chosen and rejected responses, summed over their tokens, in nats: (2, pairs)."""
    responses = [
        (pair.prompt, response.ids)
        for side in ("chosen", "rejected")
        for pair in pairs
        for response in (getattr(pair, side),)
    ]
    ids = pad_sequence(
        [torch.tensor(prompt + ids) for prompt, ids in responses], batch_first=True, padding_value=policy.padding
    )
    # Padding is on the right, behind everything that is predicted, so causal attention needs no mask.
    hidden = policy.network.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    lengths = torch.tensor([len(ids) for _, ids in responses])
    rows = torch.repeat_interleave(torch.arange(len(responses)), lengths)
    columns = torch.cat([torch.arange(len(prompt), len(prompt) + len(ids)) for prompt, ids in responses])
    logits = policy.network.lm_head(hidden[rows, columns - 1])
    tokens = -cross_entropy(logits, ids[rows, columns], reduction="none")
    return torch.zeros(len(responses)).index_add(0, rows, tokens).view(2, -1)


def reference_logps(policy: Policy, pairs: Sequence[Labelled]) -> torch.Tensor:
    """`response_logps` of any number of pairs, without a gradient: (2, pairs)."""
    found = torch.zeros(2, len(pairs))
    with torch.inference_mode():
        for rows in _passes(pairs, range(len(pairs))):
            found[:, rows] = response_logps(policy, [pairs[row] for row in rows])
    return found


def cosine_rates(peak: float, warmup_ratio: float, steps: int) -> list[float]:
    """Learning rates of each step: linear warm-up from zero, then cosine to zero, as train_policy.py has them."""
    warmup = math.ceil(warmup_ratio * steps)
    return [
        peak
        * (step / warmup if step < warmup else (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2)
        for step in range(steps)
    ]


def constant_rates(peak: float, warmup: int, steps: int) -> list[float]:
    """Learning rates of each step: the first `warmup` grow linearly to the peak, which the last of them has."""
    return [peak * min(1, (step + 1) / max(1, warmup)) for step in range(steps)]


def make_optimiser(policy: Policy) -> torch.optim.Optimizer:
    """AdamW without weight decay, as train_policy.py takes it; steps bring their learning rates."""
    return torch.optim.AdamW(policy.network.parameters(), weight_decay=0.0)


def train(
    policy: Policy,
    optimiser: torch.optim.Optimizer,
    pairs: Sequence[Labelled],
    reference: torch.Tensor,
    steps: Sequence[tuple[Sequence[int], float]],
    beta: float,
) -> None:
    """Minimise the mean of -log sigmoid(beta * (log-ratio of chosen - log-ratio of rejected)) over each step's pairs.

    Args:
        policy: trained in place.
        optimiser: of its weights; it goes on from where the last call left it.
        pairs: all pairs.
        reference: log-probabilities under the initial policy (2, pairs), of `reference_logps`.
        steps: for each step the positions of its pairs, and its learning rate.
        beta: strength of the tie to the initial policy.
    """
    policy.network.train()
    for positions, rate in steps:
        for rows in _passes(pairs, positions):
            chosen, rejected = response_logps(policy, [pairs[row] for row in rows]) - reference[:, rows]
            (-logsigmoid(beta * (chosen - rejected)).sum() / len(positions)).backward()
        torch.nn.utils.clip_grad_norm_(policy.network.parameters(), MAX_GRADIENT_NORM)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        optimiser.zero_grad()
    policy.network.eval()


def _passes(pairs: Sequence[Labelled], positions: Sequence[int]) -> list[list[int]]:
    """Positions in groups of like lengths, so that little is padded."""
    positions = list(positions)
    groups = batches([pairs[row].longest for row in positions], TOKENS_AT_ONCE // 2)
    return [[positions[row] for row in group] for group in groups]


def in_batches(positions: Sequence[int], size: int) -> list[Sequence[int]]:
    """Consecutive batches; the last may be smaller."""
    return [positions[start : start + size] for start in range(0, len(positions), size)]
