"""DeBERTa's disentangled attention, with the weights of Transformers' `DebertaV2Model` and less work.

The attention score of token i for token j is (He et al., 2021, equation 4)

    ( q_i k_j  +  q_i K_r[d(i,j)]  +  k_j Q_r[d(i,j)] ) / sqrt(3 h)

where d(i, j) is the bucket of the distance i - j, K_r and Q_r are projections of the embeddings of distances and h is the
width of a head. Transformers computes the projections of all distances in every call, copies them for every row of the
batch, and makes a dozen passes over tensors of [batch x heads, length, length]. Here

- projections of distances are computed once (without gradients) and multiplied with all rows of a batch as one matrix;
- the scale goes into the queries, and queries, keys and values come from one multiplication;
- d(i, j) is computed once a length;
- without gradients the softmax and its sums are PyTorch's fused attention, the two position terms being its bias;
- the last layer computes only the rows that are read: three of them, those of PairRM's markers.

The result differs from Transformers' by rounding alone; `tests/pairrm/test_disentangled_attention.py` holds it to that.
Nothing here imports Transformers, whose import takes longer than labelling a few hundred pairs.
"""

import math
from collections.abc import Mapping

import torch
from torch.nn import functional

Weights = Mapping[str, torch.Tensor]


def is_supported(config: Mapping[str, object]) -> bool:
    """Whether a configuration (`config.json`) is of the kind that is rewritten here, which DeBERTa-v3's are."""
    kinds = config.get("pos_att_type") or ()
    return (
        config.get("model_type") == "deberta-v2"
        and config.get("relative_attention") is True
        and set(kinds.split("|") if isinstance(kinds, str) else kinds) == {"c2p", "p2c"}
        and config.get("position_biased_input") is False
        and not config.get("type_vocab_size")
        and not config.get("conv_kernel_size")
        and config.get("embedding_size", config["hidden_size"]) == config["hidden_size"]
        and config.get("hidden_act", "gelu") == "gelu"
    )


def distance_buckets(length: int, buckets: int, max_position: int) -> torch.Tensor:
    """Bucket of the distance i - j for all positions i, j, [length, length].

    Distances up to half of `buckets` have buckets of their own; beyond, buckets widen logarithmically until
    `max_position`. Without buckets (0 or less) every distance is its own.
    """
    places = torch.arange(length)
    distances = places[:, None] - places[None, :]
    if buckets <= 0 or max_position <= 0:
        return distances
    middle = buckets // 2
    # In the order of operations of the published implementation: next to a bucket's border, rounding decides.
    size = torch.where(distances.abs() < middle, torch.tensor(middle - 1), distances.abs())
    logs = torch.log(size / middle) / torch.log(torch.tensor((max_position - 1) / middle)) * (middle - 1)
    wide = (torch.ceil(logs) + middle) * distances.sign()
    return torch.where(size <= middle, distances.to(wide.dtype), wide).long()


class MarkerEncoder:
    """Last hidden states of a DeBERTa at chosen positions.

    Args:
        weights: parameters of a `DebertaV2Model` by name.
        config: its configuration, as in `config.json`.
        keep: keep what depends on the weights alone between calls; for inference, when the weights no longer change.

    Raises:
        ValueError: the configuration is not of the kind that is rewritten here.
    """

    def __init__(self, weights: Weights, config: Mapping[str, object], keep: bool) -> None:
        if not is_supported(config):
            raise ValueError("this configuration of DeBERTa is not one that is rewritten here")
        self.weights, self.keep = weights, keep
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.width = config["hidden_size"]
        self.head_size = self.width // self.heads
        self.scale = 1 / math.sqrt(3 * self.head_size)
        self.epsilon = config.get("layer_norm_eps", 1e-7)
        self.shared = config.get("share_att_key", False)
        self.norm_distances = "layer_norm" in config.get("norm_rel_ebd", "none").lower().split("|")
        self.buckets = config.get("position_buckets", -1)
        longest = config.get("max_relative_positions", -1)
        self.max_position = longest if longest >= 1 else config["max_position_embeddings"]
        self.span = self.buckets if self.buckets > 0 else self.max_position
        self._projections: dict[int, tuple[torch.Tensor, ...]] = {}
        self._rows = torch.zeros(0, 0, dtype=torch.long)

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Hidden states [batch, chosen, width] of the last layer.

        Args:
            ids: tokens [batch, length], padded on the right.
            lengths: number of tokens of each row, [batch].
            positions: chosen positions [batch, chosen].
        """
        padding = self._padding(ids, lengths)
        hidden = self._through(self.layers - 1, ids, padding)
        return self._layer(self.layers - 1, hidden, positions, self._distances(ids.shape[1], ids.device), padding)

    def states(self, ids: torch.Tensor, lengths: torch.Tensor, layers: int) -> torch.Tensor:
        """Hidden states [batch, length, width] after the first `layers` layers; arguments as in a call."""
        return self._through(layers, ids, self._padding(ids, lengths))

    def _through(self, layers: int, ids: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        hidden = self._norm("embeddings", functional.embedding(ids, self.weights["embeddings.word_embeddings.weight"]))
        distances = self._distances(ids.shape[1], ids.device)
        for number in range(layers):
            hidden = self._layer(number, hidden, None, distances, padding)
        return hidden

    def _layer(
        self,
        number: int,
        hidden: torch.Tensor,
        positions: torch.Tensor | None,
        distances: torch.Tensor,
        padding: torch.Tensor | None,
    ) -> torch.Tensor:
        """One layer for all positions (None) or for the chosen ones of each row."""
        batch, length, width = hidden.shape
        weight, bias, key_positions, query_positions = self._projection(number)
        if positions is None:
            query, key, value = self._split(functional.linear(hidden, weight, bias), 3)
        else:
            key, value = self._split(functional.linear(hidden, weight[width:], bias[width:]), 2)
            hidden = hidden.gather(1, positions[:, :, None].expand(-1, -1, width))
            (query,) = self._split(functional.linear(hidden, weight[:width], bias[:width]), 1)
            distances = distances[positions][:, None]

        shape = (batch, self.heads, query.shape[2], length)
        content_to_position = self._times_positions(query, key_positions).gather(-1, distances.expand(shape))
        by_key = distances.transpose(-1, -2).expand(batch, self.heads, length, query.shape[2])
        position_to_content = self._times_positions(key, query_positions).gather(-1, by_key).transpose(-1, -2)
        scores = content_to_position + position_to_content
        if padding is not None:
            scores = scores + padding
        if torch.is_grad_enabled():
            scores = scores + query @ key.transpose(-1, -2)
            context = scores.softmax(dim=-1) @ value
        else:
            context = functional.scaled_dot_product_attention(query, key, value, attn_mask=scores, scale=1.0)
        context = context.transpose(1, 2).reshape(batch, -1, width)

        layer = f"encoder.layer.{number}"
        hidden = self._norm(
            f"{layer}.attention.output", self._linear(f"{layer}.attention.output.dense", context) + hidden
        )
        inner = functional.gelu(self._linear(f"{layer}.intermediate.dense", hidden))
        return self._norm(f"{layer}.output", self._linear(f"{layer}.output.dense", inner) + hidden)

    def _projection(self, number: int) -> tuple[torch.Tensor, ...]:
        """Weight and bias of queries, keys and values [3 width, width], and K_r, Q_r [heads, head size, 2 span]."""
        if number in self._projections:
            return self._projections[number]
        attention = f"encoder.layer.{number}.attention.self"
        weights, biases = (
            [self.weights[f"{attention}.{name}_proj.{kind}"] for name in ("query", "key", "value")]
            for kind in ("weight", "bias")
        )
        weight = torch.cat([weights[0] * self.scale, *weights[1:]])
        bias = torch.cat([biases[0] * self.scale, *biases[1:]])
        embeddings = self.weights["encoder.rel_embeddings.weight"][: 2 * self.span]
        if self.norm_distances:
            embeddings = self._norm("encoder", embeddings)
        prefix = "" if self.shared else "pos_"
        projections = (weight, bias) + tuple(
            self._linear(f"{attention}.{prefix}{name}_proj", embeddings)
            .mul(factor)
            .view(-1, self.heads, self.head_size)
            .permute(1, 2, 0)
            for name, factor in (("key", 1.0), ("query", self.scale))
        )
        if self.keep:
            self._projections[number] = projections
        return projections

    def _linear(self, name: str, states: torch.Tensor) -> torch.Tensor:
        return functional.linear(states, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, name: str, states: torch.Tensor) -> torch.Tensor:
        weight, bias = self.weights[f"{name}.LayerNorm.weight"], self.weights[f"{name}.LayerNorm.bias"]
        return functional.layer_norm(states, (self.width,), weight, bias, self.epsilon)

    def _split(self, projected: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """[batch, length, parts x width] to `parts` of [batch, heads, length, head size]."""
        batch, length, _ = projected.shape
        return projected.view(batch, length, parts, self.heads, self.head_size).permute(2, 0, 3, 1, 4).unbind()

    def _times_positions(self, states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """[batch, heads, length, head size] times [heads, head size, 2 span], one large product a head."""
        batch, _, length, _ = states.shape
        products = states.transpose(0, 1).reshape(self.heads, batch * length, self.head_size) @ positions
        return products.view(self.heads, batch, length, -1).transpose(0, 1)

    def _padding(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor | None:
        """What keeps tokens from attending to padding, [batch, 1, 1, length]; None if there is none."""
        batch, length = ids.shape
        if int(lengths.min()) == length:
            return None
        padding = torch.zeros(
            batch, 1, 1, length, device=ids.device, dtype=self.weights["encoder.rel_embeddings.weight"].dtype
        )
        outside = torch.arange(length, device=ids.device) >= lengths[:, None, None, None]
        return padding.masked_fill_(outside, torch.finfo(padding.dtype).min)

    def _distances(self, length: int, device: torch.device) -> torch.Tensor:
        """Row of K_r and Q_r for every pair of positions, [length, length]."""
        if len(self._rows) < length:
            longest = max(length, 2 * len(self._rows))
            buckets = distance_buckets(longest, self.buckets, self.max_position)
            self._rows = (buckets + self.span).clamp(0, 2 * self.span - 1).to(device)
        return self._rows[:length, :length]
