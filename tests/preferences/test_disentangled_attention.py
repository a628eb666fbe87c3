"""The rewritten attention against Transformers' own DeBERTa, on the same weights."""

import pytest
import torch
from transformers import DebertaV2Config, DebertaV2Model

from dpo_stages.preferences.pairrm.attention import MarkerEncoder, is_supported
from dpo_stages.preferences.pairrm.distances import distance_buckets

LENGTHS = (5, 40, 40, 97, 23)  # with distances beyond the buckets, and two rows of one length


def backbone(**changed):
    torch.manual_seed(0)
    settings = {
        "vocab_size": 50,
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "position_buckets": 16,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
        **changed,
    }
    model = DebertaV2Model(DebertaV2Config(**settings)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "LayerNorm" not in name:
                weight.normal_(0, 0.3)
    return model


@pytest.fixture(scope="module")
def rows():
    torch.manual_seed(1)
    ids = [torch.randint(5, 50, (length,)) for length in LENGTHS]
    return ids, torch.tensor([[0, length // 2, length - 1] for length in LENGTHS])


def expected(model, rows):
    """Each row alone, by Transformers."""
    ids, positions = rows
    with torch.no_grad():
        states = [model(row[None]).last_hidden_state[0] for row in ids]
    return torch.stack([state[chosen] for state, chosen in zip(states, positions, strict=True)])


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"share_att_key": False},
        {"norm_rel_ebd": "none"},
        {"position_buckets": -1, "max_relative_positions": 64},
        {"max_relative_positions": 256, "position_buckets": 32},
    ],
)
def test_unpadded_rows_are_transformers(rows, changed):
    model = backbone(**changed)
    encoder = MarkerEncoder(dict(model.named_parameters()), model.config.to_dict(), keep=True)
    with torch.inference_mode():
        found = [encoder(torch.cat(rows[0]), list(LENGTHS), rows[1]) for _ in range(2)]  # kept projections too
    for states in found:
        assert (states - expected(model, rows)).abs().max() < 2e-5


def test_padded_rows_are_transformers_with_and_without_gradients(rows, monkeypatch):
    model = backbone()
    encoder = MarkerEncoder(dict(model.named_parameters()), model.config.to_dict(), keep=False)
    with_gradients = encoder(torch.cat(rows[0]), list(LENGTHS), rows[1])
    assert with_gradients.requires_grad
    padded = torch.nn.utils.rnn.pad_sequence(rows[0], batch_first=True)
    with torch.inference_mode():  # the path of a GPU, whose fused attention PyTorch has for CPUs as well
        padding = encoder._padding(padded, LENGTHS)
        fused = encoder._layer(2, encoder._through(2, padded, padding), rows[1], padding)
    for states in (with_gradients, fused):
        assert (states - expected(model, rows)).abs().max() < 2e-5


def test_blocks_of_few_scores_give_the_same(rows, monkeypatch):
    model = backbone()
    encoder = MarkerEncoder(dict(model.named_parameters()), model.config.to_dict(), keep=True)
    monkeypatch.setattr("dpo_stages.preferences.pairrm.attention.SCORES_AT_A_TIME", 2000)  # a head of a row at a time
    with torch.inference_mode():
        found = encoder(torch.cat(rows[0]), list(LENGTHS), rows[1])
    assert (found - expected(model, rows)).abs().max() < 2e-5


def test_bfloat16_is_close(rows):
    model = backbone()
    encoder = MarkerEncoder(dict(model.named_parameters()), model.config.to_dict(), keep=True, dense=torch.bfloat16)
    with torch.inference_mode():
        found = encoder(torch.cat(rows[0]), list(LENGTHS), rows[1])
    assert found.dtype == torch.float32
    assert 1e-5 < (found - expected(model, rows)).abs().mean() < 0.05


def test_buckets_are_transformers():
    from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

    for length, buckets, longest in ((70, 16, 64), (600, 256, 512), (30, -1, 64)):
        theirs = build_relative_position(torch.zeros(1, length, 1), torch.zeros(1, length, 1), buckets, longest)
        assert torch.equal(distance_buckets(length, buckets, longest), theirs.view(length, length))


@pytest.mark.parametrize(
    "changed",
    [{"conv_kernel_size": 3}, {"pos_att_type": ["c2p"]}, {"position_biased_input": True}, {"type_vocab_size": 2}],
)
def test_other_kinds_of_deberta_are_refused(changed):
    config = backbone().config.to_dict() | changed
    assert not is_supported(config)
    with pytest.raises(ValueError, match="not one that is rewritten"):
        MarkerEncoder({}, config, keep=True)
