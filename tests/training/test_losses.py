"""Losses by name: what they start at, and the original form of SLiC-HF."""

import math

import pytest
import torch

from dpo_stages.models.weights import load_model
from dpo_stages.training.losses import LOSSES, ORIGINAL_SLIC, first_loss, original_slic_loss

PAIRS = 6


@pytest.fixture(scope="module")
def make_trainer(tmp_path_factory, model, tokenizer, preferences):
    """Trainers whose reference log-probabilities are those of the policy itself."""
    from datasets import Dataset
    from trl import DPOConfig

    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.schemas import PREFERENCES
    from dpo_stages.models.chat_tokens import tokenize_preferences
    from dpo_stages.training.logps import response_logps
    from dpo_stages.training.trainers import PreferenceTrainer

    tokens = tokenize_preferences(tokenizer, read_table(preferences, PREFERENCES).slice(0, PAIRS), 96).table
    logps = response_logps(load_model(model.parent, 96), tokens, 8, tokenizer.pad_token_id, "float32")
    pairs = tokens.append_column("ref_chosen_logps", [logps["chosen"]])
    pairs = pairs.append_column("ref_rejected_logps", [logps["rejected"]])

    def make(loss: str, beta: float, original_slic=None):
        config = DPOConfig(
            output_dir=str(tmp_path_factory.mktemp("trainer")),
            loss_type=["hinge" if original_slic else loss],
            beta=beta,
            precompute_ref_log_probs=True,
            per_device_train_batch_size=PAIRS,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            bf16=False,
        )
        trainer = PreferenceTrainer(
            load_model(model.parent, 96),
            args=config,
            train_dataset=Dataset(pairs, fingerprint="pairs"),
            processing_class=tokenizer,
            checkpoint_minutes=math.inf,
            loss=loss,
            original_slic=original_slic,
        )
        return trainer, trainer.data_collator(pairs.to_pylist()), logps

    return make


@pytest.mark.parametrize("name", [name for name in LOSSES if first_loss(name, 0.1) is not None])
def test_first_loss(make_trainer, name):
    trainer, batch, _ = make_trainer(name, beta=0.2)
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(first_loss(name, 0.2), rel=1e-4)


def test_dpo_starts_at_ln_2_and_slic_at_1():
    assert first_loss("sigmoid", 0.01) == math.log(2)
    assert first_loss("hinge", 0.01) == 1


def test_no_reference_model_is_loaded(make_trainer, monkeypatch):
    import trl.trainer.dpo_trainer

    def loading(*args, **kwargs):
        raise AssertionError("a reference model was loaded")

    monkeypatch.setattr(trl.trainer.dpo_trainer, "create_model_from_path", loading)
    trainer, _, logps = make_trainer("sigmoid", beta=0.1)
    assert trainer.ref_model is None
    assert trainer.train_dataset["ref_chosen_logps"] == logps["chosen"]


def test_original_slic_formula():
    chosen, rejected = torch.tensor([-10.0, -10.0, -3.0]), torch.tensor([-12.0, -10.5, -2.0])
    loss = original_slic_loss(chosen, rejected, delta=1.0, sft_weight=0.1)
    margins = [max(0, 1 + 10 - 12), max(0, 1 + 10 - 10.5), max(0, 1 + 3 - 2)]
    assert loss.tolist() == pytest.approx([margins[0] + 1.0, margins[1] + 1.0, margins[2] + 0.3])


def test_original_slic_is_what_is_trained(make_trainer):
    trainer, batch, logps = make_trainer(ORIGINAL_SLIC, 1.0, {"delta": 2.0, "sft_weight": 0.5})
    loss = trainer.compute_loss(trainer.model, batch)
    terms = [
        max(0.0, 2.0 - chosen + rejected) - 0.5 * chosen
        for chosen, rejected in zip(logps["chosen"], logps["rejected"], strict=True)
    ]
    assert loss.item() == pytest.approx(sum(terms) / PAIRS, rel=1e-5)
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
