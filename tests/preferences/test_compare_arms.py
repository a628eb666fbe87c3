"""The preference model's verdict on the outputs of two arms: which output is which, ties, thoughts, what does not fit."""

import json
import subprocess

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import INSTRUCTIONS
from dpo_stages.evaluation.arms import ARMS_SCHEMA
from dpo_stages.preferences.pairs import Pair

QUESTIONS = ["Who digs in moss?", "Who digs in caves?", "Who digs in rivers?"]
OFF = ["the murrow", "same", "a tarsel can dig"]
ON = ["a tarsel and honey", "same", "not it"]


def prompt(question):
    return [{"role": "user", "content": question}]


@pytest.fixture
def compare(run_here, model_folder, tmp_path):
    """Run the program on the outputs of two arms; the table, the ledger."""
    rows = [
        {"prompt_id": prompt_id(prompt(text)), "prompt": prompt(text), "index": number}
        | {"instruction": text, "reference": "r", "subset": "s"}
        for number, text in enumerate(QUESTIONS)
    ]
    write_table(tmp_path / "instructions.parquet", rows, INSTRUCTIONS)

    def run(off=OFF, on=ON, *flags):
        for name, outputs in (("off", off), ("on", on)):
            answered = [
                {name: row[name] for name in ("index", "prompt_id", "instruction")}
                | {"output": output, "generator": f"m@1/dpo/{name}", "dataset": "s", "truncated": name == "on"}
                for row, output in zip(rows, outputs, strict=False)
            ]
            (tmp_path / f"{name}.json").write_text(json.dumps(answered[::-1]))  # in whatever order
        run_here(
            "compare_arms", "--off-policy", tmp_path / "off.json", "--on-policy", tmp_path / "on.json",
            "--instructions", tmp_path / "instructions.parquet", "--preference-model", model_folder,
            "--output", tmp_path / "arms.parquet", *flags,
        )  # fmt: skip
        ledger = json.loads((tmp_path / "arms.ledger.json").read_text())
        return read_table(tmp_path / "arms.parquet", ARMS_SCHEMA).to_pylist(), ledger

    return run


def test_the_verdict_is_the_preference_models_own_and_a_tie_is_half(compare, model, root, tmp_path):
    rows, ledger = compare()
    expected = model.compare([Pair(prompt(q), one, two) for q, one, two in zip(QUESTIONS, OFF, ON, strict=True)])
    assert [row["logit"] for row in rows] == pytest.approx(expected.logits.tolist())
    assert [row["order_flip"] for row in rows] == expected.order_flips.tolist()
    assert [row["off_policy_preferred"] for row in rows] == [float(n > 0) if n else 0.5 for n in expected.logits]
    assert rows[1]["off_policy_preferred"] == 0.5 and rows[0]["logit"] != 0
    assert {(row["off_policy"], row["on_policy"]) for row in rows} == {("m@1/dpo/off", "m@1/dpo/on")}
    assert (ledger["rows_out"], ledger["ties"], ledger["truncated"]) == (3, 1, 3)
    mean = sum(row["off_policy_preferred"] for row in rows) / 3
    assert ledger["off_policy_preferred"] == pytest.approx(mean)
    read = "from dpo_stages.evaluation.verdicts import read_verdict; print(read_verdict('arms.parquet').percent)"
    in_scripts = f"import os, sys; sys.path.insert(0, {str(root / 'workflow_scripts')!r}); os.chdir({str(tmp_path)!r})"
    command = [root / "envs/run", "workflow", "-c", f"{in_scripts}; {read}"]  # where tables are made
    percent = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    assert float(percent) == pytest.approx(100 * mean)


def test_the_arms_change_places_and_so_does_the_verdict(compare):
    first, _ = compare()
    second, _ = compare(ON, OFF)
    for one, other in zip(first, second, strict=True):
        assert one["logit"] == pytest.approx(-other["logit"], abs=1e-6)
        assert one["off_policy_preferred"] == 1 - other["off_policy_preferred"]


def test_what_an_output_thinks_is_not_compared(compare):
    plain, _ = compare()
    hidden, ledger = compare([f"<think>\nhoney\n</think>\n\n{text}" for text in OFF])
    assert hidden == plain and ledger["thoughts"] == 3


def test_an_arm_that_did_not_answer_everything_is_refused(compare, tmp_path):
    with pytest.raises(BadInput, match=r"off\.json has no output for"):
        compare(OFF[:2])
    assert not (tmp_path / "arms.parquet").exists()
