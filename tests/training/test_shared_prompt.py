"""A prompt that is computed once for both responses: the same log-probabilities and gradients as of two rows."""

import pytest
import torch
from tiny import small_config

from dpo_stages.training.losses import Objective
from dpo_stages.training.shared_prompt import ARCHITECTURES, SharedPrompts, why_not_shared

NAMES = {
    "gpt_neox": "GPTNeoX", "llama": "Llama", "mistral": "Mistral", "phi": "Phi", "phi3": "Phi3", "qwen2": "Qwen2", "qwen3": "Qwen3",
}  # fmt: skip


@pytest.fixture(scope="module")
def batch(make_ours):
    return make_ours(Objective("sigmoid", 0.1))[1]


def test_a_pair_is_one_row(batch):
    pairs = SharedPrompts.of(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
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
    from transformers import AutoModelForCausalLM

    config = small_config(NAMES[architecture], 512, tied=False, grouped=architecture not in ("gpt_neox", "phi"))
    config.sliding_window, config.pad_token_id = 96, 0  # as long as a row may be
    assert why_not_shared(config, 96) is None
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=implementation).eval()
    ids, mask, responses = (batch[name] for name in ("input_ids", "attention_mask", "completion_mask"))
    pairs = SharedPrompts.of(ids, mask, responses)

    def logps(logits, labels):
        return logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]

    two = logps(model(input_ids=ids, attention_mask=mask).logits[:, :-1], ids[:, 1:]).masked_fill(
        responses[:, 1:] == 0, 0
    )
    seen = pairs.attention_mask
    if implementation == "eager":  # which adds its mask
        seen = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    output = model(input_ids=pairs.input_ids, attention_mask=seen, position_ids=pairs.position_ids)
    one = pairs.spread(logps(output.logits, pairs.shift_labels), responses)
    assert torch.allclose(one, two, atol=1e-4), (one - two).abs().max()


@pytest.mark.parametrize(
    "objective",
    [Objective("sigmoid", 0.1), Objective("hinge", 0.1, sft_weight=0.5), Objective("sigmoid", 0.1, use_weighting=True)],
)
def test_losses_and_gradients_are_those_of_two_rows(make_ours, objective):
    found = []
    for share in (False, True):
        trainer, batch = make_ours(objective, share_prompts=share)
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
