"""Checkpoints of an unfinished training: used again only if whole, and only by the very same training.

    CHECKPOINTS/fingerprint.json         what the training is made of: inputs, arguments, versions
    CHECKPOINTS/checkpoint-STEP/…        the trainer's own files
    CHECKPOINTS/checkpoint-STEP/whole.json   written last: the size of every file

A process can be killed at any moment. A checkpoint without its `whole.json`, or with a file of another size, counts
for nothing; an older one is deleted only when a newer one is whole.
"""

import re
import shutil
from pathlib import Path

from dpo_stages.core.files import read_json, write_json

FINGERPRINT = "fingerprint.json"
WHOLE = "whole.json"


def open_checkpoints(folder: Path, fingerprint: dict) -> Path | None:
    """Make `folder` ready for a training and find the checkpoint that it goes on from.

    Args:
        folder: the training's own folder; it is emptied unless it belongs to the same training.
        fingerprint: everything that decides the trained weights, as JSON.

    Returns:
        The newest whole checkpoint, or None to start afresh.
    """
    if _read(folder / FINGERPRINT) != fingerprint:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / FINGERPRINT, fingerprint)
        return None
    return newest_checkpoint(folder)


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`, if any."""
    return next((checkpoint for checkpoint in _checkpoints(folder) if _is_whole(checkpoint)), None)


def close_checkpoint(checkpoint: Path) -> None:
    """Declare a checkpoint whole, once all processes have written theirs, and delete the older ones."""
    write_json(checkpoint / WHOLE, _sizes(checkpoint))
    for other in _checkpoints(checkpoint.parent):
        if other != checkpoint:
            shutil.rmtree(other)


def delete_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a training that is done."""
    shutil.rmtree(folder, ignore_errors=True)


def pausing_step(until: float | None, epochs: float, max_steps: int) -> int:
    """The step after which a training of `max_steps` in `epochs` ends that pauses at a share of an epoch; at least the first."""
    return max_steps if until is None else min(max_steps, max(1, round(until / epochs * max_steps)))


def _checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, the newest first."""
    found = {path: re.fullmatch(r"checkpoint-(\d+)", path.name) for path in folder.iterdir()}
    return sorted((path for path in found if found[path]), key=lambda path: -int(found[path][1]))


def _is_whole(checkpoint: Path) -> bool:
    return _read(checkpoint / WHOLE) == _sizes(checkpoint)


def _sizes(checkpoint: Path) -> dict[str, int]:
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != WHOLE)
    return {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in files}


def _read(path: Path) -> object:
    from dpo_stages.core.errors import BadInput

    try:
        return read_json(path)
    except BadInput:
        return None
