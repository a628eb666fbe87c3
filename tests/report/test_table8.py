"""Table 8 and the preference consistencies beside it."""

import csv
import json

import pytest
import yaml
from conftest import ROOT

from dpo_stages.core.errors import BadInput
from dpo_stages.report.paper import paper_table
from dpo_stages.report.tables.consistency import build_rows, table
from dpo_stages.study.policies import Policy, combinations

MODELS = {"llama-3-8b-instruct": "Llama-3-8B-Instruct", "zephyr-7b": "Zephyr-7B", "phi-2": "Phi-2-2.7B"}


def record(policy, likelier, **changes):
    return {
        "policy": policy, "preference_model": "pairrm", "preference_data": "ultrafeedback", "consistency": 0.55,
        "interval": [0.53, 0.57], "off_policy_consistency": 0.4, "boundary_score": 0.6,
        "on_policy_likelier": likelier, "on_policy_likelier_interval": [likelier - 0.01, likelier + 0.01],
        "recommended_source": "on", "verdict": "decided", "shortcut_source": "on", "shortcut_verdict": "decided", "confidence": 0.95, "prompts": 2000, "comparisons": 8000,
        "shortcut_is_safe": True, **changes,
    }  # fmt: skip


def records_of_paper():
    found = {}
    for row in paper_table(8):
        history = (row["iter_1"],) if row["iter_1"] else ()
        policy = str(Policy(row["model"], None, row["method"] if history else None, history))
        found[policy] = record(policy, float(row["on_policy_likelier"]) / 100)
    return found


def test_the_papers_study_has_the_papers_rows():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    wanted = config["analyses"]["table8"]
    histories = [(), *combinations(wanted["sources"], config["iterations"] - 1)]
    policies = [
        str(Policy(model, None, wanted["method"] if history else None, history))
        for model in wanted["models"]
        for history in histories
    ]
    assert policies == list(records_of_paper())


def test_markdown_has_the_papers_cells_in_its_layout():
    text = table(build_rows(MODELS, records_of_paper()), "boundary").markdown()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert cells[0] == ["Iter-1", "Iter-2", "Win Rate", "Interval"]
    assert [line[0] for line in cells[2:14:4]] == [f"**{label}**" for label in MODELS.values()]
    assert cells[3] == ["–", "–", "91.06", "90.1 to 92.1"]
    assert cells[9] == ["PC_on", "–", "96.50", "95.5 to 97.5"]
    assert ["phi-2/dpo/off", "0.55 (0.53–0.57)", "0.60", "+0.05", "0.40", "PC_on", "PC_on"] in cells
    assert "for 0 of 9 initial policies" in text and "2000 prompts of ultrafeedback" in text and "95% interval" in text


def test_the_csv_keeps_what_the_paper_prints_in_percent_and_consistencies_as_shares():
    lines = list(csv.DictReader(table(build_rows(MODELS, records_of_paper()), "boundary").csv().splitlines()))
    for line, printed in zip(lines, paper_table(8), strict=True):
        assert {name: line[name] for name in ("model", "iter_1")} == {
            name: printed[name] for name in ("model", "iter_1")
        }
        assert float(line["on_policy_likelier"]) == pytest.approx(float(printed["on_policy_likelier"]))
    assert (lines[0]["consistency"], lines[0]["boundary_score"], lines[0]["prompts"]) == ("0.55", "0.6", "2000")
    assert "history" not in lines[0]


def test_a_changed_recommendation_is_counted():
    records = records_of_paper()
    text = {name: table(build_rows(MODELS, records), name).markdown() for name in ("boundary", "race")}
    assert "So they can part" not in text["boundary"]
    records["phi-2/sft"] |= {"recommended_source": "off", "verdict": "undecided", "shortcut_verdict": "undecided"}
    for decide_by, follows in (
        ("boundary", "`auto` follows Algorithm 1."),
        ("race", "`auto` follows neither, but races."),
    ):
        made = table(build_rows(MODELS, records), decide_by).markdown()
        assert "for 1 of 9 initial policies" in made and "So they can part where Difference is larger" in made
        assert made.rstrip().endswith(follows) and text[decide_by].rstrip().endswith(follows)
        assert "| PC_off (undecided) | PC_on (undecided)" in made


def test_seeds_are_lines_of_the_csv_and_means_in_the_papers_layout():
    records = {policy: record(policy, share) for policy, share in (("phi-2/sft", 0.80), ("phi-2@1/sft", 0.84))}
    rows = build_rows(MODELS, records)
    assert len(table(rows, "boundary").csv().splitlines()) == 3
    assert (
        "| 82.00 ± 25.41 | –" in table(rows, "boundary").markdown()
    )  # Student's t with 1 degree of freedom: 12.706 x 2.83 / sqrt(2)


def test_consistencies_with_two_preference_models_never_meet():
    records = records_of_paper()
    for name, record_ in records.items():
        record_["file"] = f"{name}.json"
    records["phi-2/sft"]["preference_model"] = "another"
    with pytest.raises(BadInput, match="another preference model cannot stand in one table"):
        build_rows(MODELS, records)


def test_program(tmp_path, run_script):
    paths = []
    for number, one in enumerate(records_of_paper().values()):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(one))
    models = [f"{name}={label}" for name, label in MODELS.items()]
    outputs = ["--csv", tmp_path / "out/table8.csv"]
    done = run_script("make_table8", "--models", *models, "--consistencies", *paths, "--decide-by", "race", *outputs)
    assert done.returncode == 0, done.stderr
    assert "9 rows in, 9 rows out, dropped: none, on policy likelier 84.32 to 96.50 %" in done.stderr
    assert (tmp_path / "out/table8.md").read_text().startswith("# Table 8\n")
    done = run_script(
        "make_table8", "--models", *models, "--consistencies", paths[0], paths[0], "--decide-by", "race", *outputs
    )
    assert done.returncode == 2 and "are both the preference consistency of llama-3-8b-instruct/sft" in done.stderr
