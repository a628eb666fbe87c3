"""The jobs of a dry run of Snakemake, and how long they take on a number of GPUs."""

import heapq
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path

from dpo_stages.core.errors import BadInput

_JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?: {4}.*\n)*)", re.MULTILINE)
_LAST_STEP = "Building DAG of jobs..."
_SHOWN = 500
"""Characters of the reason why nothing can be planned."""


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
        command += ["--ignore-incomplete", "--nolock"]  # of the run that asks, which has marked what it is to make
        command += ["--cores", "1", *options, "--configfile", file.name, "--", *targets]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise BadInput(f"Snakemake cannot plan {' '.join(targets)}: {_reason(done.stderr.strip() or done.stdout)}")
    return done.stdout


def _reason(said: str) -> str:
    """What was wrong, of all that Snakemake said: what follows on its last step, on one line, no more than its beginning."""
    words = " ".join(said.rpartition(_LAST_STEP)[-1].split())
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"


@dataclass(frozen=True)
class Job:
    """One job of a dry run.

    Attributes:
        rule: its rule.
        inputs: files it reads.
        outputs: files it makes.
        resources: whole numbers by name, as `gpu`, `seconds`, `disk_mb`, `cents`; others are left out.
    """

    rule: str
    inputs: frozenset[str]
    outputs: frozenset[str]
    resources: Mapping[str, int] = field(default_factory=dict)

    def of(self, resource: str) -> int:
        """Units of a resource, none if the job does not name it."""
        return self.resources.get(resource, 0)


def read_jobs(text: str) -> list[Job]:
    """The jobs that `snakemake --dry-run` prints.

    Raises:
        ValueError: there is none.
    """
    jobs = []
    for rule, block in _JOB.findall(text):
        fields = dict(re.findall(r"^ {4}(\w+): (.*)$", block, re.MULTILINE))
        files = {
            key: frozenset(fields[key].split(", ")) if key in fields else frozenset() for key in ("input", "output")
        }
        resources = re.findall(r"(\w+)=(\d+)(?=,|$)", fields.pop("resources", ""))
        jobs.append(Job(rule, files["input"], files["output"], {name: int(value) for name, value in resources}))
    if not jobs:
        raise ValueError("the dry run names no job")
    return jobs


def dependencies(jobs: Sequence[Job]) -> list[set[int]]:
    """For each job the numbers of those whose outputs it reads."""
    makers = {file: number for number, job in enumerate(jobs) for file in job.outputs}
    return [{makers[file] for file in job.inputs if file in makers} for job in jobs]


def tails(jobs: Sequence[Job]) -> list[int]:
    """For each job the seconds from its start to the end of the longest chain of jobs that hang on it."""
    needed = dependencies(jobs)
    longest = [job.of("seconds") for job in jobs]
    for number in reversed([*TopologicalSorter(dict(enumerate(needed))).static_order()]):
        for before in needed[number]:
            longest[before] = max(longest[before], jobs[before].of("seconds") + longest[number])
    return longest


def critical_path(jobs: Sequence[Job]) -> int:
    """Seconds that the longest chain of jobs takes: no number of GPUs is faster."""
    return max(tails(jobs))


def gpu_seconds(jobs: Sequence[Job]) -> int:
    """GPUs times seconds, over all jobs."""
    return sum(job.of("gpu") * job.of("seconds") for job in jobs)


def makespan(jobs: Sequence[Job], gpus: int) -> int:
    """Seconds until all jobs are done on `gpus` GPUs, CPU cores without limit.

    List scheduling: whenever GPUs are free, of the jobs that can start the one with the longest chain behind it does. A
    job that does not fit waits, and smaller ones go first.

    Raises:
        ValueError: a job needs more GPUs than there are.
    """
    if (most := max(job.of("gpu") for job in jobs)) > gpus:
        raise ValueError(f"a job needs {most} GPUs, and there are {gpus}")
    rank = tails(jobs)
    sorter = TopologicalSorter(dict(enumerate(dependencies(jobs))))
    sorter.prepare()
    ready, running = sorted(sorter.get_ready()), []
    now, free = 0, gpus
    while sorter.is_active():
        waiting = []
        for number in sorted(ready, key=lambda number: -rank[number]):
            if jobs[number].of("gpu") <= free:
                free -= jobs[number].of("gpu")
                heapq.heappush(running, (now + jobs[number].of("seconds"), number))
            else:
                waiting.append(number)
        now = running[0][0]
        while running and running[0][0] == now:
            _, number = heapq.heappop(running)
            free += jobs[number].of("gpu")
            sorter.done(number)
        ready = [*waiting, *sorter.get_ready()]
    return now
