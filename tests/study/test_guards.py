"""What the guards rely on inside Snakemake, and what they say."""

import inspect
import re
from types import SimpleNamespace

import pytest
import snakemake.cli  # noqa: F401 - the other modules import each other in a circle that only this order opens
from snakemake.dag import DAG
from snakemake.persistence import PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.workflow import Workflow

from dpo_stages.study import guards

RELIED_ON = {
    "DAG.needrun_jobs gives the jobs about to run": (DAG.needrun_jobs, r"def needrun_jobs\(self"),
    "Workflow.local_exec says whether jobs run on this machine": (Workflow, r"def local_exec\(self"),
    "JobScheduler.failed collects the jobs that failed": (JobScheduler, r"self\.failed = set\(\)"),
    "JobScheduler.job_rate_limiter may be None": (JobScheduler, r"if self\.job_rate_limiter is not None"),
    "persistence.started(job) marks a job's outputs": (PersistenceBase, r"def started\(self, job"),
    "persistence.started looks at job.output alone": (PersistenceBase, r"for f in job\.output"),
    "persistence.input(file) lists what a file was made of": (PersistenceBase, r"def input\(self, path"),
}


@pytest.mark.parametrize("sentence", RELIED_ON)
def test_snakemake_has_what_the_guards_reach_for(sentence):
    where, pattern = RELIED_ON[sentence]
    assert re.search(pattern, inspect.getsource(where)), (
        f"this release of Snakemake has changed: no longer so: {sentence}"
    )


def job(name, *, gpu=0, disk_mb=0, log=()):
    return SimpleNamespace(
        rule=SimpleNamespace(name=name), resources={"gpu": gpu, "disk_mb": disk_mb}, log=log, output=[]
    )


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


def test_gpu_jobs_on_a_machine_without_one_and_a_disk_too_small_are_said_each():
    gpu, disk = guards.reasons_not_to_start(
        workflow(job("train_policy", gpu=4, disk_mb=10**12), job("judge_outputs", gpu=1))
    )
    assert gpu.startswith("judge_outputs, train_policy need an NVIDIA GPU") and "--profile demo" in gpu
    assert disk.startswith("1 models are to be kept, which takes about 1000000000 GB")


class Failed(SimpleNamespace):
    """A job, to be put in a set."""

    def __hash__(self):
        return 1


def test_a_failed_job_ends_with_the_last_words_of_its_program(tmp_path):
    (tmp_path / "a.log").write_text("loading\ntrain_policy: the loss is nan\n\n")
    failed = Failed(rule=SimpleNamespace(name="train_policy"), log=["a.log"])
    silent = Failed(rule=SimpleNamespace(name="sample"), log=["gone.log"])
    said = list(guards.failures(workflow(failed=[failed, silent])))
    assert "train_policy failed, see a.log:\n    train_policy: the loss is nan" in said
    assert "sample failed, see gone.log:\n    (it says nothing)" in said
