"""A process that has Snakemake loaded and has planned the demo once, and is forked for every command of `dry_runs.py`.

Each line of standard input is a command, {"arguments", "folder", "out", "err"}; each line that is printed is an exit code.
What Snakemake says is in the two files.
"""

import contextlib
import gc
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

from clones import link_workflow
from snakemake.cli import main
from snakemake.executors import touch


def snakemake(arguments: list[str], folder: str | Path, out: str = os.devnull, err: str = os.devnull) -> None:
    """One command, with the words of this process in two files from now on."""
    for stream, name, mode in ((0, os.devnull, "rb"), (1, out, "wb"), (2, err, "wb")):
        with open(name, mode) as file:
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    sys.argv = ["snakemake", *arguments]
    main(arguments)


def load() -> None:
    """Run a command for what it loads, none of which may be the study's own."""
    touch.Executor.SLEEPING_TIME = 0  # a tenth of a second a job otherwise; times have nanoseconds
    path = [*sys.path]
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(SystemExit):
        snakemake(["-n", "--profile", "demo", "all"], link_workflow(Path(folder)))
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("dpo_")]:
        del sys.modules[name]
    assert threading.active_count() == 1, "a fork has the thread alone that forks"
    gc.collect()
    gc.freeze()  # else the first collection of each fork copies all that it shares


def serve() -> None:
    commands, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    load()
    for line in commands:
        if (child := os.fork()) == 0:
            snakemake(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=replies, flush=True)


if __name__ == "__main__":
    serve()
