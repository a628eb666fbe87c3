"""Preference losses by name: TRL's, and the original form of SLiC-HF.

What the first step's loss must be follows from the policy being its own reference model then: every log-ratio
log pi(y|x) - log pi_ref(y|x) is zero, so that the loss depends on beta and label smoothing alone. A supervised term adds what it
is under the reference model. Where pairs are weighted (WPO), the weights depend on all probabilities of every token, which
reference log-probabilities do not tell, so that the loss has no value to be held against.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.study.objectives import ORIGINAL_SLIC, why_not

if TYPE_CHECKING:
    import torch

_LN_2 = math.log(2)

# TRL's loss types, with the first step's loss as a function of beta and label smoothing; None: it depends on the
# log-probabilities themselves.
_FIRST_LOSS = {
    "sigmoid": lambda beta, smoothing: _LN_2,  # DPO, equation 6
    "hinge": lambda beta, smoothing: 1.0,  # SLiC-HF on log-ratios
    "ipo": lambda beta, smoothing: (1 / (2 * beta)) ** 2,
    "exo_pair": lambda beta, smoothing: -_LN_2 - math.log(smoothing * (1 - smoothing)) / 2,
    "nca_pair": lambda beta, smoothing: 2 * _LN_2,
    "robust": lambda beta, smoothing: _LN_2,
    "bco_pair": lambda beta, smoothing: 2 * _LN_2,
    "sppo_hard": lambda beta, smoothing: 2 * (1 / (2 * beta)) ** 2,
    "aot": lambda beta, smoothing: _LN_2,
    "aot_unpaired": lambda beta, smoothing: _LN_2,
    "apo_zero": lambda beta, smoothing: 1.0,
    "apo_down": lambda beta, smoothing: 1.0,
    "discopop": lambda beta, smoothing: (_LN_2 + 1) / 2,
    "sigmoid_norm": lambda beta, smoothing: _LN_2,
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
        sft_weight: weight of a supervised term, not negative: of `ORIGINAL_SLIC`, of -log pi(y_w|x); of the others, of the mean
            of -log pi over the tokens of a step's chosen responses.
        label_smoothing: probability that a label is wrong, in (0, 0.5), for the losses that have it.
        use_weighting: weigh pairs by how likely the policy is to say them (WPO, arXiv 2406.11827).

    Raises:
        BadInput: values that do not belong together; the message names the settings.
    """

    loss: str
    beta: float
    delta: float | None = None
    sft_weight: float | None = None
    label_smoothing: float | None = None
    use_weighting: bool = False

    def __post_init__(self) -> None:
        settings = {key: value for key, value in asdict(self).items() if key != "beta"}
        if reason := why_not(**settings):
            raise BadInput(f"--loss {self.loss}: {reason}")
        if not (self.sft_weight or 0) >= 0:
            raise BadInput(f"--sft-weight must not be negative, got {self.sft_weight}")
        if not 0 < (0.1 if self.label_smoothing is None else self.label_smoothing) < 0.5:
            raise BadInput(f"--label-smoothing must lie between 0 and 0.5, got {self.label_smoothing}")

    @property
    def supervised_weight(self) -> float:
        """Weight of the supervised term; 0 without one, and where it is a part of the loss."""
        return 0.0 if self.loss == ORIGINAL_SLIC else self.sft_weight or 0.0

    def arguments(self) -> dict[str, object]:
        """What the manifest says of it: what was added to the first four settings, only where it is set."""
        return {
            key: value for key, value in asdict(self).items() if value or key in ("loss", "beta", "delta", "sft_weight")
        }

    def trl_arguments(self) -> dict[str, object]:
        """Keyword arguments of `trl.DPOConfig`; the supervised term is ours, since TRL's depends on how a step is cut."""
        return {
            "loss_type": ["hinge" if self.loss == ORIGINAL_SLIC else self.loss],  # replaced by the original form
            "beta": self.beta,
            "label_smoothing": self.label_smoothing or 0.0,
            "use_weighting": self.use_weighting,
            "router_aux_loss_coef": 0.0,  # a mixture of experts is trained on the same loss as any other model
        }

    def first_loss(self, supervised: float = 0.0) -> float | None:
        """Loss of the first step, where the policy still is its reference model; None where it has no fixed value.

        Args:
            supervised: mean of the supervised term under the reference model, in nats a token.
        """
        value = _FIRST_LOSS[self.loss]
        if value is None or self.use_weighting:
            return None
        return value(self.beta, self.label_smoothing) + self.supervised_weight * supervised


def chosen_tokens(inputs: Mapping[str, "torch.Tensor"]) -> "torch.Tensor":
    """Number of tokens of the chosen responses in a batch of TRL's collator; `completion_mask` has their rows first."""
    return inputs["completion_mask"][:, 1:].chunk(2)[0].sum()


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
