"""Snakemake for `forks.py`: it has planned the demo once."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from clones import link_workflow
from snakemake.cli import main
from snakemake.executors import touch


def load() -> None:
    touch.Executor.SLEEPING_TIME = 0  # a tenth of a second a job otherwise; times have nanoseconds
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(SystemExit):
        os.chdir(link_workflow(Path(folder)))
        call(["-n", "--profile", "demo", "all"])


def call(words: list[str]) -> None:
    sys.argv = ["snakemake", *words]
    main(words)
