"""Table 10: the instruction is chosen by lengths, and what a model wrote stays what it wrote."""

import csv
import json

import pytest

from dpo_stages.core.parquet import write_table
from dpo_stages.data.schemas import INSTRUCTIONS
from dpo_stages.report.tables.responses import choose_instruction, label, table


def outputs(**texts):
    """Rows by policy and index; the instruction of index n has 10 - n characters."""
    return {
        policy: {n: {"index": n, "instruction": "i" * (10 - n), "output": text} for n, text in enumerate(given)}
        for policy, given in texts.items()
    }


def test_different_responses_come_before_short_ones():
    # 0 has two different responses; 1 is shorter but has one
    assert choose_instruction(outputs(a=["xx", "y"], b=["zz", "y"])) == 0


def test_of_those_the_shortest_is_chosen_by_instruction_and_longest_response():
    assert choose_instruction(outputs(a=["x", "x" * 9], b=["y", "yy"])) == 0  # 10 + 1 < 9 + 9
    assert choose_instruction(outputs(a=["xx", "x"], b=["yy", "yy"])) == 1  # 10 + 2 > 9 + 2
    assert choose_instruction(outputs(a=["x", "xx"], b=["y", "yy"])) == 0  # equal: the first


def test_labels_are_the_papers():
    assert label("Zephyr", ()) == "Zephyr (SFT)"
    assert label("Zephyr", ("off", "on")) == "Zephyr (PC_off→on)"


def test_no_response_leaves_its_block():
    text = table([{"label": "a", "text": "```\n# out\n````"}], 0, "rule").markdown()
    assert "`````text\n```\n# out\n````\n`````" in text


@pytest.fixture
def evaluation(tmp_path):
    message = [{"role": "user", "content": "q"}]
    rows = [
        {
            "prompt_id": str(n),
            "prompt": message,
            "index": n,
            "instruction": f"q{n}",
            "reference": f"r{n}",
            "subset": "s",
        }
        for n in range(3)
    ]
    write_table(tmp_path / "e.parquet", rows, INSTRUCTIONS)
    for name, texts in (("sft", "abc"), ("on", "abd")):
        made = [{"index": n, "instruction": f"q{n}", "output": text} for n, text in enumerate(texts)]
        (tmp_path / f"{name}.json").write_text(json.dumps(made))
    return tmp_path


def test_the_program_shows_instruction_reference_and_every_policy(evaluation, run_script):
    arguments = ["--policies", "m/sft", "m/dpo/on", "--outputs", evaluation / "sft.json", evaluation / "on.json"]
    arguments += ["--instructions", evaluation / "e.parquet", "--model-label", "M"]
    arguments += ["--csv", evaluation / "t.csv"]
    done = run_script("make_table10", *arguments)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((evaluation / "t.csv").open()))
    assert [(row["label"], row["text"]) for row in rows] == [
        ("Instruction", "q2"), ("Reference output", "r2"), ("M (SFT)", "c"), ("M (PC_on)", "d"),
    ]  # fmt: skip
    assert "Of all 3 instructions" in rows[0]["rule"] and "2 different ones" in rows[0]["rule"]
    (evaluation / "on.json").write_text("[]")
    done = run_script("make_table10", *arguments)
    assert done.returncode == 2 and "on.json should hold a list of rows" in done.stderr
