"""What is said while jobs run: how far they are, and at once why one failed, in a small run of Snakemake itself."""

import itertools
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import SCRIPTS
from dry_runs import snakemake

from dpo_stages.core.program import ProgressReport
from dpo_stages.study import guards, running
from dpo_stages.study.running import END_OF_LOG, Watch, job_name, progress
from dpo_stages.study.salvage import of_use


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", None),
        ("loading the model\n", None),
        ("tokenising: 32/32 in 0.1 s\n", None),
        ("sampling: 120/306, 465 s left\nlibrary: a warning\n", "sampling, 120 of 306, 24 a minute, 8 min left"),
        ("tokenising: 32/32 in 0.1 s\ntraining batches: 2/32, 7200 s left\n", "training batches, 2 of 32, 15 an hour, 2.0 h left"),
        ("log-probabilities: 10/20, 30 s left\nlog-probabilities: 20/20 in 61.2 s\n", None),
        ("pairs scored: 900/4000, 62 s left\n", "pairs scored, 900 of 4000, 50 a second, 62 s left"),
        ("pairs scored: 3999/4000, 0 s left\n", "pairs scored, 3999 of 4000"),
    ],
)  # fmt: skip
def test_a_log_says_how_far_its_job_is(log, words):
    assert progress(log) == words


def test_what_programs_write_is_what_is_read(capsys, monkeypatch):
    clock = iter([0.0, 11.0, 12.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    report = ProgressReport("sampling", 4)
    report.advance()
    assert progress(capsys.readouterr().err) == "sampling, 1 of 4, 5.5 a minute, 33 s left"
    report.close()
    assert progress(capsys.readouterr().err) is None


def test_a_job_is_named_after_its_log():
    assert job_name("sample", "results/logs/sample/m/sft/train/2-of-8.log") == "sample m/sft/train/2-of-8"
    assert job_name("make_demo_world", "results/logs/make_demo_world.log") == "make_demo_world"


def test_only_what_has_come_further_is_said_and_nothing_of_an_earlier_run(tmp_path):
    log = tmp_path / "sample/m.log"
    log.parent.mkdir()
    log.write_text("sampling: 7/9, 20 s left\n")  # of the run before
    jobs = {str(log): "sample"}
    watch = Watch(lambda: jobs)
    assert watch.look() == [] == watch.look()
    log.unlink()
    assert watch.look() == []
    log.write_text(END_OF_LOG * "x" + "\nsampling: 1/9, 80 s left\n")
    assert watch.look() == ["sample m: sampling, 1 of 9, 6.0 a minute, 80 s left"]
    assert watch.look() == []
    jobs.clear()
    assert watch.look() == []


def test_the_watch_speaks_until_the_run_ends(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(running, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(running, "SECONDS_A_LINE", 0.01)
    log, looks = tmp_path / "sample/m.log", itertools.count(1)
    log.parent.mkdir()

    def further():
        log.write_text(f"sampling: {next(looks)}/999999, 80 s left\n")
        return {str(log): "sample"}

    threads = threading.active_count()
    watch = Watch(further)
    watch.start()
    said = ""
    while said.count("sample m: sampling, ") < 3:
        said += capsys.readouterr().err
    watch.stop()
    while threading.active_count() > threads:
        time.sleep(0.01)
    assert said.startswith("jobs write to results/logs/RULE/") and "sampling, 2 of 999999" in said


GRAPH = {
    "table": ["rate a", "rate b", "score a", "score b"],
    "rate a": ["outputs a"],
    "rate b": ["outputs b"],
    "outputs a": ["train a"],
    "outputs b": ["train b"],
    "train a": ["label a"],
    "train b": ["label b"],
    "score a": ["compare a"],
    "score b": ["compare b"],
    "compare a": ["sample a", "ranker"],
    "compare b": ["sample b", "ranker"],
    "label a": ["sample a", "ranker"],
    "label b": ["sample b", "ranker"],
    "sample a": ["fetch a"],
    "sample b": ["fetch b"],
}
QUICK = ("table", "rate", "score", "fetch")


def useful_without(*failed, targets=("table",)):
    lost = set(failed)
    while more := {job for job, inputs in GRAPH.items() if lost.intersection(inputs)} - lost:
        lost |= more
    return of_use(targets, lambda job: GRAPH.get(job, []), lost, lambda job: not job.startswith(QUICK))


def test_what_other_models_need_goes_on_and_what_only_the_lost_would_read_does_not():
    everything = {*GRAPH, *(job for inputs in GRAPH.values() for job in inputs)}
    assert useful_without() == everything
    assert useful_without("fetch a") == {job for job in everything if job.endswith("b")} | {"ranker"}
    assert useful_without("ranker") == set()
    assert useful_without("train a") == everything - {"table", "rate a", "outputs a", "train a", "label a"}
    assert useful_without("fetch a", targets=["score a"]) == set()
    assert useful_without("table") == everything - {"table"}


@pytest.mark.parametrize("to_come", [True, False])
def test_while_more_jobs_may_come_nothing_is_left_that_they_could_need(to_come):
    taken = set()
    dag = SimpleNamespace(
        depending={},
        bfs=lambda direction, *jobs: jobs,
        needrun_jobs=lambda: ["fetch", "sample", "decide"],
        targetjobs=["decide"],
        job_dependencies=lambda job: [],
        checkpoint_jobs={"decide"} if to_come else set(),
        register_running=taken.update,
    )
    scheduler = SimpleNamespace(failed={"fetch"}, running=set())
    said = guards._leave_useless_jobs(SimpleNamespace(dag=dag, scheduler=scheduler))
    assert taken == (set() if to_come else {"sample"})
    assert said == f"{len(taken)} jobs are of no use now and left out, {2 - len(taken)} go on"


SNAKEFILE = f"""
import sys

sys.path.insert(0, {str(SCRIPTS)!r})
from dpo_stages.study import guards

MODELS = ["one", "two"]


rule table:
    input: expand("{{model}}.score", model=MODELS)
    output: "table"
    shell: "cat {{input}} > {{output}}"


rule score:
    input: "{{model}}.samples", "{{model}}.ranker"
    output: "{{model}}.score"
    resources: seconds=9
    shell: "cat {{input}} > {{output}}"


rule sample:
    input: "{{model}}.model"
    output: "{{model}}.samples"
    log: "logs/{{model}}.sample.log"
    resources: seconds=9
    shell: "touch {{output}}"


rule fetch:
    output: "{{model}}.model"
    shell: "sleep 0.5; touch {{output}}"


rule fetch_ranker:
    output: "{{model}}.ranker"
    log: "logs/{{model}}.log"
    priority: 1
    shell: "test {{wildcards.model}} = two && touch {{output}} || {{{{ echo 'fetch_ranker: there is no such ranker' > {{log}}; exit 2; }}}}"


onstart:
    guards.tell_failures_at_once(workflow)
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)

    def run(*options):
        done = snakemake("--cores", "1", "--quiet", "rules", "reason", "host", *options, "--", "table", folder=tmp_path)
        assert done.returncode == 1
        return done.stderr, {path.name for path in Path(tmp_path).iterdir() if path.is_file()} - {"Snakefile"}

    return run


def test_a_failure_is_said_at_once_and_others_go_on_that_are_of_use(run):
    said, made = run("--keep-going")
    assert made == {"two.model", "two.samples", "two.ranker", "two.score"}
    sentence = re.search(
        "fetch_ranker failed, see logs/one.log:\n"
        "    fetch_ranker: there is no such ranker\n"
        "    4 jobs are of no use now and left out, [34] go on\n",  # the other ranker may have been fetched before
        said,
    )
    assert sentence
    assert re.search(r"\d of 9 steps", said[sentence.start() :])
    assert "CalledProcessError" not in said


def test_without_keep_going_nothing_else_starts(run):
    said, made = run()
    assert made <= {"two.ranker"}
    assert "    no other job is started\n" in said
