"""DeBERTa's disentangled attention, with the weights of Transformers' `DebertaV2Model` and less work.

The attention score of token i for token j is (He et al., 2021, equation 4)

    ( q_i k_j  +  q_i K_r[d(i,j)]  +  k_j Q_r[d(i,j)] ) / sqrt(3 h)

where d(i, j) is the bucket of the distance i - j, K_r and Q_r are projections of the embeddings of distances and h is the
width of a head. Transformers computes the projections of all distances in every call, copies them for every row of the
batch, and makes a dozen passes over tensors of [batch x heads, length, length]. Here

- projections of distances are computed once (without gradients), and only those of distances that occur are used;
- the scale goes into the queries, and queries, keys and values come from one multiplication;
- d(i, j) is computed once a length;
- the last layer computes only the rows that are read: three of them, those of PairRM's markers;
- for inference on a CPU nothing is padded: the tokens of all rows go through the dense layers as one matrix, and scores,
  softmax and sums are made of a few heads at a time, of rows of one length, so that they stay in the processor's cache.
  On a GPU, rows are padded and the attention is PyTorch's fused one, the two position terms being its bias.

The result differs from Transformers' by rounding alone; `tests/preferences/test_disentangled_attention.py` holds it to that.
Nothing here imports Transformers, whose import takes longer than labelling a few hundred pairs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from dpo_stages.preferences.pairrm.distances import Distances

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


def _is_dense(name: str) -> bool:
    return name.endswith((".dense.weight", ".dense.bias"))


SCORES_AT_A_TIME = 1 << 20
"""Attention scores that one block of an unpadded batch has; those of a head of 1,024 tokens."""


class MarkerEncoder:
    """Last hidden states of a DeBERTa at chosen positions.

    Args:
        weights: parameters of a `DebertaV2Model` by name.
        config: its configuration, as in `config.json`.
        keep: keep what depends on the weights alone between calls; for inference, when the weights no longer change.
        dense: precision of what is multiplied; sums of scores, norms and softmax stay in that of the weights.

    Raises:
        ValueError: the configuration is not of the kind that is rewritten here.
    """

    def __init__(
        self, weights: Weights, config: Mapping[str, object], keep: bool, dense: torch.dtype = torch.float32
    ) -> None:
        if not is_supported(config):
            raise ValueError("this configuration of DeBERTa is not one that is rewritten here")
        self.keep, self.dense = keep, dense
        self.precision = weights["encoder.rel_embeddings.weight"].dtype
        self.weights = {name: value.to(dense) if _is_dense(name) else value for name, value in weights.items()}
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.width = config["hidden_size"]
        self.head_size = self.width // self.heads
        self.scale = 1 / math.sqrt(3 * self.head_size)
        self.epsilon = config.get("layer_norm_eps", 1e-7)
        self.shared = config.get("share_att_key", False)
        self.norm_distances = "layer_norm" in config.get("norm_rel_ebd", "none").lower().split("|")
        longest = config.get("max_relative_positions", -1)
        self.distances = Distances(
            config.get("position_buckets", -1), longest if longest >= 1 else config["max_position_embeddings"]
        )
        self._projections: dict[int, tuple[torch.Tensor, ...]] = {}

    def __call__(self, ids: torch.Tensor, lengths: Sequence[int], positions: torch.Tensor) -> torch.Tensor:
        """Hidden states [rows, chosen, width] of the last layer.

        Args:
            ids: tokens of all rows, one row after the other, [tokens].
            lengths: number of tokens of each row.
            positions: chosen positions in each row, [rows, chosen].
        """
        if ids.device.type == "cpu" and not torch.is_grad_enabled():
            return self._unpadded(ids, lengths, positions)
        ids = pad_sequence(ids.split(lengths), batch_first=True)
        padding = self._padding(ids, lengths)
        hidden = self._through(self.layers - 1, ids, padding)
        return self._layer(self.layers - 1, hidden, positions, padding)

    def states(self, ids: torch.Tensor, lengths: Sequence[int], layers: int) -> torch.Tensor:
        """Hidden states [rows, longest, width] after the first `layers` layers, of padded ids [rows, longest]."""
        return self._through(layers, ids, self._padding(ids, lengths))

    # Unpadded rows

    def _unpadded(self, ids: torch.Tensor, lengths: Sequence[int], positions: torch.Tensor) -> torch.Tensor:
        hidden = self._embed(ids)
        blocks = list(self._blocks(lengths))
        for number in range(self.layers - 1):
            weight, bias, *distances = self._projection(number)
            projected = functional.linear(hidden.to(self.dense), weight, bias)
            projected = projected.view(-1, 3, self.heads, self.head_size)
            context = torch.empty_like(hidden, dtype=self.dense)
            by_head = context.view(-1, self.heads, self.head_size)
            for tokens, heads, rows, table in blocks:
                query, key, value = projected[tokens, :, heads].unflatten(0, (rows, -1)).permute(2, 3, 0, 1, 4)
                attended = self._attend(query, key, value, *(x[heads] for x in distances), *table)
                by_head[tokens, heads] = attended.permute(1, 2, 0, 3).flatten(0, 1)
            hidden = self._after_attention(number, context, hidden)

        number = self.layers - 1
        weight, bias, *distances = self._projection(number)
        keys_values = functional.linear(hidden.to(self.dense), weight[self.width :], bias[self.width :])
        keys_values = keys_values.view(-1, 2, self.heads, self.head_size)
        starts = torch.tensor([0, *lengths[:-1]]).cumsum(0)
        chosen = hidden[(starts[:, None] + positions).flatten()].view(*positions.shape, self.width)
        queries = functional.linear(chosen.to(self.dense), weight[: self.width], bias[: self.width])
        queries = queries.view(*positions.shape, self.heads, self.head_size)
        context = torch.empty_like(queries)
        row_of = {int(start): row for row, start in enumerate(starts)}
        for tokens, heads, rows, (first, last, to_key, by_key) in blocks:
            row = row_of[tokens.start]
            places = positions[row : row + rows]
            query = queries[row : row + rows, :, heads].permute(2, 0, 1, 3)
            key, value = keys_values[tokens, :, heads].unflatten(0, (rows, -1)).permute(2, 3, 0, 1, 4)
            table = (first, last, to_key[places], by_key[:, places].transpose(0, 1))
            attended = self._attend(query, key, value, *(x[heads] for x in distances), *table)
            context[row : row + rows, :, heads] = attended.permute(1, 2, 0, 3)
        return self._after_attention(number, context.flatten(2), chosen)

    def _blocks(self, lengths: Sequence[int]) -> Iterator[tuple[slice, slice, int, tuple]]:
        """Cut rows and heads into blocks: tokens, heads, number of rows, all of one length, and its table, see `Distances`."""
        start = row = 0
        while row < len(lengths):
            length = lengths[row]
            heads = max(1, min(self.heads, SCORES_AT_A_TIME // length**2))
            most = max(1, SCORES_AT_A_TIME // (self.heads * length**2))
            rows = next((n for n in range(most) if row + n >= len(lengths) or lengths[row + n] != length), most)
            tokens = slice(start, start + rows * length)
            table = self.distances.table(length)
            for head in range(0, self.heads, heads):
                yield tokens, slice(head, head + heads), rows, table
            start, row = tokens.stop, row + rows

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_positions: torch.Tensor,
        query_positions: torch.Tensor,
        first: int,
        last: int,
        to_key: torch.Tensor,
        by_key: torch.Tensor,
    ) -> torch.Tensor:
        """Attention of a block, [heads, rows, queries, head size] of states [heads, rows, length, head size]."""
        heads, rows, length, size = key.shape
        queries = query.shape[2]
        key_positions, query_positions = key_positions[:, :, first:last], query_positions[:, :, first:last]
        scores = (query.reshape(heads, -1, size) @ key_positions).view(heads, rows, queries, -1)
        scores = scores.gather(-1, to_key.expand(heads, rows, queries, length)).to(self.precision)
        others = (key.reshape(heads, -1, size) @ query_positions).view(heads, rows, length, -1)
        scores += others.gather(-1, by_key.expand(heads, rows, length, queries)).transpose(-1, -2)
        scores, query, key, value = (x.flatten(0, 1) for x in (scores, query, key, value))
        if scores.dtype == query.dtype:
            scores.baddbmm_(query, key.transpose(-1, -2))
        else:
            scores += query @ key.transpose(-1, -2)
        return (scores.softmax(dim=-1).to(value.dtype) @ value).view(heads, rows, queries, size)

    # Padded rows

    def _through(self, layers: int, ids: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        hidden = self._embed(ids)
        for number in range(layers):
            hidden = self._layer(number, hidden, None, padding)
        return hidden

    def _layer(
        self, number: int, hidden: torch.Tensor, positions: torch.Tensor | None, padding: torch.Tensor | None
    ) -> torch.Tensor:
        """One layer for all positions (None) or for the chosen ones of each row."""
        batch, length, width = hidden.shape
        weight, bias, key_positions, query_positions = self._projection(number)
        distances = self.distances.rows(length).to(hidden.device)
        if positions is None:
            query, key, value = self._split(functional.linear(hidden.to(self.dense), weight, bias), 3)
        else:
            key, value = self._split(functional.linear(hidden.to(self.dense), weight[width:], bias[width:]), 2)
            hidden = hidden.gather(1, positions[:, :, None].expand(-1, -1, width))
            (query,) = self._split(functional.linear(hidden.to(self.dense), weight[:width], bias[:width]), 1)
            distances = distances[positions][:, None]

        shape = (batch, self.heads, query.shape[2], length)
        content_to_position = self._times_positions(query, key_positions).gather(-1, distances.expand(shape))
        by_key = distances.transpose(-1, -2).expand(batch, self.heads, length, query.shape[2])
        position_to_content = self._times_positions(key, query_positions).gather(-1, by_key).transpose(-1, -2)
        scores = content_to_position + position_to_content
        if padding is not None:
            scores = scores + padding.to(scores.dtype)
        if torch.is_grad_enabled():
            scores = scores + query @ key.transpose(-1, -2)
            context = scores.softmax(dim=-1) @ value
        else:
            context = functional.scaled_dot_product_attention(query, key, value, attn_mask=scores, scale=1.0)
        return self._after_attention(number, context.transpose(1, 2).reshape(batch, -1, width), hidden)

    def _split(self, projected: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """[batch, length, parts x width] to `parts` of [batch, heads, length, head size]."""
        batch, length, _ = projected.shape
        return projected.view(batch, length, parts, self.heads, self.head_size).permute(2, 0, 3, 1, 4).unbind()

    def _times_positions(self, states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """[batch, heads, length, head size] times [heads, head size, 2 span], one large product a head."""
        batch, _, length, _ = states.shape
        states = states.transpose(0, 1).reshape(self.heads, batch * length, self.head_size)
        products = states @ positions.to(states.dtype)
        return products.view(self.heads, batch, length, -1).transpose(0, 1)

    def _padding(self, ids: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor | None:
        """What keeps tokens from attending to padding, [batch, 1, 1, length]; None if there is none."""
        batch, length = ids.shape
        if min(lengths) == length:
            return None
        outside = torch.arange(length) >= torch.tensor(lengths)[:, None, None, None]
        padding = torch.zeros(outside.shape, dtype=self.precision)
        padding.masked_fill_(outside, torch.finfo(self.precision).min)
        return padding.to(ids.device)

    # Both

    def _embed(self, ids: torch.Tensor) -> torch.Tensor:
        return self._norm("embeddings", functional.embedding(ids, self.weights["embeddings.word_embeddings.weight"]))

    def _after_attention(self, number: int, context: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        layer = f"encoder.layer.{number}"
        attended = self._linear(f"{layer}.attention.output.dense", context.to(self.dense)) + hidden
        hidden = self._norm(f"{layer}.attention.output", attended)
        inner = functional.gelu(self._linear(f"{layer}.intermediate.dense", hidden.to(self.dense)))
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
        weight = torch.cat([weights[0] * self.scale, *weights[1:]]).to(self.dense)
        bias = torch.cat([biases[0] * self.scale, *biases[1:]]).to(self.dense)
        embeddings = self.weights["encoder.rel_embeddings.weight"][: 2 * self.distances.span]
        if self.norm_distances:
            embeddings = self._norm("encoder", embeddings)
        prefix = "" if self.shared else "pos_"
        projections = (weight, bias) + tuple(
            self._linear(f"{attention}.{prefix}{name}_proj", embeddings)
            .mul(factor)
            .to(self.dense)
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
