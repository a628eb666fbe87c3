"""The table and the figure of several data sets, and what the report's cards say of them."""

import csv
import json

import pytest

from dpo_stages.report import page
from dpo_stages.report.tables import data_sets


def measured(policy, data, score, low, high):
    return {
        "policy": policy, "preference_data": data, "boundary_score": score, "interval": [low, high], "confidence": 0.983333,
        "prompts": 50, "verdict": "undecided" if low <= 0.5 <= high else "decided",
        "recommended_source": "off" if score < 0.5 else "on",
    }  # fmt: skip


SCORES = [
    measured("m+judge@1/sft", "mine", 0.7, 0.6, 0.8),
    measured("m+judge@1/sft+old", "old", 0.2, 0.1, 0.3),
    measured("m+judge@1/sft+new", "new", 0.45, 0.3, 0.6),
    measured("m/sft", "mine", 0.4, 0.3, 0.6),
    measured("m/sft+old", "old", 0.8, 0.7, 0.9),
]
BASELINES = {"longer": {"estimate": 0.6}, "first": {"estimate": 0.5}, "below_longer": None}
LABELS = {"agreement": {"estimate": 0.7, "low": 0.6, "high": 0.8}, "baselines": BASELINES}
AUDIT = {
    "initial_policy": "m/sft+old", "yardstick": "gpt",
    "sources": {"off": {"verdict": "trustworthy", "labels": LABELS}},
}  # fmt: skip


def test_the_program_puts_the_data_sets_of_every_policy_in_order(tmp_path, run_here):
    files = [tmp_path / f"{number}.json" for number in range(len(SCORES))]
    for file, score in zip(files, SCORES, strict=True):
        file.write_text(json.dumps(score))
    (tmp_path / "audit.json").write_text(json.dumps(AUDIT))
    made = {kind: tmp_path / f"data_sets.{kind}" for kind in ("csv", "svg", "png")}
    run_here("make_data_sets", "--boundaries", *files, "--audits", tmp_path / "audit.json", "--confidence", 0.95,
             *(word for kind, file in made.items() for word in (f"--{kind}", file)))  # fmt: skip
    with open(made["csv"], encoding="utf-8") as file:
        rows = [(row["policy"], row["source"], row["place"], row["labels_right"]) for row in csv.DictReader(file)]
    assert rows == [
        ("m+judge@1/sft", "off.old", "before own samples", ""),
        ("m+judge@1/sft", "off.new", "not told apart", ""),
        ("m+judge@1/sft", "off", "behind own samples", ""),
        ("m/sft", "off", "not told apart", ""),
        ("m/sft", "off.old", "behind own samples", "70 % (60 to 80), longer 60 %, first 50 %"),
    ]
    words = made["csv"].with_suffix(".md").read_text()
    assert "First to last: old, then own samples, then mine; not told apart from own samples: new." in words
    assert "together with 95 % confidence" in words and "the better one by gpt" in words
    assert made["svg"].read_text().startswith("<?xml") and made["png"].stat().st_size > 1000


def test_one_data_set_has_no_order():
    assert data_sets.standings(SCORES[:1]) == {}
    assert {policy: standing.leads for policy, standing in data_sets.standings(SCORES).items()} == {
        "m+judge@1/sft": "off.old",
        "m/sft": "off",
    }


class Decision:
    recommended, decided = "on", True


@pytest.mark.parametrize(
    ("scores", "next_", "words", "undecided"),
    [
        (SCORES[:3], "off", "off-policy data old", False),
        (SCORES[3:], "off", "off-policy data mine", True),
        ([SCORES[0], SCORES[4] | {"policy": "m+judge@1/sft+old"}], "on", "the policy's own samples", False),
    ],
)
def test_a_card_recommends_what_comes_first_of_all(scores, next_, words, undecided):
    (standing,) = data_sets.standings(scores).values()
    found = page._next(Decision(), standing)
    assert (found["next"], found["next_words"], found["undecided"]) == (next_, words, undecided)
    assert found["order"] == standing.sentence()
    assert page._next(Decision(), None) == {
        "next": "on", "next_words": "the policy's own samples", "undecided": False, "order": "",
    }  # fmt: skip
