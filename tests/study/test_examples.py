"""The examples' configurations: what jobs they come to, with made-up files in the place of data and reward models."""

from collections import Counter

import pytest
from clones import link_workflow
from conftest import ROOT
from dry_runs import Study

EXAMPLES = ROOT / "examples"
SETS = ("weak", "old", "mid", "strong", "best")
ROWS = {
    "pairs": '{"prompt": "a", "chosen": "b", "rejected": "c"}\n',
    "votes": '{"prompt": "a", "response_1": "b", "response_2": "c", "preferred": 1}\n',
    "instructions": '{"instruction": "a", "output": "b"}\n',
}


@pytest.fixture
def clone(tmp_path):
    """A copy of the workflow with the files that the ladder's programs write."""
    clone = link_workflow(tmp_path)
    for split in ("train", "test"):
        (clone / "data/ladder" / split).mkdir(parents=True)
        for name in SETS:
            (clone / f"data/ladder/{split}/{name}.jsonl").write_text(ROWS["pairs"])
    for name in ("votes", "instructions"):
        (clone / f"data/ladder/{name}.jsonl").write_text(ROWS[name])
    for name in ("gpt4-a", "gpt4-b"):
        (clone / "models" / name).mkdir(parents=True)
        (clone / "models" / name / "config.json").write_text("{}")
    return clone


def jobs_of(clone, example, options, targets):
    plan = Study(clone, [*options, "--configfile", str(EXAMPLES / example / "study.yaml")], targets).plan()
    return Counter(job.rule for job in plan), [output for job in plan for output in job.outputs]


def test_the_ladder_trains_each_set_and_its_own_samples_twice_and_measures_each_set_by_both_reward_models(clone):
    policies = [f"smollm2-135m/sft{one}" for one in ("", *(f"+{name}" for name in SETS[1:]))]
    targets = [f"results/{what}/{policy}.json" for policy in policies for what in ("robustness", "audits")]
    targets += ["results/tables/gains.md", "results/tables/data_sets.md", "results/held_out/gpt4-b.json"]
    jobs, outputs = jobs_of(clone, "ladder", ["--profile", "laptop"], targets)
    arms = ["on", "off", *(f"off.{name}" for name in SETS[1:])]
    trained = {f"results/policies/smollm2-135m/dpo/{arm}{run}/manifest.json" for arm in arms for run in ("", "~2")}
    assert trained <= set(outputs) and jobs["train_policy"] == len(trained) == 12
    assert jobs["compare_candidates"] == jobs["make_second_opinion"] == jobs["audit_sources"] == len(SETS)
    assert jobs["sample_candidates"] == len(SETS) + 1  # the test prompts of each set, and the training prompts of `on`
    assert jobs["judge_with_preference_model"] == 12 + 1
    assert "results/held_out/gpt4-a.json" in outputs  # which the boundary's page has


def test_ultrafeedback_on_one_gpu_is_judged_by_another_reward_model_than_the_one_that_labels(clone):
    targets = ["results/tables/gains.md", "results/audits/qwen2.5-1.5b-instruct/sft.md"]
    jobs, outputs = jobs_of(clone, "ultrafeedback_small", ["--profile", "small"], targets)
    assert {f"results/preference_models/{name}/manifest.json" for name in ("skywork", "deberta")} <= set(outputs)
    asked = [output for output in outputs if output.startswith("results/yardsticks/")]
    assert jobs["ask_yardstick"] == 2 and all("deberta" in output for output in asked)
    assert (jobs["train_policy"], jobs["judge_with_preference_model"], jobs["train_ranker"]) == (2, 3, 0)
    assert not any("llama" in output or "zephyr" in output for output in outputs)  # nothing of the paper's study
