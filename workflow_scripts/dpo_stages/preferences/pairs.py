"""Pairs of responses, what a preference model says of them, and how that becomes labels.

The rule of labels, which depends on the pair alone and not on what it was scored with: the first response is chosen if
its logit is positive, the second if it is negative. A logit of exactly 0 is a tie, as two equal responses are: the model
has no preference, so a tie trains nothing, unless a study wants its second response chosen, and counts half for either side
of a comparison.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dpo_stages.core.errors import BadInput

if TYPE_CHECKING:
    from dpo_stages.preferences.options import PreferenceModel

Turn = dict[str, str]


@dataclass(frozen=True)
class Pair:
    """A prompt (a conversation that ends with the user's turn) and the two responses to compare."""

    prompt: Sequence[Turn]
    response_1: str
    response_2: str


@dataclass(frozen=True)
class Verdicts:
    """What a preference model says of n pairs.

    Attributes:
        orders: float32 [n, 2]: how much better response_1 is, read with it first and with it second. A model that reads
            each response for itself has the same number in both.
        counts: counts of the pass by name, such as `truncated_pairs`, for the ledger.
    """

    orders: np.ndarray
    counts: dict[str, object] = field(default_factory=dict)

    @property
    def logits(self) -> np.ndarray:
        """float32 [n]: mean of both orders; positive: response_1 is better, exactly 0: a tie."""
        return (self.orders[:, 0] + self.orders[:, 1]) / np.float32(2)

    @property
    def order_flips(self) -> np.ndarray:
        """bool [n]: read in the other order, the model prefers the other response."""
        return np.sign(self.orders[:, 0]) * np.sign(self.orders[:, 1]) < 0


def joined(parts: Sequence[Verdicts]) -> Verdicts:
    """Verdicts of several passes in one, with the sums of their counts."""
    names = dict.fromkeys(name for part in parts for name in part.counts)
    return Verdicts(
        np.concatenate([part.orders for part in parts]),
        {name: sum(part.counts[name] for part in parts) for name in names},
    )


def vote(logit: float) -> float:
    """What a verdict counts for the first response of a pair: 1, 0, or 0.5 for a tie."""
    return 1.0 if logit > 0 else 0.0 if logit < 0 else 0.5


def compared(model: "PreferenceModel", pairs: Sequence[Pair]) -> Verdicts:
    """What a preference model says of pairs; whoever wants a verdict asks here, and not the model itself.

    Raises:
        BadInput: of some pairs it gives no finite number, which is no tie and would choose the second response.
    """
    verdicts = model.compare(pairs)
    if broken := int((~np.isfinite(verdicts.orders)).any(axis=1).sum()):
        raise BadInput(
            f"the preference model {model.name} gives no finite number for {broken:,} of {len(pairs):,} pairs: its weights "
            "are broken, so fetch or train it again, or too coarse, so set its precision to float32"
        )
    return verdicts


def ask(model: "PreferenceModel", pairs: Sequence[Pair]) -> tuple[Verdicts, dict[str, object]]:
    """What a preference model says of pairs, see `compared`, and the figures of the pass, see `report`."""
    started = time.monotonic()
    verdicts = compared(model, pairs)
    return verdicts, report(pairs, verdicts, time.monotonic() - started)


def report(pairs: Sequence[Pair], verdicts: Verdicts, seconds: float) -> dict[str, object]:
    """Figures of a pass over pairs, for its ledger.

    Returns:
        Pairs, pairs per second, shares of order flips and ties, the share of decided pairs in which the longer response is
        preferred, and the model's own counts.
    """
    logits = verdicts.logits
    longer = np.array([np.sign(len(pair.response_1) - len(pair.response_2)) for pair in pairs], dtype=int)
    decided = (logits != 0) & (longer != 0)
    count = max(len(pairs), 1)
    return {
        "pairs": len(pairs),
        "pairs_per_second": round(len(pairs) / max(seconds, 1e-9), 1),
        "order_flip_rate": float(verdicts.order_flips.sum() / count),
        "ties": int((logits == 0).sum()),
        "longer_preferred": float((np.sign(logits) == longer)[decided].mean()) if decided.any() else 0.5,
        **verdicts.counts,
    }
