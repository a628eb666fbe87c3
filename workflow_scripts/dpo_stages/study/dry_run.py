"""Snakemake's own answer to what a whole study takes: its jobs, and the graph of its rules."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dpo_stages.core.errors import BadInput


def dry_run(snakefile: Path, configuration: str, targets: Sequence[str], *options: str) -> str:
    """What Snakemake prints when it is to make targets anew and only says what it would do.

    Args:
        snakefile: of the workflow.
        configuration: the study's whole configuration, as JSON.
        targets: what is to be made.
        options: of Snakemake, such as `--rulegraph dot`.

    Raises:
        BadInput: Snakemake cannot plan it.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(configuration)
        file.flush()
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--dry-run", "--forceall"]
        command += ["--nolock", "--cores", "1", *options, "--configfile", file.name, "--", *targets]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise BadInput(f"Snakemake cannot plan {' '.join(targets)}: {said[-500:]}")
    return done.stdout
