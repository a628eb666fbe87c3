"""Losses by name: what they start at, and the original form of SLiC-HF."""

import math
import random

import pytest
import torch

from dpo_stages.training.losses import LOSSES, ORIGINAL_SLIC, Objective, first_loss, original_slic_loss


@pytest.fixture(scope="module")
def trl_loss(make_trainer):
    """TRL's own value of a loss, of its DPOTrainer with nothing but the data preparation taken out."""
    from trl import DPOTrainer

    class Prepared(DPOTrainer):
        def _prepare_dataset(self, dataset, *args, **kwargs):
            return dataset

        _precompute_ref_logps = _prepare_dataset

    def compute(loss: str, beta: float, **more) -> float:
        trainer, batch = make_trainer(Prepared, loss, beta, **more)
        return trainer.compute_loss(trainer.model, batch).item()

    return compute


@pytest.mark.parametrize("name", [name for name in LOSSES if first_loss(name, 0.1) is not None])
def test_the_first_loss_is_what_trl_computes_where_log_ratios_are_zero(trl_loss, name):
    assert trl_loss(name, beta=0.2) == pytest.approx(first_loss(name, 0.2), rel=1e-4)


@pytest.fixture(scope="module")
def reference(logps) -> dict[str, list[float]]:
    """Of another model: log-ratios within 3 nats of zero."""
    generator = random.Random(0)
    return {name: [value + generator.uniform(-3, 3) for value in values] for name, values in logps.items()}


@pytest.mark.parametrize("name", [name for name in LOSSES if name != ORIGINAL_SLIC])
def test_a_loss_of_trl_is_trained_by_its_name(make_ours, trl_loss, reference, name):
    trainer, batch = make_ours(Objective(name, 0.2), reference=reference)
    theirs = trl_loss(name, beta=0.2, reference=reference)
    assert trainer.compute_loss(trainer.model, batch).item() == theirs
    assert theirs != pytest.approx(first_loss(name, 0.2), rel=1e-4)


def test_the_margin_of_original_slic_is_the_hinge_of_trl_without_a_reference(make_ours, trl_loss, logps):
    """max(0, delta - D) = delta * max(0, 1 - D / delta), which is TRL's hinge with beta = 1 / delta."""
    trainer, batch = make_ours(Objective(ORIGINAL_SLIC, 1.0, delta=4.0, sft_weight=0.5))
    none = {name: [0.0] * len(values) for name, values in logps.items()}
    margins = 4 * trl_loss("hinge", beta=1 / 4, reference=none)
    assert margins > 0
    loss = trainer.compute_loss(trainer.model, batch).item()
    assert loss == pytest.approx(margins - 0.5 * sum(logps["chosen"]) / len(logps["chosen"]), rel=1e-5)


def test_dpo_starts_at_ln_2_and_slic_at_1():
    assert first_loss("sigmoid", 0.01) == math.log(2)
    assert first_loss("hinge", 0.01) == 1


def test_no_reference_model_is_loaded(make_ours, logps, monkeypatch):
    import trl.trainer.dpo_trainer

    def loading(*args, **kwargs):
        raise AssertionError("a reference model was loaded")

    monkeypatch.setattr(trl.trainer.dpo_trainer, "create_model_from_path", loading)
    trainer, _ = make_ours(Objective("sigmoid", 0.1))
    assert trainer.ref_model is None
    assert trainer.train_dataset["ref_chosen_logps"] == logps["chosen"]


def test_original_slic_formula():
    chosen, rejected = torch.tensor([-10.0, -10.0, -3.0]), torch.tensor([-12.0, -10.5, -2.0])
    loss = original_slic_loss(chosen, rejected, delta=1.0, sft_weight=0.1)
    margins = [max(0, 1 + 10 - 12), max(0, 1 + 10 - 10.5), max(0, 1 + 3 - 2)]
    assert loss.tolist() == pytest.approx([margins[0] + 1.0, margins[1] + 1.0, margins[2] + 0.3])


def test_original_slic_is_what_is_trained(make_ours, logps):
    trainer, batch = make_ours(Objective(ORIGINAL_SLIC, 1.0, delta=2.0, sft_weight=0.5))
    loss = trainer.compute_loss(trainer.model, batch)
    terms = [
        max(0.0, 2.0 - chosen + rejected) - 0.5 * chosen
        for chosen, rejected in zip(logps["chosen"], logps["rejected"], strict=True)
    ]
    assert loss.item() == pytest.approx(sum(terms) / len(logps["chosen"]), rel=1e-5)
    loss.backward()
    assert all(weight.grad is not None for weight in trainer.model.parameters())


def test_pair_statistics():
    from dpo_stages.training.trainers import pair_statistics

    # log pi(y1|x), log pi(y2|x), and the same under the reference model
    pairs = torch.tensor([[-10.0, -14.0, -12.0, -13.0], [-20.0, -18.0, -20.0, -20.0]])
    statistics = pair_statistics(pairs, beta=0.5)
    assert statistics == pytest.approx(
        {
            "logps_chosen": -15,
            "logps_rejected": -16,
            "logps_difference": (4 - 2) / 2,
            "logps_difference_std": 3,
            "logps_difference_abs": 3,
            "rewards_chosen": 0.5 * (2 + 0) / 2,
            "rewards_rejected": 0.5 * (-1 + 2) / 2,
            "rewards_margin": 0.5 * (3 - 2) / 2,
            "accuracy": 0.5,
        }
    )
