"""The study beside the paper: the paper beside itself agrees everywhere, and other models are not compared."""

import csv
from dataclasses import replace

import pytest

from dpo_stages.report.paper import paper_rows, paper_table
from dpo_stages.report.table import Table, with_iterations
from dpo_stages.report.tables.paper_comparison import COLUMNS, agreement, compare, table


def as_ours(number, **changes):
    """The paper's table in the form of the study's, with figures of some policies changed."""
    judge = {"judge": "j", "judge_version": "1", "judge_prompt": "p", "judge_endpoint": "served"}
    return [
        replace(
            row, model_label=row.model.title(), method_label=row.method.upper(), **judge | changes.get(row.policy, {})
        )
        for row in paper_rows(number)
    ]


@pytest.mark.parametrize(("number", "initial"), [(3, 9), (4, 6), (5, 9)])
def test_the_paper_agrees_with_itself(number, initial):
    rows = compare(f"table{number}", as_ours(number), paper_rows(number))
    assert len(rows) == len(paper_table(number))
    assert all(row["difference_lc_win_rate"] == 0 for row in rows)
    assert agreement(rows, "stage_agrees") == agreement(rows, "better_arm_agrees") == f"{initial} of {initial}"


def test_what_differs_is_said():
    changes = {
        "zephyr-7b/dpo/off": {"boundary_score": 0.61, "lc_win_rate": 10.0},  # the paper: 0.40, and 20.77 > 13.70
    }
    rows = {row["policy"]: row for row in compare("table3", as_ours(3, **changes), paper_rows(3))}
    row = rows["zephyr-7b/dpo/off"]
    assert row["difference_boundary_score"] == pytest.approx(0.21)
    assert (row["recommended"], row["paper_recommended"], row["stage_agrees"]) == ("on", "off", False)
    assert (row["better_arm"], row["paper_better_arm"], row["better_arm_agrees"]) == ("on", "off", False)
    assert rows["zephyr-7b/dpo/on"]["stage_agrees"] is None  # stands on the first row of an initial policy
    text = table(list(rows.values()), []).markdown()
    assert "The stage agrees with the paper's for 8 of 9 initial policies, and the better arm for 8 of 9." in text
    assert text.count("differs") == 2


@pytest.mark.parametrize(("verdicts", "shown"), [("dd", "decided"), ("du", "undecided"), ("dn", None)])
def test_a_stage_is_undecided_where_it_is_in_any_run(verdicts, shown):
    words = {"d": "decided", "u": "undecided", "n": None}
    runs = [replace(row, boundary_verdict=words[verdict]) for verdict in verdicts for row in as_ours(3)]
    rows = compare("table3", runs, paper_rows(3))
    assert {row["boundary_verdict"] for row in rows if row["stage_agrees"] is not None} == {shown}
    assert table(rows, []).markdown().count("agrees (undecided)") == (9 if shown == "undecided" else 0)


def test_seeds_are_averaged():
    one = as_ours(3)
    other = [replace(row, lc_win_rate=row.lc_win_rate + 1) for row in one]
    rows = compare("table3", [*one, *other], paper_rows(3))
    assert len(rows) == 21 and all(row["difference_lc_win_rate"] == pytest.approx(0.5) for row in rows)


def test_the_program_compares_tables_by_name_and_says_when_there_is_nothing(tmp_path, run_script):
    ours = [replace(row, model="tiny", model_label="Tiny") for row in as_ours(1)]
    for name, rows in (("table3", as_ours(3)), ("table1", ours), ("mine", ours)):
        (tmp_path / f"{name}.csv").write_text(Table(with_iterations(rows)).csv())
    out = ["--csv", tmp_path / "c.csv"]
    tables = [tmp_path / f"{name}.csv" for name in ("table1", "table3", "mine")]
    assert run_script("make_comparison", "--tables", *tables, *out).returncode == 0
    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert list(rows[0]) == COLUMNS and {row["table"] for row in rows} == {"table3"} and len(rows) == 21
    judge = "j (version 1, prompt p, served)"
    assert {row["judge"] for row in rows} == {judge} and f"Judged by {judge}." in (tmp_path / "c.md").read_text()
    assert run_script("make_comparison", "--tables", tables[0], *out).returncode == 0
    assert (tmp_path / "c.csv").read_text().strip() == ",".join(COLUMNS)
    assert "None of the models of this study (Tiny) is one of the paper's." in (tmp_path / "c.md").read_text()
