"""Everything that relies on how TRL and Transformers work inside, beyond what they document.

tests/training/test_trl_contract.py holds the libraries to it: a version that works otherwise fails there first.
"""

import gc
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import torch
from transformers import Trainer
from trl import DPOTrainer
from trl.trainer import dpo_trainer

from dpo_stages.training.prefix_sharing import SharedPrefix
from dpo_stages.training.step_order import LikeLengths


class LocalTrainer(Trainer):
    """What both trainers leave out and add; to be inherited from before TRL's own.

    Args:
        lengths: of all rows in tokens, to compute those of a step in the order of their lengths; None: in the order drawn.
    """

    def __init__(self, *args, lengths: Sequence[int] | None = None, **kwargs) -> None:
        self._lengths = lengths
        super().__init__(*args, **kwargs)

    def _get_train_sampler(self, train_dataset=None):
        accumulation, devices = self.args.gradient_accumulation_steps, self.accelerator.num_processes
        if self._lengths is None or accumulation * devices == 1:
            return super()._get_train_sampler(train_dataset)
        return LikeLengths(self._lengths, self._train_batch_size, accumulation, devices, self.args.data_seed)

    def _run_epoch(self, model, epoch, train_dataloader, *args, **kwargs):
        """An epoch, resumed or not. Accelerate does not reach the sampler of several processes behind the batches it skips."""
        batches = train_dataloader.batch_sampler
        while hasattr(batches, "batch_sampler"):
            batches = batches.batch_sampler
        if isinstance(batches.sampler, LikeLengths):
            batches.sampler.set_epoch(epoch)
        return super()._run_epoch(model, epoch, train_dataloader, *args, **kwargs)

    def create_model_card(self, *args, **kwargs) -> None:
        """Write none, as TRL would with every checkpoint: a policy's manifest says where it comes from."""

    def save_whole_model(self, folder: Path) -> None:
        """Write the weights to `folder`; all processes take part, and one of them writes."""
        if self.is_fsdp_enabled:  # checkpoints are sharded; a policy is not
            self.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
        self.save_model(str(folder))

    def release_model(self) -> None:
        """Free the memory of the model and of the optimiser, of which nothing is needed any more."""
        self.accelerator.free_memory()
        for holder in (self, self.callback_handler):
            holder.model = holder.optimizer = holder.lr_scheduler = None
        self.model_wrapped = None
        gc.collect()
        if torch.accelerator.is_available():
            torch.accelerator.empty_cache()


class GivenReferenceTrainer(DPOTrainer):
    """TRL's `DPOTrainer` on tokens and reference log-probabilities that are given; it never loads a reference model.

    Args:
        prefix_sharing: compute the prompt of a pair once for both of its responses.
    """

    def __init__(self, *args, prefix_sharing: bool = False, **kwargs) -> None:
        self._prefix_sharing = prefix_sharing
        # Under FSDP it would load one even so, to compute in shards what is given.
        with mock.patch.object(dpo_trainer, "create_model_from_path", return_value=None):
            super().__init__(*args, **kwargs)

    # It would tokenise, and compute the reference log-probabilities with the policy; both are done.

    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset

    def _precompute_ref_logps(self, dataset, *args, **kwargs):
        return dataset

    def loss_and_logps(self, model, inputs, num_items_in_batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """TRL's loss, and log pi(y|x) of the chosen and of the rejected responses, in nats, shape (pairs,).

        TRL computes the log-probabilities and keeps no more than their mean, so they are read off the model's output.
        """
        outputs = []

        def recording(**kwargs):
            outputs.append(self._shared(model, inputs, kwargs) if self._prefix_sharing else model(**kwargs))
            return outputs[-1]

        loss = super().compute_loss(recording, inputs, num_items_in_batch=num_items_in_batch)
        chosen, rejected = outputs[0].log_probs.sum(dim=1).chunk(2)
        return loss, chosen, rejected

    @staticmethod
    def _shared(model, inputs, kwargs):
        """The model's output for two rows a pair, of one row a pair."""
        mask = inputs["completion_mask"]
        pairs = SharedPrefix.of(inputs["input_ids"], inputs["attention_mask"], mask)
        given = {key: value for key, value in kwargs.items() if key not in ("input_ids", "attention_mask", "labels")}
        output = model(
            input_ids=pairs.input_ids,
            attention_mask=pairs.attention_mask,
            position_ids=pairs.position_ids,
            shift_labels=pairs.shift_labels,
            **given,
        )
        fields = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
        spread = {name: pairs.spread(output[name], mask) for name in fields if output.get(name) is not None}
        return type(output)(**spread)

    def drop_means(self) -> None:
        """Keep TRL from logging its means: they are taken over micro-batches, ours over the pairs of a step."""
        self._metrics["train"].clear()
