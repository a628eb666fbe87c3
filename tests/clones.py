"""Copies of the workflow without its results, for studies that tests run."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = (
    "Snakefile",
    "config.yaml",
    "rules",
    "envs",
    "workflow_scripts",
    "demo",
    "laptop",
    "small",
    "slurm",
    "presets",
)
"""All that Snakemake reads of the repository."""


def copy_workflow(folder: Path) -> Path:
    """Copy the workflow into a folder, which is made if need be, with the environments of this checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in WORKFLOW:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venvs").symlink_to(ROOT / ".venvs")
    return folder


def link_workflow(folder: Path) -> Path:
    """The same as links, for tests that plan and change nothing."""
    for name in WORKFLOW:
        (folder / name).symlink_to(ROOT / name)
    return folder
