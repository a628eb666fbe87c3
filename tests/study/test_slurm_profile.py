"""The profile for clusters: every job asks SLURM for what it needs, and a job that comes back asks for more."""

import re

import pytest
import yaml
from clones import link_workflow
from conftest import ROOT
from dry_runs import snakemake

PROFILE = yaml.safe_load((ROOT / "slurm/profile.yaml").read_text())
STUDY = ["--config", "evaluation={judge: pairrm}", "--", "results/tables/table3.csv", "results/tables/table8.csv"]
DEMO = ["--configfile", "demo/config.yaml", "--", "results/tables/table3.csv"]
RULE = re.compile(r"^( *)rule (\w+):\n((?:\1 .*\n|\n)*)", re.MULTILINE)
RULES = [(name, body) for file in (ROOT / "rules").glob("*.smk") for _, name, body in RULE.findall(file.read_text())]
USED = re.findall(r"use rule (\w+) as (\w+)", "".join(file.read_text() for file in (ROOT / "rules").glob("*.smk")))
LOCAL = {name for name, body in RULES if "localrule: True" in body} | {"judge_outputs"}  # which asks an API


def resources_asked(folder, *arguments, attempt, local=LOCAL):
    """{rule, first output: resources} of the jobs that a run would submit."""
    done = snakemake("-n", "--profile", "slurm", "--attempt", attempt, *arguments, folder=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    jobs = re.findall(
        r"^rule (\w+):\n(?: {4}.*\n)*? {4}output: ([^,\n]+).*\n(?: {4}.*\n)*? {4}resources: (.*)\n",
        done.stdout,
        re.MULTILINE,
    )
    return {
        (rule, output): dict(re.findall(r"(\w+)=([^,]+)", resources))
        for rule, output, resources in jobs
        if rule not in local
    }


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return link_workflow(tmp_path_factory.mktemp("clone"))


@pytest.mark.parametrize("targets", [STUDY, DEMO], ids=["study", "demo"])
def test_every_job_asks_for_what_it_needs_and_for_more_when_it_comes_back(clone, targets):
    asked, again = (resources_asked(clone, *targets, attempt=attempt) for attempt in (1, 2))
    rules = {rule for rule, _ in asked}
    assert asked.keys() == again.keys() and "train_policy" in rules
    for job, resources in asked.items():
        for growing in ("mem_mb", "runtime"):
            assert int(again[job][growing]) == 2 * int(resources[growing]) > 0, (job, growing)
        assert resources["nodes"] == "1", job  # else SLURM may give a job GPUs of several nodes
    if targets is STUDY:
        assert rules <= PROFILE["set-resources"].keys()
        for (rule, _), resources in asked.items():
            gpus = "4" if rule.startswith("train_") else "1"
            assert (resources["gpu"], resources["gpu_model"], resources["slurm_partition"]) == (gpus, "a100", "gpu")
    else:
        assert rules - PROFILE["set-resources"].keys() == {
            "make_demo_model",
            "sample_ranker_candidates",
            "train_ranker",
        }
        for (rule, _), resources in asked.items():
            if rule in ("make_demo_model", "train_ranker"):
                assert "gpu_model" not in resources  # it alone makes a job ask for one GPU
                assert resources["slurm_partition"] == "cpu"


def test_every_rule_that_may_ask_for_gpus_is_in_the_profile():
    """One that is missing there would wait for ever on a partition of CPU nodes."""
    on_gpus = {name for name, body in RULES if " gpu=" in body}
    on_gpus |= {name for of, name in USED if of in on_gpus}
    assert on_gpus == PROFILE["set-resources"].keys()


def test_a_judge_that_needs_a_gpu_is_a_job_of_the_cluster(clone):
    local = ["--config", "evaluation={judge: qwen2.5-14b}", "--", "results/evaluations/zephyr-7b/sft/annotations.json"]
    asked = resources_asked(clone, *local, attempt=1, local=LOCAL - {"judge_outputs"})
    (resources,) = (resources for (rule, _), resources in asked.items() if rule == "judge_outputs")
    assert (resources["gpu"], resources["gpu_model"], resources["slurm_partition"]) == ("1", "a100", "gpu")
    body = next(
        body for _, name, body in RULE.findall((ROOT / "rules/judges.smk").read_text()) if name == "judge_outputs"
    )
    assert "localrule: not JUDGING_GPUS" in body


def test_what_asks_the_internet_and_what_takes_seconds_runs_where_snakemake_does():
    assert {"fetch_model", "fetch_preference_model", "prepare_dataset", "judge_outputs"} < LOCAL
    assert {"make_table", "measure_boundary", "compute_win_rate", "gather_shards"} < LOCAL


def test_fetch_is_all_that_the_whole_study_takes_from_elsewhere(clone):
    def fetched(target):
        done = snakemake("-n", "--cores", "1", target, folder=clone)
        assert done.returncode == 0, done.stderr
        pattern = (
            r"^(?:local)?rule (?:fetch_model|fetch_preference_model|prepare_dataset):\n(?: {4}.*\n)*? {4}output: (.*)\n"
        )
        return sorted(re.findall(pattern, done.stdout, re.MULTILINE))

    assert fetched("fetch") == fetched("all") != []
