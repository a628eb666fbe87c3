"""What rounding leaves of a preference optimisation: the margin between chosen and rejected responses, before and after.

The margin of a policy is the mean over pairs of log pi(y1|x) - log pi(y2|x), y1 chosen and y2 rejected, less that of the initial
policy: the reward margin of DPO divided by beta, in nats. It is computed in float32: the mixed precision of training rounds
weights of its own before each product, so that it does not tell float32 weights from rounded ones.
"""

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.study.memory import FLOAT32
from dpo_stages.study.parameters import parameters_of

if TYPE_CHECKING:
    import pyarrow as pa

PAIRS = 32
"""Few on purpose: three models are loaded one after another while the other processes wait. The share that is kept varies
much less from pair to pair than the margin itself."""

LITTLE_KEPT = 0.5

ROOM = 0.8
"""Share of the free memory that weights may take; the rest is for what is computed."""


@dataclass(frozen=True)
class MarginSample:
    """The pairs that margins are measured on.

    Attributes:
        tokens: `prompt_id`, `prompt_ids`, `chosen_ids`, `rejected_ids` of each pair.
        padding: token id that fills shorter sequences.
        max_length: of the tokenised pairs.
        prefix_sharing: compute the prompt of a pair once for both responses.
    """

    tokens: "pa.Table"
    padding: int
    max_length: int
    prefix_sharing: bool = False

    @classmethod
    def of(cls, tokens: "pa.Table", padding: int, max_length: int, prefix_sharing: bool = False) -> "MarginSample":
        """At most `PAIRS` of the pairs, always the same."""
        rows = sorted(random.Random(0).sample(range(tokens.num_rows), min(PAIRS, tokens.num_rows)))
        return cls(tokens.take(rows), padding, max_length, prefix_sharing)

    def difference(self, folder: Path) -> float:
        """Mean of log pi(y1|x) - log pi(y2|x) under the policy of a folder, in nats."""
        from dpo_stages.training.logps import load_policy, response_logps

        model = load_policy(folder, self.max_length, "float32")
        logps = response_logps(model, self.tokens, self.padding, "float32", self.prefix_sharing)
        return (sum(logps["chosen"]) - sum(logps["rejected"])) / self.tokens.num_rows


def room_for(folder: Path) -> bool:
    """Whether the device that would run a folder's policy in float32 has the memory; a GPU that trained with LoRA may not.

    It says so if not.
    """
    import torch

    if not torch.accelerator.is_available():
        return True
    needed, free = FLOAT32 * parameters_of(str(folder)), torch.accelerator.get_memory_info()[0]
    if needed < ROOM * free:
        return True
    print(
        f"margins before and after rounding are not measured: in float32 the policy takes {needed / 1e9:.0f} GB, and the GPU has "
        f"{free / 1e9:.0f} GB left",
        file=sys.stderr,
    )
    return False


def kept_margin(reference: float, before: float, after: float) -> dict[str, float | None]:
    """Margins before and after rounding and their ratio, None where there was no margin, for a ledger.

    Args:
        reference: `MarginSample.difference` of the initial policy.
        before: of the float32 weights.
        after: of the rounded ones.
    """
    before, after = before - reference, after - reference
    return {"margin_before": before, "margin_after": after, "margin_kept": after / before if before else None}


def warn_of_lost_margin(margin_before: float, margin_after: float, margin_kept: float | None, rounding: str) -> None:
    """Print a warning, with what helps, if rounding undid the better part of what the policy had learned."""
    if margin_before > 0 and margin_kept < LITTLE_KEPT:
        others = "`rounding: none`" if rounding == "stochastic" else "`rounding: stochastic` or `none`"
        print(
            f"warning: saving in bfloat16 (rounding: {rounding}) kept {margin_kept:.0%} of the margin between chosen and "
            f"rejected responses, {margin_after:.3g} of {margin_before:.3g} nats: most weights moved by less than bfloat16 "
            f"can tell; {others} in the method's section of the configuration, or a higher learning_rate, keeps more",
            file=sys.stderr,
        )
