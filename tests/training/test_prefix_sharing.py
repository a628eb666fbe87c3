"""A prompt that is computed once for both responses: the same log-probabilities and gradients as of two rows."""

import pyarrow as pa
import pytest
import torch
from tiny import small_config

from dpo_stages.training import logps
from dpo_stages.training.logps import response_logps
from dpo_stages.training.losses import Objective
from dpo_stages.training.prefix_sharing import ARCHITECTURES, SharedPrefix, why_not_shared

NAMES = {
    "gpt_neox": "GPTNeoX", "llama": "Llama", "mistral": "Mistral", "phi": "Phi", "phi3": "Phi3", "qwen2": "Qwen2", "qwen3": "Qwen3",
}  # fmt: skip
COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids")


@pytest.fixture(scope="module")
def batch(make_ours):
    return make_ours(Objective("sigmoid", 0.1))[1]


def random_model(architecture, implementation="sdpa"):
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = small_config(NAMES[architecture], 512, tied=False, grouped=architecture not in ("gpt_neox", "phi"))
    config.sliding_window, config.pad_token_id = 96, 0  # as long as a row may be
    return AutoModelForCausalLM.from_config(config, attn_implementation=implementation).eval()


def test_a_pair_is_one_row(batch):
    pairs = SharedPrefix.of(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    lengths, responses = batch["attention_mask"].sum(1), batch["completion_mask"].sum(1)
    assert pairs.input_ids.shape[1] == (lengths[:6] + lengths[6:] - (lengths - responses)[:6] + 1).max()
    for row in range(6):
        prompt, chosen, rejected = (lengths - responses)[row], responses[row], responses[6 + row]
        ids, seen = pairs.input_ids[row], pairs.attention_mask[row, 0]
        first, end = batch["input_ids"][row], prompt + chosen
        assert ids[:end].tolist() == first[:end].tolist()
        assert ids[end] == first[prompt - 1] and pairs.position_ids[row, end] == prompt - 1
        assert (
            ids[end + 1 : end + 1 + rejected].tolist()
            == batch["input_ids"][6 + row, prompt : prompt + rejected].tolist()
        )
        assert (pairs.shift_labels[row] != -100).sum() == chosen + rejected
        last = end + rejected
        assert seen[end - 1, :end].all() and not seen[end - 1, end:].any()
        assert (
            seen[last, : prompt - 1].all()
            and not seen[last, prompt - 1 : end].any()
            and seen[last, end : last + 1].all()
        )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_log_probabilities_are_those_of_two_rows(batch, architecture, implementation):
    model = random_model(architecture, implementation)
    shared = why_not_shared(model.config, 96) is None
    assert shared == (implementation == "sdpa")  # SharedPrefix has a mask for this one
    ids, mask, responses = (batch[name] for name in ("input_ids", "attention_mask", "completion_mask"))
    pairs = SharedPrefix.of(ids, mask, responses)

    def of_tokens(logits, labels):
        return logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]

    two = of_tokens(model(input_ids=ids, attention_mask=mask).logits[:, :-1], ids[:, 1:]).masked_fill(
        responses[:, 1:] == 0, 0
    )
    seen = pairs.attention_mask
    if implementation == "eager":  # which adds its mask
        seen = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    output = model(input_ids=pairs.input_ids, attention_mask=seen, position_ids=pairs.position_ids)
    one = pairs.spread(of_tokens(output.logits, pairs.shift_labels), responses)
    assert torch.allclose(one, two, atol=1e-4), (one - two).abs().max()


@pytest.fixture(scope="module")
def uneven():
    """Pairs of unlike lengths, with responses of one token, of at most 96 tokens a response with its prompt."""
    draw, lengths = torch.Generator().manual_seed(0), [(1, 1, 30), (40, 1, 1), (50, 46, 2), (7, 9, 1), (3, 20, 93)]
    lengths += torch.randint(1, 48, (25, 3), generator=draw).tolist()
    ids = [[torch.randint(1, 512, (length,), generator=draw).tolist() for length in row] for row in lengths]
    columns = dict(zip(COLUMNS, zip(*ids, strict=True), strict=True))
    return pa.table({"prompt_id": [str(number) for number in range(len(ids))], **columns})


def watched(model):
    """Shapes of what a model is given from now on."""
    shapes = []
    model.register_forward_pre_hook(lambda _, __, given: shapes.append(given["input_ids"].shape), with_kwargs=True)
    return shapes


def tokens_of(shapes):
    return sum(rows * width for rows, width in shapes)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_sums_over_responses_are_those_of_two_rows(uneven, architecture):
    model = random_model(architecture)
    shapes = watched(model)
    two = response_logps(model, uneven, 0, "float32")
    given = tokens_of(shapes)
    shapes.clear()
    one = response_logps(model, uneven, 0, "float32", prefix_sharing=True)
    assert tokens_of(shapes) < 0.9 * given
    assert all(rows <= logps.BATCH_SIZE // 2 for rows, _ in shapes)
    for side in two:
        assert one[side] == pytest.approx(two[side], abs=1e-4)


def test_pairs_that_are_longer_than_a_batch_are_two_rows(uneven, monkeypatch):
    model = random_model("llama")
    two = response_logps(model, uneven, 0, "float32")
    shapes = watched(model)
    monkeypatch.setattr(logps, "TOKENS_PER_BATCH", 96)
    one = response_logps(model, uneven, 0, "float32", prefix_sharing=True)
    assert all(rows * width <= 96 for rows, width in shapes)
    alone = [row for row in uneven.to_pylist() if sum(len(row[name]) for name in COLUMNS) + 1 > 96]
    assert 0 < len(alone) < uneven.num_rows
    assert sum(rows for rows, _ in shapes) == uneven.num_rows + len(alone)
    for side in two:
        assert one[side] == pytest.approx(two[side], abs=1e-4)


@pytest.mark.parametrize("prefix_sharing", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_where_logits_would_be_too_many_they_are_never_there_at_once(uneven, architecture, prefix_sharing, monkeypatch):
    model, called = random_model(architecture), []
    at_once = response_logps(model, uneven, 0, "float32", prefix_sharing)
    model.get_output_embeddings().register_forward_hook(lambda *_: called.append(1))
    monkeypatch.setattr(logps, "LOGITS", 1000)
    in_tiles = response_logps(model, uneven, 0, "float32", prefix_sharing)
    assert not called
    for side in at_once:
        assert in_tiles[side] == pytest.approx(at_once[side], abs=1e-4)


@pytest.mark.parametrize(
    "objective",
    [Objective("sigmoid", 0.1), Objective("hinge", 0.1, sft_weight=0.5), Objective("sigmoid", 0.1, use_weighting=True)],
)
def test_losses_and_gradients_are_those_of_two_rows(make_ours, objective):
    found = []
    for share in (False, True):
        trainer, batch = make_ours(objective, prefix_sharing=share)
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        found.append((loss.item(), torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()])))
    (two, theirs), (one, ours) = found
    assert one == pytest.approx(two, rel=1e-5)
    assert torch.allclose(ours, theirs, atol=1e-4 * theirs.abs().max().item())


@pytest.mark.parametrize(
    ("architecture", "more", "why"),
    [
        ("Mistral", {"sliding_window": 95}, "its attention sees 95 tokens, and a row may have 96"),
        (
            "Qwen3",
            {"layer_types": ["full_attention", "linear_attention"]},
            "some of its layers are of the type linear_attention",
        ),
        ("Gemma2", {}, "models of the type gemma2 have not been tried"),
    ],
)
def test_with_other_models_it_is_computed_twice(architecture, more, why):
    config = small_config(architecture, 64, tied=False, grouped=False)
    for name, value in more.items():
        setattr(config, name, value)
    assert why_not_shared(config, 96).startswith(why)
