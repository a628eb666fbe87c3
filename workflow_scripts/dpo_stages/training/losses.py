"""Preference losses by name: TRL's, and the original form of SLiC-HF.

What the first step's loss must be follows from the policy being its own reference model then: every log-ratio
log pi(y|x) - log pi_ref(y|x) is zero, so that the loss depends on beta alone.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput

if TYPE_CHECKING:
    import torch

ORIGINAL_SLIC = "slic-original"

_LN_2 = math.log(2)

# TRL's loss types that need no setting beyond beta, with the first step's loss as a function of it; None: it depends
# on the log-probabilities themselves.
_FIRST_LOSS = {
    "sigmoid": lambda beta: _LN_2,  # DPO, equation 6
    "hinge": lambda beta: 1.0,  # SLiC-HF on log-ratios
    "ipo": lambda beta: (1 / (2 * beta)) ** 2,
    "nca_pair": lambda beta: 2 * _LN_2,
    "bco_pair": lambda beta: 2 * _LN_2,
    "sppo_hard": lambda beta: 2 * (1 / (2 * beta)) ** 2,
    "aot": lambda beta: _LN_2,
    "aot_unpaired": lambda beta: _LN_2,
    "apo_zero": lambda beta: 1.0,
    "apo_down": lambda beta: 1.0,
    "discopop": lambda beta: (_LN_2 + 1) / 2,
    "sigmoid_norm": lambda beta: _LN_2,
    ORIGINAL_SLIC: None,
}
LOSSES = tuple(_FIRST_LOSS)


@dataclass(frozen=True)
class Objective:
    """What preference optimisation minimises.

    Attributes:
        loss: one of `LOSSES`.
        beta: strength of the tie to the reference model; of `ORIGINAL_SLIC`, it scales the logged rewards alone.
        delta: margin of `ORIGINAL_SLIC`, in nats.
        sft_weight: weight of the supervised term of `ORIGINAL_SLIC`, not negative.

    Raises:
        BadInput: values that do not belong together; the message names the flags.
    """

    loss: str
    beta: float
    delta: float | None = None
    sft_weight: float | None = None

    def __post_init__(self) -> None:
        given = [self.delta is not None, self.sft_weight is not None]
        if self.loss == ORIGINAL_SLIC and not all(given):
            raise BadInput(f"--loss {ORIGINAL_SLIC} needs --delta and --sft-weight")
        if self.loss != ORIGINAL_SLIC and any(given):
            raise BadInput(f"--delta and --sft-weight belong to --loss {ORIGINAL_SLIC} alone; take them out")
        if not (self.sft_weight or 0) >= 0:
            raise BadInput(f"--sft-weight must not be negative, got {self.sft_weight}")


def first_loss(name: str, beta: float) -> float | None:
    """Loss of the first step, where the policy still is its reference model; None where it has no fixed value."""
    value = _FIRST_LOSS[name]
    return None if value is None else value(beta)


def original_slic_loss(
    chosen_logps: "torch.Tensor", rejected_logps: "torch.Tensor", delta: float, sft_weight: float
) -> "torch.Tensor":
    """SLiC-HF as first published: no reference model, a margin in nats and a term of supervised fine-tuning.

    max(0, delta - log pi(y_w|x) + log pi(y_l|x)) - sft_weight * log pi(y_w|x)

    The chosen response y_w stands for the target of the supervised term, which preference data do not have apart.

    Args:
        chosen_logps: log pi(y_w|x) summed over tokens, shape (pairs,).
        rejected_logps: log pi(y_l|x), shape (pairs,).
        delta: margin, in nats.
        sft_weight: lambda, the weight of the supervised term.

    Returns:
        One loss a pair, shape (pairs,).
    """
    return (delta - chosen_logps + rejected_logps).clamp(min=0) - sft_weight * chosen_logps
