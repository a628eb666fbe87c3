"""Blocks of a measurement that is made while sampling: one whose prompts all fill the context has no samples."""

import json

from test_sampling import FLAGS, prompt_rows

from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import PROMPTS, SAMPLED_CANDIDATES


def test_a_block_whose_prompts_fill_the_context_is_a_table_without_rows(policy, run_script, tmp_path):
    write_table(tmp_path / "prompts.parquet", prompt_rows(3), PROMPTS)
    request = {"prompts": str(tmp_path / "prompts.parquet"), "output": str(tmp_path / "out.parquet")}
    settings = FLAGS | {"max-length": 8}
    flags = [
        "--policy",
        policy,
        "--name",
        "tiny/sft",
        *(part for name, value in settings.items() for part in (f"--{name}", value)),
    ]
    done = run_script("sample_candidates", *flags, "--serve", input=f"{json.dumps(request)}\n", env="vllm-cpu")
    assert done.returncode == 0, done.stderr
    assert read_table(tmp_path / "out.parquet", SAMPLED_CANDIDATES).num_rows == 0
