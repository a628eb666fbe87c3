"""What the guards rely on inside Snakemake, and what they say."""

import functools
import inspect
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake.cli  # noqa: F401 - the other modules import each other in a circle that only this order opens
from snakemake.dag import DAG
from snakemake.exceptions import print_exception
from snakemake.jobs import Job as SnakemakeJob
from snakemake.logging import LoggerManager
from snakemake.persistence import PersistenceBase
from snakemake.persistence.file import FilePersistence
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.workflow import Workflow

from dpo_stages.study import guards, telling

RELIED_ON = {
    "DAG.needrun_jobs gives the jobs about to run": (DAG.needrun_jobs, r"def needrun_jobs\(self"),
    "DAG.targetfiles are the files that were asked for": (DAG, r"for file in self\.targetfiles"),
    "Job.wildcards_dict gives the wildcards by name": (SnakemakeJob, r"self\.wildcards_dict\b"),
    "Workflow.local_exec says whether jobs run on this machine": (Workflow, r"def local_exec\(self"),
    "Workflow.configfiles are those of the command line and of the Snakefile": (
        Workflow,
        r"self\.configfiles = list\(self\.config_settings\.configfiles\)(?s:.*)self\.configfiles\.append\(fp\)",
    ),
    "JobScheduler.failed collects the jobs that failed": (JobScheduler, r"self\.failed = set\(\)"),
    "JobScheduler.running collects the jobs that run": (JobScheduler, r"self\.running = set\(\)"),
    "JobScheduler.keepgoing says whether the rest goes on": (
        JobScheduler,
        r"if user_kill or \(not self\.keepgoing and errors\)",
    ),
    "JobScheduler._handle_error is called of each failed job": (
        JobScheduler,
        r"for job in self\._toerror:\s+self\._handle_error\(job\)",
    ),
    "JobScheduler looks at ready jobs after those that failed": (
        JobScheduler.schedule,
        r"self\._error_jobs\(\)\s+needrun = set\(self\.open_jobs\)",
    ),
    "DAG.register_running takes jobs from the ready ones": (DAG.register_running, r"self\._ready_jobs -= jobs"),
    "DAG.update_ready leaves alone what runs": (DAG.update_ready, r"job in self\._running"),
    "DAG.targetjobs are those that make the targets": (DAG, r"self\.targetjobs = set\(\)"),
    "DAG.job_dependencies gives the jobs that make inputs": (DAG, r"def job_dependencies\(self, job"),
    "DAG.bfs goes through DAG.depending": (DAG, r"self\.bfs\(self\.depending, "),
    "DAG.checkpoint_jobs are those that may add jobs": (DAG, r"def checkpoint_jobs\(self"),
    "the handler for the terminal is DefaultStreamHandler": (
        LoggerManager,
        r"stream_handler\.name = \"DefaultStreamHandler\"",
    ),
    "records of errors name their exception": (print_exception, r"exception=ex\.__class__\.__name__"),
    "loggers are told of jobs that are done before DAG.finish": (
        JobScheduler,
        r"event=LogEvent\.JOB_FINISHED, job_id=job\.jobid(?s:.*?)self\.workflow\.dag\.finish\(",
    ),
    "JobScheduler.finished_jobs of len(dag) are done": (
        JobScheduler.progress,
        r"done=self\.finished_jobs,\s+total=len\(self\.workflow\.dag\)",
    ),
    "Snakemake says when it selects jobs in these words": (JobScheduler, re.escape(telling._SELECTING)),
    "JobScheduler.job_rate_limiter may be None": (JobScheduler, r"if self\.job_rate_limiter is not None"),
    "persistence.started(job) marks a job's outputs": (PersistenceBase, r"def started\(self, job"),
    "persistence.started looks at job.output alone": (PersistenceBase, r"for f in job\.output"),
    "records lie in .snakemake/metadata": (
        FilePersistence,
        r"_metadata_path = os\.path\.join\(self\.path, \"metadata\"\)",
    ),
    "begun files lie in .snakemake/incomplete": (FilePersistence, r"os\.path\.join\(self\.path, \"incomplete\"\)"),
    "persistence.input(file) lists what a file was made of": (PersistenceBase, r"def input\(self, path"),
}


@pytest.mark.parametrize("sentence", RELIED_ON)
def test_snakemake_has_what_the_guards_reach_for(sentence):
    where, pattern = RELIED_ON[sentence]
    assert re.search(pattern, inspect.getsource(where)), (
        f"this release of Snakemake has changed: no longer so: {sentence}"
    )


class Job(SimpleNamespace):
    """A job, to be put in a set."""

    def __hash__(self):
        return id(self)


def job(name, *, gpu=0, disk_mb=0, whole_mb=0, checkpoint_mb=0, log=(), wildcards=(), output=()):
    resources = {"gpu": gpu, "disk_mb": disk_mb, "whole_mb": whole_mb, "checkpoint_mb": checkpoint_mb}
    return Job(rule=SimpleNamespace(name=name), resources=resources, log=log, wildcards=wildcards, output=output)


def workflow(*jobs, failed=(), local=True):
    return SimpleNamespace(
        dag=SimpleNamespace(needrun_jobs=lambda: iter(jobs)),
        scheduler=SimpleNamespace(failed=set(failed)),
        local_exec=local,
    )


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi, no squeue


def test_nothing_stops_a_run_that_can_end_well():
    assert list(guards.reasons_not_to_start(workflow(job("make_table"), job("train_policy")))) == []
    assert list(guards.reasons_not_to_start(workflow(job("train_policy", gpu=4), local=False))) == []


def test_results_that_came_without_records_are_refused_unless_they_are_touched(monkeypatch):
    ledger, config = Path("results/boundary/m/sft.ledger.json"), dict.fromkeys(guards.WHAT_RESULTS_STAND_ON, "mine")
    asked = functools.partial(guards.results_without_records, config, json.loads)
    assert asked() is None
    ledger.parent.mkdir(parents=True)
    assert asked() is None  # nothing is there yet
    ledger.touch()
    said = asked()
    assert said.startswith("results/ has results that Snakemake has no record of") and "--touch" in said
    for kind in ("metadata", "incomplete"):  # finished, or killed before anything was
        record = Path(".snakemake", kind, "record")
        record.parent.mkdir(parents=True)
        assert asked() == said
        record.touch()
        assert asked() is None
        record.unlink()
    for key in config:  # the configuration that came with them is of another study
        guards.RUN_CONFIG.write_text(json.dumps({**config, key: "another"}))
        assert asked() == said
    guards.RUN_CONFIG.write_text(json.dumps({**config, "seeds": [7]}))
    assert asked() is None
    guards.RUN_CONFIG.unlink()
    monkeypatch.setattr("sys.argv", ["snakemake", "--touch", "all"])
    assert asked() is None


def test_gpu_jobs_on_a_machine_without_one_and_a_disk_too_small_are_said_each():
    gpu, disk = guards.reasons_not_to_start(
        workflow(job("train_policy", gpu=4, disk_mb=10**12), job("judge_outputs", gpu=1))
    )
    assert gpu.startswith("judge_outputs, train_policy need an NVIDIA GPU") and "accelerator: cpu" in gpu
    assert disk.startswith(
        "1 models are to be kept, which takes about 1000000000 GB in results/policies, results/checkpoints"
    )


def disks(monkeypatch, **free):
    """File systems by the first folder of a path below results, with so many GB free."""

    def which(place):
        return next((name for name in free if name in str(place)), "here")

    numbers = {name: number for number, name in enumerate([*free, "here"])}
    monkeypatch.setattr(guards, "_disk", lambda place: Disk(which(place), numbers[which(place)]))
    monkeypatch.setattr(guards.shutil, "disk_usage", lambda disk: SimpleNamespace(free=1e9 * free.get(disk.name, 1e6)))


class Disk(SimpleNamespace):
    """A folder on a disk."""

    def __init__(self, name, number):
        super().__init__(name=name, stat=lambda: SimpleNamespace(st_dev=number))


def test_each_disk_is_measured_where_the_files_will_lie(monkeypatch):
    monkeypatch.setenv("HF_HOME", "/cache")
    jobs = [job("fetch_model", disk_mb=3000), job("train_policy", disk_mb=3000, checkpoint_mb=18_000)]
    disks(monkeypatch, policies=2, checkpoints=30)
    (said,) = guards.reasons_not_to_start(workflow(*jobs))
    assert "takes about 3 GB in results/policies, and 2 GB are free there" in said
    disks(monkeypatch, policies=5, checkpoints=10, cache=1)
    said = list(guards.reasons_not_to_start(workflow(*jobs)))
    assert len(said) == 2 and "in results/checkpoints" in "".join(said) and "in /cache/hub" in "".join(said)
    disks(monkeypatch, policies=5, checkpoints=30)
    assert list(guards.reasons_not_to_start(workflow(*jobs))) == []
    adapters = [job("train_policy", disk_mb=200, whole_mb=16_000) for _ in range(3)]
    disks(monkeypatch, policies=16)
    (said,) = guards.reasons_not_to_start(workflow(*adapters))
    assert "takes about 17 GB in results/policies, and 16 GB are free there" in said


def test_the_disk_behind_a_link_counts(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results/policies").symlink_to(tmp_path / "scratch")
    assert guards._disk(guards.RESULTS / "policies") == tmp_path / "scratch"
    assert guards._disk(guards.RESULTS / "models") == tmp_path / "results"


@pytest.mark.parametrize("path", ["/scratch/my study", "/scratch/a&b", "/scratch/(1)"])
def test_a_path_that_slurms_jobs_cannot_be_started_through_is_refused(path, monkeypatch):
    monkeypatch.setattr("sys.executable", f"{path}/.venvs/workflow/bin/python")
    (said,) = guards.reasons_not_to_start(workflow(local=False))
    assert path in said and "move the workflow and the study" in said
    assert list(guards.reasons_not_to_start(workflow(local=True))) == []


def test_a_failed_job_ends_with_the_last_words_of_its_program_or_of_what_should_have_started_it(tmp_path):
    (tmp_path / "a.log").write_text("loading\ntrain_policy: the loss is nan\n\n")
    slurm = tmp_path / "results/logs/slurm/rule_sample/m_sft_train"
    slurm.mkdir(parents=True)
    (slurm / "7.log").write_text("slurmstepd: error: execve(): python: No such file or directory\n")
    jobs = [
        job("train_policy", log=["a.log"]),
        job("sample", log=["gone.log"], wildcards=["m/sft", "train"]),
        job("sample", log=["gone.log"], wildcards=["other"]),
    ]
    said = set(guards.failures(workflow(failed=jobs)))
    assert said == {
        "train_policy failed, see a.log:\n    train_policy: the loss is nan",
        "sample failed, see results/logs/slurm/rule_sample/m_sft_train/7.log:\n"
        "    slurmstepd: error: execve(): python: No such file or directory",
        "sample failed, see .snakemake/log:\n    its program did not start",
    }


def test_what_was_made_of_something_missing_is_marked_through_links_and_circles(tmp_path):
    scratch = tmp_path / "scratch"
    (scratch / "deep").mkdir(parents=True)
    (scratch / "deep/a.json").touch()
    (scratch / "deep/circle").symlink_to(scratch)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/b.json").touch()
    (tmp_path / "results/evaluations").symlink_to(scratch)
    marked = []
    study = workflow(job("train_policy", output=["results/policies/gone"]))
    study.persistence = SimpleNamespace(
        input=lambda file: ["results/policies/gone"] if file.endswith("a.json") else ["results/b.json"],
        started=lambda job: marked.extend(map(str, job.output)),
    )
    guards.mark_readers_of_unfinished(study)
    assert marked == ["results/evaluations/deep/a.json"]


def test_what_is_about_to_run_is_given_by_rules_with_the_wildcards():
    jobs = [job("fetch_model"), job("fetch_model"), job("measure_boundary")]
    for number, one in enumerate(jobs):
        one.wildcards_dict = {"base": f"model-{number}"}
    assert guards.planned(workflow(*jobs)) == {
        "fetch_model": [{"base": "model-0"}, {"base": "model-1"}],
        "measure_boundary": [{"base": "model-2"}],
    }
