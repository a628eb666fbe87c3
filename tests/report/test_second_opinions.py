"""Boundary scores by other preference models in a table of policies: columns, words, and what is refused."""

import csv
import io
import json

import pytest
from test_tables import index, measured, win_rate, write

from dpo_stages.core.errors import BadInput
from dpo_stages.report import policy_rows
from dpo_stages.report.opinions import read_opinions
from dpo_stages.report.policy_table import table

POLICIES = ["sft", "dpo/off", "dpo/on", "dpo/off-off", "dpo/off-on"]
HISTORIES = [("off",), ("on",), ("off", "off"), ("off", "on")]
LABELS = {"sft": 0.4, "dpo/off": 0.7}  # boundary scores by the preference model that labels


def rows_of(seeds=(0,), scores=LABELS):
    names = ["phi-2", *(f"phi-2@{seed}" for seed in seeds[1:])]
    win_rates = index([win_rate(f"{name}/{policy}", 20.0) for name in names for policy in POLICIES])
    boundaries = index(
        [measured(f"{name}/{policy}", score, verdict="decided") for name in names for policy, score in scores.items()]
    )
    return policy_rows.build_rows({"phi-2": "Phi-2"}, {"dpo": "DPO"}, seeds, HISTORIES, win_rates, boundaries)


def asked(tmp_path, scores, **other):
    records = [
        measured(f"phi-2/{policy}", score, **{"preference_model": "reader", **other})
        for policy, score in scores.items()
    ]
    return read_opinions(write(tmp_path, records))


def test_a_table_without_second_opinions_is_as_it_was():
    plain, none = (table("table3", rows_of(), ["boundary_score"], **given) for given in ({}, {"asked": {}}))
    assert (plain.csv(), plain.markdown()) == (none.csv(), none.markdown()) and "BS by" not in plain.markdown()


def test_scores_stand_where_those_of_the_labelling_model_do_and_words_count_where_they_part(tmp_path):
    opinions = asked(tmp_path, {"sft": 0.55, "dpo/off": 0.8}, verdict="decided")
    made = table("table3", rows_of(), ["boundary_score", "second_opinions"], asked=opinions)
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in made.markdown().splitlines()
        if line[:1] == "|"
    ]
    where = cells[0].index("BS by reader")
    assert [line[where] for line in cells[2:7]] == ["–", "0.55 (0.53–0.57)", "–", "0.80 (0.78–0.82)", "–"]
    assert cells[0][where - 1] == "BS (initial)" and cells[3][where - 1] == "0.40 (0.38–0.42)"
    assert (
        "reader recommends another source than the preference model that labels for 1 of 2 initial policies, and both are decided for 1 of these."
        in made.markdown()
    )
    lines = {line["policy"]: line for line in csv.DictReader(io.StringIO(made.csv()))}
    assert (
        lines["phi-2/dpo/on"]["boundary_score_by_reader"] == "0.55"
        and not lines["phi-2/sft"]["boundary_score_by_reader"]
    )
    assert (
        lines["phi-2/dpo/off-on"]["boundary_low_by_reader"],
        lines["phi-2/dpo/off-on"]["boundary_verdict_by_reader"],
    ) == ("0.78", "decided")
    made.write(tmp_path / "table3.csv")
    assert len(policy_rows.read_rows(tmp_path / "table3.csv")) == 5


def test_an_undecided_opinion_is_no_contradiction(tmp_path):
    opinions = asked(tmp_path, {"sft": 0.51, "dpo/off": 0.8}, verdict="undecided")
    assert (
        "for 1 of 2 initial policies, and both are decided for 0 of these."
        in table("table3", rows_of(), [], asked=opinions).markdown()
    )


def test_seeds_are_averaged(tmp_path):
    records = [measured(f"{name}/{policy}", score, preference_model="reader") for name, first in (("phi-2", 0.5), ("phi-2@1", 0.7))
               for policy, score in {"sft": first, "dpo/off": 0.8}.items()]  # fmt: skip
    made = table("table3", rows_of((0, 1)), ["second_opinions"], asked=read_opinions(write(tmp_path, records)))
    assert "| 0.60 ± 1.27" in made.markdown()


def test_what_is_missing_or_no_opinion_is_said(tmp_path):
    with pytest.raises(BadInput, match="the second opinion of phi-2/dpo/off is missing; give its file too"):
        table("table3", rows_of(), [], asked=asked(tmp_path, {"sft": 0.5}))
    (tmp_path / "other.json").write_text(json.dumps({"policy": "phi-2/sft"}))
    with pytest.raises(BadInput, match="other.json holds no second opinion: it has no 'preference_model'"):
        read_opinions([tmp_path / "other.json"])
    with pytest.raises(BadInput, match="second opinions with another confidence cannot stand in one table"):
        read_opinions(write(tmp_path, [measured("phi-2/sft", 0.5), measured("phi-2/dpo/off", 0.5, confidence=0.9)]))


def test_the_program_wants_boundary_scores_beside_them(tmp_path, run_script):
    table = ["--table", "t", "--models", "m", "--methods", "dpo", "--histories", "off", "--win-rates", "w.json"]
    done = run_script("make_table", *table, "--second-opinions", "o.json", "--csv", tmp_path / "t.csv")
    assert done.returncode == 2 and "--second-opinions needs --boundaries" in done.stderr
