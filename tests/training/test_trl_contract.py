"""What training relies on in TRL and Transformers beyond what they document; a failure names what they changed."""

from pathlib import Path

import pytest
from tiny import chat_rows

from dpo_stages.models.weights import load_model
from dpo_stages.training.losses import Objective

DPO = Objective("sigmoid", beta=0.1)


@pytest.mark.parametrize(
    "name",
    [
        "_prepare_dataset",
        "_precompute_ref_logps",
        "create_model_card",
        "_get_train_sampler",
        "_run_epoch",
        "get_batch_samples",
    ],
)
def test_a_method_that_is_overridden_is_there(name):
    from trl import DPOTrainer

    assert callable(getattr(DPOTrainer, name, None)), f"trl.DPOTrainer has no {name} any more: overriding it is in vain"


def test_the_data_are_prepared_by_the_methods_that_are_overridden(make_trainer):
    from dpo_stages.training.trl_internals import GivenReferenceTrainer

    called = []

    class Noting(GivenReferenceTrainer):
        def _prepare_dataset(self, dataset, *args, **kwargs):
            called.append("_prepare_dataset")
            return super()._prepare_dataset(dataset, *args, **kwargs)

        def _precompute_ref_logps(self, dataset, *args, **kwargs):
            called.append("_precompute_ref_logps")
            return super()._precompute_ref_logps(dataset, *args, **kwargs)

    make_trainer(Noting, DPO.trl_arguments())
    assert called == ["_prepare_dataset", "_precompute_ref_logps"], (
        f"trl.DPOTrainer prepares its data by {called} alone"
    )


def test_under_fsdp_a_reference_model_is_loaded_by_the_function_that_is_replaced(make_trainer, monkeypatch):
    from trl import DPOTrainer
    from trl.trainer import dpo_trainer

    from dpo_stages.training.trl_internals import GivenReferenceTrainer

    class Sharded:
        def _prepare_dataset(self, dataset, *args, **kwargs):
            return dataset

        _precompute_ref_logps = _prepare_dataset

        def _send_telemetry(self):  # the last call before the set-up of DPOTrainer itself
            self.is_fsdp_enabled = True

    loaded = []
    monkeypatch.setattr(dpo_trainer, "create_model_from_path", lambda *args, **kwargs: loaded.append(args))
    make_trainer(type("Theirs", (Sharded, DPOTrainer), {}), DPO.trl_arguments())
    assert len(loaded) == 1, "under FSDP, trl.DPOTrainer no longer loads its reference model by create_model_from_path"
    trainer, _ = make_trainer(type("Ours", (Sharded, GivenReferenceTrainer), {}), DPO.trl_arguments())
    assert len(loaded) == 1 and trainer.ref_model is None, "under FSDP, trl.DPOTrainer loads a reference model even so"


def test_the_sampler_that_is_overridden_gives_the_order_of_the_rows(make_trainer):
    from dpo_stages.training.trl_internals import GivenReferenceTrainer, LocalTrainer

    class Reversed(LocalTrainer, GivenReferenceTrainer):
        def _get_train_sampler(self, train_dataset=None):
            return range(len(self.train_dataset))[::-1]

    trainer, _ = make_trainer(Reversed, DPO.trl_arguments())
    order = [row for batch in trainer.get_train_dataloader().batch_sampler for row in batch]
    assert order == [5, 4, 3, 2, 1, 0], "Transformers' Trainer draws its rows by another method than _get_train_sampler"


def test_the_models_output_has_the_log_probabilities(make_ours, logps):
    trainer, batch = make_ours(DPO)
    calls = []

    def counting(*args, **kwargs):
        calls.append(trainer.model(*args, **kwargs))
        return calls[-1]

    _, chosen, rejected = trainer.loss_and_logps(counting, batch, None)
    assert len(calls) == 1, f"trl.DPOTrainer calls the policy {len(calls)} times a batch, where it was once"
    for name, found in (("chosen", chosen), ("rejected", rejected)):
        assert found.tolist() == pytest.approx(logps[name], abs=1e-4), (
            f"the log_probs that trl.DPOTrainer has the model give are not those of the {name} responses' tokens any more"
        )


def test_batches_have_the_given_columns(make_ours, logps):
    trainer, _ = make_ours(DPO)
    batch = next(iter(trainer.get_train_dataloader()))
    for name in ("chosen", "rejected"):
        assert f"ref_{name}_logps" in batch, f"trl.DPOTrainer drops the column ref_{name}_logps"
        assert sorted(batch[f"ref_{name}_logps"].tolist()) == pytest.approx(sorted(logps[name])), (
            f"trl.DPOTrainer changes the column ref_{name}_logps"
        )


def test_means_are_logged_from_where_they_are_dropped(make_ours):
    trainer, batch = make_ours(DPO)
    trainer.model.train()
    trainer.compute_loss(trainer.model, batch)
    assert trainer._metrics["train"], "trl.DPOTrainer does not collect its means in _metrics any more"
    trainer.drop_means()
    trainer.log({"anything": 1.0})
    more = set(trainer.state.log_history[-1]) - {"anything", "epoch", "step"}
    assert not more, f"trl.DPOTrainer logs {sorted(more)} from elsewhere than _metrics"


def test_a_checkpoint_is_complete_when_callbacks_are_told(make_ours):
    from dpo_stages.training.checkpoints import newest_checkpoint

    trainer, _ = make_ours(DPO, checkpoint_minutes=0)
    trainer.train()  # three steps, of which the last writes none
    folder = Path(trainer.args.output_dir)
    checkpoint = newest_checkpoint(folder)
    assert checkpoint is not None and checkpoint.name == "checkpoint-2", (
        "transformers.Trainer calls on_save before a checkpoint has all its files"
    )
    assert not list(folder.rglob("README.md")), (
        "trl.DPOTrainer writes a model card though create_model_card does nothing"
    )


def test_warmup_below_one_is_a_share_of_the_steps(tmp_path):
    from transformers import TrainingArguments

    steps = TrainingArguments(output_dir=str(tmp_path), warmup_steps=0.25, use_cpu=True).get_warmup_steps(8)
    assert steps == 2, f"transformers takes warmup_steps of 0.25 as {steps} of 8 steps, not as a share"


@pytest.mark.parametrize("name", ["DPOConfig", "SFTConfig"])
def test_activation_checkpointing_is_what_is_set(tmp_path, name):
    import trl

    config = getattr(trl, name)(output_dir=str(tmp_path), activation_checkpointing=False, use_cpu=True, bf16=False)
    assert not config.gradient_checkpointing, (
        f"trl.{name} recomputes activations though activation_checkpointing is off"
    )


@pytest.fixture
def conversations(tokenizer):
    """Conversations as rows, and the same packed to rows of 48 tokens."""
    import pyarrow as pa

    from dpo_stages.data.schemas import CHAT
    from dpo_stages.models.conversation_tokens import pack, tokenize_conversations

    table = pa.Table.from_pylist(chat_rows(8), schema=CHAT)
    packed, _ = pack(tokenize_conversations(tokenizer, table, 48, loss_on_prompts=True, packing=True).table, 48, seed=0)
    return {"rows": tokenize_conversations(tokenizer, table, 128).table, "packed": packed}


@pytest.mark.parametrize("kind", ["rows", "packed"])
def test_conversations_are_taken_as_they_are(tmp_path, model, tokenizer, conversations, kind):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokens = conversations[kind]
    trainer = SFTTrainer(
        load_model(model.parent, 96),
        args=SFTConfig(
            output_dir=str(tmp_path),
            dataset_kwargs={"skip_prepare_dataset": True},
            per_device_train_batch_size=1,
            report_to="none",
            use_cpu=True,
            bf16=False,
        ),
        train_dataset=Dataset(tokens, fingerprint="conversations"),
        processing_class=tokenizer,
    )
    batches = list(trainer.get_train_dataloader())
    found = sorted(batch["labels"][0].tolist() for batch in batches)
    assert found == sorted(tokens["labels"].to_pylist()), "trl.SFTTrainer does not learn the labels that are given"
    more = {name for batch in batches for name in batch} - {"input_ids", "labels", "attention_mask"}
    assert not more, f"trl.SFTTrainer gives the model {sorted(more)} as well, so a row is more than one text"
    assert all(batch["attention_mask"].all() for batch in batches), "trl.SFTTrainer masks tokens of a row that is alone"


def test_sharded_weights_can_be_gathered(make_ours):
    from accelerate import FullyShardedDataParallelPlugin

    trainer, _ = make_ours(DPO)
    assert trainer.is_fsdp_enabled is False, "transformers.Trainer does not say in is_fsdp_enabled whether it shards"
    assert callable(getattr(FullyShardedDataParallelPlugin, "set_state_dict_type", None)), (
        "accelerate's plugin of FSDP has no set_state_dict_type any more"
    )


def test_telemetry_is_the_hubs():
    from huggingface_hub.utils import send_telemetry
    from trl.trainer import base_trainer

    assert base_trainer.send_telemetry is send_telemetry, (
        "TRL's telemetry is not the hub's any more, which HF_HUB_DISABLE_TELEMETRY switches off"
    )
