"""Tables 6, 7 and 9: the configuration in force and the judge's prompt, beside the paper's."""

import csv
import json

import pytest
import yaml

from dpo_stages.report.tables import settings as made


@pytest.fixture(scope="module")
def study(root):
    return yaml.safe_load((root / "config.yaml").read_text())


def training(study):
    methods = {name: {"delta": None, "sft_weight": None, **method} for name, method in study["methods"].items()}
    return made.training_table(study["sft"], methods, study["max_length"], study["resources"]["training_gpus"])


def test_the_studys_training_is_the_papers(study):
    table, paper = training(study), made.paper_values(6)
    assert paper["sft"].keys() | {"beta"} == paper["dpo"].keys() and len(paper["dpo"]) == 8
    for column, values in paper.items():
        for parameter, printed in values.items():
            assert made.same_value(table[column][parameter], printed), (column, parameter)


def test_the_studys_sampling_is_the_papers(study):
    table, paper = made.sampling_table(study["sampling"]), made.paper_values(7)
    assert paper == {"value": {"top_k": "50", "top_p": "0.9", "temperature": "0.7"}}
    assert all(made.same_value(table["value"][name], printed) for name, printed in paper["value"].items())


def test_another_value_is_shown_and_not_counted_as_the_papers(study):
    changed = {**study["sampling"], "temperature": 0.8}
    rows = made.rows_of(7, made.sampling_table(changed))
    assert {"parameter": "temperature", "value": "0.8", "paper_value": "0.7"} in rows
    text = made.table(7, rows, {"value": "Value"}).markdown()
    assert "2 of the 3 values that the paper prints" in text
    assert "refers to Table 7 for training and to Table 6 for sampling" in text


def test_gradient_accumulation_keeps_the_batch_size_whatever_the_gpus(study):
    for gpus, steps in ((0, 32), (1, 32), (4, 8), (8, 4)):
        table = made.training_table(study["sft"], {}, 1, gpus)
        assert table["sft"]["gradient_accumulation_steps"] == steps


def test_rounding_is_shown_where_weights_are_rounded(study):
    sft = {**study["sft"], "rounding": "nearest"}
    assert made.training_table(sft, {}, 1, 4)["sft"]["rounding"] == "nearest"
    assert "rounding" not in {row["parameter"] for row in made.rows_of(6, made.training_table(sft, {}, 1, 0))}


def test_lora_and_the_terms_of_a_loss_are_shown_where_there_are_any(study):
    lora = {"rank": 8, "alpha": 32.0, "dropout": 0.05, "targets": ["q_proj", "v_proj"]}
    dpo = {**study["methods"]["dpo"], "lora": lora, "use_weighting": True, "label_smoothing": 0.1}
    table = made.training_table({**study["sft"], "lora": None}, {"dpo": dpo}, 1, 4)
    assert table["dpo"]["lora"] == "rank 8, α 32, dropout 0.05, q_proj v_proj"
    assert (table["dpo"]["use_weighting"], table["dpo"]["label_smoothing"]) == ("yes", 0.1)
    assert table["sft"]["lora"] is None
    assert "lora" not in {row["parameter"] for row in made.rows_of(6, training(study))}


def test_the_program_writes_both_tables(tmp_path, run_script, study):
    sections = {key: study[key] for key in ("sft", "max_length")}
    dpo = {**study["methods"]["dpo"], "delta": None, "sft_weight": None}
    settings = json.dumps({**sections, "methods": {"dpo": dpo}, "gpus": 4})
    out, text = tmp_path / "t.csv", tmp_path / "t.md"
    done = run_script("make_settings_table", "--table", 6, "--settings", settings, "--csv", out)
    assert done.returncode == 0, done.stderr
    rows = {row["parameter"]: row for row in csv.DictReader(out.open())}
    assert (rows["learning_rate"]["sft"], rows["learning_rate"]["dpo"]) == ("2e-05", "5e-07")
    assert rows["beta"]["sft"] == "" and rows["beta"]["paper_dpo"] == "0.01"
    assert "delta" not in rows  # no column has one
    assert (rows["packing"]["sft"], rows["packing"]["dpo"]) == ("yes", "")
    assert "15 of the 15 values" in text.read_text()
    done = run_script("make_settings_table", "--table", 6, "--settings", "{", "--csv", out)
    assert done.returncode == 2 and "--settings is not valid JSON" in done.stderr
