"""Pairs leave in the form that other trainers read, and what they cannot know is counted."""

import json

import pyarrow.parquet as pq
import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, read_json_lines
from dpo_stages.core.parquet import write_table
from dpo_stages.data.adapters import adapt
from dpo_stages.data.schemas import PREFERENCES

PROMPT = [{"role": "system", "content": "S"}, {"role": "user", "content": "Why, “José”?\u2028"}]


@pytest.fixture
def pairs(tmp_path):
    row = {"prompt_id": "a", "prompt": PROMPT, "chosen": "Yes.", "rejected": "No.", "chosen_first": True}
    rows = [
        row,
        {**row, "prompt_id": "b", "chosen_truncated": True, "rejected_truncated": False, "opens_thought": True},
    ]
    write_table(tmp_path / "train.parquet", rows, PREFERENCES)
    return tmp_path / "train.parquet"


TURNS = {"chosen": {"role": "assistant", "content": "Yes."}, "rejected": {"role": "assistant", "content": "No."}}


@pytest.mark.parametrize(
    ("form", "responses"),
    [("trl", {name: [turn] for name, turn in TURNS.items()}), ("llama-factory", TURNS)],
)
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_pairs_are_written_in_each_form(run_here, tmp_path, pairs, form, responses, ending):
    output = tmp_path / f"out.{ending}"
    run_here("export_preferences", "--preferences", pairs, "--form", form, "--output", output)
    rows = read_json_lines(output) if ending == "jsonl" else pq.read_table(output).to_pylist()
    assert rows == [{"prompt": PROMPT, **responses}] * 2
    ledger = read_json(tmp_path / "out.ledger.json")
    assert (ledger["rows_out"], ledger["truncated_responses"], ledger["opened_thoughts"]) == (2, 1, 1)


def test_what_is_written_comes_in_again(run_here, tmp_path, pairs):
    run_here("export_preferences", "--preferences", pairs, "--output", tmp_path / "out.jsonl")
    (row,) = adapt(read_json_lines(tmp_path / "out.jsonl"), "local", "preferences", 0, "data").rows
    assert (row["prompt"], row["response_1"], row["response_2"]) == (PROMPT, "Yes.", "No.")


def test_bad_input_leaves_nothing(run_here, tmp_path, pairs):
    with pytest.raises(BadInput, match=r"--output is .*out.csv; its name must end in .jsonl or .parquet"):
        run_here("export_preferences", "--preferences", pairs, "--output", tmp_path / "out.csv")
    write_table(tmp_path / "none.parquet", [], PREFERENCES)
    with pytest.raises(BadInput, match="has no pair; there is nothing to write"):
        run_here("export_preferences", "--preferences", tmp_path / "none.parquet", "--output", tmp_path / "out.jsonl")
    (tmp_path / "other.jsonl").write_text(json.dumps(TURNS))
    with pytest.raises(BadInput, match="is not a whole Parquet file"):
        run_here("export_preferences", "--preferences", tmp_path / "other.jsonl", "--output", tmp_path / "out.jsonl")
    assert not list(tmp_path.glob("out.*"))
