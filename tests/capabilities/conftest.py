"""A tiny policy, and tasks of questions that stand in a file."""

import json
import os
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from tiny import WORDS, write_model

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

CHOICES = ["red", "blue", "small", "tree"]


@pytest.fixture(scope="session")
def policy(tmp_path_factory) -> Path:
    """Manifest of a random Llama whose chat template begins with the beginning-of-text token."""
    return write_model(tmp_path_factory.mktemp("policy") / "tiny")


@pytest.fixture(scope="session")
def answers(policy) -> list[str]:
    """What the policy answers to the questions, decoded greedily by Transformers alone; the harness strips space in front."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(policy.parent), AutoTokenizer.from_pretrained(policy.parent)
    found = []
    for word in WORDS:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": f"what does the {word} say"}], add_generation_prompt=True, return_tensors="pt"
        ).input_ids
        with torch.no_grad():
            answer = model.generate(ids, max_new_tokens=6, do_sample=False)[0, ids.shape[1] :]
        found.append(tokenizer.decode(answer, skip_special_tokens=True).lstrip())
    return found


@pytest.fixture(scope="session")
def tasks(tmp_path_factory, answers) -> Path:
    """A folder of tasks: `echo` expects what the policy says to every other question, `choice` lets it choose."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = [
        {"word": word, "answer": answer if number % 2 else "never", "choice": number % len(CHOICES)}
        for number, (word, answer) in enumerate(zip(WORDS, answers, strict=True))
    ]
    (folder / "questions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    shared = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "questions.jsonl")}},
        "test_split": "test",
        "doc_to_text": "what does the {{word}} say",
        "metadata": {"version": 2.0},
    }
    echo = {
        "task": "echo",
        "output_type": "generate_until",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["</s>"], "max_gen_toks": 6, "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    choice = {"task": "choice", "output_type": "multiple_choice", "doc_to_choice": CHOICES, "doc_to_target": "choice"}
    worse = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": False}
    others = {
        "errors": {**echo, "task": "errors", "metric_list": [worse]},
        "long": {**echo, "task": "long", "generation_kwargs": {"until": ["</s>"], "max_gen_toks": 600}},
        "full": {**echo, "task": "full", "generation_kwargs": {"until": ["</s>"], "max_gen_toks": 504}},
        "coded": {**echo, "task": "coded", "unsafe_code": True},
        "lost": {**echo, "task": "lost", "dataset_kwargs": {"data_files": {"test": str(folder / "none.jsonl")}}},
        "several": {"group": "several", "task": ["echo", "choice"]},
    }
    for name, task in {"echo": echo, "choice": choice, **others}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(task if name == "several" else {**shared, **task}))
    return folder
