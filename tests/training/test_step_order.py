"""The order in which a step's rows are computed: the same rows a step, like lengths together, and the same gradient."""

import random

import pytest
import torch

from dpo_stages.training.losses import Objective
from dpo_stages.training.step_order import LikeLengths, dealt


def test_a_step_has_the_rows_that_were_drawn_for_it():
    from accelerate.data_loader import SeedableRandomSampler

    lengths = [random.Random(0).randint(1, 99) for _ in range(100)]
    drawn, sampler = SeedableRandomSampler(lengths, data_seed=3), LikeLengths(lengths, 4, 2, 2, seed=3)
    for epoch in range(2):
        for one in (drawn, sampler):
            one.set_epoch(epoch)
        before, after = list(drawn), list(sampler)
        assert before != after
        for start in range(0, 100, 16):
            assert set(before[start : start + 16]) == set(after[start : start + 16])


def test_micro_batches_have_like_lengths_and_so_have_devices():
    lengths = list(range(16))
    order = dealt(range(16), lengths, at_once=2, devices=2)
    assert order == [15, 13, 14, 12, 11, 9, 10, 8, 7, 5, 6, 4, 3, 1, 2, 0]


def test_the_last_step_of_an_epoch_is_cut_where_the_others_are():
    assert dealt(range(7), [0] * 7, at_once=2, devices=2) == [0, 2, 1, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "objective", [Objective("sigmoid", 0.1), Objective("sigmoid", 0.1, sft_weight=0.7), Objective("ipo", 0.1)]
)
@pytest.mark.parametrize("cut", [[6], [1, 5], [4, 2], [2, 2, 2], [3, 1, 2]])
def test_the_gradient_of_a_step_does_not_depend_on_how_it_is_cut(make_ours, pairs, logps, objective, cut):
    """The steps of an epoch's end have micro-batches of several sizes; a pair counts for the same in each of them."""
    trainer, _ = make_ours(objective)
    rows = (
        pairs.append_column("ref_chosen_logps", [logps["chosen"]])
        .append_column("ref_rejected_logps", [logps["rejected"]])
        .to_pylist()
    )

    def gradient(sizes: list[int]) -> torch.Tensor:
        ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
        batches = [trainer.data_collator(rows[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
        batches, items = trainer.get_batch_samples(iter(batches), len(batches), "cpu")
        trainer.model.zero_grad()
        for batch in batches:
            (trainer.compute_loss(trainer.model, batch, num_items_in_batch=items) / len(batches)).backward()
        return torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()])

    whole, parts = gradient([6]), gradient(cut)
    assert whole.norm() > 0
    assert torch.allclose(whole, parts, atol=1e-5 * whole.abs().max().item(), rtol=1e-4)
