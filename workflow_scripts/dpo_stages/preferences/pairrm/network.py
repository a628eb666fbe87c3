"""The network of a ranker whose backbone is DeBERTa-v3, without llm-blender, in float32 or bfloat16."""

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional

from dpo_stages.core.errors import BadInput
from dpo_stages.preferences.pairrm.attention import MarkerEncoder


class RankerNetwork:
    """PairRM's network from its parameters.

    Args:
        weights: parameters by llm-blender's names.
        config: configuration of the backbone, as in its `config.json`.
        dense: precision of its dense layers, see `MarkerEncoder`.
    """

    def __init__(
        self, weights: Mapping[str, torch.Tensor], config: Mapping[str, object], dense: torch.dtype = torch.float32
    ) -> None:
        prefix = "pretrained_model."
        backbone = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        self.hidden_states = MarkerEncoder(backbone, config, keep=True, dense=dense)
        self.first, self.second = (
            (weights[f"head_layer.{number}.weight"], weights[f"head_layer.{number}.bias"]) for number in (1, 4)
        )

    def __call__(self, ids: torch.Tensor, lengths: Sequence[int], positions: torch.Tensor) -> torch.Tensor:
        """Logits [rows], see `pairrm.Network`."""
        source, left, right = self.hidden_states(ids, lengths, positions).unbind(dim=1)
        inner = functional.linear(
            torch.cat([torch.stack([source, source]), torch.stack([left, right])], -1), *self.first
        )
        scores = functional.linear(torch.tanh(inner), *self.second)
        return (scores[0] - scores[1]).mean(dim=-1)


def bfloat16_network(weights: Mapping[str, torch.Tensor], config: Mapping[str, object], device: str) -> RankerNetwork:
    """The network with its dense layers in bfloat16.

    Raises:
        BadInput: the device is no faster in bfloat16.
    """
    fast = torch.cuda.is_bf16_supported(False) if device == "cuda" else cpu_has_bfloat16()
    if not fast:
        raise BadInput(f"this machine's {device.upper()} has no instructions for bfloat16; leave --precision away")
    return RankerNetwork(weights, config, torch.bfloat16)


def cpu_has_bfloat16() -> bool:
    """Whether this machine's CPU multiplies in bfloat16 (AVX-512 BF16 or AMX)."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
