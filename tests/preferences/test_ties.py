"""Candidates between which the preference model sees no difference: dropped, or the second one is chosen."""

import json

import pytest

from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import OFF_POLICY_CANDIDATES, PREFERENCES

LONG = "word " * 120  # the ranker reads the beginning alone, so what follows makes no difference
RESPONSES = [("red", "blue"), ("same", "same"), (LONG + "one", LONG + "two"), ("a tree", "a river")]


@pytest.fixture
def label(run_here, model_folder, tmp_path):
    """Label RESPONSES; the preferences by prompt, and the ledger."""
    prompts = [[{"role": "user", "content": f"question {number}"}] for number in range(len(RESPONSES))]
    rows = [
        {
            "prompt_id": prompt_id(prompt),
            "prompt": prompt,
            "response_1": one,
            "response_2": two,
            "original_preference": 1,
        }
        for prompt, (one, two) in zip(prompts, RESPONSES, strict=True)
    ]
    write_table(tmp_path / "off.parquet", rows, OFF_POLICY_CANDIDATES)

    def run(*flags):
        output = tmp_path / "train.parquet"
        files = ["--pairs", tmp_path / "off.parquet", "--preference-model", model_folder, "--output", output]
        run_here("label_preferences", *files, *flags)
        labelled = {row["prompt"][0]["content"][-1]: row for row in read_table(output, PREFERENCES).to_pylist()}
        return labelled, json.loads((tmp_path / "train.ledger.json").read_text())

    return run


def test_ties_and_equal_responses_are_dropped_and_counted(label):
    labelled, ledger = label()
    assert set(labelled) == {"0", "3"}
    assert ledger["dropped"] == {"cut responses": 0, "identical responses": 1, "ties": 1} and ledger["ties"] == 2


def test_on_request_the_second_response_of_a_tie_is_chosen(label):
    decided, before = label()
    labelled, ledger = label("--ties", "second")
    assert {name: labelled.pop(name) for name in decided} == decided
    for name, row in labelled.items():
        assert (row["rejected"], row["chosen"]) == RESPONSES[int(name)]
        assert (row["logit"], row["chosen_first"], row["original_agrees"]) == (0, False, None)
    assert set(labelled) == {"1", "2"} and not any(ledger["dropped"].values())
    assert (ledger["rows_out"], ledger["ties"]) == (4, 2)
    assert ledger["agreement_with_original"] == before["agreement_with_original"]
