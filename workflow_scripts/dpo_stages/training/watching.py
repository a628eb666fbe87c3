"""Curves of a training while it runs: TensorBoard's files, or a service that Transformers reports to.

What there is to know of a service's account, keys among it, stands in its own environment variables and nowhere else.
"""

import importlib.util
import os
import sys
from pathlib import Path

from dpo_stages.core.errors import BadInput

NOBODY = "none"

PROJECT = "dpo-stages"
"""Under which a service shows runs, unless its environment variable says another."""

_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "trackio": "trackio"}
_FOLDERS = {"tensorboard": "TENSORBOARD_LOGGING_DIR", "wandb": "WANDB_DIR", "trackio": "TRACKIO_DIR"}

WATCHERS = (NOBODY, *_PACKAGES)


def prepare(watcher: str, folder: Path | None) -> None:
    """Make sure that a training can be watched, and that what the watcher keeps here is kept in one folder.

    Args:
        watcher: one of `WATCHERS`.
        folder: for its files; None for where it puts them by itself.

    Raises:
        BadInput: its package is not installed.
    """
    if watcher == NOBODY:
        return
    package = _PACKAGES[watcher]
    if importlib.util.find_spec(package) is None:
        raise BadInput(
            f"report_to {watcher} needs the package {package}, which this environment has not: install it with "
            f"'python3 -m pip --python {sys.executable} install {package}', or set report_to to tensorboard or none"
        )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[_FOLDERS[watcher]] = str(folder.resolve())
    os.environ.setdefault("WANDB_PROJECT", PROJECT)
