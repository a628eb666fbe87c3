"""Pairs of a data set on which the preference model and the data set's own label agree, and what is left out."""

import json

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import OFF_POLICY_CANDIDATES, PREFERENCES

LONG = "word " * 120  # the ranker reads the beginning alone, so what follows makes no difference
RESPONSES = [("red", "blue"), (LONG + "one", LONG + "two"), ("a tree", "a river"), ("seven", "eight"), ("x", "y")]


@pytest.fixture
def label(run_here, model_folder, tmp_path):
    """Label RESPONSES, whose own labels are given; the preferences by number, and the ledger."""

    def run(own, *flags):
        prompts = [[{"role": "user", "content": f"question {number}"}] for number in range(len(RESPONSES))]
        rows = [
            {"prompt_id": prompt_id(prompt), "prompt": prompt, "response_1": one, "response_2": two}
            | {"original_preference": preferred}
            for prompt, (one, two), preferred in zip(prompts, RESPONSES, own, strict=True)
        ]
        write_table(tmp_path / "off.parquet", rows, OFF_POLICY_CANDIDATES)
        files = ["--pairs", tmp_path / "off.parquet", "--preference-model", model_folder]
        run_here("label_preferences", *files, "--output", tmp_path / "train.parquet", *flags)
        rows = read_table(tmp_path / "train.parquet", PREFERENCES).to_pylist()
        labelled = {int(row["prompt"][0]["content"][-1]): row for row in rows}
        return labelled, json.loads((tmp_path / "train.ledger.json").read_text())

    return run


@pytest.mark.parametrize("ties", ["drop", "second"])
def test_only_pairs_on_which_both_agree_stay(label, ties):
    by_model, before = label([1] * 5)
    choice = {number: 1 if row["chosen_first"] else 2 for number, row in by_model.items()}
    assert set(choice) == {0, 2, 3, 4} and "labelled_by" not in before
    own = [choice[0], 2, 3 - choice[2], None, choice[4]]  # agreed, a tie of the model, disputed, unlabelled, agreed
    labelled, ledger = label(own, "--labels", "agree", "--ties", ties)
    assert set(labelled) == {0, 4} and all(row["original_agrees"] for row in labelled.values())
    assert [labelled[number]["chosen"] for number in (0, 4)] == [by_model[number]["chosen"] for number in (0, 4)]
    assert ledger["dropped"] == {
        "cut responses": 0, "identical responses": 0, "ties": 1, "no label of their own": 1, "another label of their own": 1,
    }  # fmt: skip
    assert (ledger["labelled_by"], ledger["rows_in"], ledger["rows_out"]) == ("both", 5, 2)
    assert ledger["pairs"] == 4  # the preference model is not asked about what has no label
    assert ledger["agreement_with_original"] == pytest.approx(2 / 3)


def test_candidates_without_any_label_are_refused_before_a_model_is_opened(label, tmp_path):
    with pytest.raises(BadInput, match=r"off\.parquet has no pair with a label of its own"):
        label([None] * 5, "--labels", "agree", "--preference-model", "nowhere")
    assert not (tmp_path / "train.parquet").exists()
