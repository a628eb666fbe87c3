"""Settings that supervised fine-tuning and preference optimisation have in common, and their flags."""

import argparse
import os
from dataclasses import dataclass, fields
from pathlib import Path

from dpo_stages.core.arguments import duration, positive_float, positive_int, seed, share
from dpo_stages.core.errors import BadInput
from dpo_stages.core.manifests import MANIFEST
from dpo_stages.models.merging import ADAPTER, KEPT, WHOLE
from dpo_stages.models.rounding import ROUNDINGS
from dpo_stages.study.policies import Policy
from dpo_stages.training.adapters import ALL_LINEAR, Lora, lora_from
from dpo_stages.training.watching import NOBODY, PROJECT, WATCHERS, prepare

DTYPES = ("float32", "bfloat16")
SCHEDULERS = ("cosine", "linear", "constant_with_warmup", "constant")
MAX_GRADIENT_NORM = 1.0  # the paper does not name one; this is the trainers' own default


@dataclass(frozen=True)
class TrainingSettings:
    """What decides a training besides its data, its initial policy and its loss, and where it is written.

    Attributes:
        learning_rate: peak, of AdamW.
        epochs: passes over the data.
        batch_size: the effective one: rows a step, over all devices.
        per_device_batch_size: rows at once on one device.
        warmup_ratio: share of the steps in which the learning rate rises, in [0, 1).
        scheduler: of the learning rate after that, one of `SCHEDULERS`.
        max_length: of a whole row, in tokens.
        dtype: one of `DTYPES`; bfloat16 is mixed precision with float32 master weights.
        rounding: one of `ROUNDINGS`, by which the master weights are saved; None if `dtype` is float32.
        lora: what is trained beside frozen weights; None to train all weights.
        seed: of the rows' order, of dropout and of stochastic rounding.
        policy: name of the policy that is made.
        checkpoints: folder of this training alone; kept until it is done, so that a rerun goes on where a killed run was.
        checkpoint_minutes: between two checkpoints; 0 writes one after every step.
        report_to: one of `WATCHERS`, which shows the training while it runs.
        curves: folder of what it keeps here.
        keep: one of `KEPT`: the policy's weights, or no more than LoRA's matrices that make them of the initial policy's.
        output: the manifest that is written; its folder is replaced.
    """

    learning_rate: float
    epochs: float
    batch_size: int
    per_device_batch_size: int
    warmup_ratio: float
    scheduler: str
    max_length: int
    dtype: str
    rounding: str | None
    lora: Lora | None
    seed: int
    policy: str
    checkpoints: Path
    checkpoint_minutes: float
    report_to: str
    curves: Path | None
    keep: str
    output: Path

    @property
    def saved_dtype(self) -> str:
        """Precision of the weights in the policy's folder."""
        return "float32" if self.rounding in (None, "none") else "bfloat16"

    @property
    def narrow(self) -> bool:
        """Whether frozen weights take no more memory than products need."""
        return self.lora is not None and self.dtype == "bfloat16"

    @property
    def rounding_key(self) -> str:
        """What the random numbers of stochastic rounding are made of besides a tensor's name.

        No iteration repeats another's, and policies that are compared with each other are rounded alike.
        """
        return f"{self.seed}/{Policy.parse(self.policy).iteration}"


PLACES = ("checkpoints", "checkpoint_minutes", "report_to", "curves", "keep", "output")
"""Settings that do not decide the trained weights."""


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `training_settings_from` reads."""
    parser.add_argument("--learning-rate", type=positive_float, required=True, help="peak, of AdamW")
    parser.add_argument("--epochs", type=positive_float, required=True)
    parser.add_argument(
        "--batch-size", type=positive_int, required=True, metavar="N", help="effective: rows a step, over all devices"
    )
    parser.add_argument(
        "--per-device-batch-size", type=positive_int, required=True, metavar="N", help="rows at once on one device"
    )
    parser.add_argument("--warmup-ratio", type=share, required=True, help="share of the steps that warm up")
    parser.add_argument("--scheduler", choices=SCHEDULERS, required=True, help="of the learning rate after warming up")
    parser.add_argument("--max-length", type=positive_int, required=True, metavar="TOKENS", help="of a whole row")
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        required=True,
        help="bfloat16: mixed precision with float32 master weights",
    )
    parser.add_argument(
        "--rounding",
        choices=ROUNDINGS,
        help="how --dtype bfloat16 saves the master weights: each as the nearest bfloat16, as one of its two neighbours "
        "drawn without a bias, or in float32",
    )
    parser.add_argument(
        "--lora-rank", type=positive_int, metavar="N", help="train products of this rank beside frozen weights"
    )
    parser.add_argument("--lora-alpha", type=positive_float, metavar="X", help="scales them by this over the rank")
    parser.add_argument("--lora-dropout", type=share, metavar="SHARE", help="of a layer's inputs that they do not see")
    parser.add_argument(
        "--lora-targets", nargs="+", metavar="LAYER", help=f"names of linear layers, as q_proj; or {ALL_LINEAR}"
    )
    parser.add_argument("--seed", type=seed, required=True, help="of the rows' order, dropout and stochastic rounding")
    parser.add_argument("--policy", required=True, metavar="NAME", help="name of the policy that is made")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="of this training alone; kept until it is done, so that a rerun goes on where a killed run was",
    )
    parser.add_argument(
        "--checkpoint-minutes",
        type=duration,
        required=True,
        metavar="MINUTES",
        help="between two checkpoints; 0 writes one after every step",
    )
    parser.add_argument("--report-to", choices=WATCHERS, default=NOBODY, help="shows the training while it runs")
    parser.add_argument("--curves", type=Path, metavar="FOLDER", help="of what that keeps here")
    parser.add_argument("--keep", choices=KEPT, default=WHOLE, help="the weights, or LoRA's matrices that make them")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MANIFEST", help=f"…/{MANIFEST}; its folder is replaced"
    )


def training_settings_from(arguments: argparse.Namespace, trained_by: str) -> TrainingSettings:
    """What a program's flags say, checked as far as can be before anything is loaded.

    Args:
        arguments: parsed flags of `add_training_flags`.
        trained_by: "sft" or "preferences": what the policy's name must agree with.

    Raises:
        BadInput: the policy's name, the output's name or the batch sizes do not fit, or nobody can watch.
    """
    given = {field.name: getattr(arguments, field.name) for field in fields(TrainingSettings) if field.name != "lora"}
    settings = TrainingSettings(**given, lora=lora_from(arguments))
    policy = Policy.parse(settings.policy)
    if (policy.iteration == 0) != (trained_by == "sft"):
        expected = "MODEL/sft" if trained_by == "sft" else "MODEL/METHOD/SOURCE-SOURCE"
        raise BadInput(f"--policy {settings.policy}: the name of the policy that this program makes is {expected}")
    if (settings.rounding is None) != (settings.dtype == "float32"):
        raise BadInput("--rounding belongs to --dtype bfloat16, which needs it; with float32 nothing is rounded")
    if settings.keep == ADAPTER and not settings.lora:
        raise BadInput(f"--keep {ADAPTER} belongs to LoRA; without --lora-rank and its like, all weights are trained")
    if settings.output.name != MANIFEST:
        raise BadInput(f"--output must end in {MANIFEST}, which lists the checkpoint beside it; got {settings.output}")
    checkpoints = settings.checkpoints.resolve()
    if settings.output.parent.resolve() in (checkpoints, *checkpoints.parents):
        raise BadInput("--checkpoints must lie outside the folder of --output, which is replaced in the end")
    prepare(settings.report_to, settings.curves)
    accumulation_steps(settings.batch_size, settings.per_device_batch_size, world_size())
    return settings


def world_size() -> int:
    """Number of processes, one a device, as `accelerate launch` and `torchrun` announce it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def accumulation_steps(batch_size: int, per_device_batch_size: int, processes: int) -> int:
    """Number of forward and backward passes a step, so that a step sees `batch_size` rows whatever the devices.

    Raises:
        BadInput: `batch_size` is not a multiple of what all devices take at once.
    """
    at_once = per_device_batch_size * processes
    if batch_size % at_once:
        raise BadInput(
            f"the batch size {batch_size} is no multiple of {per_device_batch_size} rows a device on {processes} "
            f"device{'s' if processes > 1 else ''}; change per_device_batch_size or the number of devices"
        )
    return batch_size // at_once


def trainer_arguments(settings: TrainingSettings) -> dict[str, object]:
    """Keyword arguments that `trl.SFTConfig` and `trl.DPOConfig` both take.

    Raises:
        BadInput: several GPUs are visible to a single process.
    """
    import torch

    on_accelerator = torch.accelerator.is_available()
    if settings.lora:  # of layers that FSDP wraps for it, PEFT would save nothing, without a word
        os.environ["FSDP_ACTIVATION_CHECKPOINTING"] = "false"
    processes = world_size()
    if processes == 1 and torch.cuda.device_count() > 1:
        raise BadInput(
            f"{torch.cuda.device_count()} GPUs are visible to one process: start the program with "
            "'accelerate launch', or leave one GPU visible through CUDA_VISIBLE_DEVICES"
        )
    return {
        "output_dir": str(settings.checkpoints),
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.per_device_batch_size,
        "gradient_accumulation_steps": accumulation_steps(
            settings.batch_size, settings.per_device_batch_size, processes
        ),
        "warmup_steps": settings.warmup_ratio,  # below 1 it is a share of the steps
        # Transformers' own constant one does not warm up.
        "lr_scheduler_type": "constant_with_warmup" if settings.scheduler == "constant" else settings.scheduler,
        "max_grad_norm": MAX_GRADIENT_NORM,
        "max_length": settings.max_length,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "bf16": settings.dtype == "bfloat16",
        "use_cpu": not on_accelerator,
        "ddp_find_unused_parameters": False,
        "ddp_backend": "gloo" if processes > 1 and not on_accelerator else None,
        # FSDP brings its own, which must not be combined with this one.
        "activation_checkpointing": on_accelerator and os.environ.get("FSDP_ACTIVATION_CHECKPOINTING") != "true",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "log_level": "error",
        "log_level_replica": "error",
        "save_strategy": "no",  # trainers.Checkpointing saves
        "report_to": settings.report_to,
        "run_name": settings.policy,
        "project": PROJECT,
        "disable_tqdm": True,
    }
