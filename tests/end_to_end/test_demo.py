"""The demo end to end: real training, sampling, labelling, judging and tables, only smaller."""

import csv
import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

TABLE = "results/tables/table3.csv"
POLICIES = ["sft", "dpo/off", "dpo/on"]
MODEL = "tiny-mistral"
AUTO = f"results/policies/{MODEL}/dpo/auto/manifest.json"


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_row_a_policy_and_no_empty_win_rate(demo):
    rows = rows_of(demo / TABLE)
    assert [row["policy"] for row in rows] == [f"{MODEL}/{policy}" for policy in POLICIES]
    assert [row["iter_1"] for row in rows] == ["", "off", "on"]
    for row in rows:
        assert 0 <= float(row["lc_win_rate"]) <= 100
        assert 0 <= float(row["win_rate"]) <= 100


def test_the_first_step_of_dpo_is_ln_2(demo):
    log = (demo / f"results/policies/{MODEL}/dpo/on/training_log.jsonl").read_text().splitlines()
    assert json.loads(log[0])["loss"] == pytest.approx(math.log(2), abs=1e-5)


def test_training_moved_the_policy(demo):
    manifests = [json.loads((demo / f"results/policies/{MODEL}/{name}/manifest.json").read_text()) for name in POLICIES]
    assert len({manifest["files"]["model.safetensors"] for manifest in manifests}) == len(POLICIES)


def test_labels_are_consistent_with_logits(demo):
    candidates = pq.read_table(demo / f"results/candidates/{MODEL}/sft/train.parquet").to_pylist()
    labels = pq.read_table(demo / f"results/preferences/{MODEL}/sft/train.parquet").to_pylist()
    by_prompt = {row["prompt_id"]: row for row in candidates}
    assert 0 < len(labels) <= len(candidates)
    for row in labels:
        first, second = by_prompt[row["prompt_id"]]["response_1"], by_prompt[row["prompt_id"]]["response_2"]
        assert (row["chosen"], row["rejected"]) == ((first, second) if row["chosen_first"] else (second, first))
        assert row["logit"] == 0 or (row["logit"] > 0) == row["chosen_first"]


def test_the_boundary_score_is_the_share_of_votes_for_the_policys_own_samples(demo):
    boundary = json.loads((demo / f"results/boundary/{MODEL}/sft.json").read_text())
    votes = pq.read_table(demo / f"results/comparisons/{MODEL}/sft/test.parquet").column("on_policy_preferred")
    assert boundary["boundary_score"] == pytest.approx(sum(votes.to_pylist()) / len(votes))
    assert boundary["recommended_source"] == ("off" if boundary["boundary_score"] < 0.5 else "on")


def test_the_figure_is_a_picture(demo):
    assert (demo / "results/figures/table3.png").read_bytes().startswith(b"\x89PNG")


def test_the_shortcut_of_algorithm_1_stands_beside_the_log_probabilities(demo):
    (row,) = rows_of(demo / "results/tables/table8.csv")  # one iteration: the SFT policy is the only initial one
    boundary = json.loads((demo / f"results/boundary/{MODEL}/sft.json").read_text())
    assert row["policy"] == f"{MODEL}/sft"
    assert float(row["boundary_score"]) == pytest.approx(boundary["boundary_score"])
    logps = {
        (one["prompt_id"], one["on_policy"], one["index"]): one["logp"]
        for one in pq.read_table(demo / f"results/likelihoods/{MODEL}/sft/test.parquet").to_pylist()
    }
    comparisons = pq.read_table(demo / f"results/comparisons/{MODEL}/sft/test.parquet").to_pylist()
    likelier = [
        logps[c["prompt_id"], True, c["on_index"]] > logps[c["prompt_id"], False, c["off_index"]] for c in comparisons
    ]
    assert float(row["on_policy_likelier"]) == pytest.approx(100 * sum(likelier) / len(comparisons), abs=1e-4)


def test_intra_diversity_is_drawn_and_the_boundarys_cost_is_measured(demo):
    assert [row["policy"] for row in rows_of(demo / "results/tables/intra_diversity.csv")] == [
        f"{MODEL}/dpo/off",
        f"{MODEL}/dpo/on",
    ]
    assert (demo / "results/figures/figure3.png").read_bytes().startswith(b"\x89PNG")
    (row,) = rows_of(demo / "results/tables/boundary_cost.csv")
    assert (row["prompts"], row["pairs"]) == ("32", "96")
    assert 0 < float(row["ratio"]) < 100


ADAPTIVE = "tables={adaptive: {models: [tiny-mistral], methods: [dpo], histories: ['off', 'on', auto, mix50]}}"


@pytest.fixture(scope="module")
def adaptive(demo):
    """The table of sources that act on the measurement; its arms `off`, `on` and what `auto` chose are there already."""
    done = demo.snakemake("results/tables/adaptive.csv", AUTO, options=["--config", ADAPTIVE])
    assert done.returncode == 0, done.stdout[-8000:]
    assert "1 of 1 steps" not in done.stdout  # Snakemake went on after the decision
    return rows_of(demo / "results/tables/adaptive.csv")


def test_auto_is_the_fixed_arm_that_the_boundary_recommends_or_a_mixture_where_it_is_undecided(demo, adaptive):
    measured = json.loads((demo / f"results/boundary/{MODEL}/sft.json").read_text())
    decided = measured["verdict"] == "decided"
    chosen = measured["recommended_source"] if decided else "mix50"
    by_history = {row["iter_1"]: row for row in adaptive}
    auto, fixed = by_history["auto"], by_history[chosen]
    assert auto["resolved_policy"] == fixed["policy"] == f"{MODEL}/dpo/{chosen}"
    assert auto["lc_win_rate"] == fixed["lc_win_rate"]
    trained = {path.name for path in (demo / f"results/benchmarks/train_policy/{MODEL}/dpo").iterdir()}
    assert trained == {"off.jsonl", "on.jsonl", "mix50.jsonl"}  # nothing was trained for it
    manifests = [
        json.loads((demo / path).read_text()) for path in (AUTO, f"results/policies/{fixed['policy']}/manifest.json")
    ]
    assert manifests[0]["files"] == manifests[1]["files"]
    trace = json.loads((demo / f"results/traces/{MODEL}/dpo/auto.json").read_text())
    assert (trace["resolved_policy"], trace["steps"][0]["decided_by"]) == (
        fixed["policy"],
        "boundary score" if decided else "the rule for undecided scores",
    )


def test_a_mixture_has_half_of_its_pairs_from_either_source(demo, adaptive):
    mixed = pq.read_table(demo / f"results/mixtures/{MODEL}/sft/mix50.parquet").to_pylist()
    assert len({row["prompt_id"] for row in mixed}) == len(mixed)
    own = {
        row["prompt_id"]: row["chosen"]
        for row in pq.read_table(demo / f"results/preferences/{MODEL}/sft/train.parquet").to_pylist()
    }
    on_policy = sum(own.get(row["prompt_id"]) == row["chosen"] for row in mixed)
    assert on_policy == pytest.approx(len(mixed) / 2, abs=2)  # off-policy text may be the same by chance


def test_a_sequential_measurement_makes_the_votes_of_the_whole_one(demo, make_clone):
    """Its first block is all of this small world's prompts, so only the interval may differ."""
    whole = json.loads((demo / f"results/boundary/{MODEL}/sft.json").read_text())
    clone = make_clone("sequential")
    for folder in ("results", ".snakemake"):  # with the records of what was made of what
        shutil.copytree(demo / folder, clone / folder)
    (clone / f"results/boundary/{MODEL}/sft.json").unlink()
    done = clone.snakemake(f"results/boundary/{MODEL}/sft.json", options=["--config", "boundary={sequential: true}"])
    assert done.returncode == 0, done.stdout[-8000:]
    sequential = json.loads((clone / f"results/boundary/{MODEL}/sft.json").read_text())
    assert sequential["interval_method"].startswith("confidence sequence")
    for name in ("boundary_score", "prompts", "comparisons", "votes_on", "order_flip_rate"):
        assert sequential[name] == whole[name]


def test_afterwards_there_is_nothing_to_be_done(demo):
    done = demo.snakemake(TABLE, options=["-n"])
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


def test_a_table_made_again_has_the_same_bytes(demo):
    before = (demo / TABLE).read_bytes()
    (demo / TABLE).unlink()
    done = demo.snakemake(TABLE)
    assert done.returncode == 0, done.stdout
    assert (demo / TABLE).read_bytes() == before


def test_a_touched_input_reruns_nothing_and_a_changed_parameter_reruns_what_it_touches(demo):
    (demo / "config.yaml").touch()
    (demo / "results/policies/tiny-mistral/sft/manifest.json").touch()
    assert "Nothing to be done" in demo.snakemake(TABLE, options=["-n"]).stdout
    settings = demo / "demo/config.yaml"
    before = settings.read_text()
    assert "beta: 0.1\n" in before
    settings.write_text(before.replace("beta: 0.1\n", "beta: 0.2\n"))
    done = demo.snakemake(TABLE, options=["-n"])
    settings.write_text(before)
    assert "train_policy" in done.stdout
    for untouched in ("sample_candidates", "label_preferences", "compute_reference_logps", "compare_candidates"):
        assert f"rule {untouched}:" not in done.stdout


def test_every_artifact_says_where_it_came_from(demo):
    policy = json.loads((demo / f"results/policies/{MODEL}/dpo/on/manifest.ledger.json").read_text())
    about = policy["provenance"]
    assert about["program"] == "train_policy.py"
    assert f"results/policies/{MODEL}/sft/manifest.json" in about["inputs"]
    assert {"torch", "transformers", "trl"} <= about["packages"].keys()
    assert "--seed" in about["arguments"]
    table = json.loads((demo / TABLE).with_name("table3.ledger.json").read_text())
    assert {f"results/evaluations/{MODEL}/{name}/win_rate.json" for name in POLICIES} <= table["provenance"][
        "inputs"
    ].keys()
    configuration = (demo / "results/run_config.yaml").read_text()
    assert "\naccelerator: cpu\n" in f"\n{configuration}" and "\niterations: 1\n" in configuration


def test_a_checkpoint_changed_behind_snakemakes_back_is_noticed_before_it_is_used(demo, tmp_path):
    """The plan sees manifests alone; whoever loads a checkpoint compares it with its manifest first."""
    policy = demo / f"results/policies/{MODEL}/dpo/on"
    before = (policy / "model.safetensors").read_bytes()
    shutil.copytree(policy, tmp_path / "policy")
    (tmp_path / "policy/model.safetensors").write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    preferences = demo / f"results/preferences/{MODEL}/sft/train.parquet"
    arguments = ["--policy", tmp_path / "policy/manifest.json", "--preferences", preferences]
    arguments += ["--max-length", "256", "--dtype", "float32", "--output", tmp_path / "logps.parquet"]
    command = ["envs/run", "train", "workflow_scripts/compute_reference_logps.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=demo.folder, text=True, capture_output=True, check=False)
    assert done.returncode == 2
    assert "model.safetensors is not the file that" in done.stderr
    assert not (tmp_path / "logps.parquet").exists()


def made_again(demo, folder, env, output):
    """Make an output again, by the program and the arguments in its ledger; returns where it is now."""
    about = json.loads((demo / output).with_name(f"{Path(output).stem}.ledger.json").read_text())["provenance"]
    again = folder / "again" / Path(output).name
    checkpoints = str(Path(output).parent).replace("policies", "checkpoints")
    places = {output: again, checkpoints: folder / "checkpoints"}
    arguments = [str(places.get(word, word)) for word in about["arguments"]]
    command = ["envs/run", env, f"workflow_scripts/{about['program']}", *arguments]
    done = subprocess.run(command, cwd=demo.folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return again


@pytest.mark.parametrize(
    ("env", "output"),
    [
        ("train", "results/datasets/demo-preferences/train.parquet"),
        ("vllm-cpu", f"results/candidates/{MODEL}/sft/test.parquet"),
        ("pairrm", f"results/preferences/{MODEL}/sft/train.parquet"),
        ("workflow", f"results/boundary/{MODEL}/sft.json"),
    ],
)
def test_the_same_seed_gives_the_same_bytes(demo, tmp_path, env, output):
    assert made_again(demo, tmp_path, env, output).read_bytes() == (demo / output).read_bytes()


def test_training_again_gives_the_same_weights(demo, tmp_path):
    output = f"results/policies/{MODEL}/dpo/on/manifest.json"
    again = made_again(demo, tmp_path, "train", output).with_name("model.safetensors")
    first, second = (weights(path) for path in ((demo / output).with_name("model.safetensors"), again))
    assert first.shape == second.shape
    assert np.abs(first - second).max() <= 1e-6


def weights(path):
    """All float32 numbers of a safetensors file: eight bytes with the length of its header, the header, the numbers."""
    content = path.read_bytes()
    return np.frombuffer(content[8 + int.from_bytes(content[:8], "little") :], dtype="<f4")
