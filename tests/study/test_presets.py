"""A short file comes to a whole study: paths become entries, settings are a preset's, nothing of the paper's study is left."""

import json
import struct

import pytest
import yaml
from conftest import ROOT

from dpo_stages.core.errors import BadInput
from dpo_stages.study import contents
from dpo_stages.study.parameters import parameters_of
from dpo_stages.study.presets import PRESETS, study_of_ones_own
from dpo_stages.study.settings import check_settings
from dpo_stages.study.shorthand import name_of
from dpo_stages.study.study import Study


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pairs.jsonl", "test-pairs.jsonl", "tasks.jsonl"):
        (tmp_path / name).write_text("")
    for folder in ("checkpoints/My-Model-1.5B", "reward"):
        (tmp_path / folder).mkdir(parents=True)


def read(name):
    return yaml.safe_load((ROOT / name).read_text())


PAPER, SCHEMA = read("config.yaml"), read("rules/config.schema.yaml")


def own(text):
    """The configuration that a short file comes to."""
    given = yaml.safe_load(text)
    config = study_of_ones_own(given, read)
    check_settings(config, SCHEMA)
    return config


SHORT = """
preset: laptop
models: {mine: Qwen/Qwen2.5-1.5B}
preference_data: pairs.jsonl
preference_model: ./reward
"""


@pytest.mark.parametrize("preset", PRESETS)
def test_four_lines_are_a_study_that_has_nothing_of_the_papers(preset):
    config = own(SHORT.replace("laptop", preset))
    assert list(config["models"]) == ["mine"]
    assert config["models"]["mine"]["parameters"] == 1.5e9
    assert config["models"]["mine"]["label"] == "mine"
    assert config["datasets"]["pairs"]["splits"] == {"train": "pairs.jsonl"}
    assert config["preference_model"] == "reward"
    assert config["preference_models"]["reward"]["path"] == "./reward"
    assert config["boundary"]["split"] == "train"
    assert list(config["tables"]) == ["gains"]
    study = Study(config, lambda initial: "")
    text = json.dumps(contents.tables_of_report(study)) + json.dumps(contents.in_words(study))
    assert not any(name in text for name in ("llama", "zephyr", "phi-2", "ultrafeedback", "table8", "quality"))
    assert contents.tables_of_report(study).count("gains") == 1


def test_a_preset_gives_settings_and_the_file_the_last_word():
    laptop, paper = own(SHORT), own(SHORT.replace("laptop", "paper"))
    assert (laptop["accelerator"], paper["accelerator"]) == ("cpu", "gpu")
    assert laptop["methods"]["dpo"]["batch_size"] == 8
    assert paper["methods"]["dpo"] == {
        **PAPER["methods"]["dpo"],
        "rounding": "stochastic",
        "delta": None,
        "sft_weight": None,
        "label_smoothing": None,
        "use_weighting": False,
        "keep": "whole",
        "lora": None,
    }
    assert own(SHORT + "methods: {dpo: {beta: 0.5}}")["methods"]["dpo"]["beta"] == 0.5


def test_a_key_without_a_value_says_nothing():
    assert own(SHORT + "evaluation:\nyardstick:\n") == own(SHORT)


def test_a_table_of_ones_own_takes_all_models_and_the_first_method_unless_it_says_others():
    config = own(SHORT + "tables: {gains: {histories: [pool-pick]}, slic: {methods: [slic], sources: ['on']}}")
    tables = {name: (table["models"], table["methods"]) for name, table in config["tables"].items()}
    assert tables == {"gains": (["mine"], ["dpo"]), "slic": (["mine"], ["slic"])}
    assert config["responses"] == {"table": "gains", "model": "mine"}
    with pytest.raises(BadInput, match="tables"):
        own(SHORT + "tables: [gains]")


def test_what_it_came_to_comes_to_itself():
    config = own(SHORT)
    again = study_of_ones_own(config, read)
    check_settings(again, SCHEMA)
    assert again == config


def test_boundaries_are_measured_on_prompts_of_their_own_where_there_are_any():
    config = own(SHORT.replace("pairs.jsonl", "{train: pairs.jsonl, test: test-pairs.jsonl}"))
    assert config["boundary"]["split"] == "test"
    assert config["datasets"]["pairs"]["splits"]["test"] == "test-pairs.jsonl"


def test_the_preference_model_judges_where_nobody_else_is_named_and_then_nothing_is_audited():
    config = own(SHORT)
    assert config["judges"]["reward"] | {"identified_by": []} == config["judges"]["reward"]
    assert config["evaluation"]["judge"] == "reward" and config["audit"]["tables"] == []
    other = own(SHORT + "evaluation: {judge: org/other-reward}")
    assert other["judges"]["other-reward"]["model"] == "other-reward"
    assert other["yardstick"] == "other-reward" and other["audit"]["tables"] == ["gains"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("laptop", "desktop"), ["preset is 'desktop'", "laptop, one-gpu, paper"]),
        (("preference_data: pairs.jsonl", ""), ["lacks the key preference_data"]),
        (("models: {mine: Qwen/Qwen2.5-1.5B}", ""), ["lacks the key models"]),
        (("pairs.jsonl", "org/pairs"), ["preference_data names org/pairs", "datasets"]),
        (("pairs.jsonl", "pears"), ["preference_data names 'pears'", "did you mean pairs"]),
        (("./reward", "rewrd"), ["preference_model names 'rewrd'", "known are pairrm"]),
        (("models:", "evaluation: my-tasks.jsonl\nmodels:"), ["evaluation is 'my-tasks.jsonl'; expected is object"]),
        (("models:", "boundary: [train]\nmodels:"), ["boundary is ['train']; expected is object"]),
        (("Qwen/Qwen2.5-1.5B", "checkpoints/nope"), ["no folder with safetensors here", "models.mine.parameters"]),
    ],
)
def test_a_mistake_gives_one_sentence(change, words):
    text = SHORT + "datasets: {pairs: {kind: preferences, adapter: local, splits: {train: pairs.jsonl}}}\n"
    with pytest.raises(BadInput) as error:
        own((text if change[1] == "pears" else SHORT).replace(*change))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("checkpoints/My-Model-1.5B/", "my-model-1.5b"),
        ("data/My pairs.v2.jsonl.gz", "my-pairs.v2"),
        ("org/Model_7B", "model_7b"),
        ("../…", "mine"),
    ],
)
def test_a_path_gives_a_name(path, name):
    assert name_of(path) == name


def test_parameters_are_counted_in_a_folder_or_read_from_an_id(tmp_path):
    folder = tmp_path / "checkpoints/My-Model-1.5B"
    assert parameters_of(str(folder)) is None  # no weights yet, whatever the name says
    for number, shape in enumerate([[3, 5], [7]]):
        header = json.dumps(
            {"__metadata__": {}, f"w{number}": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}
        ).encode()
        (folder / f"model-{number}.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert parameters_of(str(folder)) == 22
    assert parameters_of("HuggingFaceTB/SmolLM2-135M-Instruct") == 135e6
    assert parameters_of("meta-llama/Meta-Llama-3-8B-Instruct") == 8e9
    assert parameters_of("microsoft/phi-2") is None
    (folder / "model-2.safetensors").write_bytes(b"version https://git-lfs")
    assert parameters_of(str(folder)) is None
