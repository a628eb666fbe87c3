"""What supervised fine-tuning and preference optimisation have in common, from the data to the finished policy."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, replacing_folder, sha256, write_text
from dpo_stages.core.libraries import end_now
from dpo_stages.core.manifests import link_files, write_manifest
from dpo_stages.models.merging import ADAPTER, absent_weights, merge_adapter, set_apart, whole_policy
from dpo_stages.models.rounding import narrow_weights
from dpo_stages.models.weights import CONFIG, TRAINING_LOG, is_weights, load_model, unchanged_weights, write_config
from dpo_stages.study import paths
from dpo_stages.study.policies import Policy
from dpo_stages.training.checkpoints import delete_checkpoints, open_checkpoints, pausing_step
from dpo_stages.training.margins import MarginSample, kept_margin, room_for, warn_of_lost_margin
from dpo_stages.training.settings import PLACES, TrainingSettings, world_size

if TYPE_CHECKING:
    from dpo_stages.training.trainers import ResumableTrainer

VERSIONED = ("torch", "transformers", "trl", "accelerate")


def describe(settings: TrainingSettings, inputs: dict[str, Path], **method: object) -> dict:
    """What decides the trained weights: every setting but those about places, and the hashes of the inputs.

    Args:
        settings: of the training.
        inputs: files that are read, by name.
        method: settings that only this kind of training has.
    """
    deciding = {name: value for name, value in asdict(settings).items() if name not in PLACES} | method
    deciding = {
        name: value for name, value in deciding.items() if value is not None or name not in ("rounding", "lora")
    }
    return {
        "policy": deciding.pop("policy"),
        "arguments": dict(sorted(deciding.items())),
        "inputs": {name: sha256(path) for name, path in inputs.items()},
        "versions": {name: version(name) for name in (*VERSIONED, *(["peft"] if settings.lora else []))},
    }


def starting_point(folder: Path, settings: TrainingSettings, dropout: bool = True) -> dict[str, object]:
    """The trainer's arguments `model` and `peft_config`: a policy, and what is trained beside its frozen weights, if anything.

    Nobody else may hold the model, whose memory is freed before the policy is saved.

    Args:
        folder: of the policy.
        settings: of the training.
        dropout: whether the policy has that of its configuration; LoRA has its own.

    Raises:
        BadInput: the policy cannot be loaded, or has not the layers that LoRA is to train.
    """
    with _for_all_processes(folder) as whole:
        model = load_model(whole, settings.max_length, narrow=settings.narrow, dropout=dropout)
        model.name_or_path = str(folder)  # where PEFT looks up the configuration when it saves
        return {"model": model, "peft_config": settings.lora.config(model, whole) if settings.lora else None}


@contextlib.contextmanager
def _for_all_processes(folder: Path) -> Iterator[Path]:
    """`whole_policy`, made once where several processes train together."""
    if not absent_weights(folder):
        yield folder
        return
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    state = PartialState()
    with whole_policy(folder) if state.is_main_process else contextlib.nullcontext() as whole:
        (whole,) = broadcast_object_list([whole])
        yield whole
        state.wait_for_everyone()


def train(trainer: "ResumableTrainer", checkpoints: Path, about: dict) -> None:
    """Train to the end, or to where the trainer pauses, from the newest whole checkpoint of the very same training.

    Args:
        trainer: with its model and data.
        checkpoints: folder of the training's checkpoints.
        about: everything that decides the trained weights, as `describe` gives it.

    Raises:
        SystemExit: the process was asked to terminate (SIGTERM); it has left a checkpoint.
    """
    with trainer.accelerator.main_process_first():
        checkpoint = open_checkpoints(checkpoints, {**about, "processes": world_size()})
    pauses = (trainer.until, trainer.args.num_train_epochs)
    if checkpoint and trainer.until is not None:  # what lies at the pause or behind it does not lead there
        state = read_json(checkpoint / "trainer_state.json")
        checkpoint = checkpoint if state["global_step"] < pausing_step(*pauses, state["max_steps"]) else None
    if checkpoint and trainer.is_world_process_zero():
        print(f"going on from {checkpoint}", flush=True)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.state.global_step < pausing_step(*pauses, trainer.state.max_steps):
        print(f"terminated after step {trainer.state.global_step}; the next run goes on from there", flush=True)
        raise SystemExit(128 + 15)


def save_policy(
    trainer: "ResumableTrainer",
    settings: TrainingSettings,
    initial: Path,
    about: dict,
    sample: MarginSample | None = None,
) -> dict[str, float | None]:
    """Write the trained policy's folder, and delete the checkpoints of its training unless it goes on later.

    Weights and their precision are new; everything else is the initial policy's, byte for byte, so that no iteration
    can drift in its tokenizer, its chat template or its ends of sequence. What LoRA has trained lies beside them, and may be all that
    is kept.

    Args:
        trainer: after training.
        settings: of the training.
        initial: manifest of the policy that training started from.
        about: what the manifest says besides the files.
        sample: pairs to tell by what rounding leaves of the training, if it was one on pairs.

    Returns:
        For the ledger, in the main process: the share of unchanged weights, and where weights were rounded the margins on
        `sample`.

    Raises:
        BadInput: training has left the weights as they were.
    """
    counts: dict[str, float | None] = {}
    if not trainer.is_world_process_zero():
        trainer.save_whole_model(settings.output.parent)  # takes part in gathering the weights, writes nothing
    else:
        with replacing_folder(settings.output.parent) as folder:
            trainer.save_whole_model(folder)
            trainer.release_model()
            if settings.lora:
                about = {**about, "beside": _set_apart(folder, settings, initial)}
            with whole_policy(initial.parent) as whole:
                counts = _finish_weights(folder, settings, whole, sample)
            # Safetensors makes private files; results are shared like any other file.
            for path in folder.rglob("*.safetensors"):
                path.chmod((folder / CONFIG).stat().st_mode)
            kept = [
                name
                for name in read_json(initial)["files"]
                if not is_weights(name) and not name.startswith(f"{ADAPTER}/")
            ]
            link_files(initial.parent, (name for name in kept if name not in (CONFIG, TRAINING_LOG)), folder)
            write_text(folder / TRAINING_LOG, "".join(f"{json.dumps(row)}\n" for row in training_log(trainer)))
            write_manifest(folder, about)
            if settings.keep == ADAPTER:
                for path in filter(lambda path: is_weights(path.name), folder.iterdir()):
                    path.unlink()
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero() and trainer.until is None:
        delete_checkpoints(settings.checkpoints)
    trainer.accelerator.end_training()
    return counts


def end_process() -> None:
    """End one of several processes at once, when everything is written.

    Threads that a process group leaves behind abort a process now and then in its last moments, even after the group was
    destroyed, and a finished training would count as failed.
    """
    if world_size() > 1:
        end_now()


def _set_apart(folder: Path, settings: TrainingSettings, initial: Path) -> dict[str, object]:
    """Give what LoRA has trained a folder of its own; for the manifest, what makes the trained policy's weights of it.

    The policy that it is added to goes by its id on the hub where it is as it came from there, else by its folder in the study.
    """
    manifest = read_json(initial)
    model = manifest.get("model", manifest)
    named = manifest.get("policy")
    own = Path(paths.policy(named) if named else paths.base_model(Policy.parse(settings.policy).model)).parent
    base, revision = (model["path"], model["revision"]) if model.get("revision") else (str(own), None)
    set_apart(folder, base, revision)
    beside = {
        "base": base,
        "initial": os.path.relpath(initial.parent, settings.output.parent),
        "manifest": sha256(initial),
    }
    if settings.saved_dtype != "float32":
        beside["rounding"] = {"rounding": settings.rounding, "key": settings.rounding_key}
    return beside


def _finish_weights(
    folder: Path, settings: TrainingSettings, initial: Path, sample: MarginSample | None
) -> dict[str, float | None]:
    """Turn what the trainer saved into weights in the precision that is kept and their configuration; see `save_policy`."""
    if settings.lora:
        merge_adapter(folder, initial)
    for path in folder.iterdir():
        if path.is_file() and not is_weights(path.name):
            path.unlink()
    write_config(initial, folder, "float32")
    rounds = settings.saved_dtype != "float32"
    measured = rounds and sample and room_for(folder)
    differences = [sample.difference(policy) for policy in (initial, folder)] if measured else []
    if rounds:
        narrow_weights(folder, settings.rounding, settings.rounding_key)
        write_config(initial, folder, settings.saved_dtype)
    unchanged = unchanged_weights(folder, initial)
    if unchanged == 1:
        raise BadInput(
            f"the trained policy equals {initial}: the learning rate {settings.learning_rate:g} is too low, or the steps "
            f"are too few, to change a {settings.saved_dtype} weight"
        )
    if not differences:
        return {"unchanged_weights": unchanged}
    margins = kept_margin(*differences, sample.difference(folder))
    warn_of_lost_margin(**margins, rounding=settings.rounding)
    return {"unchanged_weights": unchanged, **margins}


def training_log(trainer: "ResumableTrainer") -> list[dict]:
    """One row a step: its number, then what the trainer measured by name; no times, which differ from run to run."""
    # Rows that were in a checkpoint come back with sorted keys, so all are sorted.
    return [
        {"step": row["step"], **{key: row[key] for key in sorted(row) if key != "step"}}
        for row in trainer.state.log_history
        if "loss" in row
    ]
