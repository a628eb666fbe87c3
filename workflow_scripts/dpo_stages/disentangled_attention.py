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
- the last layer computes only the rows that are read: three of them, those of the markers.

The result differs from Transformers' by rounding alone; `tests/pairrm/test_disentangled_attention.py` holds it to that.
"""

import math

import torch
from torch import nn
from torch.nn import functional


def is_supported(config: object) -> bool:
    """Whether a `DebertaV2Config` is of the kind that is rewritten here, which DeBERTa-v3's are."""
    return (
        config.model_type == "deberta-v2"
        and config.relative_attention
        and set(config.pos_att_type or ()) == {"c2p", "p2c"}
        and not config.position_biased_input
        and not config.type_vocab_size
        and not getattr(config, "conv_kernel_size", 0)
        and getattr(config, "embedding_size", config.hidden_size) == config.hidden_size
        and config.hidden_act == "gelu"
    )


class MarkerEncoder:
    """Last hidden states of a `DebertaV2Model` at chosen positions.

    Args:
        model: the `DebertaV2Model`; its dropout is not applied.
        keep: keep what depends on the weights alone between calls; for inference, when the weights no longer change.
    """

    def __init__(self, model: nn.Module, keep: bool) -> None:
        if not is_supported(model.config):
            raise ValueError("this configuration of DeBERTa is not one that is rewritten here")
        self.embeddings, self.encoder, self.config, self.keep = model.embeddings, model.encoder, model.config, keep
        self.heads = model.config.num_attention_heads
        self.head_size = model.config.hidden_size // self.heads
        self.span = model.encoder.layer[0].attention.self.pos_ebd_size
        self.scale = 1 / math.sqrt(3 * self.head_size)
        self._kept: dict[int, tuple[torch.Tensor, ...]] = {}
        self._distances = torch.zeros(0, 0, dtype=torch.long)

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Hidden states [batch, chosen, width].

        Args:
            ids: tokens [batch, length], padded on the right.
            lengths: number of tokens of each row, [batch].
            positions: chosen positions [batch, chosen].
        """
        batch, length = ids.shape
        hidden = self.embeddings.LayerNorm(self.embeddings.word_embeddings(ids))
        distances = self._buckets(length)
        padding = None
        if int(lengths.min()) < length:
            padding = hidden.new_zeros(batch, 1, 1, length)
            padding.masked_fill_(torch.arange(length) >= lengths[:, None, None, None], torch.finfo(hidden.dtype).min)
        *layers, last = enumerate(self.encoder.layer)
        for number, layer in layers:
            hidden = self._layer(number, layer, hidden, None, distances, padding)
        return self._layer(*last, hidden, positions, distances[positions][:, None], padding)

    def _layer(
        self,
        number: int,
        layer: nn.Module,
        hidden: torch.Tensor,
        positions: torch.Tensor | None,
        distances: torch.Tensor,
        padding: torch.Tensor | None,
    ) -> torch.Tensor:
        """One layer for all positions (None) or for the chosen ones of each row."""
        batch, length, width = hidden.shape
        weight, bias, key_positions, query_positions = self._weights(number, layer)
        if positions is None:
            query, key, value = self._split(functional.linear(hidden, weight, bias), 3)
        else:
            key, value = self._split(functional.linear(hidden, weight[width:], bias[width:]), 2)
            hidden = hidden.gather(1, positions[:, :, None].expand(-1, -1, width))
            (query,) = self._split(functional.linear(hidden, weight[:width], bias[:width]), 1)

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

        attention = layer.attention.output
        hidden = attention.LayerNorm(attention.dense(context) + hidden)
        inner = functional.gelu(layer.intermediate.dense(hidden))
        return layer.output.LayerNorm(layer.output.dense(inner) + hidden)

    def _weights(self, number: int, layer: nn.Module) -> tuple[torch.Tensor, ...]:
        """Weight and bias of queries, keys and values [3 width, width], and K_r, Q_r [heads, head size, 2 span]."""
        if number in self._kept:
            return self._kept[number]
        attention = layer.attention.self
        query, key, value = attention.query_proj, attention.key_proj, attention.value_proj
        weight = torch.cat([query.weight * self.scale, key.weight, value.weight])
        bias = torch.cat([query.bias * self.scale, key.bias, value.bias])
        embeddings = self.encoder.get_rel_embedding()[: 2 * self.span]
        key_positions = (key if attention.share_att_key else attention.pos_key_proj)(embeddings)
        query_positions = (query if attention.share_att_key else attention.pos_query_proj)(embeddings) * self.scale
        positions = (x.view(-1, self.heads, self.head_size).permute(1, 2, 0) for x in (key_positions, query_positions))
        weights = (weight, bias, *positions)
        if self.keep:
            self._kept[number] = weights
        return weights

    def _split(self, projected: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """[batch, length, parts x width] to `parts` of [batch, heads, length, head size]."""
        batch, length, _ = projected.shape
        return projected.view(batch, length, parts, self.heads, self.head_size).permute(2, 0, 3, 1, 4).unbind()

    def _times_positions(self, states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """[batch, heads, length, head size] times [heads, head size, 2 span], one large product a head."""
        batch, _, length, _ = states.shape
        products = states.transpose(0, 1).reshape(self.heads, batch * length, self.head_size) @ positions
        return products.view(self.heads, batch, length, -1).transpose(0, 1)

    def _buckets(self, length: int) -> torch.Tensor:
        """Row of K_r and Q_r for every pair of positions, [length, length]."""
        if len(self._distances) < length:
            from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

            attention = self.encoder.layer[0].attention.self
            grid = torch.empty(max(length, 2 * len(self._distances)), 1)
            distances = build_relative_position(
                grid, grid, bucket_size=attention.position_buckets, max_position=attention.max_relative_positions
            )
            self._distances = (distances[0] + self.span).clamp(0, 2 * self.span - 1)
        return self._distances[:length, :length]
