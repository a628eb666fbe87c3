"""What a preference model is shown of responses that think first; what is stored has their thoughts."""

import json

import pytest

from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import COMPARISONS, OFF_POLICY_CANDIDATES, PREFERENCES, SAMPLED_CANDIDATES

QUESTIONS = [[{"role": "user", "content": f"Who digs in {place}?"}] for place in ("moss", "caves", "rivers")]
ANSWERS = [("the murrow", "a tarsel can dig"), ("a tarsel and honey", "the murrow digs"), ("the murrow", "not it")]
KNOWN = {"truncated_1": False, "truncated_2": False, "tokens_1": 9, "tokens_2": 9, "ids_1": [7], "ids_2": [7]}
KNOWN |= {"vocabulary": "0123456789abcdef"}


def rows(think, opened=False):
    """Each response through `think`."""
    return [
        {"prompt_id": prompt_id(prompt), "prompt": prompt, "response_1": think(first), "response_2": think(second)}
        | {**KNOWN, "opens_thought": opened}
        for prompt, (first, second) in zip(QUESTIONS, ANSWERS, strict=True)
    ]


def thinking(answer):
    return f"<think>\nred moss or honey\n</think>\n\n{answer}"


def ended(answer):
    return f"red moss or honey\n</think>\n\n{answer}"


@pytest.fixture
def label(run_here, model_folder, tmp_path):
    def run(table, *flags, schema=SAMPLED_CANDIDATES):
        write_table(tmp_path / "in.parquet", table, schema)
        output = tmp_path / "out.parquet"
        arguments = ["--pairs", tmp_path / "in.parquet", "--preference-model", model_folder, "--output", output]
        run_here("label_preferences", *arguments, *flags)
        return read_table(output, PREFERENCES).to_pylist(), json.loads((tmp_path / "out.ledger.json").read_text())

    return run


def logits(labelled):
    return [row["logit"] for row in labelled]


def test_labels_are_those_of_the_answers_and_training_gets_the_thoughts(label):
    plain, counted = label(rows(lambda answer: answer))
    assert (counted["thoughts"], counted["empty_answers"]) == (0, 0) and len(plain) == 3
    for think, opened in ((thinking, False), (ended, True)):
        labelled, counted = label(rows(think, opened))
        assert logits(labelled) == logits(plain) and counted["thoughts"] == 6
        assert [row["chosen"] for row in labelled] == [think(row["chosen"]) for row in plain]
        assert {row["opens_thought"] for row in labelled} == {opened}
    of_data, _ = label(rows(thinking), schema=OFF_POLICY_CANDIDATES)
    assert logits(of_data) == logits(plain) and {row["opens_thought"] for row in of_data} == {None}
    shown, counted = label(rows(thinking), "--thoughts", "show")
    assert logits(shown) != logits(plain) and (counted["thoughts"], counted["empty_answers"]) == (6, 0)
    assert shown[0]["chosen"].startswith("<think>")


def test_a_thought_that_was_cut_is_an_empty_answer(label):
    table = rows(thinking)
    table[0] |= {"response_1": "<think>\nred mo", "truncated_1": True}
    table[1] |= {"response_2": "red mo", "truncated_2": True, "opens_thought": True, "response_1": ended("honey")}
    table[2] |= {"response_1": "<think>\nred", "response_2": "<think>\nmoss"}  # nothing to tell them apart
    labelled, counted = label(table)
    empty = rows(thinking)
    empty[0]["response_1"] = empty[1]["response_2"] = ""
    empty[1]["response_1"] = "honey"
    expected, _ = label(empty[:2])
    assert logits(labelled) == pytest.approx(logits(expected), abs=1e-5) and len(labelled) == 2
    assert (counted["thoughts"], counted["empty_answers"], counted["dropped"]["ties"]) == (6, 4, 1)


def test_comparisons_are_of_answers_and_so_are_their_lengths(run_here, model_folder, tmp_path):
    def compare(on, off, *flags):
        write_table(tmp_path / "on.parquet", on, SAMPLED_CANDIDATES)
        write_table(tmp_path / "off.parquet", off, OFF_POLICY_CANDIDATES)
        run_here(
            "compare_candidates", "--on-policy", tmp_path / "on.parquet", "--off-policy", tmp_path / "off.parquet",
            "--preference-model", model_folder, "--output", tmp_path / "out.parquet", *flags,
        )  # fmt: skip
        return read_table(tmp_path / "out.parquet", COMPARISONS), json.loads((tmp_path / "out.ledger.json").read_text())

    off = rows(lambda answer: f"{answer} and moss")
    plain, _ = compare(rows(lambda answer: answer), off)
    compared, counted = compare(rows(ended, True), off)
    assert compared == plain and (counted["thoughts"], counted["empty_answers"]) == (6, 0)
    shown, counted = compare(rows(ended, True), off, "--thoughts", "show")
    begun, _ = compare(rows(lambda answer: "<think>\n" + ended(answer)), off, "--thoughts", "show")
    assert shown == begun != plain and shown["off_length"] == plain["off_length"]
    thought = len("<think>\n" + ended(""))
    assert [n - thought for n in shown["on_length"].to_pylist()] == plain["on_length"].to_pylist()


def test_pairs_of_ones_own_too(run_here, model_folder, tmp_path):
    (tmp_path / "in.jsonl").write_text(
        "".join(
            json.dumps({"prompt": "Who digs?", "response_1": first, "response_2": "a tarsel"}) + "\n"
            for first in ("the murrow", thinking("the murrow"), "<think>")
        )
    )
    flags = ["--preference-model", model_folder, "--output", tmp_path / "out.parquet"]
    run_here("label_preferences", "--pairs", tmp_path / "in.jsonl", *flags)
    import pyarrow.parquet as pq

    first, second, third = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert first["logit"] == second["logit"] != third["logit"]
    assert second["response_1"] == thinking("the murrow")
    ledger = json.loads((tmp_path / "out.ledger.json").read_text())
    assert (ledger["thoughts"], ledger["empty_answers"]) == (2, 1)
