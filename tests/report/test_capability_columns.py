"""What tables and the report say of capabilities: columns, marks, and gains by the judge that cost them."""

import csv
import io

import pytest
from test_tables import index, win_rate, write

from dpo_stages.core.errors import BadInput
from dpo_stages.report import capabilities, policy_rows
from dpo_stages.report.policy_table import table

LEVELS = {"sft": 20.0, "dpo/off": 25.0, "dpo/on": 18.0}  # length-controlled win rates
RIGHT = {"sft": 0.50, "dpo/off": 0.44, "dpo/on": 0.44}  # of 1,000 questions


def record(policy, right, **other):
    task = {
        "accuracy": right,
        "standard_error": 0.016,
        "n": 1000,
        "version": "3.0",
        "metric": "exact_match,strict-match",
    }
    settings = {"limit": None, "fewshot": None, "batch_size": 8, "dtype": "bfloat16", "lm_eval": "0.4.13"}
    return {"policy": policy, **settings, "tasks": {"gsm8k": {**task, **other}}}


def rows_of(levels, replicates=1):
    win_rates = index([win_rate(f"phi-2/{name}", lc) for name, lc in levels.items()])
    return policy_rows.build_rows(
        {"phi-2": "Phi-2"}, {"dpo": "DPO"}, [0], [("off",), ("on",)], win_rates, None, replicates=replicates
    )


def measured_of(tmp_path, right, **other):
    return capabilities.read_capabilities(
        write(tmp_path, [record(f"phi-2/{name}", one, **other) for name, one in right.items()])
    )


def test_a_table_without_capabilities_is_as_it_was():
    plain, none = table("table1", rows_of(LEVELS), []), table("table1", rows_of(LEVELS), [], measured={})
    assert (plain.csv(), plain.markdown()) == (none.csv(), none.markdown()) and "capabilit" not in plain.csv()


def test_columns_show_accuracies_and_mark_what_is_beyond_two_standard_errors(tmp_path):
    made = table("table1", rows_of(LEVELS), [], measured=measured_of(tmp_path, RIGHT | {"dpo/on": 0.47}))
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in made.markdown().splitlines()
        if line[:1] == "|"
    ]
    assert [line[0::3] for line in cells[2:]] == [["–", "50.0"], ["PC_off", "44.0 ↓"], ["PC_on", "47.0"]]
    assert (
        "gsm8k: percent right of 1000 questions (standard error up to 1.6); ↓: below the SFT policy" in made.markdown()
    )
    lines = {line["policy"]: line for line in csv.DictReader(io.StringIO(made.csv()))}
    assert (
        lines["phi-2/dpo/off"]["capability_gsm8k"] == "44.0" and lines["phi-2/sft"]["capability_gsm8k_error"] == "1.6"
    )
    assert [line["capabilities_lost"] for line in lines.values()] == ["", "gsm8k", ""]


def test_a_gain_that_costs_capabilities_is_warned_of_and_a_loss_alone_is_not(tmp_path):
    made = table("table1", rows_of(LEVELS), [], measured=measured_of(tmp_path, RIGHT))
    warning = "Phi-2 PC_off gains 5.0 and loses 6.0 on gsm8k (standard error 2.3)."
    assert warning in made.markdown() and "PC_on gains" not in made.markdown()
    made.write(tmp_path / "table1.csv")
    assert capabilities.count([tmp_path / "table1.csv"]) == (
        "Warning: 1 policy gains by the judge's win rate and can do less than the SFT policy, beyond two standard errors: "
        "phi-2/dpo/off (gsm8k)."
    )
    table("table2", rows_of(LEVELS), []).write(tmp_path / "table2.csv")
    assert capabilities.count([tmp_path / "table2.csv"]) == ""


def test_runs_of_a_history_are_averaged_over_the_same_questions(tmp_path):
    levels = {**LEVELS, "dpo/off~2": 25.0, "dpo/on~2": 18.0}
    for second, cell in ((0.50, "47.0"), (0.45, "44.5 ↓")):
        measured = measured_of(tmp_path, RIGHT | {"dpo/off~2": second, "dpo/on~2": 0.5})
        assert f"| {cell} " in table("table1", rows_of(levels, replicates=2), [], measured=measured).markdown()


def test_an_unknown_error_is_no_loss(tmp_path):
    made = table("table1", rows_of(LEVELS), [], measured=measured_of(tmp_path, RIGHT, standard_error=None))
    assert (
        "Warning" not in made.markdown()
        and "44.0 ↓" not in made.markdown()
        and "standard error up to" not in made.markdown()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": 100}, "capabilities with another limit cannot stand in one table"),
        ({"lm_eval": "0.4.14"}, "with another lm eval"),
        ({"tasks": None}, "holds no capabilities: it has no 'tasks'"),
        ({"tasks": record("x", 0.5, version="4.0")["tasks"]}, "with another asked"),
    ],
)
def test_what_was_measured_otherwise_does_not_stand_together(tmp_path, change, message):
    records = [record("phi-2/sft", 0.5), {**record("phi-2/dpo/off", 0.5), **change}]
    with pytest.raises(BadInput, match=message):
        capabilities.read_capabilities(write(tmp_path, records))


def test_a_policy_that_was_not_measured_is_asked_for(tmp_path):
    measured = measured_of(tmp_path, {"sft": 0.5, "dpo/off": 0.5})
    with pytest.raises(BadInput, match="the capabilities of phi-2/dpo/on is missing; give its file too"):
        table("table1", rows_of(LEVELS), [], measured=measured)


def test_the_program_takes_them(run_script, tmp_path):
    win_rates = write(tmp_path, [win_rate(f"phi-2/{name}", lc) for name, lc in LEVELS.items()])
    (tmp_path / "able").mkdir()
    able = write(tmp_path / "able", [record(f"phi-2/{name}", right) for name, right in RIGHT.items()])
    done = run_script(
        "make_table", "--table", "table1", "--models", "phi-2=Phi-2", "--methods", "dpo=DPO", "--histories", "off", "on",
        "--win-rates", *win_rates, "--capabilities", *able, "--csv", tmp_path / "table1.csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "44.0 ↓" in (tmp_path / "table1.md").read_text()
