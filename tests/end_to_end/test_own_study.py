"""The README's section for one's own model and data, as it stands: its file and its commands, with a model of the demo."""

import json
import re
import shutil
import subprocess

import pytest
from clones import ROOT

# What the tiny model needs besides the README's four lines, and instructions that are no hub's.
BESIDES = """
sampling: {max_new_tokens: 24, max_length: 256}
max_length: 256
evaluation: {instructions: my-tasks.jsonl}
"""


@pytest.fixture(scope="module")
def own(demo, make_clone):
    """A clone with a model, pairs, tasks and a preference model where the README has them."""
    clone = make_clone("own")
    shutil.copytree(demo / "results/policies/tiny-mistral/sft", clone / "checkpoints/my-model")
    shutil.copytree(demo / "results/preference_models/demo-ranker", clone / "my-reward-model")
    pairs = (demo / "results/demo/world/preferences_train.jsonl").read_text().splitlines()[:24]
    (clone / "my-pairs.jsonl").write_text("\n".join(pairs))
    tasks = (demo / "results/demo/world/evaluation.jsonl").read_text().splitlines()[:12]
    (clone / "my-tasks.jsonl").write_text("\n".join(tasks))
    return clone


def section():
    text = (ROOT / "README.md").read_text()
    return text[text.index("## Your own model and data") :].split("\n## ")[0]


def commands(word):
    """The README's commands that have a word in them, each in one line."""
    blocks = re.findall(r"```bash\n(.*?)```", section(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if word in line]


def run(clone, command, code=0):
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=clone.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == code, done.stdout[-6000:]
    return done.stdout


def write_study(clone, besides=BESIDES):
    (block,) = re.findall(r"```yaml\n(# mine\.yaml.*?)```", section(), re.DOTALL)
    (clone / "mine.yaml").write_text(block + besides)


def test_the_file_that_is_written_for_one_says_what_was_understood(own):
    (command,) = commands("init_study.py")
    said = run(own, command)
    assert "MistralForCausalLM" in said and "24 pairs of 24 records" in said and "a ranker" in said
    written = (own / "mine.yaml").read_text()
    assert "sampling: {max_length: 512}" in written
    assert "preset: laptop" in written and "batch_size: 2" in written
    assert "is there already" in run(own, command, code=2)
    (own / "mine.yaml").unlink()


def test_all_that_is_wrong_is_said_before_the_first_job(own):
    write_study(own, "methods: {dpo: {batch_size: 32}}\nevaluation: {instructions: nowhere.jsonl}\n")
    *_, report = commands("mine.yaml --")
    said = run(own, report, code=2)
    assert "sampling.max_length is 1024" in said and "24 rows in batches of 32 are one step" in said
    assert "names nowhere.jsonl, which is no file here" in said
    assert not (own / "results/models").exists()


def test_the_readmes_commands_measure_train_and_report(own):
    write_study(own)
    boundary, policy, report = commands("mine.yaml --")
    assert "results/boundary/my-model/sft.md" in run(own, boundary)
    measured = json.loads((own / "results/boundary/my-model/sft.json").read_text())
    assert measured["policy"] == "my-model/sft" and measured["preference_data"] == "my-pairs"

    said = run(own, policy)
    first, second = re.search(r"( +from transformers import .*)\n(.*from_pretrained.*)\n", said).groups()
    run(own, f"envs/run train -c '{first.strip()}\n{second.strip()}\nassert model.num_parameters() > 1000'")

    run(own, report)
    page = (own / "results/report.html").read_text()
    assert page.count("<h3>my-model</h3>") == 1 and "zephyr" not in page.lower() and "llama-3" not in page.lower()
    tables = re.findall(r'<article id="(\w+)">', page)
    assert tables == ["gains", "pairs", "labels", "table6", "table7", "table9"]
    assert "Beside the paper" not in page


def test_lora_on_the_best_and_the_worst_of_more_candidates_and_the_pairs_of_either_source(own):
    """After the report: the same study with three candidates a prompt, then with another rule of pairs."""
    more = (
        BESIDES.replace("sampling: {", "sampling: {candidates: 3, ")
        + "methods: {dpo: {lora: {rank: 4}, keep: adapter}}\n"
    )
    write_study(own, f"{more}pairs: best-worst\n")
    _, policy, _ = commands("mine.yaml --")
    pick = policy.replace("dpo/auto", "dpo/pick")
    run(own, pick)
    scored, picked = (
        json.loads((own / f"results/{name}.ledger.json").read_text())
        for name in ("scores/my-model/sft/pooled", "mixtures/my-model/sft/pick")
    )
    assert scored["candidates"] == 24 * (3 + 4) and picked["rows_in"] == 24
    assert picked["own_pairs"] + picked["off_policy_pairs"] == picked["rows_out"] and picked["mixed_pairs"] == 0
    manifest = json.loads((own / "results/policies/my-model/dpo/pick/manifest.json").read_text())
    assert manifest["arguments"]["lora"]["rank"] == 4 and "model.safetensors" in manifest["files"]
    trained, readers = own / "results/policies/my-model/dpo/pick", pick.replace("policies", "evaluations")
    assert (
        not (trained / "model.safetensors").exists()
        and "merge_policy.py results/policies/my-model/dpo/pick/" in (trained / "README.md").read_text()
    )
    said = run(own, readers.replace("README.md", "model_outputs.json"))
    assert "generate_evaluation_outputs" in said and "train_policy" not in said
    assert not list(trained.parent.glob(".*"))  # where weights were made again
    assert not (trained / "model.safetensors").exists()
    said = run(own, "envs/run train workflow_scripts/merge_policy.py results/policies/my-model/dpo/pick/manifest.json")
    assert "made 1 -> " in said and (trained / "model.safetensors").exists()
    assert "Nothing to be done" in run(own, pick)

    on = policy.replace("dpo/auto", "dpo/on")
    run(own, on)
    scores = own / "results/scores/my-model/sft/train.parquet"
    before = scores.stat().st_mtime_ns
    write_study(own, f"{more}pairs: two\n")
    said = run(own, on)
    assert "pair_candidates" in said and "score_candidates" not in said and "sample_candidates" not in said
    assert scores.stat().st_mtime_ns == before
