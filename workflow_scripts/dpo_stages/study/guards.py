"""What stops a run before its first job, what is said while it goes on, and what is remembered of one that does not end well.

With `telling` the only module that reaches inside Snakemake. It takes the `workflow` object of a Snakefile and relies on

    dag.needrun_jobs()        the jobs that are about to run, with .rule.name, .wildcards_dict, .resources, .output and .log
    dag.targetfiles           the files that were asked for
    dag.targetjobs, dag.job_dependencies(job), dag.depending, dag.bfs   how jobs hang together
    dag.checkpoint_jobs       those that may yet add jobs
    dag.register_running(jobs)   takes jobs from those that may start
    scheduler.running         the jobs that run, or wait in a cluster's queue
    scheduler.failed          the jobs that failed
    scheduler.keepgoing       whether the rest goes on then
    scheduler._handle_error   is called for each job that fails, before others start
    scheduler.job_rate_limiter   None is no limit
    persistence.started(job)  marks a job's outputs as unfinished; persistence.input(file) lists what a file was made of
    local_exec                whether jobs run on this machine
    rules, is_rule(name)      the rules, with .products() and .is_producer(file)
    configfiles               the configuration files of the command line, and those that the Snakefile names (rules/common.smk)
    .snakemake/metadata, .snakemake/incomplete   a file for each output that is finished, or begun
    snakemake.logging.logger  with a handler for the terminal, DefaultStreamHandler, whose records of errors name their exception

since no hook of Snakemake tells any of it. A test holds the locked release to each (tests/study/test_guards.py).
"""

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dpo_stages.core.hub import cache_folder
from dpo_stages.study.salvage import of_use
from dpo_stages.study.targets import asked_for, unmade

RESULTS = Path("results")
SLURM_LOGS = RESULTS / "logs/slurm"
RUN_CONFIG = RESULTS / "run_config.yaml"
"""The resolved configuration of the last run, to be read by people; no rule reads it."""

WHAT_RESULTS_STAND_ON = ("models", "datasets", "preference_data", "preference_models", "preference_model")
"""Keys of the configuration that say whose results they are."""


def start_jobs_at_once(workflow: Any) -> None:
    """Take away Snakemake's limit on jobs started a second, which nothing here needs.

    For it Snakemake 9 looks at the ready jobs again a second after each look, and once more for every job that has
    finished: in a long run that takes a whole core.
    """
    workflow.scheduler.job_rate_limiter = None


def results_without_records(config: Mapping[str, Any], read: Callable[[str], Any]) -> str | None:
    """What to do about results in a folder where Snakemake has never recorded what was made of what; None as a rule.

    They came from elsewhere, and Snakemake takes them by their names. That is right where the configuration that came with them
    has the same models and data; where it has others, or none came, `--touch` says that it is meant; the words of the command
    are asked, because no job is planned yet that could be asked about.

    Args:
        config: the study's configuration.
        read: gives the content of a YAML file from its text.
    """
    if not {"--touch", "-t"}.isdisjoint(sys.argv):
        return None
    kinds = ("metadata/**/*", "metadata.db", "incomplete/**/*")
    records = (path for kind in kinds for path in Path(".snakemake").glob(kind))
    if any(path.is_file() for path in records) or not any(RESULTS.rglob("*.ledger.json")):
        return None
    if RUN_CONFIG.exists():
        former = read(RUN_CONFIG.read_text(encoding="utf-8"))
        if all(former.get(key) == config[key] for key in WHAT_RESULTS_STAND_ON):
            return None
    return (
        f"results/ has results that Snakemake has no record of, and {RUN_CONFIG} does not say that they were made of these models "
        "and data: bring the folder .snakemake along from where they were made, or move them away; if they are this study's "
        "own, type the same command with --touch --forceall once"
    )


def is_dry_run() -> bool:
    """Whether Snakemake only says what it would do; the words of the command tell before anything is planned."""
    return not {"-n", "--dry-run", "--dryrun"}.isdisjoint(sys.argv)


def targets(workflow: Any) -> list[str]:
    """The files that the run was asked for by name."""
    return [str(file) for file in workflow.dag.targetfiles]


def reasons_not_to_plan(workflow: Any, config: Mapping[str, Any]) -> list[str]:
    """Why files that the command asks for cannot be made, one sentence each; none as a rule."""
    asked = [file for file in asked_for(sys.argv) if not workflow.is_rule(file) and not Path(file).exists()]
    made = {str(file) for rule in workflow.rules for file in rule.products()} if asked else ()
    return [*unmade(asked, config, made, lambda file: any(rule.is_producer(file) for rule in workflow.rules))]


def planned(workflow: Any) -> dict[str, list[dict[str, str]]]:
    """The wildcards of the jobs that are about to run, by the names of their rules."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for job in workflow.dag.needrun_jobs():
        found[job.rule.name].append(dict(job.wildcards_dict))
    return found


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
            "set `accelerator: cpu` (for a study of your own `preset: laptop`), or run on a cluster with `--profile slurm`"
        )
    if not workflow.local_exec and (odd := _not_for_slurm(sys.executable) or _not_for_slurm(str(Path.cwd()))):
        yield (
            f"SLURM's jobs cannot be started through {odd}: Snakemake's plugin does not quote white space and the shell's "
            "own characters; move the workflow and the study to a path of letters, digits, dots, dashes and underscores"
        )
    yield from _disks_too_small(jobs)


def _not_for_slurm(path: str) -> str | None:
    return path if re.search(r"[\s'\"\\$&;|<>()*?\[\]{}`!#~]", path) else None


def _disks_too_small(jobs: Sequence[Any]) -> Iterator[str]:
    """A sentence for each file system that is too small for what is to be kept there.

    Models, policies and checkpoints may lie behind links, and the hub's cache elsewhere still. A checkpoint has the
    weights and both of AdamW's moments in float32, and those of one training at a time are counted; so is one whole policy
    where adapters are kept, for whoever reads it.
    """
    fetched = [job for job in jobs if job.rule.name == "fetch_model"]
    trained = [job for job in jobs if job.rule.name in ("train_sft", "train_policy")]
    cache = cache_folder()
    kept: dict[Path, int] = {}  # MB by folder
    if fetched:
        kept[RESULTS / "models"] = sum(job.resources["disk_mb"] for job in fetched)
        if _device(cache) != _device(RESULTS / "models"):  # else the files of the cache are linked
            kept[cache] = kept[RESULTS / "models"]
    if trained:
        sizes = [(job.resources["disk_mb"], job.resources["whole_mb"]) for job in trained]
        made = max(whole if whole > disk else 0 for disk, whole in sizes)
        kept[RESULTS / "policies"] = sum(disk for disk, _ in sizes) + made
        kept[RESULTS / "checkpoints"] = max(job.resources["checkpoint_mb"] for job in trained)
    places: dict[int, list[Path]] = defaultdict(list)
    for place in kept:
        places[_device(place)].append(place)
    for together in places.values():
        gigabytes, free = sum(map(kept.get, together)) / 1e3, shutil.disk_usage(_disk(together[0])).free / 1e9
        if gigabytes > free:
            yield (
                f"{len(fetched) + len(trained)} models are to be kept, which takes about {gigabytes:.0f} GB in "
                f"{', '.join(map(str, together))}, and {free:.0f} GB are free there; make room, let a link lead to a "
                "larger disk, or ask for less (`results/plan.csv` says what takes how much)"
            )


def _device(place: Path) -> int:
    return _disk(place).stat().st_dev


def _disk(place: Path) -> Path:
    """The folder that is there already, of the one in which something is to be kept."""
    return next(folder for folder in (place.resolve(), *place.resolve().parents) if folder.exists())


def running(workflow: Any) -> dict[str, str]:
    """Logs of the jobs that run now, or wait in a cluster's queue, and the rule of each."""
    return {log: job.rule.name for job in list(workflow.scheduler.running) for log in job.log}


def tell_failures_at_once(workflow: Any) -> None:
    """Say of each job that fails why, as soon as it does, and start no other that is of no use without it.

    Snakemake itself names the command and its exit code; that stays in its log, and leaves the terminal.
    """
    from snakemake.logging import logger

    scheduler = workflow.scheduler
    handle = scheduler._handle_error

    def handle_and_tell(job: Any, *arguments: Any, **options: Any) -> None:
        handle(job, *arguments, **options)
        if job in scheduler.failed:  # and is not tried again
            follows = _leave_useless_jobs(workflow) if scheduler.keepgoing else "no other job is started"
            print(*_failure(job), f"    {follows}", sep="\n", file=sys.stderr, flush=True)

    scheduler._handle_error = handle_and_tell
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.addFilter(lambda record: not _is_failed_command(record))


def _is_failed_command(record: Any) -> bool:
    return getattr(record, "exception", None) == "RuleException" and "CalledProcessError" in record.getMessage()


def _leave_useless_jobs(workflow: Any) -> str:
    """Take the jobs that are of no use after the failures from those that may start; says how many go on."""
    dag, scheduler = workflow.dag, workflow.scheduler
    lost = set(dag.bfs(dag.depending, *scheduler.failed))
    waiting = set(dag.needrun_jobs()) - scheduler.running - scheduler.failed
    left = waiting & lost
    if dag.checkpoint_jobs <= lost:  # else more jobs may come, which may need any of these
        left |= waiting - of_use(dag.targetjobs, dag.job_dependencies, lost, lambda job: job.resources.get("seconds"))
        dag.register_running(left)
    goes_on = len(waiting - left) + len(scheduler.running)
    return f"{len(left)} jobs are of no use now and left out, {goes_on} go on"


def failures(workflow: Any) -> Iterator[str]:
    """The jobs that failed, each with the last words of its program: of bad input the sentence that says what to do.

    A job whose program never started has the last words of what tried to start it.
    """
    for job in sorted(workflow.scheduler.failed, key=str):
        yield from _failure(job)


def _failure(job: Any) -> Iterator[str]:
    for log in map(Path, job.log):
        said, words = log, _last_words(log)
        if words is None:
            said = _slurm_log(job) or Path(".snakemake/log")
            words = _last_words(said) or "its program did not start"
        yield f"{job.rule.name} failed, see {said}:\n    {words}"


def _slurm_log(job: Any) -> Path | None:
    """The newest log that SLURM kept of a job, where Snakemake's plugin lets it write."""
    folder = SLURM_LOGS / f"rule_{job.rule.name}" / "_".join(job.wildcards).replace("/", "_")
    return max(folder.glob("*.log"), key=lambda path: path.stat().st_mtime, default=None)


def _last_words(log: Path) -> str | None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), None)


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
    for path in _all_files(RESULTS, set()):
        file = IOFile(str(path))
        if not missing.isdisjoint(workflow.persistence.input(file) or ()):
            workflow.persistence.started(SimpleNamespace(output=[file]))


def _all_files(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Files below a folder, through links to folders, each folder once whatever leads to it."""
    if (place := folder.resolve()) in seen or not folder.is_dir():
        return
    seen.add(place)
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _all_files(path, seen)
        else:
            yield path


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
