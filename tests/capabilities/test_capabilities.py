"""What the harness says of a policy: the same as Transformers alone, and one sentence for what it cannot be asked."""

import json

import pytest
from adapters import keep_adapter
from conftest import CHOICES
from tiny import WORDS

from dpo_stages.core.errors import BadInput


@pytest.fixture(scope="module")
def measure(run_here, policy, tasks, tmp_path_factory):
    def run(*names, **changes):
        output = tmp_path_factory.mktemp("measured") / "sft.json"
        flags = {
            "policy": policy,
            "name": "tiny/sft",
            "task-folder": tasks,
            "batch-size": 4,
            "dtype": "float32",
            "seed": 0,
        }
        words = [word for name, value in {**flags, **changes}.items() for word in (f"--{name}", value)]
        run_here("measure_capabilities", "--tasks", *names, *words, "--output", output)
        return json.loads(output.read_text()), json.loads(output.with_name("sft.ledger.json").read_text())

    return run


@pytest.fixture(scope="module")
def measured(measure):
    return measure("echo", "choice")


def test_answers_are_those_of_transformers_through_the_chat_template(measured):
    echo = measured[0]["tasks"]["echo"]
    assert echo["accuracy"] == 0.5  # every other question expects what the policy says
    assert echo["standard_error"] == pytest.approx(0.5 / (len(WORDS) - 1) ** 0.5)
    assert (echo["metric"], echo["n"], echo["version"], echo["fewshot"]) == ("exact_match,none", len(WORDS), "2.0", 0)


def test_choices_are_the_likeliest_by_transformers(measured, policy):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(policy.parent), AutoTokenizer.from_pretrained(policy.parent)
    right = 0
    for number, word in enumerate(WORDS):
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": f"what does the {word} say"}], add_generation_prompt=True, tokenize=False
        )
        scores = []
        for choice in CHOICES:
            before, whole = (tokenizer(text, add_special_tokens=False).input_ids for text in (prompt, prompt + choice))
            with torch.no_grad():
                logps = model(torch.tensor([whole])).logits[0, :-1].log_softmax(-1)
            places = range(len(before) - 1, len(whole) - 1)
            scores.append(sum(logps[place, whole[place + 1]].item() for place in places))
        right += scores.index(max(scores)) == number % len(CHOICES)
    choice = measured[0]["tasks"]["choice"]
    assert choice["accuracy"] == pytest.approx(right / len(WORDS)) and choice["metric"] == "acc,none"
    assert "acc_norm,none" in choice["metrics"]


def test_a_policy_that_is_kept_as_an_adapter_answers_as_a_whole_one(measured, measure, policy, tmp_path):
    kept = keep_adapter(policy, tmp_path / "kept")
    assert measure("echo", "choice", policy=kept)[0]["tasks"] == measured[0]["tasks"]


def test_settings_stand_beside_the_figures_and_counts_in_the_ledger(measured, measure):
    found, ledger = measured
    assert {key: found[key] for key in ("policy", "limit", "fewshot", "batch_size", "dtype")} == {
        "policy": "tiny/sft", "limit": None, "fewshot": None, "batch_size": 4, "dtype": "float32",
    }  # fmt: skip
    assert found["lm_eval"] and ledger["rows_out"] == 2 * len(WORDS) and ledger["cut_prompts"] == 0


def test_questions_that_do_not_fit_before_the_answer_are_counted(measure):
    found, ledger = measure("full", "echo", limit=3)
    assert found["tasks"]["full"]["cut_prompts"] == ledger["cut_prompts"] == 3
    assert found["tasks"]["echo"]["cut_prompts"] == 0 and found["tasks"]["echo"]["n"] == found["limit"] == 3


def test_tasks_are_fetched_with_version_questions_and_the_folders_content(run_here, tasks, tmp_path):
    run_here("fetch_tasks", "--tasks", "echo", "choice", "--task-folder", tasks, "--output", tmp_path / "tasks.json")
    found = json.loads((tmp_path / "tasks.json").read_text())
    assert found["tasks"]["echo"] == {"version": "2.0", "questions": len(WORDS), "data": "json"}
    assert list(found["tasks"]) == ["echo", "choice"] and len(found["task_folder"]) == 64


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ecko", "names ecko, which is no task of the harness or of .*, such as echo"),
        ("several", "which is a group of tasks"),
        ("lost", "the task lost cannot be loaded .*none.jsonl"),
        ("errors", "exact_match, of which less is better"),
        ("coded", "runs code that the policy wrote"),
    ],
)
def test_what_cannot_be_asked_is_not_fetched(run_here, tasks, tmp_path, name, message):
    output = tmp_path / "tasks.json"
    with pytest.raises(BadInput, match=message):
        run_here("fetch_tasks", "--tasks", "echo", name, "--task-folder", tasks, "--output", output)
    assert not output.exists()


def test_answers_longer_than_the_context_are_refused(measure):
    with pytest.raises(BadInput, match="may take 600 tokens, and the policy has 512"):
        measure("long")


def test_a_folder_without_a_model_is_refused(measure, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "manifest.json").write_text('{"files": {}}')
    with pytest.raises(BadInput, match="no language model that the harness can load"):
        measure("echo", policy=tmp_path / "manifest.json")
