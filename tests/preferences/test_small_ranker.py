"""A small PairRM trained by the workflow's own program is one that llm-blender loads, and scores as llm-blender does."""

import json
import random

import numpy as np
import pytest

COLOURS = ["red", "blue", "green", "grey"]


def rows(number, seed):
    draw = random.Random(seed)
    for _ in range(number):
        good, bad = draw.sample(COLOURS, 2)
        first = draw.random() < 0.5
        texts = [f"The fox is {colour}, and it runs." * draw.randint(1, 3) for colour in (good, bad)]
        yield {
            "prompt": f"Is the fox {good}?",
            "response_1": texts[0] if first else texts[1],
            "response_2": texts[1] if first else texts[0],
            "preferred": 1 if first else 2,
        }


def write(path, content):
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return path


@pytest.fixture(scope="module")
def ranker(tmp_path_factory, run_script):
    folder = tmp_path_factory.mktemp("ranker")
    parts = [write(folder / f"{number}.jsonl", rows(32, number)) for number in (0, 1)]
    sizes = [
        "--layers",
        "2",
        "--hidden",
        "32",
        "--heads",
        "2",
        "--vocabulary",
        "200",
        "--source-length",
        "64",
        "--candidate-length",
        "64",
    ]
    training = ["--learning-rate", "1e-3", "--epochs", "1", "--batch-size", "16", "--seed", "0"]
    output = folder / "model/manifest.json"
    files = ["--pairs", *parts, "--output", output]
    done = run_script("train_ranker", *files, *sizes, *training, env="pairrm")
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def labels(ranker, run_script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    pairs = write(folder / "pairs.jsonl", rows(24, 2))
    files = ["--pairs", pairs, "--preference-model", ranker, "--output", folder / "labels.parquet"]
    done = run_script("label_preferences", *files, env="pairrm")
    assert done.returncode == 0, done.stderr
    import pyarrow.parquet as pq

    return pq.read_table(folder / "labels.parquet").to_pylist()


def test_logits_are_those_of_llm_blender_at_batch_size_1(ranker, labels):
    llm_blender = pytest.importorskip("llm_blender")
    blender = llm_blender.Blender()
    blender.loadranker(str(ranker.parent / "ranker"), device="cpu")
    pairs = list(rows(24, 2))
    sides = [
        [[{"role": "USER", "content": row["prompt"]}, {"role": "ASSISTANT", "content": row[response]}] for row in pairs]
        for response in ("response_1", "response_2")
    ]
    theirs = blender.compare_conversations(*sides, batch_size=1, return_logits=True) / 2
    ours = np.array([row["logit"] for row in labels])
    assert np.abs(ours - theirs).max() <= 1e-5


def test_shards_get_the_same_labels(ranker, labels, run_here, tmp_path):
    import pyarrow.parquet as pq

    pairs = write(tmp_path / "pairs.jsonl", rows(24, 2))
    parts = [tmp_path / f"{number}-of-3.parquet" for number in (1, 2, 3)]
    for part in parts:
        flags = ["--pairs", pairs, "--preference-model", ranker, "--shard", part.stem, "--output", part]
        run_here("label_preferences", *flags)
    run_here("gather_shards", "--shards", *parts, "--output", tmp_path / "labels.parquet")
    joined = pq.read_table(tmp_path / "labels.parquet").to_pylist()
    assert [row["chosen_first"] for row in joined] == [row["chosen_first"] for row in labels]
    assert np.abs(np.array([row["logit"] for row in joined]) - [row["logit"] for row in labels]).max() <= 1e-5


def test_a_missing_preference_model_is_bad_input(run_script, tmp_path):
    pairs = write(tmp_path / "pairs.jsonl", rows(2, 0))
    files = [
        "--pairs",
        pairs,
        "--preference-model",
        tmp_path / "nowhere/manifest.json",
        "--output",
        tmp_path / "out.parquet",
    ]
    done = run_script("label_preferences", *files, env="pairrm")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.parquet").exists()
