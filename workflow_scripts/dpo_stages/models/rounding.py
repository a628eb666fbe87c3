"""Float32 weights in bfloat16, which has 16 of their 32 bits: rounded to the nearest value, or at random without a bias.

A training of a low learning rate moves most weights by less than half the distance of two bfloat16 values, and rounding to the
nearest takes them back to where they were. Stochastic rounding takes a weight to one of its two neighbours, the nearer the
likelier, so that its expectation is the weight itself.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.models.weights import Change, rewrite_weights

if TYPE_CHECKING:
    import torch

ROUNDINGS = ("nearest", "stochastic", "none")
"""How a trained policy is saved in bfloat16; `none` keeps float32."""

_LARGEST = (2 - 2**-7) * 2.0**127  # finite bfloat16


def narrow_weights(folder: Path, rounding: str, key: str) -> None:
    """Rewrite the floating-point weights of a folder, which are float32, in bfloat16, one file at a time; see `narrowing`."""
    rewrite_weights(folder, folder, narrowing(rounding, key))


def narrowing(rounding: str, key: str) -> Change:
    """How a floating-point tensor becomes bfloat16; all others stay as they are.

    Args:
        rounding: "nearest" or "stochastic".
        key: what random numbers are made of, together with a tensor's name: they depend on nothing else, neither on the
            number of processes nor on how tensors are spread over files.
    """
    import torch

    def narrow(name: str, tensor: "torch.Tensor") -> "torch.Tensor":
        if not tensor.is_floating_point():
            return tensor
        return rounded_at_random(tensor, f"{key}/{name}") if rounding == "stochastic" else tensor.to(torch.bfloat16)

    return narrow


def rounded_at_random(weights: "torch.Tensor", key: str) -> "torch.Tensor":
    """Round each weight to one of its two bfloat16 neighbours, with probabilities that make it the expectation.

    What bfloat16 can express stays as it is, infinity and NaN included, and no finite weight becomes infinite.

    Args:
        weights: float32, of any shape.
        key: the same key gives the same result.

    Returns:
        bfloat16, of the same shape.
    """
    import torch

    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little", signed=True)
    generator = torch.Generator().manual_seed(seed)
    # A bfloat16 is the upper half of a float32. The lower half is the distance from the neighbour nearer to zero, in units of
    # 2^-16 of the distance between both: added to a random number below 2^16 it carries with just that probability.
    bits = weights.clamp(-_LARGEST, _LARGEST).contiguous().view(torch.int32)
    bits = bits.add_(torch.randint(2**16, bits.shape, generator=generator, dtype=torch.int32)).bitwise_right_shift_(16)
    return torch.where(weights.isfinite(), bits.to(torch.int16).view(torch.bfloat16), weights.to(torch.bfloat16))
