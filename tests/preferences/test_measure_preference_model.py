"""How often a preference model is right on held-out votes, beside whoever takes the longer response or the first one."""

import json

import numpy as np
import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.pairs import Pair

TEXTS = ("honey moss", "the murrow can dig", "red", "blue and not grey but in caves", "it", "swim in rivers")
PAIRS = [(f"who is {number}", TEXTS[number % 6], TEXTS[(number // 2 + 1) % 6]) for number in range(24)]
PAIRS = [pair for pair in PAIRS if pair[1] != pair[2]]


def write(path, votes, pairs=PAIRS):
    rows = [
        {"prompt": prompt, "response_1": first, "response_2": second, "preferred": vote}
        for (prompt, first, second), vote in zip(pairs, votes, strict=True)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.fixture
def measure(run_here, model_folder, tmp_path):
    def run(*files):
        output = tmp_path / "out/held_out.json"
        flags = ["--preference-model", model_folder / "manifest.json", "--name", "tiny", "--confidence", 0.95]
        run_here("measure_preference_model", "--votes", *files, *flags, "--output", output)
        return read_json(output), read_json(output.with_name("held_out.ledger.json"))

    return run


def longer(first, second):
    return 1 if len(first) > len(second) else 2


def own_votes(model_folder):
    """What the preference model says itself, so that it is right on all of them."""
    pairs = [Pair([{"role": "user", "content": prompt}], *both) for prompt, *both in PAIRS]
    logits = open_preference_model(model_folder / "manifest.json").compare(pairs).logits
    assert (np.abs(logits) > 1e-4).all()
    return [1 if logit > 0 else 2 for logit in logits]


def test_votes_that_the_model_shares_and_votes_that_length_shares(measure, model_folder, tmp_path):
    own = own_votes(model_folder)
    by_length = [longer(first, second) for _, first, second in PAIRS]
    agree = sum(one == other for one, other in zip(own, by_length, strict=True))
    of_model, ledger = measure(write(tmp_path / "own.jsonl", own))
    assert of_model["accuracy"]["estimate"] == 1 and of_model["baselines"]["below_longer"] is None
    assert of_model["baselines"]["longer"]["estimate"] == pytest.approx(agree / len(PAIRS))
    assert of_model["baselines"]["first"]["estimate"] == pytest.approx(own.count(1) / len(PAIRS))
    assert (ledger["accuracy"], ledger["below_longer"], ledger["pairs"]) == (1, "no", len(PAIRS))
    of_length, ledger = measure(write(tmp_path / "length.jsonl", by_length))
    assert of_length["baselines"]["longer"]["estimate"] == 1
    assert of_length["accuracy"]["estimate"] == pytest.approx(agree / len(PAIRS))
    assert of_length["baselines"]["below_longer"] == ledger["below_longer"] == "beyond noise"


def test_files_are_told_apart_and_votes_that_tie_are_left_out_and_counted(measure, model_folder, tmp_path):
    own = own_votes(model_folder)
    one = write(tmp_path / "one.jsonl", [0, 0, *own[2:]])
    other = write(tmp_path / "other.jsonl", [3 - vote for vote in own])
    found, ledger = measure(one, other)
    number = len(PAIRS)
    assert {file: part["accuracy"]["estimate"] for file, part in found["by_file"].items()} == {
        str(one): 1,
        str(other): 0,
    }
    assert found["accuracy"]["pairs"] == 2 * number - 2
    assert found["accuracy"]["estimate"] == pytest.approx((number - 2) / (2 * number - 2))
    assert (ledger["rows_in"], ledger["rows_out"], ledger["dropped"]) == (
        2 * number,
        2 * number - 2,
        {"votes that tie": 2},
    )
    assert found["votes"] == [str(one), str(other)] and found["preference_model"] == "tiny"


def test_thoughts_count_neither_for_the_model_nor_as_length(measure, tmp_path):
    thinking = [("who", f"<think>{'moss ' * 40}</think>red", "blue and honey")]
    found, ledger = measure(write(tmp_path / "thinking.jsonl", [2], thinking))
    assert found["baselines"]["longer"]["estimate"] == 1 and ledger["thoughts"] == 1


def test_two_equal_responses_are_half_right_for_both(measure, tmp_path):
    found, _ = measure(write(tmp_path / "equal.jsonl", [1], [("who", "red", "red")]))
    assert found["accuracy"]["estimate"] == found["baselines"]["longer"]["estimate"] == 0.5
    assert found["baselines"]["below_longer"] is None


@pytest.mark.parametrize(
    ("votes", "said"),
    [([0], "every vote is a tie"), ([3], "pair 1: preferred should be 1, 2, or 0 for a tie, found 3")],
)
def test_votes_that_say_nothing_are_one_sentence(measure, tmp_path, votes, said):
    with pytest.raises(BadInput, match=said):
        measure(write(tmp_path / "votes.jsonl", votes, PAIRS[:1]))
    assert not (tmp_path / "out").exists()
