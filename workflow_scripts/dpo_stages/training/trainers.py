"""TRL's trainers, made to survive interruptions and to stop when something is wrong.

Importing this module takes seconds; programs do so after they have checked their input.
"""

import math
import signal
import time
from pathlib import Path

import torch
from transformers import PrinterCallback, TrainerCallback
from trl import SFTTrainer

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import ProgressReport
from dpo_stages.study.objectives import ORIGINAL_SLIC
from dpo_stages.training.adapters import keep_dropout
from dpo_stages.training.checkpoints import close_checkpoint, pausing_step
from dpo_stages.training.losses import Objective, chosen_tokens, original_slic_loss
from dpo_stages.training.trl_internals import GivenReferenceTrainer, LocalTrainer


class Checkpointing(TrainerCallback):
    """Save a checkpoint when enough time has passed, when training pauses, or when the process is to terminate (SIGTERM).

    A scheduler that preempts a job, or ends it at its time limit, sends SIGTERM some seconds before it kills. A checkpoint
    is declared whole in `on_save`, which Transformers calls in every process once that process has written its files.

    Args:
        accelerator: the trainer's.
        minutes: between two checkpoints.
        until: share of an epoch after which training pauses; None: it goes on to its end.
    """

    def __init__(self, accelerator, minutes: float, until: float | None = None) -> None:
        self.accelerator, self.seconds, self.until = accelerator, 60 * minutes, until
        self.terminated = False
        self.saved = time.monotonic()

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.previous = signal.signal(signal.SIGTERM, self._on_sigterm)
        self.saved = time.monotonic()

    def _on_sigterm(self, number, frame) -> None:
        self.terminated = True

    def on_step_end(self, args, state, control, **kwargs) -> None:
        due, terminated = time.monotonic() - self.saved >= self.seconds, self.terminated
        if self.accelerator.num_processes > 1:  # saving takes all processes, so they must agree
            flags = torch.tensor([due, terminated], dtype=torch.int32, device=self.accelerator.device)
            due, terminated = (self.accelerator.reduce(flags, "sum") > 0).tolist()
        pauses = state.global_step == pausing_step(self.until, args.num_train_epochs, state.max_steps)
        unfinished = state.global_step < state.max_steps
        control.should_save = unfinished and (due or terminated or pauses)
        control.should_training_stop |= unfinished and (terminated or pauses)

    def on_save(self, args, state, control, **kwargs) -> None:
        self.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            close_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}")
        self.saved = time.monotonic()

    def on_train_end(self, args, state, control, **kwargs) -> None:
        signal.signal(signal.SIGTERM, self.previous)


class ProgressLines(TrainerCallback):
    """Report progress as plain lines that stay readable in a log file, in batches: a step of many takes minutes."""

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.begun, self.batches = state.global_step, args.gradient_accumulation_steps
        if state.is_world_process_zero:
            self.report = ProgressReport("training batches", (state.max_steps - self.begun) * self.batches)

    def on_substep_end(self, args, state, control, **kwargs) -> None:
        if state.is_world_process_zero:
            self.report.advance()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.is_world_process_zero:  # the last step of an epoch may have fewer
            self.report.advance((state.global_step - self.begun) * self.batches - self.report.done)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        if state.is_world_process_zero:
            self.report.close()


class ResumableTrainer(LocalTrainer):
    """What both trainers do beyond TRL's: whole checkpoints, plain progress, and a stop at the first broken number.

    Args:
        checkpoint_minutes: between two checkpoints.
        until: share of an epoch after which training pauses, with a checkpoint to go on from; None: it does not.
        kwargs: of `LocalTrainer` and of TRL's trainer.
    """

    def __init__(self, model, args, *, checkpoint_minutes: float, until: float | None = None, **kwargs) -> None:
        torch.manual_seed(args.seed)  # TRL draws LoRA's first matrices before Transformers sets the seed
        super().__init__(model, args=args, **kwargs)
        self.until = until
        self.remove_callback(PrinterCallback)
        self.add_callback(ProgressLines())
        self.add_callback(Checkpointing(self.accelerator, checkpoint_minutes, until))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs.get(name) or 0.0):
                what = "gradient" if name == "grad_norm" else name
                raise BadInput(
                    f"the {what} is {logs[name]} at step {self.state.global_step}: training has broken down; "
                    "lower the learning rate, or look at the data of this step"
                )
        super().log(logs, start_time)


class SupervisedTrainer(ResumableTrainer, SFTTrainer):
    """TRL's `SFTTrainer`."""


class PreferenceTrainer(ResumableTrainer, GivenReferenceTrainer):
    """TRL's `DPOTrainer` on tokens and reference log-probabilities that are given.

    Args:
        objective: what is minimised; `args` must have its `trl_arguments`.
        train_dataset: columns `prompt_ids`, `chosen_ids`, `rejected_ids`, `ref_chosen_logps`, `ref_rejected_logps`.
    """

    def __init__(self, *args, objective: Objective, **kwargs) -> None:
        self.objective = objective
        self._pairs: list[torch.Tensor] = []
        self._supervised: list[torch.Tensor] = []
        self._a_micro_batch: tuple[float, float] | None = (
            None  # pairs and tokens of chosen responses, on average over a step
        )
        super().__init__(*args, **kwargs)
        if kwargs.get("peft_config"):
            keep_dropout(self.model, kwargs["peft_config"].lora_dropout)

    def get_batch_samples(self, *args, **kwargs):
        """The micro-batches of a step. Transformers averages over them, and none counts for more than its pairs."""
        batches, items = super().get_batch_samples(*args, **kwargs)
        if batches:
            pairs = sum(len(batch["input_ids"]) // 2 for batch in batches) / len(batches)
            tokens = sum(chosen_tokens(batch) for batch in batches) / len(batches)
            if self.objective.supervised_weight:  # all devices have as many pairs, and not as many tokens
                tokens = self.accelerator.gather(tokens.to(self.accelerator.device)).mean()
            self._a_micro_batch = pairs, tokens
        return batches, items

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss, chosen, rejected = self.loss_and_logps(model, inputs, num_items_in_batch)
        references = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        pairs = torch.stack([chosen.detach(), rejected.detach(), *references], dim=1)
        self._pairs.append(self.accelerator.gather(pairs))
        average, tokens = self._a_micro_batch or (len(pairs), chosen_tokens(inputs))
        if self.objective.loss == ORIGINAL_SLIC:
            loss = original_slic_loss(chosen, rejected, self.objective.delta, self.objective.sft_weight).mean()
        if len(pairs) != average:
            loss = loss * (len(pairs) / average)
        if weight := self.objective.supervised_weight:
            loss = loss - weight * chosen.sum() / tokens
            if not self.state.global_step:
                self._supervised.append(self.accelerator.gather(-inputs["ref_chosen_logps"].sum() / tokens).mean())
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            self.drop_means()
            pairs = torch.cat(self._pairs).double().cpu()
            self._pairs.clear()
            if self.state.global_step == 1:
                self._check_first_step(logs["loss"], pairs)
            logs.update(pair_statistics(pairs, self.objective.beta))
        super().log(logs, start_time)

    def _check_first_step(self, loss: float, pairs: torch.Tensor) -> None:
        """Stop unless the policy of the first step gives the responses the reference model's log-probabilities."""
        narrow = self.args.bf16
        supervised = torch.stack(self._supervised).mean().item() if self._supervised else 0.0
        expected = self.objective.first_loss(supervised)
        loss_tolerance = 2e-2 if narrow else 1e-3
        hint = (
            "the reference log-probabilities were not computed with this initial policy, template, --max-length and "
            "--dtype; compute them again"
        )
        if expected is not None and not abs(loss - expected) <= loss_tolerance * expected:
            raise BadInput(
                f"the first step's loss is {loss:.6g} where {self.objective.loss} starts at {expected:.6g}: {hint}"
            )
        off = (pairs[:, :2] - pairs[:, 2:]).abs().mean().item()
        allowed = pairs[:, 2:].abs().mean().item() * (1e-2 if narrow else 1e-5) + (1e-1 if narrow else 1e-3)
        if not off <= allowed:
            raise BadInput(
                f"the first step's log-probabilities are {off:.3g} nats off their reference on average, where "
                f"{allowed:.3g} is rounding: {hint}"
            )


def pair_statistics(pairs: torch.Tensor, beta: float) -> dict[str, float]:
    """Describe the pairs of one step.

    Args:
        pairs: log pi(y1|x), log pi(y2|x), log pi_ref(y1|x), log pi_ref(y2|x) in nats, y1 chosen and y2 rejected;
            shape (pairs, 4).
        beta: scale of the rewards beta * (log pi - log pi_ref).

    Returns:
        `logps_difference` is equation 12's intra-diversity of this step, `logps_difference_std` the (population)
        standard deviation of its terms, `logps_difference_abs` the mean of their absolute values; the rest is named
        after what it is the mean of.
    """
    chosen, rejected, ref_chosen, ref_rejected = pairs.unbind(dim=1)
    difference = chosen - rejected
    chosen_rewards, rejected_rewards = beta * (chosen - ref_chosen), beta * (rejected - ref_rejected)
    return {
        "logps_chosen": chosen.mean().item(),
        "logps_rejected": rejected.mean().item(),
        "logps_difference": difference.mean().item(),
        "logps_difference_std": difference.std(correction=0).item(),
        "logps_difference_abs": difference.abs().mean().item(),
        "rewards_chosen": chosen_rewards.mean().item(),
        "rewards_rejected": rejected_rewards.mean().item(),
        "rewards_margin": (chosen_rewards - rejected_rewards).mean().item(),
        "accuracy": (chosen_rewards > rejected_rewards).double().mean().item(),
    }
