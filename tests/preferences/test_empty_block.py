"""Blocks of a measurement that is made while sampling: one without samples has no comparisons."""

import json

import pytest

from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import COMPARISONS, OFF_POLICY_CANDIDATES, SAMPLED_CANDIDATES

PROMPT = [{"role": "user", "content": "Why?"}]


@pytest.fixture
def flags(model_folder, tmp_path):
    row = {"prompt_id": prompt_id(PROMPT), "prompt": PROMPT, "response_1": "One.", "response_2": "Two."}
    write_table(tmp_path / "off.parquet", [row | {"original_preference": 1}], OFF_POLICY_CANDIDATES)
    write_table(tmp_path / "on.parquet", [], SAMPLED_CANDIDATES)
    return ["--off-policy", tmp_path / "off.parquet", "--preference-model", model_folder]


def test_a_block_without_samples_is_a_table_without_rows(flags, tmp_path, run_script):
    request = json.dumps({"on_policy": str(tmp_path / "on.parquet"), "output": str(tmp_path / "out.parquet")})
    done = run_script("compare_candidates", *flags, "--serve", input=f"{request}\n", env="pairrm")
    assert done.returncode == 0, done.stderr
    assert read_table(tmp_path / "out.parquet", COMPARISONS).num_rows == 0


def test_all_of_them_without_samples_are_refused(flags, tmp_path, run_script):
    files = ["--on-policy", tmp_path / "on.parquet", "--output", tmp_path / "out.parquet"]
    done = run_script("compare_candidates", *flags, *files, env="pairrm")
    assert done.returncode == 2 and "share no prompt" in done.stderr
