"""Reward models that Transformers 5 saved, read by Transformers 4: the same tokens and the same scores."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import transformers

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.pairs import Pair
from dpo_stages.preferences.published import tokenizer_and_config

TEXTS = ["who lives in caves, the murrow or  the tarsel?", "the murrow", " honey\n\n中文 naïve", "it eats honey. " * 40]


@pytest.fixture(scope="module")
def saved(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp("saved")
    (folder / "texts.json").write_text(json.dumps(TEXTS))
    program = Path(__file__).with_name("saved_by_transformers_5.py")
    subprocess.run([root / "envs/run", "train", program, folder, folder / "texts.json"], check=True)
    return folder


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("generic", "TokenizersBackend"),
        ("llama", "LlamaTokenizer"),
        ("mistral", "TokenizersBackend"),
        ("qwen", "Qwen2Tokenizer"),
        ("gpt", "GPT2Tokenizer"),
    ],
)
def test_tokens_and_scores_are_those_of_transformers_5(saved, name, kind):
    right = read_json(saved / "read.json")[name]
    assert right["class"] == kind and transformers.__version__.startswith("4.")
    tokenizer, _ = tokenizer_and_config(saved / name, name)
    assert tokenizer(TEXTS).input_ids == right["tokens"]
    asked = [{"role": "user", "content": TEXTS[0]}]
    logits = open_preference_model(saved / name).compare([Pair(asked, TEXTS[1], text) for text in TEXTS[2:]]).logits
    scores = right["scores"]
    assert logits == pytest.approx([scores[1] - other for other in scores[2:]], abs=1e-5)
    assert all(abs(logits) > 1e-3)


def test_rotary_positions_by_kind_of_layer_are_refused(saved, tmp_path, run_here):
    folder = shutil.copytree(saved / "qwen", tmp_path / "qwen")
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, "rope_parameters": {"full_attention": config["rope_parameters"]}})
    with pytest.raises(BadInput, match="rope_parameters that Transformers 4 cannot read"):
        tokenizer_and_config(folder, "qwen")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "NewTokenizer"}, "Tokenizer class NewTokenizer does not exist"),
        ("config.json", {"architectures": ["NewForSequenceClassification"]}, "which Transformers 4.* lacks"),
        ("config.json", {"id2label": {"0": "a", "1": "b"}}, "gives 2 scores"),
    ],
)
def test_what_cannot_be_loaded_is_not_fetched(saved, tmp_path, run_here, file, change, message):
    folder = shutil.copytree(saved / "qwen", tmp_path / "qwen")
    write_json(folder / file, {**read_json(folder / file), **change})
    if file == "tokenizer_config.json":
        (folder / "tokenizer.json").unlink()
    manifest = tmp_path / "models/mine/manifest.json"
    with pytest.raises(BadInput, match=message):
        run_here("fetch_preference_model", "--path", folder, "--output", manifest)
    assert not manifest.parent.exists()
