"""Losses by name: what they start at, and the original form of SLiC-HF."""

import math
import random

import pytest
import torch

from dpo_stages.core.errors import BadInput
from dpo_stages.study.objectives import MAY_BE_SMOOTHED, ORIGINAL_SLIC, SMOOTHED, SORTED
from dpo_stages.training.losses import LOSSES, Objective, original_slic_loss


def objective(name: str, beta: float = 0.2, **more) -> Objective:
    """A loss with what it needs."""
    needed = {"delta": 1.0, "sft_weight": 0.5} if name == ORIGINAL_SLIC else {}
    needed |= {"label_smoothing": 0.1} if name in SMOOTHED else {}
    return Objective(name, beta, **{**needed, **more})


TRLS = [name for name in LOSSES if name != ORIGINAL_SLIC]


@pytest.fixture(scope="module")
def trl_loss(make_trainer):
    """TRL's own value of an objective, of its DPOTrainer with nothing but the data preparation taken out."""
    from trl import DPOTrainer

    class Prepared(DPOTrainer):
        def _prepare_dataset(self, dataset, *args, **kwargs):
            return dataset

        _precompute_ref_logps = _prepare_dataset

    def compute(given: dict, **more) -> float:
        trainer, batch = make_trainer(Prepared, given, **more)
        return trainer.compute_loss(trainer.model, batch).item()

    return compute


@pytest.mark.parametrize("name", TRLS)
def test_the_first_loss_is_what_trl_computes_where_log_ratios_are_zero(trl_loss, name):
    ours = objective(name)
    assert trl_loss(ours.trl_arguments()) == pytest.approx(ours.first_loss(), rel=1e-4)


@pytest.mark.parametrize("name", MAY_BE_SMOOTHED)
def test_smoothing_does_not_change_the_first_loss_of_sorted_log_ratios(trl_loss, name):
    ours = objective(name, label_smoothing=0.3)
    assert trl_loss(ours.trl_arguments()) == pytest.approx(ours.first_loss(), rel=1e-4)


@pytest.fixture(scope="module")
def reference(logps) -> dict[str, list[float]]:
    """Of another model: log-ratios within 3 nats of zero."""
    generator = random.Random(0)
    return {name: [value + generator.uniform(-3, 3) for value in values] for name, values in logps.items()}


@pytest.mark.parametrize("name", TRLS)
def test_a_loss_of_trl_is_trained_by_its_name(make_ours, trl_loss, reference, name):
    trainer, batch = make_ours(objective(name), reference=reference)
    theirs = trl_loss(objective(name).trl_arguments(), reference=reference)
    assert trainer.compute_loss(trainer.model, batch).item() == theirs
    assert theirs != pytest.approx(objective(name).first_loss(), rel=1e-4)


@pytest.mark.parametrize("name", [*SMOOTHED, *MAY_BE_SMOOTHED])
def test_label_smoothing_changes_what_is_trained(trl_loss, reference, name):
    less, more = (
        trl_loss(objective(name, label_smoothing=share).trl_arguments(), reference=reference) for share in (0.01, 0.3)
    )
    assert less != pytest.approx(more, rel=1e-3)


@pytest.mark.parametrize("name", TRLS)
def test_a_supervised_term_adds_the_mean_over_tokens_of_the_chosen_responses(make_ours, logps, pairs, name):
    """At the first step the whole loss is known, from the reference's log-probabilities alone."""
    trainer, batch = make_ours(objective(name, sft_weight=0.7))
    loss = trainer.compute_loss(trainer.model, batch).item()
    tokens = sum(len(ids) for ids in pairs["chosen_ids"].to_pylist())
    supervised = -sum(logps["chosen"]) / tokens
    assert loss == pytest.approx(objective(name).first_loss() + 0.7 * supervised, rel=1e-4)
    assert trainer.objective.first_loss(supervised) == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("name", [name for name in TRLS if name not in SORTED])
def test_weighted_pairs_have_no_first_loss_to_be_held_against(make_ours, name):
    trainer, batch = make_ours(objective(name, use_weighting=True))
    loss = trainer.compute_loss(trainer.model, batch).item()
    assert trainer.objective.first_loss() is None
    assert 0 < loss < 0.5 * objective(name).first_loss()  # weights are probabilities


@pytest.mark.parametrize("name", [name for name in TRLS if name not in (*SMOOTHED, *MAY_BE_SMOOTHED)])
def test_trl_does_not_smooth_the_labels_of_losses_for_which_that_is_refused(trl_loss, reference, name):
    settings = objective(name).trl_arguments()
    assert trl_loss({**settings, "label_smoothing": 0.3}, reference=reference) == trl_loss(
        settings, reference=reference
    )


@pytest.mark.parametrize("name", SORTED)
def test_trl_weighs_no_sorted_pairs(trl_loss, name):
    with pytest.raises(NotImplementedError, match="WPO"):
        trl_loss({**objective(name).trl_arguments(), "use_weighting": True})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": ORIGINAL_SLIC}, "slic-original needs delta and sft_weight"),
        ({"loss": "sigmoid", "delta": 1.0}, "delta belongs to slic-original alone; take it out"),
        ({"loss": "robust"}, "robust needs label_smoothing, such as 0.1"),
        ({"loss": "exo_pair"}, "exo_pair needs label_smoothing, such as 0.001"),
        ({"loss": "sigmoid", "label_smoothing": 0.1}, "sigmoid takes no label_smoothing; leave it out, or take one of"),
        ({"loss": "robust", "label_smoothing": 0.5}, "--label-smoothing must lie between 0 and 0.5, got 0.5"),
        ({"loss": "exo_pair", "label_smoothing": 0.0}, "--label-smoothing must lie between 0 and 0.5, got 0.0"),
        ({"loss": "aot", "use_weighting": True}, "aot sorts pairs"),
        ({"loss": "sigmoid", "use_weighting": True, "sft_weight": 1.0}, "leave one of the two out"),
        (
            {"loss": ORIGINAL_SLIC, "delta": 1.0, "sft_weight": 0.0, "use_weighting": True},
            "has no use_weighting; leave it out, or take hinge",
        ),
        (
            {"loss": ORIGINAL_SLIC, "delta": 1.0, "sft_weight": 0.0, "label_smoothing": 0.1},
            "takes no label_smoothing",
        ),
        ({"loss": "sigmoid", "sft_weight": -1.0}, "--sft-weight must not be negative, got -1.0"),
    ],
)
def test_settings_that_do_not_belong_together(settings, words):
    with pytest.raises(BadInput, match=words):
        Objective(beta=0.1, **settings)


def test_a_manifest_names_what_is_set_and_is_as_it_was_where_nothing_new_is():
    assert objective("sigmoid").arguments() == {"loss": "sigmoid", "beta": 0.2, "delta": None, "sft_weight": None}
    assert objective("robust").arguments()["label_smoothing"] == 0.1


def test_the_margin_of_original_slic_is_the_hinge_of_trl_without_a_reference(make_ours, trl_loss, logps):
    """max(0, delta - D) = delta * max(0, 1 - D / delta), which is TRL's hinge with beta = 1 / delta."""
    trainer, batch = make_ours(Objective(ORIGINAL_SLIC, 1.0, delta=4.0, sft_weight=0.5))
    none = {name: [0.0] * len(values) for name, values in logps.items()}
    margins = 4 * trl_loss(objective("hinge", beta=1 / 4).trl_arguments(), reference=none)
    assert margins > 0
    loss = trainer.compute_loss(trainer.model, batch).item()
    assert loss == pytest.approx(margins - 0.5 * sum(logps["chosen"]) / len(logps["chosen"]), rel=1e-5)


def test_dpo_starts_at_ln_2_and_slic_at_1():
    assert Objective("sigmoid", 0.01).first_loss() == math.log(2)
    assert Objective("hinge", 0.01).first_loss() == 1
    assert objective(ORIGINAL_SLIC).first_loss() is None


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
