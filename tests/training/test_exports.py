"""Exported pairs are what TRL trains on, its command included, and what it trains comes back in as a model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import as_flags

from dpo_stages.core.manifests import read_manifest
from dpo_stages.core.parquet import read_table
from dpo_stages.data.schemas import PREFERENCES


@pytest.fixture
def export(tmp_path, run_here, preferences):
    """Export the fixture's pairs into a file whose name has this ending."""

    def run(ending: str) -> Path:
        output = tmp_path / f"train.{ending}"
        run_here("export_preferences", *as_flags(preferences=preferences, output=output))
        return output

    return run


@pytest.mark.parametrize(("ending", "loader"), [("jsonl", "json"), ("parquet", "parquet")])
def test_trl_makes_the_same_tokens_of_them(ending, loader, export, model, tokenizer, preferences, tmp_path):
    import datasets
    from trl import DPOConfig, DPOTrainer

    from dpo_stages.models.preference_tokens import tokenize_preferences
    from dpo_stages.models.weights import load_model

    data = datasets.load_dataset(
        loader, data_files=str(export(ending)), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert data.column_names == ["prompt", "chosen", "rejected"]
    config = DPOConfig(output_dir=str(tmp_path), report_to="none", use_cpu=True, bf16=False)
    trainer = DPOTrainer(load_model(model.parent, 96), args=config, train_dataset=data, processing_class=tokenizer)
    ours = tokenize_preferences(tokenizer, read_table(preferences, PREFERENCES), 96).table
    for name in ("prompt_ids", "chosen_ids", "rejected_ids"):
        assert trainer.train_dataset[name][:] == ours[name].to_pylist()


def test_trls_command_trains_on_them_and_the_model_comes_back_in(export, model, tmp_path, fetch):
    config = tmp_path / "dpo.yaml"
    config.write_text(f"""
model_name_or_path: {model.parent}
datasets: [{{path: json, data_files: {export("jsonl")}}}]
output_dir: {tmp_path}/trained
max_steps: 1
per_device_train_batch_size: 4
learning_rate: 1.0e-3
use_cpu: true
bf16: false
report_to: none
""")
    trl = Path(sys.executable).with_name("trl")
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [trl, "dpo", "--config", config], env=offline, text=True, capture_output=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    manifest = read_manifest(fetch(f"{tmp_path}/trained") / "manifest.json")
    assert manifest["files"]["model.safetensors"] != read_manifest(model)["files"]["model.safetensors"]
