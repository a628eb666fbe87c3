"""What is said while jobs run: how far they are, and at once why one failed, in a small run of Snakemake itself."""

import itertools
import json
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT, SCRIPTS
from dry_runs import snakemake

from dpo_stages.core.program import ProgressReport
from dpo_stages.study import guards, running
from dpo_stages.study.running import END_OF_LOG, RunProgress, Watch, job_name, progress, verdict
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


def test_a_measurement_is_said_in_a_line(tmp_path):
    measured = {
        "policy": "m/sft", "preference_model": "r", "boundary_score": 0.80781, "interval": [0.768994, 0.842659], "confidence": 0.95,
        "recommended_source": "on", "verdict": "decided",
    }  # fmt: skip
    (tmp_path / "sft.json").write_text(json.dumps(measured))
    assert verdict(tmp_path / "sft.json") == (
        "==> m/sft by r: boundary score 0.808 (95 % interval 0.769 to 0.843), decided: on-policy candidates are recommended, "
        f"see {tmp_path}/sft.md"
    )


TRAINING = {"results/logs/train/m/dpo.log": "train"}
PLANNED = ["make", "train", "train", "table"]  # 1, 10, 10 and a second


def lines(monkeypatch, clock, seconds):
    """What is said when three jobs end at the times of a clock that starts at 0."""
    times = iter([0.0, *clock])
    monkeypatch.setattr(running.time, "monotonic", lambda: next(times))
    how_far = RunProgress(seconds)
    ended = [("make", TRAINING), ("train", TRAINING), ("train", {})]
    said = [how_far.finished(rule, done, 4, runs, PLANNED) for done, (rule, runs) in enumerate(ended, start=1)]
    return [*said, how_far.finished("table", 4, 4, {}, PLANNED)]


def test_how_far_a_run_is_and_about_how_long_the_rest_takes(monkeypatch):
    assert lines(monkeypatch, [12, 32, 200, 201], {"train": 10}) == [
        "1 of 4 steps (25 %) done after 12 s; running: train m/dpo; about 32 s left",  # 6 of 22 seconds' work in 12 s
        "2 of 4 steps (50 %) done after 32 s; running: train m/dpo; about 12 s left",
        "3 of 4 steps (75 %) done after 3 min; about 10 s left",
        "4 of 4 steps (100 %) done after 3 min",  # the last is said however soon it comes
    ]


def test_nothing_is_said_twice_in_a_moment_and_of_the_rest_only_what_is_known(monkeypatch):
    assert lines(monkeypatch, [12, 13, 200, 400], {}) == [
        "1 of 4 steps (25 %) done after 12 s; running: train m/dpo",
        None,
        "3 of 4 steps (75 %) done after 3 min",
        "4 of 4 steps (100 %) done after 7 min",
    ]
    monkeypatch.setattr(running, "ENOUGH_DONE", 0.9)
    assert lines(monkeypatch, [12, 32, 200, 201], {"train": 10})[0].endswith("running: train m/dpo")


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
    assert said.startswith("jobs write to results/logs/RULE/") and " of 999999, " in said


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
from dpo_stages.study import guards, telling
from dpo_stages.study.running import RunProgress

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


rule measure_boundary:
    output: "one.json"
    shell: "cp measured {{output}}"


onstart:
    guards.tell_failures_at_once(workflow)
    if "one.json" in guards.targets(workflow):
        telling.tell_progress(workflow, RunProgress({{"measure_boundary": 1}}))
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


def test_a_run_says_how_far_it_is_and_what_was_measured_and_nothing_else_of_each_job(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    measured = {
        "policy": "m",
        "preference_model": "r",
        "boundary_score": 0.4,
        "interval": [0.3, 0.6],
        "confidence": 0.9,
        "recommended_source": "off",
    }
    (tmp_path / "measured").write_text(json.dumps({**measured, "verdict": "undecided"}))
    done = snakemake(
        "--cores", "1", "--quiet", "rules", "reason", "host", "--", "one.model", "one.json", folder=tmp_path
    )
    assert done.returncode == 0
    assert (
        "==> m by r: boundary score 0.400 (90 % interval 0.300 to 0.600), undecided: off-policy candidates"
        in done.stderr
    )
    assert re.findall(r"(\d of 2) steps .* done after \d+ s(; about \d+ s left)?", done.stderr)[-1] == ("2 of 2", "")
    for words in ("Finished jobid", "Select jobs", "Execute "):
        assert words not in done.stderr
        [log] = (tmp_path / ".snakemake/log").iterdir()
        assert words in log.read_text()


def test_the_demo_knows_its_rules():
    written = "".join(path.read_text() for path in ROOT.glob("rules/*.smk"))
    rules = re.findall(r"\brule (?:\w+ as )?(\w+)(?: with)?:", written)
    assert set(yaml.safe_load((ROOT / "demo/seconds.yaml").read_text())) <= set(rules)
    # A file that is prioritised is made whatever the target is, so that rules have priorities instead.
    assert "prioritize" not in yaml.safe_load((ROOT / "demo/profile.yaml").read_text())
