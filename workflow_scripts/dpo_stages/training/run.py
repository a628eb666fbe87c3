"""What supervised fine-tuning and preference optimisation have in common, from their flags to the finished policy."""

import argparse
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.arguments import duration, positive_float, positive_int, seed, share
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, replacing_folder, sha256, write_text
from dpo_stages.core.libraries import end_now
from dpo_stages.core.manifests import MANIFEST, link_files, write_manifest
from dpo_stages.models.weights import CONFIG, TRAINING_LOG, is_weights, narrow_weights, same_weights, write_config
from dpo_stages.study.policies import Policy
from dpo_stages.training.checkpoints import delete_checkpoints, open_checkpoints

if TYPE_CHECKING:
    from transformers import Trainer

DTYPES = ("float32", "bfloat16")
SCHEDULERS = ("cosine", "linear", "constant_with_warmup", "constant")
MAX_GRADIENT_NORM = 1.0  # the paper does not name one; this is the trainers' own default
VERSIONED = ("torch", "transformers", "trl", "accelerate")


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that both kinds of training take."""
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
        help="bfloat16: mixed precision with float32 master weights, saved in bfloat16",
    )
    parser.add_argument("--seed", type=seed, required=True, help="of the rows' order and of dropout")
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
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MANIFEST", help=f"…/{MANIFEST}; its folder is replaced"
    )


def check_training_flags(arguments: argparse.Namespace, trained_by: str) -> None:
    """Check what can be checked before anything is loaded.

    Args:
        arguments: parsed flags of `add_training_flags`.
        trained_by: "sft" or "preferences": what the policy's name must agree with.

    Raises:
        BadInput: the policy's name, the output's name or the batch sizes do not fit.
    """
    policy = Policy.parse(arguments.policy)
    if (policy.iteration == 0) != (trained_by == "sft"):
        expected = "MODEL/sft" if trained_by == "sft" else "MODEL/METHOD/SOURCE-SOURCE"
        raise BadInput(f"--policy {arguments.policy}: the name of the policy that this program makes is {expected}")
    if arguments.output.name != MANIFEST:
        raise BadInput(f"--output must end in {MANIFEST}, which lists the checkpoint beside it; got {arguments.output}")
    checkpoints = arguments.checkpoints.resolve()
    if arguments.output.parent.resolve() in (checkpoints, *checkpoints.parents):
        raise BadInput("--checkpoints must lie outside the folder of --output, which is replaced in the end")
    accumulation_steps(arguments.batch_size, arguments.per_device_batch_size, world_size())


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


def trainer_settings(arguments: argparse.Namespace) -> dict:
    """Settings that both trainers take, as keyword arguments of their configuration."""
    import torch
    from transformers import TrainingArguments

    on_accelerator = torch.accelerator.is_available()
    processes = world_size()
    if processes == 1 and torch.cuda.device_count() > 1:
        raise BadInput(
            f"{torch.cuda.device_count()} GPUs are visible to one process: start the program with "
            "'accelerate launch', or leave one GPU visible through CUDA_VISIBLE_DEVICES"
        )
    # Transformers is renaming this setting; the old name still works, with a warning.
    names = ("activation_checkpointing", "gradient_checkpointing")
    recomputing = next(name for name in names if name in TrainingArguments.__dataclass_fields__)
    return {
        "output_dir": str(arguments.checkpoints),
        "learning_rate": arguments.learning_rate,
        "num_train_epochs": arguments.epochs,
        "per_device_train_batch_size": arguments.per_device_batch_size,
        "gradient_accumulation_steps": accumulation_steps(
            arguments.batch_size, arguments.per_device_batch_size, processes
        ),
        "warmup_steps": arguments.warmup_ratio,  # below 1 it is a share of the steps
        "lr_scheduler_type": arguments.scheduler,
        "max_grad_norm": MAX_GRADIENT_NORM,
        "max_length": arguments.max_length,
        "seed": arguments.seed,
        "data_seed": arguments.seed,
        "bf16": arguments.dtype == "bfloat16",
        "use_cpu": not on_accelerator,
        "ddp_find_unused_parameters": False,
        "ddp_backend": "gloo" if processes > 1 and not on_accelerator else None,
        # FSDP brings its own, which must not be combined with this one.
        recomputing: on_accelerator and os.environ.get("FSDP_ACTIVATION_CHECKPOINTING") != "true",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "log_level": "error",
        "log_level_replica": "error",
        "save_strategy": "no",  # trainers.Checkpointing saves
        "report_to": "none",
        "disable_tqdm": True,
    }


def describe(arguments: argparse.Namespace, inputs: dict[str, Path]) -> dict:
    """What decides the trained weights: every flag but those about places, and the hashes of the inputs."""
    places = {"output", "checkpoints", "checkpoint_minutes", *inputs}
    flags = {name: value for name, value in sorted(vars(arguments).items()) if name not in places}
    return {
        "policy": flags.pop("policy"),
        "arguments": flags,
        "inputs": {name: sha256(path) for name, path in inputs.items()},
        "versions": {name: version(name) for name in VERSIONED},
    }


def train(trainer: "Trainer", arguments: argparse.Namespace, about: dict) -> None:
    """Train to the end, from the newest whole checkpoint of the very same training if there is one.

    Raises:
        SystemExit: the process was asked to terminate (SIGTERM); it has left a checkpoint.
    """
    with trainer.accelerator.main_process_first():
        checkpoint = open_checkpoints(arguments.checkpoints, {**about, "processes": world_size()})
    if checkpoint and trainer.is_world_process_zero():
        print(f"going on from {checkpoint}", flush=True)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.state.global_step < trainer.state.max_steps:
        print(f"terminated after step {trainer.state.global_step}; the next run goes on from there", flush=True)
        raise SystemExit(128 + 15)


def save_policy(trainer: "Trainer", arguments: argparse.Namespace, initial: Path, about: dict) -> None:
    """Write the trained policy's folder, and delete the checkpoints of its training.

    Weights and their precision are new; everything else is the initial policy's, byte for byte, so that no iteration
    can drift in its tokenizer, its chat template or its ends of sequence.

    Args:
        trainer: after training.
        arguments: flags of `add_training_flags`.
        initial: manifest of the policy that training started from.
        about: what the manifest says besides the files.

    Raises:
        BadInput: training has left the weights as they were.
    """
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    if not trainer.is_world_process_zero():
        trainer.save_model(str(arguments.output.parent))  # takes part in gathering the weights, writes nothing
    else:
        with replacing_folder(arguments.output.parent) as folder:
            trainer.save_model(str(folder))
            _keep_weights(folder, arguments.dtype)
            write_config(initial.parent, folder, arguments.dtype)
            for path in folder.iterdir():  # safetensors makes private files; results are shared like any other file
                path.chmod((folder / CONFIG).stat().st_mode)
            if same_weights(folder, initial.parent):
                raise BadInput(
                    f"the trained policy equals {initial.parent}: the learning rate {arguments.learning_rate:g} over "
                    f"{trainer.state.max_steps} steps is too low to change a {arguments.dtype} weight"
                )
            kept = [name for name in read_json(initial)["files"] if not is_weights(name)]
            link_files(initial.parent, (name for name in kept if name not in (CONFIG, TRAINING_LOG)), folder)
            write_text(folder / TRAINING_LOG, "".join(f"{json.dumps(row)}\n" for row in training_log(trainer)))
            write_manifest(folder, about)
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        delete_checkpoints(arguments.checkpoints)
    trainer.accelerator.end_training()


def end_process() -> None:
    """End one of several processes at once, when everything is written.

    Threads that a process group leaves behind abort a process now and then in its last moments, even after the group was
    destroyed, and a finished training would count as failed.
    """
    if world_size() > 1:
        end_now()


def _keep_weights(folder: Path, dtype: str) -> None:
    import torch

    for path in folder.iterdir():
        if not is_weights(path.name):
            path.unlink()
    if dtype != "float32":
        narrow_weights(folder, getattr(torch, dtype))


def training_log(trainer: "Trainer") -> list[dict]:
    """One row a step: its number, then what the trainer measured by name; no times, which differ from run to run."""
    # Rows that were in a checkpoint come back with sorted keys, so all are sorted.
    return [
        {"step": row["step"], **{key: row[key] for key in sorted(row) if key != "step"}}
        for row in trainer.state.log_history
        if "loss" in row
    ]
