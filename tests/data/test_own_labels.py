"""The labels that a data set brings itself: taken as they are, without a preference model."""

import json

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table
from dpo_stages.data.schemas import PREFERENCES

RECORDS = [
    {"prompt": "A", "chosen": "long and good", "rejected": "bad"},
    {"prompt": "B", "responses": [{"text": "b1", "score": 1}, {"text": "b2", "score": 1}]},  # a tie
    {"prompt": "C", "responses": [{"text": "c1", "score": 1}, {"text": "the better", "score": 2}]},
    {"prompt": "D", "chosen": "d", "rejected": "much longer"},
]


@pytest.fixture
def take(run_here, tmp_path):
    """Take the labels of records of a local data set; the preferences by prompt, and the ledger."""

    def run(records, *flags):
        source, data = tmp_path / "pairs.jsonl", tmp_path / "data.parquet"
        source.write_text("".join(json.dumps(record) + "\n" for record in records))
        run_here("prepare_dataset", "--kind", "preferences", "--adapter", "local", "--source", source, "--revision", "main",
                 "--split", "train", "--seed", 0, "--output", data)  # fmt: skip
        run_here("take_own_labels", "--pairs", data, *flags, "--output", tmp_path / "train.parquet")
        rows = read_table(tmp_path / "train.parquet", PREFERENCES).to_pylist()
        labelled = {row["prompt"][0]["content"]: row for row in rows}
        return labelled, json.loads((tmp_path / "train.ledger.json").read_text())

    return run


def test_the_data_sets_choice_is_the_chosen_response_and_pairs_without_one_are_counted(take):
    labelled, ledger = take(RECORDS)
    assert {prompt: (row["chosen"], row["rejected"]) for prompt, row in labelled.items()} == {
        "A": ("long and good", "bad"), "C": ("the better", "c1"), "D": ("d", "much longer"),
    }  # fmt: skip
    assert (ledger["rows_in"], ledger["rows_out"], ledger["dropped"]) == (4, 3, {"no label of their own": 1})
    assert (ledger["labelled_by"], ledger["pairs"], ledger["ties"]) == ("data set", 4, 1)
    assert ledger["longer_preferred"] == pytest.approx(2 / 3)
    assert "agreement_with_original" not in ledger and "preference_model" not in ledger


def test_what_no_model_was_asked_about_has_no_logit(take):
    labelled, _ = take(RECORDS)
    assert {(row["logit"], row["order_flip"]) for row in labelled.values()} == {(None, None)}
    assert all(row["original_agrees"] and row["chosen_ids"] is None for row in labelled.values())


def test_a_shard_takes_its_own_rows(take):
    assert set(take(RECORDS, "--shard", "2-of-2")[0]) == {"C", "D"}


def test_data_without_any_label_is_refused(take, tmp_path):
    with pytest.raises(BadInput, match=r"data\.parquet has no pair with a label of its own; with `labels: model`"):
        take(RECORDS[1:2])
    assert not (tmp_path / "train.parquet").exists()
