"""What stops a run before its first job, and what is said and remembered of one that does not end well.

The only module that reaches inside Snakemake. It takes the `workflow` object of a Snakefile and relies on

    dag.needrun_jobs()        the jobs that are about to run, with .rule.name, .resources, .output and .log
    scheduler.failed          the jobs that failed
    scheduler.job_rate_limiter   None is no limit
    persistence.started(job)  marks a job's outputs as unfinished; persistence.input(file) lists what a file was made of
    local_exec                whether jobs run on this machine

since no hook of Snakemake tells any of it. A test holds the locked release to each (tests/study/test_guards.py).
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def start_jobs_at_once(workflow: Any) -> None:
    """Take away Snakemake's limit on jobs started a second, which nothing here needs.

    For it Snakemake 9 looks at the ready jobs again a second after each look, and once more for every job that has
    finished: in a long run that takes a whole core.
    """
    workflow.scheduler.job_rate_limiter = None


def reasons_not_to_start(workflow: Any) -> Iterator[str]:
    """Why a run cannot end well, each with what to do about it; none as a rule."""
    jobs = list(workflow.dag.needrun_jobs())
    if earlier := jobs_of_folder(Path.cwd()):
        yield (
            "jobs of an earlier run are still in SLURM's queue and would write the same files; cancel them with "
            f"`scancel {' '.join(earlier)}`, then start again"
        )
    on_gpus = sorted({job.rule.name for job in jobs if job.resources.get("gpu")})
    if on_gpus and workflow.local_exec and not shutil.which("nvidia-smi"):
        yield (
            f"{', '.join(on_gpus)} need an NVIDIA GPU and this machine has none; "
            "run the small study with `--profile demo` or this one on a cluster with `--profile slurm`"
        )
    models = [job for job in jobs if job.rule.name in ("fetch_model", "train_sft", "train_policy")]
    needed, free = sum(job.resources["disk_mb"] for job in models) / 1e3, shutil.disk_usage(".").free / 1e9
    if needed > free:
        yield (
            f"{len(models)} models are to be kept, which takes about {needed:.0f} GB, and {free:.0f} GB are free here; "
            "make room, or ask for less (`results/plan.csv` says what takes how much)"
        )


def failures(workflow: Any) -> Iterator[str]:
    """The jobs that failed, each with the last words of its program: of bad input the sentence that says what to do."""
    for job in sorted(workflow.scheduler.failed, key=str):
        for log in map(Path, job.log):
            lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
            last_words = next((line.strip() for line in reversed(lines) if line.strip()), "(it says nothing)")
            yield f"{job.rule.name} failed, see {log}:\n    {last_words}"


def mark_unfinished(workflow: Any) -> None:
    """Mark what is yet to be made as unfinished until it is, so that the next run makes it, whatever becomes of this one.

    Snakemake itself writes down a failed job as if it had been done with these settings. It deletes what the job was to
    make, but what earlier runs made of that is there, and would pass as up to date.
    """
    for job in workflow.dag.needrun_jobs():
        workflow.persistence.started(job)


def mark_readers_of_unfinished(workflow: Any) -> None:
    """After a failure: mark as well what was made of what is missing now, wherever it was made and whoever asked for it."""
    from snakemake.io import IOFile

    missing = {str(file) for job in workflow.dag.needrun_jobs() for file in job.output if not Path(file).exists()}
    for file in (IOFile(str(path)) for path in Path("results").rglob("*")):
        if not missing.isdisjoint(workflow.persistence.input(file) or ()):
            workflow.persistence.started(SimpleNamespace(output=[file]))


def jobs_of_folder(folder: Path) -> list[str]:
    """Ids of the user's jobs in the queue that Snakemake submitted from this working folder.

    No ids where there is no SLURM or it does not answer.
    """
    if not shutil.which("squeue"):
        return []
    command = ["squeue", "--me", "--noheader", "--format=%i|%k|%Z"]
    lines = subprocess.run(command, text=True, capture_output=True, check=False).stdout.splitlines()
    jobs = [line.split("|", 2) for line in lines if line.count("|") >= 2]
    # Snakemake's plugin says in the comment which rule a job is of.
    return [job for job, comment, place in jobs if comment.startswith("rule_") and Path(place).resolve() == folder]
