"""Several runs in a table as the program makes it, from win rates and their resamples."""

import csv
import json

import numpy as np
import pyarrow as pa
from test_tables import win_rate

from dpo_stages.core.parquet import write_table
from dpo_stages.evaluation.gains import CONFIDENCE, RESAMPLES_SCHEMA
from dpo_stages.report.arms import separated

WINS = {"m/sft": 60, "m/dpo/off": 63, "m/dpo/off~2": 59, "m/dpo/on": 120, "m/dpo/on~2": 124}
INSTRUCTIONS = 200


def write(folder, policy, wins):
    """A policy that wins the first of the instructions."""
    draw = np.random.default_rng(0).multinomial(INSTRUCTIONS, np.full(INSTRUCTIONS, 1 / INSTRUCTIONS), 300)
    resamples = 100 * draw[:, :wins].sum(axis=1) / INSTRUCTIONS
    columns = {"lc_win_rate": pa.nulls(300, pa.float64()), "win_rate": resamples}
    (folder / policy).mkdir(parents=True)
    table = pa.table(columns, schema=RESAMPLES_SCHEMA)
    write_table(folder / policy / "win_rate_resamples.parquet", table, RESAMPLES_SCHEMA)
    level = 100 * wins / INSTRUCTIONS
    about = {"lc_kind": "none", "confidence": CONFIDENCE, "difficulties_fitted_over": None, "resampled_from": "h"}
    record = win_rate(policy, level, win_rate=level, instructions=INSTRUCTIONS, **about) | {"lc_win_rate": None}
    (folder / policy / "win_rate.json").write_text(json.dumps(record))
    return folder / policy / "win_rate.json"


def test_gains_within_the_noise_of_runs_are_marked_by_the_program_as_by_those_who_read_its_csv(tmp_path, run_here):
    files = [write(tmp_path, policy, wins) for policy, wins in WINS.items()]
    flags = ["--models", "m=M", "--methods", "dpo=DPO", "--histories", "off", "on", "--replicates", 2]
    run_here("make_table", "--table", "t", *flags, "--win-rates", *files, "--csv", tmp_path / "t.csv")
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        ends = {
            row["policy"]: [float(row[f"runs_win_rate_gain_{end}"] or "nan") for end in ("low", "high")]
            for row in csv.DictReader(file)
        }
    assert separated(ends["m/dpo/off"]) is False and separated(ends["m/dpo/on"]) is True
    lines = {line.split("|")[1].strip(): line for line in (tmp_path / "t.md").read_text().splitlines() if "PC_" in line}
    assert "n.s." in lines["PC_off"] and "n.s." not in lines["PC_on"]


def test_numpys_numbers_tell_apart_as_pythons_do():
    assert separated(tuple(np.array([-1.0, 1.0]))) is False
    assert separated(tuple(np.array([1.0, 2.0]))) is True
