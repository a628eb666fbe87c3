"""The small machinery of studies/map against that of the workflow and of Transformers: log-probabilities, rates, sampling."""

import math

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.usefixtures("programs_of_the_map")


@pytest.fixture(scope="module")
def policy():
    """A random policy of 20 words: 0 pads, 1 ends, the others are letters."""
    from policies import Policy
    from tokenizers import Tokenizer, decoders, models
    from transformers import LlamaConfig, LlamaForCausalLM

    words = {"<|pad|>": 0, "<|end|>": 1} | {chr(95 + number): number for number in range(2, 20)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="a"))
    tokenizer.decoder = decoders.Fuse()
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(
        **size, vocab_size=20, pad_token_id=0, bos_token_id=None, eos_token_id=1, initializer_range=1.0
    )
    return Policy(LlamaForCausalLM(config).eval(), tokenizer)


PROMPTS = [(2, 3, 4), (5,), (6, 7, 8, 9, 10), (11, 12)]


def test_log_probabilities_are_those_of_the_workflow(policy):
    import pyarrow as pa
    from policies import Response
    from training import Labelled, reference_logps

    from dpo_stages.training.logps import response_logps

    draw = np.random.default_rng(0)
    pairs = [
        Labelled(row, prompt, *(Response("", tuple(draw.integers(2, 20, length).tolist())) for length in lengths), 1.0)
        for row, (prompt, lengths) in enumerate(zip(PROMPTS, [(3, 9), (1, 1), (7, 2), (4, 4)], strict=True))
    ]
    rows = [
        {"prompt_id": "", "prompt_ids": p.prompt, "chosen_ids": p.chosen.ids, "rejected_ids": p.rejected.ids}
        for p in pairs
    ]
    expected = response_logps(policy.network, pa.Table.from_pylist(rows), policy.padding, "float32")
    found = reference_logps(policy, pairs)
    assert found.tolist() == [pytest.approx(expected[side], abs=1e-4) for side in ("chosen", "rejected")]


def test_training_moves_chosen_above_rejected_and_a_policy_that_is_its_own_reference_starts_at_ln_2(policy):
    import copy

    from policies import Policy, Response
    from torch.nn.functional import logsigmoid
    from training import Labelled, make_optimiser, reference_logps, train

    pairs = [
        Labelled(row, prompt, Response("", (2, 1)), Response("", (3, 1)), 1.0) for row, prompt in enumerate(PROMPTS)
    ]
    trained = Policy(copy.deepcopy(policy.network), policy.tokenizer)
    reference = reference_logps(policy, pairs)

    def loss():
        chosen, rejected = reference_logps(trained, pairs) - reference
        return -logsigmoid(0.1 * (chosen - rejected)).mean().item()

    assert loss() == pytest.approx(math.log(2), abs=1e-6)
    optimiser = make_optimiser(trained)
    train(trained, optimiser, pairs, reference, [((0, 1, 2, 3), 0.0)], 0.1)
    assert loss() == pytest.approx(math.log(2), abs=1e-6)  # a learning rate of zero
    train(trained, optimiser, pairs, reference, [((0, 1), 0.01), ((2, 3), 0.01)] * 5, 0.1)
    assert loss() < 0.6


def test_learning_rates_are_those_of_transformers():
    from training import constant_rates, cosine_rates
    from transformers import get_cosine_schedule_with_warmup

    optimiser = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=3e-4)
    schedule = get_cosine_schedule_with_warmup(optimiser, 2, 19)
    expected = []
    for _ in range(19):
        expected += schedule.get_last_lr()
        optimiser.step()
        schedule.step()
    assert cosine_rates(3e-4, 0.1, 19) == pytest.approx(expected)
    assert constant_rates(1.0, 2, 4) == [0.5, 1, 1, 1]


def test_greedy_samples_are_those_of_transformers_whatever_they_are_batched_with(policy):
    from decoding import sample

    greedy = {"temperature": 1.0, "top_p": 1.0, "top_k": 1}
    found = sample(policy, PROMPTS, greedy, np.random.default_rng(0).random((len(PROMPTS), 12)))
    assert len({len(response.ids) for response in found}) > 1  # some end before others
    for prompt, response in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([prompt])
        alone = policy.network.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)
        assert response.ids == tuple(alone[0, len(prompt) :].tolist())
        assert response.cut == (response.ids[-1] != policy.end)


def test_tokens_are_drawn_as_often_as_top_k_and_top_p_leave_them():
    from decoding import _draw

    logits = torch.tensor([0.4, 0.3, 0.2, 0.06, 0.04]).log()
    uniforms = (torch.arange(1000) + 0.5) / 1000
    for decoding, expected in (
        ({"temperature": 1.0, "top_p": 1.0, "top_k": 50}, [400, 300, 200, 60, 40]),
        ({"temperature": 1.0, "top_p": 0.6, "top_k": 50}, [571, 429, 0, 0, 0]),
        ({"temperature": 1.0, "top_p": 1.0, "top_k": 3}, [444, 333, 223, 0, 0]),
        ({"temperature": 0.5, "top_p": 1.0, "top_k": 2}, [640, 360, 0, 0, 0]),
    ):
        tokens = _draw(logits.repeat(1000, 1), decoding, uniforms)
        assert np.abs(np.bincount(tokens, minlength=5) - expected).max() <= 1


def test_noisy_labels_are_the_same_when_asked_again_and_as_right_as_their_temperature(tmp_path):
    from labels import HiddenQuality

    class World:
        seed = 0

        @staticmethod
        def better_by(prompt, first, second):
            return 2.0 * (len(first) - len(second))

    pairs = [(str(row), "a", "bb") for row in range(4000)]
    for temperature, right in ((0.0, 1.0), (2.0, 1 / (1 + math.exp(-1))), (math.inf, 0.5)):
        labeller = HiddenQuality(World, temperature)
        logits = labeller(pairs)
        assert (logits == labeller(pairs)).all()
        assert labeller([(prompt, second, first) for prompt, first, second in pairs]) == pytest.approx(-logits)
        assert (logits < 0).mean() == pytest.approx(right, abs=0.025)
        assert labeller([("x", "same", "same")]) == [0.0]
