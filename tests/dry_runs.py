"""Snakemake's own answer to "what reruns now?", for many edits of a study in a few minutes.

`snakemake -n` spends most of its time on starting. Here a process that has Snakemake loaded already is forked for each.
"""

import contextlib
import functools
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from forks import Forks

_JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (?P<rule>\w+):\n(?P<about>(?:    .*\n)*)", re.MULTILINE)
_OUTPUT = re.compile(r"^    output: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """A job of a plan."""

    rule: str
    outputs: tuple[str, ...]


@functools.cache
def _forks() -> Forks:
    return Forks("workflow", "loaded_snakemake")


def snakemake(*arguments: object, folder: Path) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder, as `subprocess.run` would."""
    return _forks()(*arguments, folder=folder)


class Study:
    """A study in a folder of its own: a copy of the workflow, and options that say which study it is.

    Args:
        folder: the copy, or where to make it.
        options: Snakemake's options.
        targets: what is asked for.
    """

    def __init__(self, folder: Path, options: list[str], targets: list[str]) -> None:
        self.folder, self.options, self.targets = folder, options, targets

    def snakemake(self, *more: str) -> str:
        """Run Snakemake for the targets; returns what it said, and fails if it fails."""
        done = snakemake(*self.options, "--quiet", "host", *more, "--", *self.targets, folder=self.folder)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout + done.stderr

    def plan(self, *more: str) -> list[Job]:
        """The jobs that Snakemake would run now."""
        text = self.snakemake("-n", *more)
        jobs = [
            Job(match["rule"], tuple(out.group(1).split(", ")) if (out := _OUTPUT.search(match["about"])) else ())
            for match in _JOB.finditer(text)
        ]
        assert jobs or "Nothing to be done" in text, text[-4000:]
        return [job for job in jobs if job.outputs]  # `all` makes nothing

    @contextlib.contextmanager
    def edited(self, path: str, text: str | None) -> Iterator[None]:
        """The study while a file has another text, or is gone (None); afterwards all is as before, times included."""
        file = self.folder / path
        before, times = file.read_bytes(), file.stat()
        file.unlink()  # a copy may be a hard link
        if text is not None:
            file.write_text(text)
        try:
            yield
        finally:
            file.write_bytes(before)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    @contextlib.contextmanager
    def touched(self, path: str) -> Iterator[None]:
        """The study while a file is newer than all others, with the same content."""
        with self.edited(path, (self.folder / path).read_text()):
            yield


# What `auto` took, and how a race stands after its first look: decided.
READ = {
    "results/decisions/": '{"source": "on"}',
    "results/races/looks/": '{"standing": ["off"], "verdict": "decided"}',
}


def stand_in_for_a_finished_run(study: Study, besides: Iterable[str] = ()) -> None:
    """Make every output of a study as a small file of its own and let Snakemake record them as made by its jobs.

    A dry run looks at names, times and hashes of files and at Snakemake's records, never into a result but those of READ.
    `besides` are files that lie beside the outputs.
    """
    files = {*(path for job in study.plan("--forceall") for path in job.outputs), *besides}
    while missing := {path for path in files if not (study.folder / path).exists()}:
        for path in missing:
            file = study.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if path.startswith("results/races/arms/"):
                file.mkdir()
            else:
                file.write_text(next((text for start, text in READ.items() if path.startswith(start)), f"{path}\n"))
        study.snakemake("--touch", "--forceall", "--no-hooks", "--notemp")  # no GPU is needed for it
        # What a decision adds now that it is there, and tables ask for
        files |= {path for job in study.plan("--forcerun", "make_table") for path in job.outputs}
