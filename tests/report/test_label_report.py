"""The table of what labelling reports, from ledgers as the programs write them."""

import csv
import json

import pytest

from dpo_stages.core.errors import BadInput

LABELS = {
    "output": "train.parquet", "rows_in": 61135, "rows_out": 61100, "dropped": {"ties": 35}, "preference_model": "pairrm",
    "pairs": 61135, "pairs_per_second": 41.25, "order_flip_rate": 0.0412, "ties": 35, "longer_preferred": 0.615,
    "truncated_sources": 12, "truncated_candidates": 1804, "control_texts": 3, "close_calls": 9,
    "agreement_with_original": 0.731,
}  # fmt: skip
COMPARISONS = {"preference_model": "a-judge", "pairs": 8000, "pairs_per_second": 4.0, "order_flip_rate": 0.5, "ties": 0,
               "longer_preferred": 0.5, "requests": 16000, "truncated_responses": 412}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    found = []
    for name, ledger in (("train", LABELS), ("test", COMPARISONS)):
        (tmp_path / f"{name}.ledger.json").write_text(json.dumps(ledger))
        found.append(tmp_path / f"{name}.parquet")
    return found


def make(run_here, tmp_path, files, *names):
    run_here(
        "make_labels_table", "--preferences", files[0], "--comparisons", files[1], "--names", *names, "--csv",
        tmp_path / "labels.csv",
    )  # fmt: skip


def test_every_pass_is_a_row_with_what_its_model_has(run_here, tmp_path, files):
    make(run_here, tmp_path, files, "ultrafeedback", "zephyr-7b/sft")
    labels, comparisons = csv.DictReader((tmp_path / "labels.csv").open(newline=""))
    figures = (
        "pairs", "pairs_per_second", "order_flip_rate", "ties", "truncated_sources", "truncated_candidates", "control_texts",
        "longer_preferred", "agreement_with_original", "close_calls",
    )  # fmt: skip
    assert {name: float(labels[name]) for name in figures} == {name: LABELS[name] for name in figures}
    assert (labels["candidates"], labels["work"], comparisons["work"]) == ("ultrafeedback", "labels", "comparisons")
    assert comparisons["control_texts"] == comparisons["agreement_with_original"] == labels["truncated_responses"] == ""
    assert comparisons["truncated_responses"] == "412"
    text = (tmp_path / "labels.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert rows[1] == [
        "ultrafeedback", "labels", "preference model", "61,135", "41", "4.1%", "35", "61.5%", "73.1%", "35", "12", "1,804", "3", "–",
    ]  # fmt: skip
    assert rows[2][-6:] == [*["–"] * 5, "412"] and "a-judge and pairrm" in text


def test_labels_of_the_data_set_itself_are_named(run_here, tmp_path, files):
    """No preference model was asked: nothing is known of its order or of agreement."""
    own = {"rows_in": 100, "rows_out": 90, "dropped": {"no label of their own": 10}, "labelled_by": "data set", "pairs": 100,
           "ties": 10, "longer_preferred": 0.6}  # fmt: skip
    files[0].with_name("train.ledger.json").write_text(json.dumps(own))
    make(run_here, tmp_path, files, "my-data", "zephyr-7b/sft")
    labels, comparisons = csv.DictReader((tmp_path / "labels.csv").open(newline=""))
    assert (labels["labelled_by"], labels["left_out"], labels["agreement_with_original"]) == ("data set", "10", "")
    assert comparisons["labelled_by"] == comparisons["left_out"] == ""
    text = (tmp_path / "labels.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert rows[1] == ["my-data", "labels", "data set", "100", "–", "–", "10", "60.0%", "–", "10", "–", "–", "–", "–"]
    assert "preference model (a-judge)" in text


def test_a_name_for_each_file(run_here, tmp_path, files):
    with pytest.raises(BadInput, match="2 files but 1 --names"):
        make(run_here, tmp_path, files, "ultrafeedback")


TRUTH = {
    "pairs": 60, "ties": 10, "confidence": 0.95, "decided": 50, "accuracy": 0.8, "interval": [0.6628, 0.8997],
    "by_kind": {"repetition": {"decided": 20, "accuracy": 0.55, "interval": [0.3, 0.8]}},
    "by_gap": {"0 to 0.5": {"decided": 50, "accuracy": 0.8, "interval": [0.6628, 0.8997]}},
    "baselines": {
        "longer": {"estimate": 0.6, "low": 0.462, "high": 0.724, "pairs": 50},
        "first": {"estimate": 0.5, "low": 0.366, "high": 0.634, "pairs": 50},
        "ahead": 14, "behind": 4, "below_longer": None,
    },
}  # fmt: skip
BELOW = {
    "longer": {"estimate": 0.778, "low": 0.675, "high": 0.856, "pairs": 79},
    "first": {"estimate": 0.367, "low": 0.269, "high": 0.477, "pairs": 79},
    "ahead": 10, "behind": 24, "below_longer": "beyond noise",
}  # fmt: skip
VOTED = {
    "preference_model": "small", "confidence": 0.95, "votes": ["votes.jsonl"], "baselines": BELOW, "by_file": {"votes.jsonl": {}},
    "accuracy": {"estimate": 0.608, "low": 0.497, "high": 0.708, "pairs": 79},
}  # fmt: skip


def test_where_the_right_labels_are_known_it_shows_how_often_they_are_right(run_here, tmp_path, files):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    make(run_here, tmp_path, files, "mine", "mine", "--accuracies", tmp_path / "truth.json")
    labels, comparisons = csv.DictReader((tmp_path / "labels.csv").open(newline=""))
    assert (labels["accuracy"], labels["accuracy_high"], labels["equally_good"]) == ("0.8", "0.8997", "10")
    assert comparisons["accuracy"] == ""
    *_, names, _, line = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (tmp_path / "labels.md").read_text().splitlines()
        if line.startswith("|")
    ]
    assert line == [
        "mine", "50", "10", "80.0% (66.3 to 90.0)", "60.0% (46.2 to 72.4)", "50.0% (36.6 to 63.4)", "55% of 20", "80% of 50",
    ]  # fmt: skip
    assert (labels["longer"], labels["first"], labels["below_longer"]) == ("0.6", "0.5", "")
    assert "Counting characters" not in (tmp_path / "labels.md").read_text()


def test_labels_that_counting_characters_would_beat_are_said_to_be(run_here, tmp_path, files):
    (tmp_path / "truth.json").write_text(json.dumps({**TRUTH, "baselines": BELOW}))
    make(run_here, tmp_path, files, "mine", "mine", "--accuracies", tmp_path / "truth.json")
    labels, _ = csv.DictReader((tmp_path / "labels.csv").open(newline=""))
    assert labels["below_longer"] == "beyond noise"
    assert (
        "\nCounting characters would do better than the labels of mine: on 24 of 79 pairs the longer response is the better "
        "guess, on 10 the worse one, which is beyond noise (McNemar's exact test)."
    ) in (tmp_path / "labels.md").read_text()


def lines_of_votes(tmp_path):
    """The cells of the table of votes."""
    votes = (tmp_path / "labels.md").read_text().partition("## How often the preference model is right")[2]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in votes.splitlines() if line.startswith("| ")]


def test_a_preference_model_that_counting_characters_beats_on_votes_is_said_to_be(run_here, tmp_path, files):
    (tmp_path / "votes.json").write_text(json.dumps(VOTED))
    make(run_here, tmp_path, files, "mine", "mine", "--held-out", tmp_path / "votes.json")
    _, line = lines_of_votes(tmp_path)
    assert line == [
        "small",
        "votes.jsonl",
        "79",
        "60.8% (49.7 to 70.8)",
        "77.8% (67.5 to 85.6)",
        "36.7% (26.9 to 47.7)",
    ]
    warning = "Warning: counting characters would do better than the preference model small: on 24 of 79 pairs"
    assert warning in (tmp_path / "labels.md").read_text()


def test_one_that_is_not_below_length_is_warned_of_nowhere_and_files_of_votes_have_a_row_each(
    run_here, tmp_path, files
):
    part = {"accuracy": VOTED["accuracy"], "baselines": TRUTH["baselines"]}
    voted = {**VOTED, **part, "votes": ["a", "b"], "by_file": {"a": part, "b": part}}
    (tmp_path / "votes.json").write_text(json.dumps(voted))
    make(run_here, tmp_path, files, "mine", "mine", "--held-out", tmp_path / "votes.json")
    assert [line[1] for line in lines_of_votes(tmp_path)] == ["Votes", "all", "a", "b"]
    assert "ounting characters" not in (tmp_path / "labels.md").read_text()


def test_without_votes_nothing_is_claimed(run_here, tmp_path, files):
    make(run_here, tmp_path, files, "mine", "mine", "--notes", "How often it is right nobody knows.")
    text = (tmp_path / "labels.md").read_text()
    assert "## How often the preference model is right\n\nHow often it is right nobody knows.\n" in text
    assert lines_of_votes(tmp_path) == [] and "ounting characters" not in text


def test_a_file_that_holds_no_accuracy_is_refused(run_here, tmp_path, files):
    (tmp_path / "votes.json").write_text("{}")
    with pytest.raises(BadInput, match="is no accuracy on held-out votes"):
        make(run_here, tmp_path, files, "mine", "mine", "--held-out", tmp_path / "votes.json")


def test_accuracies_of_all_labels_or_none(run_here, tmp_path, files):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    two = ["--accuracies", tmp_path / "truth.json", tmp_path / "truth.json"]
    with pytest.raises(BadInput, match="1 --preferences but 2 --accuracies"):
        make(run_here, tmp_path, files, "mine", "mine", *two)
