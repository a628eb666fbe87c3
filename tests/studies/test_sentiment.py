"""The programs of examples/sentiment: its data, labels that are flipped, and its tables of arms with known gains."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from clones import link_workflow
from conftest import ROOT
from dry_runs import Study

from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import PREFERENCES, REFERENCE_LOGPS

EXAMPLE = ROOT / "examples/sentiment"


def run(program, *arguments):
    command = [sys.executable, EXAMPLE / f"{program}.py", *arguments]
    done = subprocess.run([*map(str, command)], text=True, capture_output=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What make_data.py makes of reviews of which every two open alike."""
    reviews, output = tmp_path_factory.mktemp("reviews"), tmp_path_factory.mktemp("data")
    for split in ("train", "test"):
        for sentiment, verdict in (("pos", "wonderful"), ("neg", "dreadful")):
            folder = reviews / split / sentiment
            folder.mkdir(parents=True)
            for number in range(600):
                words = " ".join(f"{split}{verdict}{number}x{place}" for place in range(14))
                text = (
                    f"This {split} film {number} was {verdict} I thought. {words} and it {verdict}<br />ends here. {words} "
                    * 3
                )
                (folder / f"{number}.txt").write_text(text)
    code, said = run("make_data", "--reviews", reviews, "--output", output)
    assert code == 0, said
    return {path.stem: [json.loads(line) for line in path.open()] for path in output.iterdir()}


def test_a_pair_is_how_a_positive_and_a_negative_review_go_on_after_the_same_words(data):
    assert {name: len(data[name]) for name in ("train", "test", "other")} == {"train": 88, "test": 104, "other": 80}
    for row in data["train"]:
        opening = row["prompt"][1]["content"].removeprefix("Continue this film review: ")
        assert len(opening.split()) == 4 and opening.startswith("This ")
        assert "wonderful" in row["chosen"] and "dreadful" in row["rejected"]
        assert "<br" not in row["chosen"] and 12 <= len(row["chosen"].split()) <= 30


def test_no_opening_is_used_twice_and_no_review_by_both_classifiers(data):
    openings = [row["prompt"][1]["content"] for name in ("train", "test", "other") for row in data[name]]
    assert len(set(openings)) == len(openings)
    texts = [{row["response"] for row in data[f"labelled_{name}"]} for name in ("a", "b", "heldout")]
    assert all(texts) and not texts[0] & texts[1] and not (texts[0] | texts[1]) & texts[2]


def test_too_few_reviews_are_refused(tmp_path):
    assert "give the folder aclImdb" in run("make_data", "--reviews", tmp_path, "--output", tmp_path / "data")[1]


def pair(name):
    row = {field.name: None for field in PREFERENCES}
    words = {
        "prompt_id": name,
        "prompt": [{"role": "user", "content": name}],
        "chosen": f"good {name}",
        "rejected": f"bad {name}",
    }
    return row | words | {"logit": 1.0, "chosen_first": True, "order_flip": False, "original_agrees": True, "chosen_truncated": True, "rejected_truncated": False}  # fmt: skip


@pytest.fixture(scope="module")
def flipped(tmp_path_factory):
    """Prompts that were flipped of two sources, one of which lacks a prompt, by source and percent; and all rows of one."""
    folder = tmp_path_factory.mktemp("flipped")
    found, rows = {}, {}
    for source, names in {"on": range(40), "off": range(1, 40)}.items():
        pairs = [pair(str(name)) for name in names]
        write_table(folder / "pairs.parquet", pa.Table.from_pylist(pairs, schema=PREFERENCES), PREFERENCES)
        logps = [{"prompt_id": one["prompt_id"], "ref_chosen_logps": -1.0, "ref_rejected_logps": -2.0} for one in pairs]
        write_table(folder / "logps.parquet", pa.Table.from_pylist(logps, schema=REFERENCE_LOGPS), REFERENCE_LOGPS)
        for percent in (0, 25, 50, 100):
            outputs = folder / f"{source}-{percent}.parquet", folder / f"{source}-{percent}-logps.parquet"
            flags = ["--percent", percent, "--seed", 1, "--output", outputs[0], "--output-logps", outputs[1]]
            code, said = run("flip_labels", "--preferences", folder / "pairs.parquet", "--reference-logps", folder / "logps.parquet", *flags)  # fmt: skip
            assert code == 0, said
            rows[source, percent] = [read_table(path, schema).to_pylist() for path, schema in zip(outputs, (PREFERENCES, REFERENCE_LOGPS), strict=True)]  # fmt: skip
            found[source, percent] = {row["prompt_id"] for row in rows[source, percent][0] if row["chosen"].startswith("bad")}  # fmt: skip
    return found, rows


def test_the_share_is_exact_and_a_higher_one_holds_the_lower_one(flipped):
    found, _ = flipped
    assert [len(found["on", percent]) for percent in (0, 25, 50, 100)] == [0, 10, 20, 40]
    assert found["on", 25] < found["on", 50]
    shared = {str(name) for name in range(1, 40)}
    assert len((found["on", 50] & shared) ^ found["off", 50]) <= 1  # the prompt that one source lacks moves one at most


def test_what_belongs_to_a_response_changes_places_with_it(flipped):
    _, rows = flipped
    for row, logps in zip(*rows["on", 50], strict=True):
        wrong = row["chosen"].startswith("bad")
        assert row["chosen_first"] is not wrong and row["original_agrees"] is not wrong and row["logit"] == 1.0
        assert (row["chosen_truncated"], row["rejected_truncated"]) == ((False, True) if wrong else (True, False))
        assert (logps["ref_chosen_logps"], logps["ref_rejected_logps"]) == ((-2.0, -1.0) if wrong else (-1.0, -2.0))


def test_tables_have_the_gains_of_arms_and_who_is_ahead(tmp_path):
    draw = np.random.default_rng(0)
    gains = {("on", 0): 1.0, ("on", 40): 0.9, ("off", 0): 2.0, ("off", 40): 0.9}
    paths = []
    for (source, percent), gain in gains.items():
        for number in (1, 2):
            reward = (gain + draw.normal(scale=0.3, size=60)).tolist()
            of = {"reward": reward, "win_rate": [0.75] * 60, "pairs": [1.0, 1.0, 1.0, -1.0]}
            looks = {"tokens": 32.0, "truncated": 1.0, "repeated": 0.25}
            kept = {
                "prompts": [str(name) for name in range(60)],
                "classifiers": {"a": of, "b": of},
                "trained": looks,
                "initial": looks,
            }
            paths.append(tmp_path / f"{source}-{percent}~{number}.json")
            paths[-1].write_text(json.dumps(kept))
    code, said = run("make_noise_table", *paths, "--output", tmp_path / "table.md")
    assert code == 0, said
    lines = (tmp_path / "table.md").read_text().splitlines()
    first = next(line for line in lines if line.startswith("| off | 0 %")).split(" | ")
    assert abs(float(first[2].split()[0]) - 2.0) < 0.1 and len(first[3].split(", ")) == 2
    assert first[6:8] == ["75", "75"] and first[8] == "75.0"
    cross = [
        line.split(" | ") for line in lines[lines.index("Off over on by a (*: prompts alone leave out 0)") + 4 :][:2]
    ]
    assert cross[0][1].endswith("*") and abs(float(cross[0][1][:-1]) - 1.0) < 0.1  # off 0 % against on 0 %
    assert "*" not in cross[1][2]  # 0.9 against 0.9


def test_noise_trains_both_sources_at_every_level_twice(tmp_path):
    clone = link_workflow(tmp_path)
    made = ["policies/smollm2-135m/sft/manifest.json", "preferences/smollm2-135m/sft/train.parquet"]
    made += [
        "preferences/reviews/train.parquet",
        "datasets/reviews/test.parquet",
        "candidates/smollm2-135m/sft/test.parquet",
    ]
    made += [f"reference_logps/smollm2-135m/sft/{source}.parquet" for source in ("on", "off")]
    made += [f"preference_models/sentiment-{name}/manifest.json" for name in ("a", "b")]
    for path in made:
        (clone / "results" / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / "results" / path).touch()
    options = ["--snakefile", str(EXAMPLE / "noise.smk"), "--cores", "2", "--resources", "training=1"]
    jobs = Counter(job.rule for job in Study(clone, options, []).plan())
    assert jobs["train_policy"] == jobs["sample_candidates"] == jobs["measure_arm"] == 16
