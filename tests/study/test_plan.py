"""The cost of a study: what single jobs take, the schedule on a number of GPUs, and the plan that is made of a dry run."""

import base64
import csv
import json
import random

import pytest
import yaml
from conftest import ROOT
from plan_study import words_of_runs

from dpo_stages.study.resources import time_limit
from dpo_stages.study.schedule import (
    Job,
    _reason,
    critical_path,
    dependencies,
    dry_run,
    gpu_seconds,
    makespan,
    read_jobs,
)
from dpo_stages.study.speeds import Speeds

SPEEDS = Speeds(**yaml.safe_load((ROOT / "config.yaml").read_text())["resources"]["speeds"])

DRY_RUN = """Building DAG of jobs...
[Tue Nov 24 04:20:36 2026]
rule train_policy:
    input: a.json, b.parquet
    output: c.json, c.jsonl
    jobid: 4
    wildcards: model=zephyr-7b, method=dpo, history=off
    resources: tmpdir=/tmp, gpu=4, seconds=3600, runtime=350, mem_mb=70880, mem=70.88 GB, disk_mb=13720
Shell command: true
localrule make_table:
    input: c.json
    output: table.csv
    resources: tmpdir=/tmp
"""


def job(name, needs=(), gpu=1, seconds=10):
    return Job("rule", frozenset(needs), frozenset([name]), {"gpu": gpu, "seconds": seconds})


def test_an_iteration_of_an_8b_model_takes_hours_and_more_gpus_share_it():
    pairs = 2 * 61_135
    tokens = SPEEDS.tokens(pairs, pairs)
    one, four = (SPEEDS.train(8e9, tokens, gpus) for gpus in (1, 4))
    assert 2 * 3600 < four < 6 * 3600
    ready = SPEEDS.ready(8e9)
    assert four - ready == pytest.approx((one - ready) / 4)
    assert SPEEDS.score(8e9, tokens) < SPEEDS.train(8e9, tokens, 1) / 3
    assert SPEEDS.sample(8e9, pairs) > SPEEDS.sample(1e9, pairs) > SPEEDS.startup


def test_a_job_that_comes_back_asks_for_more_time():
    limits = [time_limit(1800, attempt) for attempt in (1, 2, 3)]
    assert limits == [75, 150, 225]


def test_a_dry_run_is_read_with_its_files_and_numbers():
    train, table = read_jobs(DRY_RUN)
    assert (train.rule, table.rule) == ("train_policy", "make_table")
    assert train.outputs == {"c.json", "c.jsonl"} and train.inputs == {"a.json", "b.parquet"}
    assert (train.of("gpu"), train.of("seconds"), train.of("disk_mb"), train.of("cents")) == (4, 3600, 13720, 0)
    assert dependencies([train, table]) == [set(), {0}]
    with pytest.raises(ValueError, match="names no job"):
        read_jobs("Nothing to be done.")


def test_the_schedule_of_small_graphs():
    chain = [job("a"), job("b", ["a"]), job("c", ["b"])]
    assert critical_path(chain) == makespan(chain, 8) == 30
    wide = [job(name) for name in "abcdef"]
    assert [makespan(wide, gpus) for gpus in (1, 2, 4, 6)] == [60, 30, 20, 10]
    # the long chain goes first, and a job for both GPUs waits while a small one fills the gap
    mixed = [job("a", seconds=5), job("b", ["a"], seconds=50), job("c", seconds=50), job("d", gpu=2, seconds=10)]
    assert makespan(mixed, 2) == 65
    local = [job("a", gpu=0), job("b", gpu=0), job("c", ["a", "b"], gpu=1)]
    assert makespan(local, 1) == 20
    with pytest.raises(ValueError, match="needs 2 GPUs, and there are 1"):
        makespan(mixed, 1)


@pytest.mark.parametrize("seed", range(20))
def test_no_schedule_beats_its_bounds_and_lists_stay_below_their_sum(seed):
    """Graham: list scheduling takes no longer than the work shared out and the longest chain together."""
    draw = random.Random(seed)
    jobs = []
    for number in range(40):
        needs = [f"f{before}" for before in range(number) if draw.random() < 0.08]
        jobs.append(job(f"f{number}", needs, gpu=1, seconds=draw.randint(1, 100)))
    for gpus in (1, 3, 8):
        took, work, longest = makespan(jobs, gpus), gpu_seconds(jobs) / gpus, critical_path(jobs)
        assert max(work, longest) <= took <= work + longest


def test_the_plan_of_the_papers_study_and_what_the_finished_jobs_took(tmp_path, run_script):
    target = "results/policies/phi-2/dpo/off/manifest.json"
    finished = tmp_path / "benchmarks/train_policy/phi-2/dpo/off.jsonl"
    finished.parent.mkdir(parents=True)
    finished.write_text('{"s": 5400.0}\n')
    arguments = [
        "--snakefile", ROOT / "Snakefile",
        "--configuration", json.dumps(yaml.safe_load((ROOT / "config.yaml").read_text())), "--targets", target,
        "--benchmarks", tmp_path / "benchmarks", "--csv", tmp_path / "plan.csv", "--seeds", 1, "--replicates", 1,
    ]  # fmt: skip
    done = run_script("plan_study", *arguments)
    assert done.returncode == 0, done.stderr
    rows = {row["rule"]: row for row in csv.DictReader((tmp_path / "plan.csv").open())}
    assert {rule: int(row["jobs"]) for rule, row in rows.items()} == {
        "train_policy": 1, "train_sft": 1, "compute_reference_logps": 8, "label_preferences": 2, "gather_shards": 2,
        "fetch_preference_model": 1, "fetch_model": 1, "prepare_dataset": 2,
    }  # fmt: skip
    assert rows["train_policy"]["gpus_a_job"] == "4"
    assert float(rows["train_policy"]["disk_gb"]) == pytest.approx(2 * 2.78, rel=0.01)
    assert (rows["train_policy"]["jobs_done"], rows["train_policy"]["hours_taken"]) == ("1", "1.5")
    written = (tmp_path / "plan.md").read_text()
    assert "| 64 " in written and "A trained policy has 1 run (1 seed x 1 replicate).\n" in written
    wrong = run_script("plan_study", *arguments[:4], "--targets", "results/nothing", *arguments[6:])
    assert wrong.returncode == 2
    assert "Snakemake cannot plan results/nothing: nothing makes results/nothing" in wrong.stderr


def test_a_plan_is_made_while_what_it_plans_is_marked_as_unfinished(tmp_path, monkeypatch):
    """As the run that plans has marked it: finished once, and to be made anew."""
    monkeypatch.chdir(tmp_path)
    configuration = (ROOT / "config.yaml").read_text()
    target = "results/tables/table6.md"
    (tmp_path / "config.yaml").write_text(configuration)
    made = tmp_path / target
    made.parent.mkdir(parents=True)
    made.touch()
    mark = tmp_path / ".snakemake/incomplete" / base64.b64encode(target.encode()).decode()
    mark.parent.mkdir(parents=True)
    mark.write_text("{}")
    text = dry_run(ROOT / "Snakefile", json.dumps(yaml.safe_load(configuration)), [target])
    assert [one.rule for one in read_jobs(text)] == ["make_settings_table"]


def test_a_reason_is_told_from_its_beginning():
    said = f"Working directory: here\nBuilding DAG of jobs...\nIncompleteFilesException:\nThe files\n{'x ' * 600}"
    reason = _reason(said)
    assert reason.startswith("IncompleteFilesException: The files x x") and len(reason) == 501
    assert _reason("configuration: no such key\n") == "configuration: no such key"


def test_the_plan_says_how_many_runs_a_policy_has_and_what_replicates_take(tmp_path, run_script):
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"seeds": [0, 1], "replicates": 3}
    targets = [
        f"results/evaluations/phi-2{seed}/dpo/off{run}/win_rate.json" for seed in ("", "@1") for run in ("", "~2", "~3")
    ]
    done = run_script(
        "plan_study", "--snakefile", ROOT / "Snakefile", "--configuration", json.dumps(config), "--targets", *targets,
        "--benchmarks", tmp_path, "--csv", tmp_path / "plan.csv", "--seeds", 2, "--replicates", 3,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = {row["rule"]: row for row in csv.DictReader((tmp_path / "plan.csv").open())}
    assert [int(rows[rule]["jobs"]) for rule in ("train_sft", "train_policy", "judge_outputs")] == [2, 6, 6]
    further = sum(4 / 6 * float(rows[rule]["gpu_hours"]) for rule in ("train_policy", "generate_evaluation_outputs"))
    whole = sum(float(row["gpu_hours"]) for row in rows.values())
    words = f"take {further:.1f} of the {whole:.1f} GPU-hours ({further / whole:.0%}) and 38.64 dollars, in 16 of "
    text = (tmp_path / "plan.md").read_text()
    assert "A trained policy has 6 runs (2 seeds x 3 replicates). The replicates after the first" in text
    assert words in text, text


def test_the_words_about_runs_where_no_job_takes_a_gpu():
    jobs = [job("a/off/x.json", gpu=0, seconds=1800), job("a/off~2/x.json", gpu=0, seconds=1800)]
    words = words_of_runs(jobs, 1, 2)
    assert (
        "2 runs (1 seed x 2 replicates)" in words and "take 0.5 of the 1.0 hours of jobs (50%), in 1 of 2 jobs" in words
    )


def test_a_plan_and_a_rule_graph_say_what_is_known_before_auto_has_decided(tmp_path, run_script):
    target = "results/policies/zephyr-7b/dpo/auto-auto/manifest.json"
    configuration = json.dumps(yaml.safe_load((ROOT / "config.yaml").read_text()))
    arguments = ["--snakefile", ROOT / "Snakefile", "--configuration", configuration, "--targets", target]
    plan, graph = tmp_path / "plan.md", tmp_path / "rules.svg"
    outputs = ["--benchmarks", tmp_path, "--seeds", 1, "--replicates", 1, "--notes", "Caution: one judge."]
    outputs += ["--csv", tmp_path / "plan.csv"]
    done = run_script("plan_study", *arguments, *outputs)
    assert done.returncode == 0, done.stderr
    assert "What hangs on 1 decisions of `auto` or more is known only when they are made" in plan.read_text()
    assert "make_decision" in plan.read_text() and "Caution: one judge." in plan.read_text()
    done = run_script("draw_rule_graph", *arguments, "--output", graph)
    assert done.returncode == 0, done.stderr
    assert ">make decision<" in graph.read_text() and ">measure boundary<" in graph.read_text()
