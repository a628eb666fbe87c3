"""Labels where the truth is known: those that the ranker learns from, and how often those of a preference model are right."""

import json
from random import Random

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.core.parquet import write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import PREFERENCES, SAMPLED_CANDIDATES
from dpo_stages.demo import world
from dpo_stages.demo.label_accuracy import label_accuracy
from dpo_stages.demo.quality import quality
from dpo_stages.demo.responders import TEACHERS

FACTS = world.draw_facts(Random(0))
ANIMAL = world.ANIMALS[0]
DESCRIBE = f"Tell me about the {ANIMAL}."


def true(*names):
    return [world.CATEGORIES[name].predicates[0].format(value=FACTS[ANIMAL][name]) for name in names]


def labelled(chosen, rejected, instruction=DESCRIBE):
    prompt = [{"role": "user", "content": instruction}]
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, "chosen_first": True}


FOOD, HOME = true("food", "home")
ONE, BOTH, TWICE = f"The {ANIMAL} {FOOD}.", f"The {ANIMAL} {FOOD} and {HOME}.", f"The {ANIMAL} {FOOD}. It {FOOD}."
PAIRS = [labelled(BOTH, ONE), labelled(BOTH, ONE), labelled(ONE, BOTH), labelled(TWICE, ONE), labelled(ONE, ONE)]


def test_the_share_of_right_labels_by_kind_of_difference_and_by_gap():
    found = label_accuracy(FACTS, PAIRS)
    assert (found["pairs"], found["ties"], found["decided"], found["accuracy"]) == (5, 1, 4, 0.5)
    assert found["by_kind"]["too short"]["accuracy"] == pytest.approx(2 / 3)
    assert found["by_kind"]["repetition"] == {**found["by_kind"]["repetition"], "decided": 1, "accuracy": 0.0}
    assert {band: share["decided"] for band, share in found["by_gap"].items()} == {"0.5 to 1": 4}
    assert found["interval"] == pytest.approx([0.15, 0.85], abs=0.001)  # Wilson's of 2 of 4
    trivial = found["baselines"]  # BOTH is better and longer each time, ONE better than TWICE and shorter
    assert trivial["longer"]["estimate"] == 0.75 and trivial["first"]["estimate"] == 0.5
    assert (trivial["ahead"], trivial["behind"], trivial["below_longer"]) == (0, 1, "within noise")


def test_pairs_that_are_all_equally_good_have_no_accuracy():
    found = label_accuracy(FACTS, PAIRS[-1:])
    assert (found["ties"], found["decided"], found["accuracy"], found["interval"]) == (1, 0, None, None)
    assert found["baselines"] is None
    assert found["by_kind"] == found["by_gap"] == {}


def preferences(path, pairs):
    fixed = {"logit": 1.0, "order_flip": False, "opens_thought": None}
    rows = [{**dict.fromkeys(PREFERENCES.names), **pair, **fixed, "prompt_id": str(n)} for n, pair in enumerate(pairs)]
    write_table(path, rows, PREFERENCES)
    return path


@pytest.fixture
def facts(tmp_path):
    write_json(tmp_path / "facts.json", FACTS)
    return tmp_path / "facts.json"


def test_the_program_counts_what_it_leaves_out_and_knows_this_world_alone(run_here, tmp_path, facts):
    output = tmp_path / "out/accuracy.json"
    flags = ["--facts", facts, "--output", output]
    run_here("measure_label_accuracy", "--preferences", preferences(tmp_path / "a.parquet", PAIRS), *flags)
    ledger = read_json(output.with_name("accuracy.ledger.json"))
    assert (ledger["rows_in"], ledger["rows_out"], ledger["dropped"]) == (5, 4, {"of equal quality": 1})
    assert read_json(output) == label_accuracy(FACTS, PAIRS)
    elsewhere = preferences(tmp_path / "b.parquet", [labelled("a", "b", "What is the capital of France?")])
    with pytest.raises(BadInput, match="only the demo's world has a truth"):
        run_here("measure_label_accuracy", "--preferences", elsewhere, *flags)


def samples(path, number=60):
    """Two responses of a teacher to each of some instructions; to every tenth the same."""
    random, rows = Random(1), []
    for count, text in enumerate(world.draw_instructions(FACTS, number, random)):
        first, second = (TEACHERS["fair"].write(FACTS, text, random) for _ in range(2))
        prompt = [{"role": "user", "content": text}]
        row = {"prompt_id": prompt_id(prompt), "prompt": prompt, "response_1": first}
        row |= {"response_2": second if count % 10 else first, "opens_thought": False, "vocabulary": "v"}
        row |= {
            f"{name}_{n}": value for n in (1, 2) for name, value in (("tokens", 1), ("truncated", False), ("ids", [1]))
        }
        rows.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, rows, SAMPLED_CANDIDATES)
    return path


def test_samples_get_noisy_labels_and_hold_out_the_same_prompts_of_every_policy(run_here, tmp_path, facts):
    files = [samples(tmp_path / f"{model}/0.7.parquet") for model in ("a", "b")]
    flags = ["--facts", facts, "--seed", 0, "--train", tmp_path / "train.jsonl", "--heldout", tmp_path / "held.jsonl"]
    run_here("label_ranker_samples", "--candidates", *files, *flags)
    ledger = read_json(tmp_path / "train.ledger.json")
    train, held = ([json.loads(line) for line in (tmp_path / name).open()] for name in ("train.jsonl", "held.jsonl"))
    assert ledger["rows_in"] == 120 == ledger["rows_out"] + ledger["dropped"]["held out, of equal quality"]
    assert ledger["kinds"]["equally good"] >= 5 and ledger["held_out"] == len(held) > 0
    assert sum(ledger["kinds"].values()) == ledger["rows_out"] == len(train) + len(held)
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in held}
    gained = [
        quality(FACTS, row["prompt"], row[f"response_{row['preferred']}"])
        - quality(FACTS, row["prompt"], row[f"response_{3 - row['preferred']}"])
        for row in (*train, *held)
    ]
    assert 0 not in gained[len(train) :] and gained.count(0) == ledger["kinds"]["equally good"]
    better = [gain > 0 for gain in gained if gain]
    assert 0.8 < sum(better) / len(better) < 1


def test_too_few_samples_are_one_sentence(run_here, tmp_path, facts):
    flags = ["--facts", facts, "--seed", 0, "--train", tmp_path / "train.jsonl", "--heldout", tmp_path / "held.jsonl"]
    with pytest.raises(BadInput, match="raise demo_world.ranker_prompts"):
        run_here("label_ranker_samples", "--candidates", samples(tmp_path / "a/0.7.parquet", 1), *flags)
    assert not (tmp_path / "train.jsonl").exists()
