"""The table of RQ1: diversity, quality and gains of each source beside one another, and the paper's."""

import csv
import json
from dataclasses import replace

import pytest
from test_intra_diversity import write_log

from dpo_stages.report.paper import paper_rows
from dpo_stages.report.table import Table, with_iterations
from dpo_stages.report.tables.intra_diversity import read_curves
from dpo_stages.report.tables.rq1 import table, table_rows

JUDGE = {"judge": "j", "judge_version": "1", "judge_prompt": "p", "judge_endpoint": "served"}
ORIGINS = {
    "zephyr-7b/dpo/off": "uf", "zephyr-7b/dpo/llama": "llama-3-8b-instruct/sft", "zephyr-7b/dpo/on": "zephyr-7b/sft",
}  # fmt: skip
STEPS = {"off": [[4.0, -6.0], [9.0, 1.0]], "llama": [[1.0, 0.0], [0.5, 0.5]], "on": [[2.0, 0.0], [0.0, -1.0]]}


def ours(**changes):
    """The paper's Table 2 as the study's own."""
    return [replace(row, model_label="Zephyr", method_label="DPO", **JUDGE | changes) for row in paper_rows(2)]


def quality(candidates, lc, paper=""):
    figures = {"lc_win_rate": lc, "lc_low": lc - 3, "lc_high": lc + 3, "win_rate": lc + 1}
    figures |= {"win_rate_low": lc - 2, "win_rate_high": lc + 4, "paper_lc_win_rate": paper}
    return {"candidates": candidates, "against": "uf", **{key: str(value) for key, value in figures.items()}, **JUDGE}


QUALITY = [
    quality("llama-3-8b-instruct/sft", 60, 58.84), quality("zephyr-7b/dpo/on", 55, 46), quality("zephyr-7b/sft", 41, 46),
]  # fmt: skip


@pytest.fixture
def logs(tmp_path):
    return [f"{name}={write_log(tmp_path / f'{name[14:]}.jsonl', STEPS[name[14:]])}" for name in ORIGINS]


def rows_of(logs, policies, pairs=QUALITY):
    return {row["source"]: row for row in table_rows(policies, read_curves(logs), pairs, ORIGINS, "uf", paper_rows(2))}


def test_each_source_has_its_diversity_quality_and_both_gains(logs):
    rows = rows_of(logs, ours())
    assert list(rows) == ["off", "llama", "on"]
    assert [rows["off"][f"diversity{end}"] for end in ("", "_low", "_high")] == [2.0, -1.0, 5.0]  # means of the steps
    assert (rows["on"]["quality_lc_win_rate"], rows["on"]["quality_win_rate_high"]) == (41, 45)  # the SFT policy's own
    assert rows["llama"]["quality_paper_lc_win_rate"] == 58.84 and rows["off"]["quality_win_rate"] is None
    assert [rows[source]["sft_gain"] for source in rows] == [12.65, 5.41, 5.58]
    assert (
        [rows[source]["off_gain"] for source in rows]
        == [3.00, 8.55, 12.51]
        == [rows[s]["paper_off_gain"] for s in rows]
    )
    assert rows["llama"]["off_win_rate_gain"] == pytest.approx(37.03 - 19.99)
    assert rows["off"]["sft_win_rate_gain"] == pytest.approx(19.99 - 4.25)
    assert rows["on"]["judge"] == "j" and rows["on"]["sft_gain_low"] is None


def test_runs_are_averaged_and_their_interval_goes_first(logs, tmp_path):
    one = ours(gain_low=-9.0, gain_high=9.0, runs=2, runs_gain_low=-1.0, runs_gain_high=8.0)
    other = [
        replace(row, seed=1, lc_win_rate=row.lc_win_rate + 1, gain=row.gain and row.gain + 2,
                policy=row.policy.replace("7b", "7b@1")) for row in one
    ]  # fmt: skip
    again = f"zephyr-7b@1/dpo/on={write_log(tmp_path / 'again.jsonl', [[-7.0, -9.0]])}"
    row = rows_of([*logs, again], [*one, *other])["on"]
    assert (row["runs"], row["sft_gain"], row["sft_gain_low"], row["sft_gain_high"]) == (
        2,
        pytest.approx(6.58),
        -1.0,
        8.0,
    )
    assert (row["diversity"], row["diversity_low"], row["diversity_high"]) == (pytest.approx(-2.5), -8.0, 1.0)
    text = table([row], "the judge").markdown()
    assert "+6.58 (-1.00 to +8.00) n.s." in text and "means over 2 runs" in text
    alone = rows_of(logs, ours(gain_low=-9.0, gain_high=9.0))["on"]
    assert alone["sft_gain_low"] == -9.0 and "n.s." not in table([alone], "the judge").markdown()


def test_the_words_say_which_source_leads(logs):
    text = table([*rows_of(logs, ours()).values()], "the judge").markdown()
    assert (
        "of 3 sources, PC_off has the widest range of intra-diversity; of 2 sources, PC_llama has the highest quality"
        in text
    )
    assert (
        "PC_off has the largest gain from the SFT policy; of 3 sources, PC_llama has the largest gain after PC_off."
        in text
    )
    assert "With one run" in text and "paper from SFT" in text and "the judge prefers a random candidate" in text


def test_what_was_not_measured_is_left_open(logs):
    other = [replace(row, model="tiny", policy=row.policy.replace("zephyr-7b", "tiny")) for row in ours()[:3]]
    rows = [*table_rows(other, [], [], {}, "uf", paper_rows(2))]
    assert all(row["diversity"] is row["off_gain"] is row["paper_sft_gain"] is None for row in rows[1:])
    text = table(rows, "the judge").markdown()
    assert (
        "paper" not in text.splitlines()[2] and "of 2 sources, PC_off has the largest gain from the SFT policy." in text
    )
    assert "Too little was measured" in table(rows[:1], "the judge").markdown()


def test_the_program_reads_the_files_of_the_workflow(logs, tmp_path, run_script):
    (tmp_path / "table2.csv").write_text(Table(with_iterations(ours())).csv())
    (tmp_path / "quality.csv").write_text(Table(QUALITY).csv())
    arguments = ["--policies", tmp_path / "table2.csv", "--quality", tmp_path / "quality.csv", "--logs", *logs]
    arguments += ["--origins", *("=".join(pair) for pair in ORIGINS.items()), "--preference-data", "uf"]
    arguments += ["--csv", tmp_path / "rq1.csv"]
    done = run_script("make_rq1", *arguments)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "rq1.csv").open()))
    assert [row["quality_lc_win_rate"] for row in rows] == ["", "60.0", "41.0"]
    ledger = json.loads((tmp_path / "rq1.ledger.json").read_text())
    assert (ledger["rows_out"], ledger["without_diversity"], ledger["without_quality_win_rate"]) == (3, 0, 1)
    (tmp_path / "quality.csv").write_text(Table([{**row, "judge_version": "2"} for row in QUALITY]).csv())
    done = run_script("make_rq1", *arguments)
    assert done.returncode == 2 and "different judges cannot be shown together" in done.stderr
    (tmp_path / "quality.csv").write_text(Table(QUALITY).csv())
    (tmp_path / "table2.csv").write_text(Table(with_iterations(ours()[:1])).csv())
    done = run_script("make_rq1", *arguments)
    assert done.returncode == 2 and "no policy that was trained from an SFT policy" in done.stderr
